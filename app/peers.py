"""Talking to the other gateways: requests signed with the cluster's secret, over connections that are kept."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any, Final

import msgspec
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    TCPConnector,
)

from app.errors import ExecutionUnavailable, Unknown
from app.logs import REQUEST_ID
from app.placement import Peer
from app.requests import ANSWERS, MISDIRECTED, FollowKillSwitch, Message, Reply, Request, error_of

PATH: Final = "/internal/command"
HEADER: Final = "X-Veloz-Cluster"
CONNECT_SECONDS: Final = 0.5
MARGIN: Final = 0.05  # seconds of a request's time that are kept for its way back
MAX_AGE: Final = 30.0  # seconds after which a signed request is refused: as far as clocks may differ
_KEEP_ALIVE: Final = 30.0

_reply = msgspec.json.Decoder(Reply).decode


class NotTaken(Exception):
    """The peer did not take the request: it does not own the account, or could not be reached."""


class Envelope(msgspec.Struct, frozen=True):
    """What the header says, beside the body: to whom, sent when (Unix milliseconds), how long it may take (milliseconds)."""

    to: str
    sent: int
    budget: int

    def signature(self, secret: str, body: bytes) -> str:
        head = f"{self.to}\n{self.sent}\n{self.budget}\n".encode()
        return hmac.new(secret.encode(), head + body, hashlib.sha256).hexdigest()

    def header(self, secret: str, body: bytes) -> str:
        return f"{self.sent} {self.budget} {self.signature(secret, body)}"


def opened(header: str, secret: str, me: str, body: bytes) -> Envelope | None:
    """The envelope of a request to `me` that was signed with our secret lately; None of any other."""
    try:
        sent, budget, signature = header.split(" ")
        envelope = Envelope(me, int(sent), int(budget))
    except ValueError:
        return None
    good = hmac.compare_digest(envelope.signature(secret, body), signature)
    fresh = abs(time.time() * 1000 - envelope.sent) <= MAX_AGE * 1000
    return envelope if secret and good and fresh else None


class Peers:
    """Asks; never twice about one request. Used on one event loop."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._session: ClientSession | None = None

    async def ask(self, peer: Peer, request: Request, deadline: float) -> Any:  # noqa: ANN401 - ANSWERS[type(request)]
        """What the peer answers or refuses. NotTaken; Unknown when it may have taken the request and no answer came."""
        reply = await self._post(peer, request, deadline)
        if reply.refusal is not None:
            raise error_of(reply.refusal)
        return msgspec.json.decode(reply.result, type=ANSWERS[type(request)])

    async def follow_kill_switch(self, peer: Peer, deadline: float) -> list[str]:
        """The accounts for which the peer has the global kill switch now. NotTaken, Unknown."""
        reply = await self._post(peer, FollowKillSwitch(), deadline)
        if reply.refusal is not None:
            raise error_of(reply.refusal)
        return msgspec.json.decode(reply.result, type=list[str])

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, peer: Peer, message: Message, deadline: float) -> Reply:
        left = deadline - time.monotonic()
        if left <= MARGIN or not peer.url:
            raise NotTaken(f"{peer.owner} has no address" if not peer.url else "there was no time left")
        body = msgspec.json.encode(message)
        envelope = Envelope(peer.owner, int(time.time() * 1000), int((left - MARGIN) * 1000))
        headers = {HEADER: envelope.header(self._secret, body), "Content-Type": "application/json"}
        if request_id := REQUEST_ID.get():
            headers["X-Request-ID"] = request_id
        timeout = ClientTimeout(total=left, sock_connect=min(CONNECT_SECONDS, left))
        try:
            async with self._client().post(peer.url + PATH, data=body, headers=headers, timeout=timeout) as answer:
                status, text = answer.status, await answer.read()
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise NotTaken(f"{peer.owner} cannot be reached") from error
        except (ClientError, TimeoutError) as error:
            raise Unknown(
                f"{peer.owner}, which owns the account, gave no answer; ask again with the same id"
            ) from error
        if status == MISDIRECTED:
            raise NotTaken(f"{peer.owner} does not own the account now")
        try:
            return _reply(text)
        except msgspec.MsgspecError as error:
            if status in (401, 403):
                raise ExecutionUnavailable(f"{peer.owner} does not accept this gateway's signature") from error
            raise Unknown(f"{peer.owner} answered {status}; ask again with the same id") from error

    def _client(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
            self._session = ClientSession(connector=connector, auto_decompress=False)
        return self._session
