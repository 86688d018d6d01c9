"""Generated commands, close enough to each other in price and size to meet."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.engine.model import Model

START = 1_700_000_000 * 10**9
OPENING = (
    "SYMBOL S base=B quote=Q tick=0.5 lot=0.01 min_qty=0.02 max_qty=9 min_notional=0.3",
    "SYMBOL T base=B quote=C tick=0.00000003 lot=0.00000001",
    "ACCOUNT main",
    "ACCOUNT Else",
    "DEPOSIT Q 2000 acct=main",
    "DEPOSIT B 40 acct=main",
    "DEPOSIT C 9 acct=main",
    "DEPOSIT Q 500.00000001 acct=Else",
    "DEPOSIT B 3 acct=Else",
    "DEPOSIT C 0.3 acct=Else",
    "LIMITS acct=main maker_fee_bps=1.5 taker_fee_bps=12.34567891",
)


@dataclass(frozen=True)
class Step:
    """A command, the nanoseconds since the one before, and how its times, book ids and order id are filled in."""

    text: str
    wait: int
    expire_in: int = 0
    id_offset: int = 0
    account: str = "main"
    pick: int = 0  # which of the account's open orders, and of a few names when there is none

    def line(self, number: int, clock: int, model: Model) -> str:
        market = model.markets["S"]
        first = max((market.depth_id or 0) + 1 + self.id_offset, 0)
        account = model.accounts.get(self.account)
        names = [order.id for order in account.orders] if account else []
        known = names[self.pick % len(names)] if names and self.pick else "o1"
        new = f"o{number}" if self.pick else known
        text = self.text.format(expire=clock + self.expire_in, first=first, last=first + 1, known=known, new=new)
        return f"@{number} {text} ts={clock}"


WAITS = st.sampled_from([0, 0, 0, 1, 10**8, 10**9, 86_400 * 10**9])
ACCOUNTS = st.sampled_from(["main"] * 10 + ["Else"] * 5 + ["nobody"])
SIDES = st.sampled_from(["BUY", "SELL"])
PICKS = st.integers(0, 20)
# By symbol: prices and quantities, a few of them off their steps.
PRICES = {
    "S": st.sampled_from(["9", "9.5", "10", "10", "10.5", "11"] * 3 + ["10.25", "400000000"]),
    "T": st.sampled_from(["0.33333333", "0.33333336", "0.33333339", "0.33333342"]),
}
SIZES = {
    "S": st.sampled_from(["0.04", "0.5", "1", "1.37", "3"] * 4 + ["0.01", "9.01", "0.02", "0.015"]),
    "T": st.sampled_from(["0.00000001", "0.00000007", "0.12345678", "1.00000001"]),
}
TIFS = {
    "LIMIT": ["GTC", "GTC", "GTC", "IOC", "FOK", "GTX", "GTD"],
    "MARKET": ["IOC", "GTC", "FOK", "IOC", "GTC", "FOK", "GTX"],
    "STOP": ["GTC", "GTC", "GTD", "GTC", "GTC", "GTD", "IOC"],
    "STOP_LIMIT": ["GTC", "GTD"],
}
SYMBOLS = st.sampled_from(["S", "S", "T"])


@st.composite
def orders(draw: st.DrawFn) -> Step:
    symbol = draw(SYMBOLS)
    kind = draw(st.sampled_from(["LIMIT", "LIMIT", "LIMIT", "MARKET", "STOP", "STOP_LIMIT"]))
    tif = draw(st.sampled_from(TIFS[kind]))
    price = "0" if kind in {"MARKET", "STOP"} else draw(PRICES[symbol])
    stop = f" stop={draw(PRICES[symbol])}" if kind.startswith("STOP") else ""
    expire = " expire={expire}" if tif == "GTD" else ""
    stp = draw(st.sampled_from(["", "", " stp=NONE"]))
    text = f"ORDER {draw(SIDES)} {symbol} {draw(SIZES[symbol])} {price} {{new}} {kind} {tif}"
    account = draw(ACCOUNTS)
    expire_in = draw(st.sampled_from([0, 1, 10**8, 2 * 10**9]))
    return Step(f"{text} acct={account}{stop}{expire}{stp}", draw(WAITS), expire_in, account=account, pick=draw(PICKS))


@st.composite
def changes(draw: st.DrawFn) -> Step:
    account, pick = draw(ACCOUNTS), draw(PICKS)
    amend = st.lists(st.sampled_from(["qty", "price", "stop"]), min_size=1, max_size=2, unique=True)
    if draw(st.booleans()):
        symbol = draw(SYMBOLS)
        values = {"qty": SIZES[symbol], "price": PRICES[symbol], "stop": PRICES[symbol]}
        options = "".join(f" {key}={draw(values[key])}" for key in draw(amend))
        return Step(f"AMEND {{known}}{options} acct={account}", draw(WAITS), account=account, pick=pick)
    words = (
        *["CANCEL {known}"] * 5,
        "CANCEL {known} symbol=S",
        f"CANCEL_ALL reason=sweep acct={account}",
        "CANCEL_ALL symbol=S acct=*",
    )
    text = draw(st.sampled_from(words))
    return Step(text if "acct=" in text else f"{text} acct={account}", draw(WAITS), account=account, pick=pick)


@st.composite
def levels(draw: st.DrawFn, prices: tuple[str, ...]) -> str:
    named = draw(st.lists(st.sampled_from(prices), max_size=3))
    sizes = st.sampled_from(["0", "0.5", "2", "2.25"])
    return ",".join(f"{price}:{draw(sizes)}" for price in named) or "-"


@st.composite
def market_data(draw: st.DrawFn) -> Step:
    kind, symbol = (
        draw(
            st.sampled_from(
                ["TRADE", "TRADE", "TRADE", "QUOTE", "QUOTE", "QUOTE", "SNAPSHOT", "UPDATE", "UPDATE", "UPDATE"]
            )
        ),
        draw(SYMBOLS),
    )
    wait, offset = draw(WAITS), draw(st.sampled_from([0, 0, 0, 0, -1, -2, 1]))
    if kind == "TRADE":
        event_ts = draw(st.sampled_from(["", " event_ts=5"]))
        return Step(f"TRADE {symbol} {draw(PRICES[symbol])} {draw(SIZES[symbol])}{event_ts}", wait)
    if kind == "QUOTE":
        low, high = sorted([draw(PRICES[symbol]), draw(PRICES[symbol])], key=float)
        quoted = [f"{price} {draw(SIZES[symbol])}" for price in (low, high)]
        absent = draw(st.sampled_from([-1] * 6 + [0, 1]))
        sides = ["0 0" if place == absent else side for place, side in enumerate(quoted)]
        return Step(f"QUOTE {symbol} {' '.join(sides)}", wait)
    bids, asks = draw(levels(("8.5", "9", "9.5", "10"))), draw(levels(("10", "10.5", "11", "11.5")))
    ids = "{first}" if kind == "SNAPSHOT" else "{first} {last}"
    return Step(f"DEPTH S {kind} {ids} {bids} {asks}", wait, id_offset=offset)


@st.composite
def administration(draw: st.DrawFn) -> Step:
    account = draw(ACCOUNTS)
    limits = (
        "max_order_qty=1", "max_notional=12", "price_band_bps=500", "max_open_orders=2", "max_position=2",
        "order_rate=2", "daily_loss=0.1", "kill=1", "kill=0", "maker_fee_bps=0.00000001", "taker_fee_bps=10000",
        *["max_order_qty=0 max_notional=0 price_band_bps=0 max_open_orders=0 max_position=0 order_rate=0 daily_loss=0"] * 8,
        *["kill=0"] * 4,
    )  # fmt: skip
    texts = [f"LIMITS acct={account} {limit}" for limit in limits]
    texts += [f"{verb} {asset} 7.5 acct={account}" for verb in ("DEPOSIT", "WITHDRAW") for asset in "QB"]
    texts += [
        f"HASH {account}",
        f"STATE {account}",
        *["LIMITS acct=* kill=1", "LIMITS acct=* kill=0"][draw(st.sampled_from([0, 1, 1, 1])) :],
        f"ACCOUNT {account}",
    ]
    texts += ["SYMBOL S base=B quote=Q tick=0.25 lot=0.005", "SYMBOL S base=B quote=C tick=0.5 lot=0.01"]
    texts += ["CLOCK {expire}", "TRADE NOSUCH 1 1", "CANCEL_ALL symbol=S acct=*"]
    return Step(draw(st.sampled_from(texts)), draw(WAITS), expire_in=10**9)


STEPS = st.one_of(orders(), orders(), orders(), orders(), changes(), market_data(), market_data(), administration())
# Long enough to build something up; shrinking makes what fails short.
SCRIPTS = st.integers(0, 40).flatmap(lambda extra: st.lists(STEPS, min_size=30 + extra, max_size=30 + extra))
