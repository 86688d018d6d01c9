"""Does it serve? Asked from outside, through the edge: ready, an order, its event on the stream, its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import uuid4

import aiohttp
import msgspec

from app.commands import Status
from app.settings import Instrument
from stacks.commands import resting
from stacks.commands.client import SECONDS, Client, Edge
from stacks.commands.failures import Failure

_POLL: Final = 0.5
# Real orders are no test.
_HARMLESS: Final = frozenset({"sim_engine"})
_OURS: Final = "smoke-"


class Step(NamedTuple):
    what: str
    detail: str
    seconds: float


async def wait_ready(edge: Edge, seconds: float, progress: Callable[[str], None]) -> float:
    """Until the edge says that it can trade; returns the seconds it took. Raises Failure with the last answer.

    Balancers take a new certificate a moment after it was given, on Kubernetes within two minutes.
    """
    started = time.monotonic()
    last = "no answer"
    untrusted: Exception | None = None
    async with Client(edge, "") as client:
        while (passed := time.monotonic() - started) < seconds:
            untrusted = None
            try:
                status, body = await client.json("GET", "/health/ready")
                if status == HTTPStatus.OK:
                    return time.monotonic() - started
                last = f"{status}, {_failing(body)}"
            except ssl.SSLCertVerificationError as error:
                untrusted = error
            except aiohttp.ClientConnectorCertificateError as error:
                untrusted = error.certificate_error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                last = str(error) or type(error).__name__
            progress(f"{passed:.0f} s, {'certificate not accepted' if untrusted else last}")
            await asyncio.sleep(_POLL)
    if untrusted:
        raise _untrusted(edge, untrusted) from untrusted
    raise Failure(f"{edge.url} was not ready within {seconds:g} s: {last}.")


async def smoke(edge: Edge, key: str, instruments: Sequence[Instrument] = ()) -> list[Step]:
    """What every client does, once. Raises Failure with what went wrong and where: risk checks that refuse are not wrong."""
    steps: list[Step] = []
    try:
        async with Client(edge, key) as client:
            await _all(client, steps, instruments)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        after = f" after {steps[-1].what}" if steps else ""
        raise Failure(f"The smoke test failed{after}: {str(error) or type(error).__name__}.") from error
    return steps


async def _all(client: Client, steps: list[Step], instruments: Sequence[Instrument]) -> None:
    async def step(what: str, work: Any) -> Any:  # noqa: ANN401 - whatever the step finds out
        started = time.monotonic()
        detail, found = await work
        steps.append(Step(what, detail, time.monotonic() - started))
        return found

    await step("health", _health(client))
    mode, symbol = await step("configuration", _configuration(client))
    if mode not in _HARMLESS:
        steps.append(Step("order", f"none was sent: in mode {mode} it would be a real one", 0.0))
        return
    bid = await step("market", _market(client, symbol, instruments))
    if left := [name async for name in _open(client, symbol) if name.startswith(_OURS)]:
        await step("orders of a test that was cut off", _cancelled(client, left))
    name = f"{_OURS}{uuid4().hex}"
    async with _stream(client) as events, _withdrawn(client, name):
        if await step("order", _order(client, bid | {"client_order_id": name})):
            await step("event of the order", _event(events, name, Status.REJECTED))
            steps.append(Step("cancellation", "none: an order that was refused does not rest", 0.0))
            return
        await step("event of the order", _event(events, name, Status.ACCEPTED))
        await step("cancellation", _command(client, "/api/cancel", {"client_order_id": name}, Status.CANCELLED))
        await step("event of the cancellation", _event(events, name, Status.CANCELLED))


async def _health(client: Client) -> tuple[str, None]:
    status, body = await client.json("GET", "/health/ready")
    if status != HTTPStatus.OK:
        raise Failure(f"The smoke test failed at health: {status}, {_failing(body)}.")
    return f"version {body['version']}", None


async def _configuration(client: Client) -> tuple[str, tuple[str, str]]:
    body = _answer("configuration", *await client.json("GET", "/api/config"))
    return f"mode {body['execution_mode']}", (body["execution_mode"], body["market_symbols"][0])


async def _market(client: Client, symbol: str, instruments: Sequence[Instrument]) -> tuple[str, dict[str, str]]:
    """An order that rests."""
    body = _answer("market", *await client.json("GET", "/api/market", params={"symbol": symbol}))
    price = next((Decimal(str(body[name])) for name in ("bid", "price", "ask") if body.get(name)), None)
    if price is None:
        raise Failure(f"The smoke test failed at the market: {symbol} has no price.")
    band = await _band(client)
    seen = f"{symbol} at {price}" + (f", the account's band {band:f} basis points" if band else "")
    return seen, resting.bid(symbol, price, band, instruments)


async def _band(client: Client) -> Decimal:
    """How far from the market the account's prices may be, in basis points; 0: no limit, or none that the key may read."""
    try:
        status, body = await client.json("GET", "/api/admin/limits")
    except (aiohttp.ClientError, TimeoutError):
        return Decimal()
    readable = status == HTTPStatus.OK and isinstance(body, dict)
    return Decimal(str(body.get("price_band_bps", 0))) if readable else Decimal()


