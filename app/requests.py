"""Commands on their way to the gateway that owns their account, which may be this one, and what comes back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec

from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder
from app.errors import (
    BadParams,
    Conflict,
    ExecutionUnavailable,
    NotFound,
    RiskRejected,
    Unknown,
    VelozError,
)
from app.limits import Limits


class Digest(msgspec.Struct, frozen=True):
    """An account's state in the engine: the digest of docs/engine_protocol.md section 8, and the last event before it."""

    account: str
    seq: int
    digest: str


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    command: NewOrder
    key_id: str | None

    @property
    def account(self) -> str:
        return self.command.account

    @property
    def name(self) -> str:
        return self.command.client_order_id


class CancelOrder(msgspec.Struct, frozen=True, tag="cancel"):
    command: Cancel

    @property
    def account(self) -> str:
        return self.command.account

    @property
    def name(self) -> str:
        return self.command.client_order_id


class AmendOrder(msgspec.Struct, frozen=True, tag="amend"):
    command: Amend

    @property
    def account(self) -> str:
        return self.command.account

    @property
    def name(self) -> str:
        return self.command.client_order_id


class CancelOrders(msgspec.Struct, frozen=True, tag="cancel_all"):
    command: CancelAll

    @property
    def account(self) -> str:
        return self.command.account

    @property
    def name(self) -> str:
        return f"the orders of {self.account}"


class OpenAccount(msgspec.Struct, frozen=True, tag="open_account"):
    """`balances`: asset → starting amount in 1e-8 units."""

    account: str
    balances: dict[str, int]
    limits: Limits

    @property
    def name(self) -> str:
        return self.account


class SetLimits(msgspec.Struct, frozen=True, tag="set_limits"):
    account: str
    changes: dict[str, int]

    @property
    def name(self) -> str:
        return self.account


class SetKill(msgspec.Struct, frozen=True, tag="set_kill"):
    account: str
    on: bool

    @property
    def name(self) -> str:
        return self.account


class ReadDigest(msgspec.Struct, frozen=True, tag="digest"):
    account: str

    @property
    def name(self) -> str:
        return self.account


Change: TypeAlias = CancelOrder | AmendOrder | CancelOrders | OpenAccount | SetLimits | SetKill | ReadDigest
Request: TypeAlias = Submit | Change
ANSWERS: dict[type, Any] = {
    Submit: Answer,
    CancelOrder: Answer,
    AmendOrder: Answer,
    CancelOrders: list[Answer],
    OpenAccount: None,
    SetLimits: Limits,
    SetKill: None,
    ReadDigest: Digest,
}


class FollowKillSwitch(msgspec.Struct, frozen=True, tag="follow_kill_switch"):
    """To every gateway: the global kill switch was turned; have it in the engine, and say for which accounts."""


Message: TypeAlias = Request | FollowKillSwitch


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A VelozError on the wire."""

    code: str
    message: str
    reason: str = ""
    client_order_id: str | None = None
    seq: int | None = None
    retry_after: float = 1.0


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """`result`: JSON of the request's kind of answer; or what it was refused with."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    refusal: Refusal | None = None


_PLAIN: dict[str, type[VelozError]] = {kind.code: kind for kind in (BadParams, Conflict, NotFound, Unknown)}


def refusal_of(error: VelozError) -> Refusal:
    if isinstance(error, RiskRejected):
        return Refusal(error.code, error.message, error.reason, error.client_order_id, error.seq)
    return Refusal(error.code, error.message, retry_after=getattr(error, "retry_after", 1.0))


def error_of(refusal: Refusal) -> VelozError:
    """The inverse of `refusal_of`; what is not known here is `unknown`."""
    if refusal.code == RiskRejected.code:
        return RiskRejected(refusal.message, refusal.reason, refusal.client_order_id, refusal.seq)
    if refusal.code == ExecutionUnavailable.code:
        return ExecutionUnavailable(refusal.message, refusal.retry_after)
    return _PLAIN.get(refusal.code, Unknown)(refusal.message)


MISDIRECTED = HTTPStatus.MISDIRECTED_REQUEST
