"""The engine's protocol a third time, read from docs/engine_protocol.md alone: slow, short, in whole numbers.

`Model.handle` takes lines that are well formed; what section 1 refuses is tested over the pipe instead.
Numbers in events are the text the engine should print.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from tests.engine.model_events import Event, Told
from tests.engine.model_state import DAY, ONE, SECOND, Account, Market, Order, Position, ceil, fits, show, units

Options: TypeAlias = dict[str, str]

LIMITS = (
    "maker_fee_bps", "taker_fee_bps", "max_order_qty", "max_notional", "price_band_bps",
    "max_open_orders", "max_position", "order_rate", "daily_loss",
)  # fmt: skip
COUNTS = {"max_open_orders", "order_rate"}
TIFS = {
    "LIMIT": {"GTC", "IOC", "FOK", "GTX", "GTD"},
    "MARKET": {"GTC", "IOC", "FOK"},
    "STOP": {"GTC", "GTD"},
    "STOP_LIMIT": {"GTC", "GTD"},
}
AMENDABLE = ("qty", "price", "stop")
OTHER = {"BUY": "SELL", "SELL": "BUY"}


class Refused(Exception):
    def __init__(self, code: str, account: str | None = None, order: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.names = {"account": account, "client_order_id": order}


class Model(Told):
    def __init__(self) -> None:
        super().__init__()
        self.killed = False
        self.events: list[Event] = []
        self.touched: list[Order] = []
        self.touched_accounts: list[str] = []

    def handle(self, line: str) -> list[Event]:
        """The events of a line, `done` included when it has a number."""
        words = line.split()
        req = words.pop(0)[1:] if words[0].startswith("@") else None
        options = dict(word.split("=", 1) for word in words if "=" in word)
        verb, *at = [word for word in words if "=" not in word]
        self.events, self.touched, self.touched_accounts = [], [], []
        before = {name: self.figures(account) for name, account in self.accounts.items()}
        self.clock = max(self.clock, int(options.get("ts", "0")), int(at[0]) if verb == "CLOCK" else 0)
        self.expire()
        try:
            answers: list[Event] = list(getattr(self, f"do_{verb.lower()}")(at, options) or ())
        except Refused as refused:
            answers = [{"type": "error", "ts_ns": str(self.clock), "code": refused.code}]
            answers[0].update({key: name for key, name in refused.names.items() if name is not None})
        self.events += [self.order_state(order) for order in self.touched]
        for name in self.touched_accounts:
            if self.figures(self.accounts[name]) != before.get(name):
                self.events.append(self.account_event(self.accounts[name]))
        self.events += answers
        if req is not None:
            self.events.append({"type": "done"})
        return [self.numbered(event, req) for event in self.events]

    @staticmethod
    def numbered(event: Event, req: str | None) -> Event:
        return event if req is None else {"type": event["type"], "req": req, **event}

    # Time

    def expire(self) -> None:
        for _, account in sorted(self.accounts.items()):
            for order in account.by_rank():
                if order.expire and order.expire <= self.clock:
                    self.end(order, "EXPIRED", "GTD_EXPIRED")

    def do_clock(self, _at: list[str], _options: Options) -> None:
        """Nothing but the time that every command brings."""

    # Set-up and accounts

    def do_symbol(self, at: list[str], options: Options) -> None:
        old = self.markets.get(at[0])
        if old is not None and (old.base, old.quote) != (options["base"], options["quote"]):
            raise Refused("SYMBOL_EXISTS")
        rules = {key: units(options.get(key, "0")) for key in ("tick", "lot", "min_qty", "max_qty", "min_notional")}
        self.markets[at[0]] = replace(old, rules=rules) if old else Market(options["base"], options["quote"], rules)

    def do_account(self, at: list[str], _options: Options) -> None:
        if at[0] in self.accounts:
            raise Refused("ACCOUNT_EXISTS", at[0])
        self.accounts[at[0]] = Account(at[0])

    def account(self, name: str, order: str | None = None) -> Account:
        if name not in self.accounts:
            raise Refused("UNKNOWN_ACCOUNT", name, order)
        return self.accounts[name]

    def market(self, symbol: str) -> Market:
        if symbol not in self.markets:
            raise Refused("UNKNOWN_SYMBOL")
        return self.markets[symbol]

    def do_deposit(self, at: list[str], options: Options) -> None:
        self.transfer(at, options, 1)

    def do_withdraw(self, at: list[str], options: Options) -> None:
        self.transfer(at, options, -1)

    def transfer(self, at: list[str], options: Options, sign: int) -> None:
        account, asset, amount = self.account(options.get("acct", "main")), at[0], sign * units(at[1])
        if self.free(account, asset) + min(amount, 0) < 0:
            raise Refused("INSUFFICIENT_FUNDS", account.name)
        total = account.totals.get(asset, 0) + amount
        if not fits(total):
            raise Refused("OVERFLOW", account.name)
        account.totals[asset] = total
        self.touch_account(account.name)
        event = {"account": account.name, "ts_ns": str(self.clock), "asset": asset, "amount": show(amount)}
        self.events.append({"type": "transfer", **event, "ref": options.get("ref", "")})

    def do_limits(self, _at: list[str], options: Options) -> Iterator[Event]:
        name = options.get("acct", "main")
        account = Account("*", limits={"kill": int(self.killed)}) if name == "*" else self.account(name)
        for key in (*LIMITS, "kill"):
            if key in options:
                whole = key in COUNTS or key == "kill"
                account.limits[key] = int(options[key]) if whole else units(options[key])
        kill = bool(account.limit("kill"))
        if name == "*":
            self.killed = kill
        figures = {key: str(account.limit(key)) if key in COUNTS else show(account.limit(key)) for key in LIMITS}
        yield {"type": "limits", "account": name, "ts_ns": str(self.clock), **figures, "kill": kill}

    def do_hash(self, at: list[str], _options: Options) -> Iterator[Event]:
        account = self.account(at[0])
        count = str(len(account.orders))
        yield {"type": "hash", "account": at[0], "hash": account.digest(), "open_orders": count}

    def do_state(self, at: list[str], _options: Options) -> Iterator[Event]:
        account = self.account(at[0])
        yield from map(self.order_state, account.by_rank())
        yield self.account_event(account)

    # Orders

    def do_order(self, at: list[str], options: Options) -> None:
        side, symbol, qty, price, order_id, *rest = at
        kind = rest[0] if rest else "LIMIT"
        tif = rest[1] if len(rest) > 1 else {"MARKET": "IOC"}.get(kind, "GTC")
        order = Order(
            options.get("acct", "main"), order_id, symbol, side, kind, tif, units(qty), units(price),
            units(options.get("stop", "0")), int(options.get("expire", "0")), options.get("stp", "CANCEL_NEWEST"),
            self.clock,
        )  # fmt: skip
        self.check_form(order, options)
        if (kind, tif) == ("MARKET", "GTC"):
            order.tif = "IOC"
        account = self.account(order.account, order_id)
        if tif == "GTD" and order.expire <= self.clock:
            raise Refused("BAD_EXPIRE", account.name, order_id)
        if account.find(order_id):
            raise Refused("DUPLICATE_ORDER", account.name, order_id)
        reason = next(self.refusals(account, order), None)
        if reason is not None:
            self.update(order, "REJECTED", reason)
            return
        order.rank = account.next_rank()
        account.orders.append(order)
        self.update(order, "ACCEPTED")
        self.carry_on(order)

    def check_form(self, order: Order, options: Options) -> None:
        if order.tif not in TIFS[order.type]:
            raise Refused("BAD_TIF", order.account, order.id)
        wrong_price = (order.price == 0) != order.at_any_price
        wrong_options = ("stop" in options) != order.is_stop or ("expire" in options) != (order.tif == "GTD")
        if wrong_price or wrong_options:
            raise Refused("BAD_ARGUMENTS", order.account, order.id)

    def refusals(self, account: Account, order: Order) -> Iterator[str]:
        """The risk checks that fail, in the document's order; each is made only when the one before has passed."""
        if order.symbol not in self.markets:
            yield "UNKNOWN_SYMBOL"
        if self.killed or account.limit("kill"):
            yield "KILL_SWITCH"
        market = self.markets[order.symbol]
        steps, _ = self.walk(order) if order.type == "MARKET" else ([], False)
        cost = sum(price * qty // ONE for price, qty in steps)
        yield from self.size_refusals(account, order, cost if order.type == "MARKET" else None)
        if self.outside_band(account, order, steps):
            yield "PRICE_BAND"
        most = account.limit("max_open_orders")
        if most and order.type != "MARKET" and len(account.orders) >= most:
            yield "MAX_OPEN_ORDERS"
        if self.position_exceeds(account, order):
            yield "POSITION_LIMIT"
        if account.limit("daily_loss") and self.loss(account, market.quote) >= account.limit("daily_loss"):
            yield "DAILY_LOSS"
        yield from self.rate_refusals(account)
        need = order.lock if order.type != "MARKET" or order.sign < 0 else cost
        if self.free(account, market.lock_asset(order)) < need:
            yield "INSUFFICIENT_FUNDS"
        if self.post_only_takes(order):
            yield "POST_ONLY_WOULD_TAKE"

    def rate_refusals(self, account: Account) -> Iterator[str]:
        """A pass is recorded, whatever a later check says."""
        rate, times = account.limit("order_rate"), account.rate_times
        if rate and len(times) >= rate and self.clock - times[-rate] < SECOND:
            yield "ORDER_RATE"
        if rate:
            times.append(self.clock)

    def size_refusals(self, account: Account, order: Order, cost: int | None) -> Iterator[str]:
        rules = self.markets[order.symbol].rules
        if order.price % rules["tick"] or order.stop % rules["tick"]:
            yield "BAD_TICK"
        yield from self.lot_refusals(order)
        if 0 < account.limit("max_order_qty") < order.qty:
            yield "MAX_ORDER_QTY"
        notional = order.reckoned_price * order.qty // ONE if cost is None else cost
        if not fits(notional):
            yield "OVERFLOW"
        if cost is None and notional < rules["min_notional"]:
            yield "MIN_NOTIONAL"
        if 0 < account.limit("max_notional") < notional:
            yield "MAX_NOTIONAL"

    def lot_refusals(self, order: Order) -> Iterator[str]:
        rules = self.markets[order.symbol].rules
        if order.qty % rules["lot"] or not rules["min_qty"] <= order.qty <= (rules["max_qty"] or order.qty):
            yield "BAD_LOT"

    def outside_band(self, account: Account, order: Order, steps: list[tuple[int, int]]) -> bool:
        bps, last = account.limit("price_band_bps"), self.markets[order.symbol].last
        if not bps or last is None or order.type == "STOP" or (order.type == "MARKET" and not steps):
            return False
        price = steps[-1][0] if order.type == "MARKET" else order.price
        return abs(price - last[0]) * 10_000 * ONE > last[0] * bps

    @staticmethod
    def position_exceeds(account: Account, order: Order) -> bool:
        alike = (o for o in account.orders if (o.symbol, o.side) == (order.symbol, order.side) and o.id != order.id)
        held = account.positions[order.symbol].qty if order.symbol in account.positions else 0
        reach = order.sign * held + sum(o.leaves for o in alike) + order.leaves
        return 0 < account.limit("max_position") < reach

    def loss(self, account: Account, quote: str) -> int:
        today = self.clock // DAY
        positions = account.positions.items()
        return -sum(p.day_realised for s, p in positions if self.markets[s].quote == quote and p.day == today)

    def post_only_takes(self, order: Order) -> bool:
        prices = self.markets[order.symbol].prices(OTHER[order.side])
        return order.tif == "GTX" and bool(prices) and order.crosses(prices[0])

    def do_cancel(self, at: list[str], options: Options) -> None:
        account = self.account(options.get("acct", "main"), at[0])
        order = account.find(at[0])
        if order is None or options.get("symbol", order.symbol) != order.symbol:
            raise Refused("NOT_FOUND", account.name, at[0])
        self.end(order, "CANCELLED", options.get("reason", "USER"))

    def do_cancel_all(self, _at: list[str], options: Options) -> None:
        name = options.get("acct", "main")
        accounts = sorted(self.accounts) if name == "*" else [self.account(name).name]
        for each in accounts:
            for order in self.accounts[each].by_rank():
                if options.get("symbol", order.symbol) == order.symbol:
                    self.end(order, "CANCELLED", options.get("reason", "USER"))

    def do_amend(self, at: list[str], options: Options) -> None:
        account = self.account(options.get("acct", "main"), at[0])
        order = account.find(at[0])
        if order is None:
            raise Refused("NOT_FOUND", account.name, at[0])
        qty, price, stop = (units(options[key]) if key in options else getattr(order, key) for key in AMENDABLE)
        wish = replace(order, qty=qty, price=price, stop=stop)
        misplaced = ("price" in options and wish.type == "STOP") or ("stop" in options and not wish.waiting)
        if wish.leaves <= 0 or misplaced:
            raise Refused("BAD_AMEND", account.name, at[0])
        moved = (wish.price, wish.stop) != (order.price, order.stop)
        if not moved and wish.qty == order.qty:
            return
        smaller = not moved and wish.qty < order.qty
        checks = self.smaller_refusals(wish) if smaller else self.amend_refusals(account, order, wish)
        reason = next(checks, None)
        if reason is not None:
            raise Refused(reason, account.name, at[0])
        order.qty, order.price, order.stop = wish.qty, wish.price, wish.stop
        if not smaller:
            order.rank = account.next_rank()
        self.update(order, order.status, "AMENDED")
        if not smaller:
            self.carry_on(order)

    def smaller_refusals(self, wish: Order) -> Iterator[str]:
        yield from self.lot_refusals(wish)
        if wish.reckoned_price * wish.qty // ONE < self.markets[wish.symbol].rules["min_notional"]:
            yield "MIN_NOTIONAL"

    def amend_refusals(self, account: Account, order: Order, wish: Order) -> Iterator[str]:
        if self.killed or account.limit("kill"):
            yield "KILL_SWITCH"
        yield from self.size_refusals(account, wish, None)
        if self.outside_band(account, wish, []):
            yield "PRICE_BAND"
        if self.position_exceeds(account, wish):
            yield "POSITION_LIMIT"
        if wish.lock > self.free(account, self.markets[wish.symbol].lock_asset(wish)) + order.lock:
            yield "INSUFFICIENT_FUNDS"
        if self.post_only_takes(wish):
            yield "POST_ONLY_WOULD_TAKE"
        if not wish.waiting and self.meets_own(wish, wish.price):
            yield "SELF_TRADE"

    # Matching

    def carry_on(self, order: Order) -> None:
        """What an order does once it is accepted or amended: a stop waits or triggers, any other one walks."""
        if not order.waiting:
            self.go(order)
            return
        last = self.markets[order.symbol].last
        if order.reached(last[0] if last else None):
            self.trigger(order)

    def trigger(self, order: Order) -> None:
        order.triggered = True
        order.rank = self.accounts[order.account].next_rank()
        self.update(order, "ACCEPTED", "TRIGGERED")
        self.go(order)

    def meets_own(self, order: Order, price: int) -> bool:
        """Whether an own resting order on the other side is at `price` or better for the one who takes it."""
        own = self.accounts[order.account].resting(order.symbol, OTHER[order.side])
        return order.stp == "CANCEL_NEWEST" and any((price - o.price) * order.sign >= 0 for o in own)

    def walk(self, order: Order) -> tuple[list[tuple[int, int]], bool]:
        """What an order would take, as (price, quantity), and whether an own order stops it."""
        market, leaves = self.markets[order.symbol], order.leaves
        steps: list[tuple[int, int]] = []
        for price in market.prices(OTHER[order.side]):
            if not leaves or not (order.at_any_price or order.crosses(price)):
                break
            if self.meets_own(order, price):
                return steps, True
            qty = min(leaves, market.available(order.account, OTHER[order.side], price))
            if qty > 0:
                steps.append((price, qty))
                leaves -= qty
        return steps, False

    def go(self, order: Order) -> None:
        account, market = self.accounts[order.account], self.markets[order.symbol]
        steps, met_own = self.walk(order)
        if order.tif == "FOK" and sum(qty for _, qty in steps) < order.leaves:
            return self.end(order, "CANCELLED", "FOK_UNFILLED")
        if order.type == "STOP" and order.sign > 0:
            cost = sum(price * qty // ONE for price, qty in steps)
            if cost > self.free(account, market.quote) + order.lock:
                return self.end(order, "CANCELLED", "INSUFFICIENT_FUNDS")
        for price, qty in steps:
            if not self.fill(order, price, qty, "taker"):
                return None
            market.take(account.name, OTHER[order.side], price, qty)
        if order.leaves:
            reason = self.remainder(order, met_own=met_own)
            if reason is not None:
                self.end(order, "CANCELLED", reason)
        return None

    def remainder(self, order: Order, *, met_own: bool) -> str | None:
        """Why what is left does not rest; None when it does."""
        if met_own:
            return "SELF_TRADE"
        if order.at_any_price:
            return "NO_LIQUIDITY"
        if order.tif == "IOC":
            return "IOC_REMAINDER"
        return "SELF_TRADE" if self.meets_own(order, order.price) else None

    def fill(self, order: Order, price: int, qty: int, liquidity: str) -> bool:
        account, market = self.accounts[order.account], self.markets[order.symbol]
        money = price * qty // ONE
        received = qty if order.sign > 0 else money
        fee = ceil(received * account.limit(f"{liquidity}_fee_bps"), 10_000 * ONE)
        dq, dc = (qty - fee, money) if order.sign > 0 else (-qty, fee - money)
        base, quote = account.totals.get(market.base, 0) + dq, account.totals.get(market.quote, 0) - dc
        position = account.positions.get(order.symbol, Position()).after(dq, dc, self.clock // DAY)
        if not fits(base, quote, order.notional + money, *position.figures):
            self.end(order, "CANCELLED", "OVERFLOW")
            return False
        account.totals |= {market.base: base, market.quote: quote}
        account.positions[order.symbol] = position
        account.trades += 1
        order.executed += qty
        order.notional += money
        fee_asset = market.base if order.sign > 0 else market.quote
        self.events.append({
            "type": "fill", "account": account.name, "ts_ns": str(self.clock), "client_order_id": order.id,
            "symbol": order.symbol, "side": order.side, "qty": show(qty), "price": show(price), "fee": show(fee),
            "fee_asset": fee_asset, "liquidity": liquidity, "trade_id": str(account.trades),
        })  # fmt: skip
        if order.leaves:
            self.update(order, "PARTIALLY_FILLED")
        else:
            self.end(order, "FILLED")
        return True

    # Market data

    def do_trade(self, at: list[str], options: Options) -> Iterator[Event]:
        symbol, price, qty = at[0], units(at[1]), units(at[2])
        self.market(symbol).last = (price, qty)
        for _, account in sorted(self.accounts.items()):
            left = qty
            for order in [*account.resting(symbol, "BUY"), *account.resting(symbol, "SELL")]:
                take = min(left, order.leaves)
                if take and order.crosses(price) and self.fill(order, order.price, take, "maker"):
                    left -= take
        for _, account in sorted(self.accounts.items()):
            for order in account.by_rank():
                if order.symbol == symbol and order.waiting and order.reached(price):
                    self.trigger(order)
        return iter([self.market_event(symbol, options)])

    def do_quote(self, at: list[str], options: Options) -> Iterator[Event]:
        symbol, bid, bid_qty, ask, ask_qty = at[0], *map(units, at[1:])
        market = self.market(symbol)
        if market.depth_id is not None:
            raise Refused("BOOK_IS_DEPTH")
        market.clear()
        market.name_level("BUY", bid, bid_qty)
        market.name_level("SELL", ask, ask_qty)
        return iter(self.changed(symbol, options, synced=False))

    def do_depth(self, at: list[str], options: Options) -> Iterator[Event]:
        symbol, kind, *ids, bids, asks = at
        market = self.market(symbol)
        if kind == "UPDATE":
            first, last = map(int, ids)
            if market.gap_told or (market.depth_id is not None and last <= market.depth_id):
                return iter(())
            if market.depth_id is None or first > market.depth_id + 1:
                market.clear()
                market.gap_told, market.synced = True, False
                expected = {} if market.depth_id is None else {"expected": str(market.depth_id + 1)}
                return iter([self.book_event(symbol, "GAP") | expected | {"got": str(first)}])
        else:
            market.clear()
            market.gap_told = False
        market.depth_id = int(ids[-1])
        for side, levels in (("BUY", bids), ("SELL", asks)):
            for level in levels.split(",") if levels != "-" else []:
                price, qty = level.split(":")
                market.name_level(side, units(price), units(qty))
        return iter(self.changed(symbol, options, synced=kind == "SNAPSHOT" and not market.synced))

    def changed(self, symbol: str, options: Options, *, synced: bool) -> list[Event]:
        """Matches resting orders against the new book and returns what is told of it."""
        market = self.markets[symbol]
        if market.crossed:
            market.clear()
            market.synced, market.gap_told = False, market.gap_told or market.depth_id is not None
            return [self.book_event(symbol, "CROSSED")]
        for _, account in sorted(self.accounts.items()):
            for order in [*account.resting(symbol, "BUY"), *account.resting(symbol, "SELL")]:
                self.meet_book(order, market)
        market.synced = market.synced or synced
        told = [self.book_event(symbol, "SYNCED")] if synced else []
        return [*told, self.market_event(symbol, options)]

    def meet_book(self, order: Order, market: Market) -> None:
        other = OTHER[order.side]
        for price in market.prices(other):
            qty = min(order.leaves, market.available(order.account, other, price))
            if qty > 0 and order.crosses(price):
                if not self.fill(order, order.price, qty, "maker"):
                    return
                market.take(order.account, other, price, qty)

    # What is told

    def touch_account(self, name: str) -> None:
        if name not in self.touched_accounts:
            self.touched_accounts.append(name)

    def end(self, order: Order, status: str, reason: str = "") -> None:
        self.accounts[order.account].orders.remove(order)
        self.update(order, status, reason)

    def update(self, order: Order, status: str, reason: str = "") -> None:
        order.status, order.reason, order.last = status, reason, self.clock
        if order not in self.touched:
            self.touched.append(order)
        self.touch_account(order.account)
        event: Event = {
            "type": "order_update", "account": order.account, "ts_ns": str(self.clock), "client_order_id": order.id,
            "status": status, "symbol": order.symbol, "side": order.side, "qty": show(order.qty),
            "price": show(order.price), "order_type": order.type, "tif": order.tif, **self.terms(order),
            "stp": order.stp, "triggered": order.triggered, "rank": str(order.rank),
        }  # fmt: skip
        self.events.append(event | ({"reason": reason} if reason else {}))
