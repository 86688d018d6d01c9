"""What a request is told: from the engine's events and the database's rows to an answer or a refusal. Pure."""

from __future__ import annotations

from app.commands import Answer, CancelAll, Status
from app.engine import Batch
from app.errors import BadParams, Conflict, ExecutionUnavailable, NotFound, RiskRejected, VelozError
from app.hub import LogEntry
from app.lookup import Known
from app.wire import RISK_REASONS, answer_of


def _last_seq(entries: list[LogEntry], account: str) -> int:
    return max((entry.seq for entry in entries if entry.account == account), default=0)


def answer_in(entries: list[LogEntry], account: str, client_order_id: str) -> Answer | None:
    """The order's state after these events; None when they do not touch it."""
    for entry in entries:
        if entry.type == "order_state" and (entry.account, entry.client_order_id) == (account, client_order_id):
            return answer_of(entry.payload, _last_seq(entries, account))
    return None


def cancelled_in(entries: list[LogEntry], command: CancelAll) -> list[Answer]:
    """What the command cancelled, in the engine's order; what the clock closed at the same moment is left out."""
    seq = _last_seq(entries, command.account)
    states = [entry for entry in entries if entry.type == "order_state" and entry.account == command.account]
    answers = [answer_of(entry.payload, seq) for entry in states]
    return [a for a in answers if a.status == Status.CANCELLED and a.reason == command.reason]


def again(client_order_id: str, digest: bytes, known: Known) -> Answer:
    """The first answer, to the same order asked again. Conflict when it is another order, RiskRejected as the first time."""
    if known.digest != digest:
        raise taken(client_order_id)
    if known.first_answer.status == Status.REJECTED:
        raise rejected(known.first_answer)
    return known.first_answer


def taken(client_order_id: str) -> Conflict:
    return Conflict(f"client_order_id {client_order_id} is taken by another order of this account; choose a new id")


def closed(known: Answer) -> Conflict:
    return Conflict(f"order {known.client_order_id} is {known.status} already")


def rejected(answer: Answer) -> RiskRejected:
    message = f"order {answer.client_order_id} is refused: {answer.reason}"
    return RiskRejected(message, answer.reason, answer.client_order_id, answer.seq)


def refused(batch: Batch) -> VelozError:
    """The engine's first error as a refusal."""
    code, message = batch.error() or ("", "the engine gave no answer")
    match code:
        case "UNKNOWN_ACCOUNT" | "NOT_FOUND":
            return NotFound(message)
        case "DUPLICATE_ORDER":
            return Conflict(message)
        case "RESTORING" | "":
            return ExecutionUnavailable(message)
    if code in RISK_REASONS:
        return RiskRejected(message, code)
    return BadParams(message)
