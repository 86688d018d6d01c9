"""API keys over HTTP: listed without hashes, shown once when made, revoked by id. An admin's business."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from app.errors import BadParams
from app.key_store import FIRST_KEY, PASSWORD_KEY, Key
from app.login import Done
from app.operation import Call
from app.params import Token
from app.roles import Role

RoleWord = Literal["viewer", "trader", "admin"]
Name = Annotated[str, msgspec.Meta(max_length=64, pattern="^[ -~]*$")]


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    account: str
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None


class KeyList(msgspec.Struct, frozen=True):
    items: list[KeyInfo]


class KeysQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Token | None = None


class KeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` is the maker's own when left out."""

    role: RoleWord = "trader"
    account: Token | None = None
    name: Name = ""


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """`api_key` is shown here and never again."""

    ok: Literal[True] = True
    key_id: str
    api_key: str
    account: str
    role: Role
    name: str


class RevokeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: Token | None = None


class RevokeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key_id` here or in the query."""

    key_id: Token | None = None


def info(key: Key) -> KeyInfo:
    return KeyInfo(
        key_id=key.key_id,
        account=key.account,
        role=key.role,
        name=key.name,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
    )


async def listed(call: Call[KeysQuery, Any]) -> KeyList:
    account = None if call.query.account is None else str(call.query.account)
    return KeyList([info(key) for key in await call.services.keys.listed(account)])


async def create(call: Call[Any, KeyBody]) -> KeyMade:
    body = call.body
    account = call.account(body.account)
    key, text = await call.services.keys.create(account, Role(body.role), body.name, call.actor)
    return KeyMade(key_id=key.key_id, api_key=text, account=key.account, role=key.role, name=key.name)


async def revoke(call: Call[RevokeQuery, RevokeBody]) -> Done:
    named = {str(key_id) for key_id in (call.query.key_id, call.body.key_id) if key_id is not None}
    if len(named) != 1:
        raise BadParams("name one key_id, in the query or in the body")
    settings = call.services.settings
    texts = {FIRST_KEY: settings.api_key, PASSWORD_KEY: settings.admin_password}
    configured = {key_id for key_id, text in texts.items() if text}
    await call.services.keys.revoke(named.pop(), configured, call.actor)
    return Done()
