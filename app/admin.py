"""What an admin does: accounts, limits, kill switches, configuration; and the audit trail of it."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from app import audit
from app.borrow import borrowed
from app.errors import BadParams
from app.limits import COUNTS, Limits
from app.login import Done
from app.operation import Call, Decimal, Nothing, PageSize, answer
from app.paging import DEFAULT_PAGE, Where, page, raw, rows_of
from app.params import TOKEN, Amount, Scalar, Token, Whole
from app.runtime_config import RUNTIME

JsonObject = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
JsonValue = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={})]
_MAX_ASSETS = 100


class LimitChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays; 0 means no limit. Fees and the band are basis points."""

    maker_fee_bps: Amount | None = None
    taker_fee_bps: Amount | None = None
    max_order_qty: Amount | None = None
    max_notional: Amount | None = None
    price_band_bps: Amount | None = None
    max_open_orders: Whole | None = None
    max_position: Amount | None = None
    order_rate: Whole | None = None
    daily_loss: Amount | None = None

    def given(self) -> dict[str, int]:
        values = {name: getattr(self, name) for name in LimitChanges.__struct_fields__}
        return {name: int(value) for name, value in values.items() if value is not None}


class LimitsBody(LimitChanges, frozen=True, kw_only=True, forbid_unknown_fields=True):
    account: Token | None = None


class LimitsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    max_order_qty: Decimal
    max_notional: Decimal
    price_band_bps: Decimal
    max_open_orders: int
    max_position: Decimal
    order_rate: int
    daily_loss: Decimal
    kill: bool


class AccountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`balances`: asset → starting amount."""

    account: Token
    balances: Annotated[dict[str, Amount], msgspec.Meta(max_length=_MAX_ASSETS)] = {}
    limits: LimitChanges = LimitChanges()


class AccountMade(msgspec.Struct, frozen=True, kw_only=True):
    ok: Literal[True] = True
    account: str


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    shard: int
    seq: int
    kill: bool
    created_at: datetime


class AccountPage(msgspec.Struct, frozen=True):
    items: list[AccountInfo]
    next: str | None


class AccountsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: PageSize = DEFAULT_PAGE
    cursor: Token | None = None


class AccountQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Token | None = None


class KillBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `account`: the global switch."""

    on: bool
    account: Token | None = None


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the account's engine has the switch; `detail` says why that is not known."""

    account: str
    ok: bool
    detail: str = ""


class KillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`accounts`: each that the switch is for. Where `ok` is false the switch is stored, but an engine has not confirmed it."""

    ok: bool
    account: str | None
    on: bool
    accounts: list[KillReport]


class DigestAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The SHA-256 of the account's state in its engine (docs/engine_protocol.md, section 8), after the account's event `seq`."""

    account: str
    seq: int
    digest: str


class ConfigEntry(msgspec.Struct, frozen=True):
    """`changed_at` is null while the environment's value is in force."""

    name: str
    value: JsonValue
    changed_by: str | None
    changed_at: datetime | None


class ConfigList(msgspec.Struct, frozen=True):
    items: list[ConfigEntry]


class ConfigBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Literal["rate_limit_key", "rate_limit_address", "rate_limit_login", "streams_per_key", "log_level"]
    value: Scalar


class HistoryEntry(msgspec.Struct, frozen=True):
    id: int
    name: str
    value: JsonValue
    changed_by: str | None
    changed_at: datetime


class HistoryPage(msgspec.Struct, frozen=True):
    items: list[HistoryEntry]
    next: str | None


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Token | None = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Whole | None = None


class AuditEntry(msgspec.Struct, frozen=True):
    id: int
    at: datetime
    actor: str | None
    address: str | None
    request_id: str | None
    action: str
    detail: JsonObject


class AuditPage(msgspec.Struct, frozen=True):
    items: list[AuditEntry]
    next: str | None


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    action: Token | None = None
    actor: Token | None = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Whole | None = None


async def _intend(call: Call[Any, Any], action: str, **detail: object) -> None:
    """Note what is about to be done; the exchange writes the change itself, and an action that cannot be noted is not done."""
    async with borrowed(call.services.exchange.pool) as connection:
        await audit.record(connection, call.actor, action, **detail)


def limits_answer(account: str, limits: Limits) -> LimitsAnswer:
    texts = limits.texts()
    amounts = {name: raw(text) for name, text in texts.items() if name not in COUNTS}
    counts = {name: int(texts[name]) for name in COUNTS}
    return LimitsAnswer(account=account, kill=limits.kill, **amounts, **counts)  # type: ignore[arg-type]


