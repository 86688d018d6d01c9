"""Sessions over HTTP: made with a key or with the admin's password, ended by their owner or with their key."""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from app import audit
from app.address import site
from app.admission import charge, failed_login
from app.auth import COOKIE, NOBODY, SECURE_COOKIE
from app.borrow import borrowed
from app.errors import AuthenticationRequired, BadParams, Forbidden, InvalidToken, NotFound, VelozError
from app.key_store import PASSWORD_KEY
from app.keys import ADDRESS
from app.operation import Call, answer
from app.ratelimit import Charge
from app.roles import Principal, Role

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class SessionMade(msgspec.Struct, frozen=True, kw_only=True):
    """`token` is for `Authorization: Bearer`; browsers have it as a cookie. Times in seconds."""

    ok: Literal[True] = True
    token: str
    key_id: str
    account: str
    role: Role
    idle_seconds: float
    max_seconds: float


class Done(msgspec.Struct, frozen=True):
    ok: Literal[True] = True


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user_id: Text
    password: Text


async def create(call: Call[Any, Any]) -> web.Response:
    """A session for the key that the request brings."""
    authenticator = call.services.authenticator
    if not authenticator.enabled:
        raise BadParams("authentication is off (VELOZ_AUTH); there is nothing to log in to")
    try:
        principal = await authenticator.principal(call.request)
    except VelozError as refusal:
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            await _failed(call, refusal)
        raise
    if principal.session is not None:
        raise Forbidden("a session is made with an API key, not with another session")
    return await _made(call, principal)


async def login(call: Call[Any, LoginBody]) -> web.Response:
    """A session for the configured admin. Raises NotFound where no password is configured, RateLimitExceeded."""
    settings = call.services.settings
    if not settings.admin_password or not settings.auth:
        raise NotFound("log-in by password is off; make a session with an API key at /api/auth/session")
    # Before the password is looked at: past the limit even the right one is refused, or guessing could go on.
    attempt = Charge(f"password:{site(call.request[ADDRESS])}", 1, call.services.config.rate_limit_login)
    await charge(call.request, call.services, [attempt])
    user = hmac.compare_digest(_hashed(call.body.user_id), _hashed(settings.admin_user))
    password = hmac.compare_digest(_hashed(call.body.password), _hashed(settings.admin_password))
    if not (user and password):
        refusal = InvalidToken("user_id or password is wrong")
        await _failed(call, refusal)
        raise refusal
    return await _made(call, Principal(key_id=PASSWORD_KEY, account="main", role=Role.ADMIN))


async def end(call: Call[Any, Any]) -> web.Response:
    """End the session that the request came with."""
    if call.principal.session is None:
        raise BadParams("the request came with an API key, not with a session; there is none to end")
    await call.services.sessions.end(call.principal.session)
    async with borrowed(call.services.exchange.pool) as connection:
        await audit.record(connection, call.actor, "session.ended")
    response = answer(Done())
    for name in (COOKIE, SECURE_COOKIE):
        response.del_cookie(name, path="/", httponly=True, samesite="Strict", secure=name == SECURE_COOKIE)
    return response


def _hashed(text: str) -> bytes:
    """Of equal length, so that comparing tells nothing of the length."""
    return hashlib.sha256(text.encode()).digest()


async def _failed(call: Call[Any, Any], refusal: VelozError) -> None:
    """Note a failed log-in, after it was counted: past the limit nothing more is written."""
    await charge(call.request, call.services, failed_login(call.request, call.services, refusal))
    if not isinstance(refusal, AuthenticationRequired):
        async with borrowed(call.services.exchange.pool) as connection:
            await audit.record(connection, call.actor, "session.failed", error=refusal.code)


async def _made(call: Call[Any, Any], principal: Principal) -> web.Response:
    settings, sessions = call.services.settings, call.services.sessions
    key_id = principal.key_id or NOBODY.account
    token = await sessions.create(key_id)
    actor = msgspec.structs.replace(call.actor, key_id=key_id)
    async with borrowed(call.services.exchange.pool) as connection:
        await audit.record(connection, actor, "session.created", account=principal.account, role=principal.role.value)
    body = SessionMade(
        token=token,
        key_id=key_id,
        account=principal.account,
        role=principal.role,
        idle_seconds=settings.session_idle,
        max_seconds=sessions.max_age,
    )
    response = answer(body)
    response.set_cookie(
        SECURE_COOKIE if settings.session_cookie_secure else COOKIE,
        token,
        path="/",
        max_age=int(sessions.max_age),
        httponly=True,
        samesite="Strict",
        secure=settings.session_cookie_secure,
    )
    return response
