"""Open-loop load: requests come at seeded random times whether or not earlier ones were answered."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Self

import aiohttp

from tests.faults.ledger import Body, Call, Ledger, read
from tests.faults.waiting import until

SYMBOL = "BTCUSDT"
PRICE = 40_000  # where the simulated market starts; it moves by a few per cent at most
ANSWER_SECONDS = 6.0
PARALLEL_COPIES = 3
SETTLERS = 8
DEFINITE = frozenset({200, 422})
BUSINESS = frozenset({200, 400, 404, 409, 422})  # what the load's requests are answered with when nothing is broken

_NOT_ANSWERED = (aiohttp.ClientError, TimeoutError)


class Client:
    """Posts, with an entry in the ledger before and after each. `url` may be asked for anew for every request."""

    def __init__(self, url: str | Callable[[], str], headers: dict[str, str], ledger: Ledger) -> None:
        self._url = url if callable(url) else lambda: url
        self._headers = headers
        self.ledger = ledger
        self._session: aiohttp.ClientSession | None = None

    def by(self, url: str) -> Client:
        """The same client by way of another gateway; not entered."""
        return Client(url, self._headers, self.ledger)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def post(self, path: str, body: Body) -> Call:
        if self._session is None:
            raise RuntimeError("enter the client first")
        n = await self.ledger.intent(path, body)
        started = time.monotonic()
        try:
            async with self._session.post(self._url() + path, json=body) as answer:
                status, text = answer.status, await answer.text()
        except _NOT_ANSWERED as error:
            await self.ledger.failure(n, repr(error), time.monotonic() - started)
            return Call(n=n, path=path, body=body, error=repr(error))
        await self.ledger.answer(n, status, text, time.monotonic() - started)
        return Call(n=n, path=path, body=body, status=status)


class Load:
    """A seeded mix of orders, cancels, repeats, conflicts and copies sent at once, `rate` actions a second."""

    def __init__(self, client: Client, seed: int, rate: float) -> None:
        self._client = client
        self._rng = random.Random(seed)
        self._seed = seed
        self._rate = rate
        self._sent: list[Body] = []
        self._unknown: list[Body] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._mix: dict[Callable[[], Awaitable[None]], int] = {
            self._order: 50,
            self._cancel: 15,
            self._again: 10,
            self._conflict: 4,
            self._amend: 6,
            self._copies: 9,
            self._unfunded: 4,
            self._malformed: 2,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then wait for what is under way."""
        clock = asyncio.get_running_loop().time
        due = clock()
        actions, weights = list(self._mix), list(self._mix.values())
        while not stop.is_set():
            due += self._rng.expovariate(self._rate)
            await asyncio.sleep(max(due - clock(), 0))
            task = asyncio.ensure_future(self._rng.choices(actions, weights)[0]())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def _order(self) -> None:
        await self._submit(self._new())

    async def _again(self) -> None:
        if self._sent:
            earlier = self._unknown.pop() if self._unknown else self._rng.choice(self._sent)
            await self._submit(earlier)

    async def _copies(self) -> None:
        body = self._new()
        await asyncio.gather(*(self._submit(body) for _ in range(PARALLEL_COPIES)))

    async def _conflict(self) -> None:
        if self._sent:
            earlier = self._rng.choice(self._sent)
            await self._client.post("/api/order", earlier | {"qty": str(Decimal(earlier["qty"]) + 1)})

    async def _cancel(self) -> None:
        if self._sent:
            recent = self._sent[-200:]
            await self._client.post("/api/cancel", {"client_order_id": self._rng.choice(recent)["client_order_id"]})

    async def _amend(self) -> None:
        if self._sent:
            earlier = self._rng.choice(self._sent[-200:])
            change = {"qty": str(Decimal(self._rng.randint(1, 5_000)).scaleb(-5))}
            if self._rng.random() < 0.5 and "price" in earlier:
                change = {"price": str(int(earlier["price"]) + self._rng.randint(-400, 400))}
            await self._client.post("/api/order/amend", change | {"client_order_id": earlier["client_order_id"]})

    async def _unfunded(self) -> None:
        await self._submit(self._plain() | {"side": "SELL", "qty": "900000", "price": "50000"})

    async def _malformed(self) -> None:
        bad = self._rng.choice(["-1", "nan", "1e3", "0.000000001", "1" * 30, ""])
        await self._client.post("/api/order", self._new() | {"qty": bad})

    async def _submit(self, body: Body) -> None:
        self._sent.append(body)
        call = await self._client.post("/api/order", body)
        if call.status not in DEFINITE:
            self._unknown.append(body)

    def _new(self) -> Body:
        return self._varied(self._plain())

    def _plain(self) -> Body:
        rng = self._rng
        side = rng.choice(["BUY", "SELL"])
        away = rng.choice([-2, 1, 2, 3, 4, 5, 6, 7, 8, 9])  # per cent from the market; -2 crosses it
        price = PRICE * (100 - away if side == "BUY" else 100 + away) // 100
        return {
            "client_order_id": f"s{self._seed}-{rng.getrandbits(48):012x}",
            "side": side,
            "symbol": SYMBOL,
            "qty": str(Decimal(rng.randint(1, 5_000)).scaleb(-5)),
            "price": str(price),
            "type": "LIMIT",
        }

    def _varied(self, body: Body) -> Body:
        """One of the kinds of order there are; most are plain."""
        draw = self._rng.random()
        stop = PRICE * (101 if body["side"] == "BUY" else 99) // 100
        if draw < 0.15:
            del body["price"]
            return body | {"type": "MARKET"}
        if draw < 0.20:
            return body | {"type": "STOP_LIMIT", "stop_price": str(stop), "price": str(stop)}
        if draw < 0.23:
            del body["price"]
            return body | {"type": "STOP", "stop_price": str(stop)}
        if draw < 0.33:
            return body | {"tif": self._rng.choice(["IOC", "FOK", "GTX"])}
        if draw < 0.40:
            soon = time.time_ns() + self._rng.randint(1, 20) * 10**8
            return body | {"tif": "GTD", "expire_ts": str(soon)}
        return body


async def settle(client: Client, seconds: float = 30) -> int:
    """Ask again about every order whose fate the ledger does not know; returns how many there were.

    Raises TimeoutError when one has no definite answer after `seconds`.
    """
    asked: dict[str, list[Call]] = {}
    for call in read(client.ledger.path):
        if call.path == "/api/order":
            asked.setdefault(call.order_id, []).append(call)
    unknown = [
        next(call.body for call in calls if not call.not_taken)
        for calls in asked.values()
        if not any(call.status in DEFINITE for call in calls) and not all(call.not_taken for call in calls)
    ]

    async def ask(bodies: Iterator[Body]) -> None:
        for body in bodies:

            async def told(body: Body = body) -> bool:
                # 400: it would expire before now; 409: the id is another order's. Neither was taken.
                return (await client.post("/api/order", body)).status in DEFINITE | {400, 409}

            await until(told, seconds=seconds)

    bodies = iter(unknown)
    await asyncio.gather(*(ask(bodies) for _ in range(SETTLERS)))
    return len(unknown)