async def open_account(call: Call[Any, AccountBody]) -> AccountMade:
    body, account = call.body, str(call.body.account)
    for asset in body.balances:
        if not TOKEN.fullmatch(asset):
            raise BadParams(f"balances: {asset[:64]!a} is not an asset's name")
    balances = {asset: int(units) for asset, units in body.balances.items()}
    limits = Limits().changed(body.limits.given())
    await _intend(call, "account.create", account=account, balances=sorted(balances))
    await call.services.exchange.open_account(account, balances, limits)
    return AccountMade(account=account)


async def accounts(call: Call[AccountsQuery, Any]) -> AccountPage:
    where = Where()
    where.add('account COLLATE "C" > %s', call.query.cursor)
    select = "SELECT account, shard, seq, kill, created_at FROM accounts"
    rows, more = await page(call.services.exchange.pool, select, where, 'account COLLATE "C"', call.query.limit)
    items = [AccountInfo(account=r[0], shard=r[1], seq=r[2], kill=r[3], created_at=r[4]) for r in rows]
    return AccountPage(items, items[-1].account if more else None)


async def limits(call: Call[AccountQuery, Any]) -> LimitsAnswer:
    account = call.account(call.query.account)
    return limits_answer(account, await call.services.exchange.limits(account))


async def set_limits(call: Call[Any, LimitsBody]) -> LimitsAnswer:
    account, changes = call.account(call.body.account), call.body.given()
    if not changes:
        raise BadParams("give at least one limit to change")
    exchange = call.services.exchange
    after = (await exchange.limits(account)).changed(changes)
    await _intend(call, "limits.set", account=account, limits={name: after.texts()[name] for name in changes})
    return limits_answer(account, await exchange.set_limits(account, changes))


async def set_kill(call: Call[Any, KillBody]) -> web.Response:
    exchange, on = call.services.exchange, call.body.on
    account = None if call.body.account is None else str(call.body.account)
    if account is not None:
        await exchange.limits(account)  # NotFound before anything is noted
    await _intend(call, "kill_switch.set", account=account, on=on)
    if account is None:
        reports = [
            KillReport(account=one.account, ok=one.ok, detail=one.detail)
            for one in await exchange.set_global_kill(on=on)
        ]
    else:
        await exchange.set_kill(account, on=on)
        reports = [KillReport(account=account, ok=True)]
    ok = all(report.ok for report in reports)
    body = KillAnswer(ok=ok, account=account, on=on, accounts=reports)
    return answer(body, HTTPStatus.OK if ok else HTTPStatus.GATEWAY_TIMEOUT)


async def digest(call: Call[AccountQuery, Any]) -> DigestAnswer:
    found = await call.services.exchange.digest(call.account(call.query.account))
    return DigestAnswer(account=found.account, seq=found.seq, digest=found.digest)


async def config(call: Call[Nothing, Any]) -> ConfigList:
    query = "SELECT name, changed_by, changed_at FROM config WHERE name = ANY(%s)"
    stored = {row[0]: row for row in await rows_of(call.services.exchange.pool, query, (list(RUNTIME),))}
    items = []
    for name, value in call.services.config.values().items():
        _, changed_by, changed_at = stored.get(name, (name, None, None))
        items.append(ConfigEntry(name, msgspec.Raw(msgspec.json.encode(value)), changed_by, changed_at))
    return ConfigList(items)


async def set_config(call: Call[Any, ConfigBody]) -> Done:
    text = str(call.body.value)
    value = int(text) if text.isdecimal() else text
    await call.services.config.change(call.services.exchange.pool, call.body.name, value, call.actor)
    return Done()


async def history(call: Call[HistoryQuery, Any]) -> HistoryPage:
    where = Where()
    where.add("name = %s", call.query.name)
    where.before("id", call.query.cursor)
    select = "SELECT id, name, value::text, changed_by, changed_at FROM config_history"
    rows, more = await page(call.services.exchange.pool, select, where, "id DESC", call.query.limit)
    items = [HistoryEntry(r[0], r[1], raw(r[2]), r[3], r[4]) for r in rows]
    return HistoryPage(items, str(items[-1].id) if more else None)


async def audit_trail(call: Call[AuditQuery, Any]) -> AuditPage:
    where = Where()
    where.add("action = %s", call.query.action)
    where.add("actor = %s", call.query.actor)
    where.before("id", call.query.cursor)
    select = "SELECT id, at, actor, address, request_id, action, detail::text FROM audit"
    rows, more = await page(call.services.exchange.pool, select, where, "id DESC", call.query.limit)
    items = [AuditEntry(r[0], r[1], r[2], r[3], r[4], r[5], raw(r[6])) for r in rows]
    return AuditPage(items, str(items[-1].id) if more else None)
