"""Writes the bundled recordings: `python tests/data/make_market.py`. Synthetic, the same files every time.

They have the columns of recorded Binance data: a random walk of BTCUSDT around 40,000 over about 40 s.
"""

import random
from pathlib import Path

HERE = Path(__file__).parent
ROWS = 1500
START_MS = 1_700_000_000_000
SEED = 20240101


def cents(value: int) -> str:
    return f"{value // 100}.{value % 100:02d}"


def quantity(value: int) -> str:
    return f"{value // 10**6}.{value % 10**6:06d}"


def main() -> None:
    rng = random.Random(SEED)
    mid, ts_ms, trade_id = 4_000_000, START_MS, 1
    trades = ["ts_ms,trade_id,price,qty,buyer_maker"]
    quotes = ["ts_ms,bid,bid_qty,ask,ask_qty"]
    for _ in range(ROWS):
        ts_ms += rng.randint(1, 53)
        mid += rng.randint(-800, 800)
        bid, ask = mid - rng.randint(1, 150), mid + rng.randint(1, 150)
        if rng.random() < 0.3:
            sizes = rng.randint(1_000, 900_000), rng.randint(1_000, 900_000)
            quotes.append(f"{ts_ms},{cents(bid)},{quantity(sizes[0])},{cents(ask)},{quantity(sizes[1])}")
        seller_takes = rng.random() < 0.5
        price = bid if seller_takes else ask
        trades.append(
            f"{ts_ms},{trade_id},{cents(price)},{quantity(rng.randint(200, 250_000))},{str(seller_takes).lower()}"
        )
        trade_id += 1
    (HERE / "synthetic-trades.csv").write_text("\n".join(trades) + "\n")
    (HERE / "synthetic-quotes.csv").write_text("\n".join(quotes) + "\n")


if __name__ == "__main__":
    main()
