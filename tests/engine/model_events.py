"""The events of section 2 that show the model as it stands."""

from typing import TypeAlias

from tests.engine.model_state import ONE, Account, Market, Order, show

Event: TypeAlias = dict[str, object]


class Told:
    """What the model knows, and how it is told."""

    def __init__(self) -> None:
        self.clock = 0
        self.accounts: dict[str, Account] = {}
        self.markets: dict[str, Market] = {}

    def free(self, account: Account, asset: str) -> int:
        locks = (o.lock for o in account.orders if self.markets[o.symbol].lock_asset(o) == asset)
        return account.totals.get(asset, 0) - sum(locks)

    def book_event(self, symbol: str, status: str) -> Event:
        return {"type": "book", "symbol": symbol, "ts_ns": str(self.clock), "status": status}

    def market_event(self, symbol: str, options: dict[str, str]) -> Event:
        market = self.markets[symbol]
        event: Event = {"type": "market", "symbol": symbol, "ts_ns": options.get("event_ts", str(self.clock))}
        if market.last:
            event |= {"price": show(market.last[0]), "qty": show(market.last[1])}
        for side, name in (("BUY", "bid"), ("SELL", "ask")):
            for price in market.prices(side)[:1]:
                event |= {name: show(price), f"{name}_qty": show(market.levels[side][price])}
        return event

    @staticmethod
    def terms(order: Order) -> Event:
        stop: Event = {"stop_price": show(order.stop)} if order.is_stop else {}
        return stop | ({"expire_ts_ns": str(order.expire)} if order.expire else {})

    def order_state(self, order: Order) -> Event:
        average = order.notional * ONE // order.executed if order.executed else 0
        return {
            "type": "order_state", "account": order.account, "client_order_id": order.id, "symbol": order.symbol,
            "side": order.side, "order_qty": show(order.qty), "limit_price": show(order.price), **self.terms(order),
            "venue_order_id": None, "status": order.status, "reason": order.reason,
            "executed_qty": show(order.executed), "executed_notional": show(order.notional),
            "avg_price": show(average), "order_type": order.type, "tif": order.tif, "stp": order.stp,
            "triggered": order.triggered, "rank": str(order.rank), "created_ts_ns": str(order.created),
            "last_ts_ns": str(order.last),
        }  # fmt: skip

    def figures(self, account: Account) -> Event:
        balances, positions = [], []
        for asset, total in sorted(account.totals.items()):
            free = self.free(account, asset)
            if total:
                balances.append({"asset": asset, "free": show(free), "locked": show(total - free)})
        for symbol, p in sorted(account.positions.items()):
            if not p.blank:
                average = abs(p.cost) * ONE // abs(p.qty) if p.qty else 0
                row = {"symbol": symbol, "qty": show(p.qty), "cost": show(p.cost), "avg_price": show(average)}
                last = {"realised": show(p.realised), "day": str(p.day), "day_realised": show(p.day_realised)}
                positions.append(row | last)
        return {"balances": balances, "positions": positions}

    def account_event(self, account: Account) -> Event:
        return {"type": "account", "account": account.name, "ts_ns": str(self.clock), **self.figures(account)}
