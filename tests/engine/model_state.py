"""Orders, positions and accounts as docs/engine_protocol.md describes them, in whole numbers of 1e-8."""

import hashlib
from dataclasses import dataclass, field

ONE = 10**8
DAY = 86_400 * 10**9
SECOND = 10**9
LARGEST = 2**63 - 1


def units(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) * ONE + int(fraction.ljust(8, "0"))


def show(value: int) -> str:
    whole, fraction = divmod(abs(value), ONE)
    text = f"{whole}.{fraction:08}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def ceil(value: int, divisor: int) -> int:
    return -(-value // divisor)


def cut(value: int, divisor: int) -> int:
    """The quotient, truncated toward zero."""
    size = abs(value) // abs(divisor)
    return size if (value < 0) == (divisor < 0) else -size


def fits(*values: int) -> bool:
    return all(-LARGEST - 1 <= value <= LARGEST for value in values)


@dataclass(eq=False)
class Order:
    account: str
    id: str
    symbol: str
    side: str
    type: str
    tif: str
    qty: int
    price: int
    stop: int
    expire: int
    stp: str
    created: int
    rank: int = 0
    executed: int = 0
    notional: int = 0
    status: str = ""
    reason: str = ""
    triggered: bool = False
    last: int = 0

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1

    @property
    def leaves(self) -> int:
        return self.qty - self.executed

    @property
    def is_stop(self) -> bool:
        return self.type in {"STOP", "STOP_LIMIT"}

    @property
    def waiting(self) -> bool:
        return self.is_stop and not self.triggered

    @property
    def at_any_price(self) -> bool:
        return self.type in {"MARKET", "STOP"}

    @property
    def reckoned_price(self) -> int:
        """The price that locks and notionals are reckoned at."""
        return self.stop if self.type == "STOP" else self.price

    @property
    def lock(self) -> int:
        return ceil(self.reckoned_price * self.leaves, ONE) if self.sign > 0 else self.leaves

    def crosses(self, price: int) -> bool:
        return (self.price - price) * self.sign >= 0

    def reached(self, price: int | None) -> bool:
        return price is not None and (price - self.stop) * self.sign >= 0

    def line(self) -> str:
        numbers = (self.qty, self.price, self.stop, self.expire, self.executed, self.notional, int(self.triggered))
        words = (self.id, self.symbol, self.side, self.type, self.tif, *map(str, numbers), self.status, self.stp)
        return f"order {' '.join(words)}\n"


@dataclass
class Position:
    qty: int = 0
    cost: int = 0
    realised: int = 0
    day: int = 0
    day_realised: int = 0

    @property
    def blank(self) -> bool:
        return (self.qty, self.cost, self.realised, self.day_realised) == (0, 0, 0, 0)

    def after(self, dq: int, dc: int, day: int) -> "Position":
        """This position after a fill of `dq` for `dc`; both carry the sign of what was bought."""
        qty, cost, gain = self.qty, self.cost, 0
        if dq == 0:
            gain = -dc
        elif qty * dq >= 0:
            qty, cost = qty + dq, cost + dc
        else:
            closed = min(abs(dq), abs(qty))
            cost_part, cash_part = cut(cost * closed, abs(qty)), cut(dc * closed, abs(dq))
            gain = -(cost_part + cash_part)
            turned = abs(dq) > closed
            qty, cost = qty + dq, dc - cash_part if turned else cost - cost_part
        today = self.day_realised if day == self.day else 0
        return Position(qty, cost, self.realised + gain, day, today + gain)

    @property
    def figures(self) -> tuple[int, int, int, int, int]:
        return self.qty, self.cost, self.realised, self.day, self.day_realised


@dataclass
class Account:
    name: str
    totals: dict[str, int] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    ranks: int = 0
    trades: int = 0
    rate_times: list[int] = field(default_factory=list)

    def limit(self, name: str) -> int:
        return self.limits.get(name, 0)

    def next_rank(self) -> int:
        self.ranks += 1
        return self.ranks

    def find(self, order_id: str) -> Order | None:
        return next((order for order in self.orders if order.id == order_id), None)

    def by_rank(self) -> list[Order]:
        return sorted(self.orders, key=lambda order: order.rank)

    def resting(self, symbol: str, side: str) -> list[Order]:
        """By price, then rank."""
        orders = [o for o in self.orders if (o.symbol, o.side) == (symbol, side) and not o.waiting]
        return sorted(orders, key=lambda order: (-order.sign * order.price, order.rank))

    def state_text(self) -> str:
        text = f"veloz-state 1\naccount {self.name}\ntrades {self.trades}\n"
        for asset, total in sorted(self.totals.items()):
            text += f"balance {asset} {total}\n" if total else ""
        for symbol, position in sorted(self.positions.items()):
            text += "" if position.blank else f"position {symbol} {' '.join(map(str, position.figures))}\n"
        return text + "".join(order.line() for order in self.by_rank())

    def digest(self) -> str:
        return hashlib.sha256(self.state_text().encode()).hexdigest()


@dataclass
class Market:
    base: str
    quote: str
    rules: dict[str, int]
    last: tuple[int, int] | None = None
    levels: dict[str, dict[int, int]] = field(default_factory=lambda: {"BUY": {}, "SELL": {}})
    taken: dict[tuple[str, str, int], int] = field(default_factory=dict)  # by account, side and price
    depth_id: int | None = None
    synced: bool = False
    gap_told: bool = False

    def prices(self, side: str) -> list[int]:
        """Of a side's levels, the best first."""
        return sorted(self.levels[side], reverse=side == "BUY")

    def available(self, account: str, side: str, price: int) -> int:
        return self.levels[side][price] - self.taken.get((account, side, price), 0)

    def take(self, account: str, side: str, price: int, qty: int) -> None:
        self.taken[account, side, price] = self.taken.get((account, side, price), 0) + qty

    def name_level(self, side: str, price: int, qty: int) -> None:
        """An update names a level: it is renewed for everyone, or gone."""
        self.taken = {key: qty for key, qty in self.taken.items() if key[1:] != (side, price)}
        self.levels[side].pop(price, None)
        if qty:
            self.levels[side][price] = qty

    def clear(self) -> None:
        self.levels = {"BUY": {}, "SELL": {}}
        self.taken = {}

    @property
    def crossed(self) -> bool:
        bids, asks = self.prices("BUY"), self.prices("SELL")
        return bool(bids and asks and bids[0] >= asks[0])

    def lock_asset(self, order: Order) -> str:
        return self.quote if order.sign > 0 else self.base
