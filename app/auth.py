"""Who a request comes from: an API key, or a session made with one."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from app.address import is_loopback
from app.errors import AuthenticationRequired, Forbidden, InvalidApiKey, InvalidToken
from app.key_store import Key, KeyStore, digest
from app.roles import Principal, Role
from app.sessions import TOKEN_PREFIX, Sessions

COOKIE = "veloz_session"
SECURE_COOKIE = "__Host-veloz_session"
NOBODY = Principal(key_id=None, account="main", role=Role.ADMIN)
_SAFE = frozenset({"GET", "HEAD"})
_MAX_CREDENTIAL = 512


class Credential(msgspec.Struct, frozen=True):
    """What a request brings: the text, and how it came."""

    text: str
    cookie: bool = False
    bearer: bool = False

    @property
    def session(self) -> bool:
        return self.cookie or (self.bearer and self.text.startswith(TOKEN_PREFIX))


def credential_of(request: web.Request) -> Credential | None:
    """The request's credential; a header goes before a cookie. Raises InvalidApiKey, InvalidToken for what is no credential."""
    keys = request.headers.getall("X-API-Key", [])
    headers = request.headers.getall("Authorization", [])
    if len(keys) + len(headers) > 1:
        raise InvalidToken("more than one credential was sent; send one X-API-Key or Authorization header")
    if keys:
        if not 0 < len(keys[0]) <= _MAX_CREDENTIAL:
            raise InvalidApiKey("the API key is malformed")
        return Credential(keys[0])
    if headers:
        scheme, _, text = headers[0].partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(text.strip()) <= _MAX_CREDENTIAL:
            raise InvalidToken("the Authorization header must be: Bearer <API key or session token>")
        return Credential(text.strip(), bearer=True)
    cookie = request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)
    return Credential(cookie, cookie=True) if cookie else None


def check_origin(request: web.Request) -> None:
    """A request that a browser authenticates by itself must come from our own pages when it changes something."""
    if request.method in _SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        same = site == "same-origin"
    else:
        same = origin is not None and urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()
    if not same:
        raise Forbidden(
            "a session cookie changes something only from the same origin; send the token as Bearer instead"
        )


def check_local(request: web.Request) -> None:
    """Where nobody needs a credential, a page in a browser of this machine must not come in under a name of its own."""
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if host.lower() != "localhost" and not is_loopback(host.strip("[]")):
        raise Forbidden("without authentication the gateway answers to localhost and loopback addresses only")
    if request.method not in _SAFE and (request.headers.keys() & {"Origin", "Sec-Fetch-Site"}):
        check_origin(request)


class Authenticator:
    """Turns credentials into principals. With `enabled` false everybody is an admin of `main`."""

    def __init__(self, keys: KeyStore, sessions: Sessions, *, enabled: bool) -> None:
        self._keys = keys
        self._sessions = sessions
        self.enabled = enabled

    async def principal(self, request: web.Request) -> Principal:
        """Raises AuthenticationRequired, InvalidApiKey, InvalidToken, Forbidden (cross-site), SessionsUnavailable."""
        if not self.enabled:
            check_local(request)
            return NOBODY
        credential = credential_of(request)
        if credential is None:
            raise AuthenticationRequired("send an API key as X-API-Key, or a session token as Authorization: Bearer")
        if credential.cookie:
            check_origin(request)
        return await self.identify(credential)

    async def identify(self, credential: Credential) -> Principal:
        """Whose credential it is."""
        if not credential.session:
            key = await self._keys.by_text(credential.text)
            if key is None:
                if credential.bearer:
                    raise InvalidToken("the token is unknown or revoked")
                raise InvalidApiKey("the API key is unknown or revoked")
            return _principal(key)
        token_hash = digest(credential.text)
        session = await self._sessions.find(token_hash)
        key = None if session is None else await self._keys.by_id(session.key_id)
        if key is None:
            raise InvalidToken("the session is unknown, over, or its key was revoked")
        return _principal(key, token_hash, cookie=credential.cookie)

    async def still(self, principal: Principal) -> bool:
        """Whether the key, and the session if there is one, are still good."""
        if principal.key_id is None:
            return True
        if principal.session is not None and await self._sessions.find(principal.session) is None:
            return False
        return await self._keys.by_id(principal.key_id) is not None


def _principal(key: Key, session: bytes | None = None, *, cookie: bool = False) -> Principal:
    return Principal(key_id=key.key_id, account=key.account, role=key.role, session=session, cookie=cookie)