async def _open(client: Client, symbol: str) -> AsyncIterator[str]:
    """The client order ids of all that rest."""
    page = {"open": "true", "symbol": symbol}
    while True:
        body = _answer("open orders", *await client.json("GET", "/api/orders_state", params=page))
        for order in body["items"]:
            yield order["client_order_id"]
        if body["next"] is None:
            return
        page["cursor"] = body["next"]


async def _cancel(client: Client, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """It may have traded by now; then the answer says so."""
    return (await client.json("POST", "/api/cancel", json={"client_order_id": name}))[1]


async def _cancelled(client: Client, names: Sequence[str]) -> tuple[str, None]:
    answers = [await _cancel(client, name) for name in names]
    done = sum(isinstance(answer, dict) and answer.get("status") == Status.CANCELLED for answer in answers)
    return f"{done} of {len(names)} cancelled", None


@contextlib.asynccontextmanager
async def _withdrawn(client: Client, name: str) -> AsyncIterator[None]:
    """Where the test fails, its order does not stay: it may have arrived whatever the answer was."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            await _cancel(client, name)
        raise


async def _order(client: Client, order: dict[str, str]) -> tuple[str, bool]:
    """Whether risk checks refused it."""
    status, body = await client.json("POST", "/api/order", json=order)
    if reason := resting.refusal(status, body):
        return f"refused by {reason}, decided and recorded, seq {body['seq']}", True
    return _done("/api/order", status, body, Status.ACCEPTED), False


async def _command(client: Client, path: str, body: dict[str, str], wanted: str) -> tuple[str, None]:
    return _done(path, *await client.json("POST", path, json=body), wanted), None


def _done(path: str, status: int, body: Any, wanted: str) -> str:  # noqa: ANN401 - any JSON value
    answer = _answer(path.rsplit("/", 1)[-1], status, body)
    if answer.get("status") != wanted:
        raise Failure(
            f"The smoke test failed at {path}: the order is {answer.get('status')} {answer.get('reason', '')}."
        )
    return f"{answer['status']}, seq {answer['seq']}"


@contextlib.asynccontextmanager
async def _stream(client: Client) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Events of the account from now on; it is open when this yields."""
    timeout = aiohttp.ClientTimeout(sock_read=2 * SECONDS)
    async with client.request("GET", "/api/stream", timeout=timeout) as answer:
        if answer.status != HTTPStatus.OK:
            raise Failure(f"The smoke test failed at the stream: {answer.status}, {await answer.text()}.")
        yield _events(answer.content)


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    async for line in content:
        if line.startswith(b"data:"):
            with contextlib.suppress(msgspec.DecodeError):
                event = msgspec.json.decode(line.removeprefix(b"data:").strip())
                if isinstance(event, dict):
                    yield event


async def _event(events: AsyncIterator[dict[str, Any]], name: str, status: str) -> tuple[str, None]:
    async with asyncio.timeout(SECONDS):
        async for event in events:
            if event.get("client_order_id") == name and event.get("status") == status:
                return status, None
    raise Failure(f"The smoke test failed at the stream: it ended before {status} of the order.")


def _answer(what: str, status: int, body: Any) -> Any:  # noqa: ANN401 - any JSON value
    if status != HTTPStatus.OK:
        raise Failure(f"The smoke test failed at {what}: {status}, {_reason(body)}.")
    return body


def _reason(body: Any) -> str:  # noqa: ANN401 - any JSON value
    return str(body.get("message") or body.get("error") or body) if isinstance(body, dict) else str(body)


def _failing(body: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(body, dict) and isinstance(body.get("failing"), list):
        return f"failing: {', '.join(map(str, body['failing'])) or 'nothing named'}"
    return _reason(body)


def _untrusted(edge: Edge, error: BaseException) -> Failure:
    reason = getattr(error, "verify_message", "") or str(error)
    signer = "this stack's authority" if edge.authority else "an authority that this machine trusts"
    return Failure(
        f"The certificate of {edge.url} is not accepted: {reason}. It must be for {edge.hostname} and signed by {signer}: "
        "correct edge.hostname, or set the certificate anew."
    )
