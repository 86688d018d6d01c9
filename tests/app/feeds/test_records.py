import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.feeds.records import InferredQuotes, Quote, Record, RecordError, Trade, command, read_records
from app.money import MAX_UNITS, SCALE, format_units

TRADES = "ts_ms,trade_id,price,qty,buyer_maker"
QUOTES = "ts_ms,bid,bid_qty,ask,ask_qty"


def read(*lines: str) -> list[Record]:
    return list(read_records(lines, "file.csv"))


def test_the_header_says_what_the_rows_are() -> None:
    assert read(TRADES, "5,1,39432.48,0.000263,true") == [Trade(5, 3943248000000, 26300, buyer_maker=True)]
    assert read(QUOTES, "5,1.5,2,1.6,3") == [Quote(5, 150000000, 2 * SCALE, 160000000, 3 * SCALE)]


def test_column_order_case_blanks_and_further_columns_do_not_matter() -> None:
    expected = [Trade(5, 2 * SCALE, 3 * SCALE, buyer_maker=False)]
    assert read("venue, Buyer_Maker ,qty,price,ts_ms", "X, False,3,2, 5") == expected


def test_blank_lines_and_crlf_are_accepted() -> None:
    assert len(read("\r\n", TRADES + "\r\n", "\r\n", "5,1,2,3,1\r\n", "  \r\n", "5,1,2,3,0", "")) == 2


def test_a_quote_may_lack_a_side() -> None:
    assert read(QUOTES, "5,0,0,1,2") == [Quote(5, 0, 0, SCALE, 2 * SCALE)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "file.csv: empty, needs a header"),
        (["ts_ms,price"], "header 'ts_ms,price' has neither"),
        (["ts_ms,price,qty,buyer_maker,price"], "column 'price' is there twice"),
        ([TRADES, "5,1,2,3,true", "6,1,2,true"], "file.csv, line 3: 4 columns, the header has 5"),
        ([TRADES, "5,1,2,3,yes"], "line 2, buyer_maker 'yes': must be true or false"),
        ([TRADES, "5,1,1e5,3,true"], "line 2, price: '1e5' is not a plain decimal"),
        ([TRADES, "5,1,nan,3,true"], "line 2, price: 'nan' is not"),
        ([TRADES, "5,1,-2,3,true"], "line 2, price: '-2' is not"),
        ([TRADES, "5,1,2,0.000000001,true"], "line 2, qty: '0.000000001' is not"),
        ([TRADES, "5,1,2,0.0,true"], "line 2, qty 0.0: must be greater than 0"),
        ([TRADES, "5,1,99999999999999,3,true"], "line 2, price: 99999999999999 is greater than"),
        ([TRADES, "5.0,1,2,3,true"], "line 2, ts_ms '5.0': must be whole Unix milliseconds"),
        ([TRADES, "0,1,2,3,true"], "line 2, ts_ms '0'"),
        ([TRADES, "\u0665,1,2,3,true"], "line 2, ts_ms"),
        ([TRADES, "99999999999999,1,2,3,true"], "line 2, ts_ms '99999999999999'"),
        ([TRADES, "5,1,2,3,true", "4,1,2,3,true"], "line 3, ts_ms 4: must not be before the row above (5)"),
        ([QUOTES, "5,1,0,2,3"], "line 2, bid 1 with bid_qty 0: an absent side"),
        ([QUOTES, "5,1,2,0,3"], "line 2, ask 0 with ask_qty 3"),
        ([TRADES, '5,1,2,"3' + "x" * 200_000], "line 2: field larger"),
    ],
)
def test_a_refusal_names_file_line_column_value_and_rule(lines: list[str], expected: str) -> None:
    with pytest.raises(RecordError) as refusal:
        read(*lines)
    assert str(refusal.value).startswith("file.csv")
    assert expected in str(refusal.value)


def test_a_trade_and_a_quote_become_the_engines_lines() -> None:
    trade = Trade(1610064000278, 3943248000000, 26300, buyer_maker=True)
    assert command("BTCUSDT", trade) == "TRADE BTCUSDT 39432.48 0.000263 event_ts=1610064000278000000"
    quote = Quote(5, 0, 0, 150000000, SCALE)
    assert command("BTCUSDT", quote) == "QUOTE BTCUSDT 0 0 1.5 1 event_ts=5000000"


def test_quotes_are_inferred_from_the_aggressors_side() -> None:
    quotes = InferredQuotes()
    assert quotes.after(Trade(1, 100, 7, buyer_maker=False)) == Quote(1, 0, 0, 100, 7)
    assert quotes.after(Trade(2, 90, 8, buyer_maker=True)) == Quote(2, 90, 8, 100, 7)
    assert quotes.after(Trade(3, 95, 9, buyer_maker=False)) == Quote(3, 90, 8, 95, 9)


def test_an_inferred_quote_that_meets_the_other_side_drops_the_older_one() -> None:
    quotes = InferredQuotes()
    quotes.after(Trade(1, 90, 8, buyer_maker=True))
    assert quotes.after(Trade(2, 90, 1, buyer_maker=False)) == Quote(2, 0, 0, 90, 1)
    assert quotes.after(Trade(3, 95, 2, buyer_maker=True)) == Quote(3, 95, 2, 0, 0)


AMOUNTS = st.integers(1, MAX_UNITS)


@given(st.lists(st.builds(Trade, st.integers(1, 10**12), AMOUNTS, AMOUNTS, st.booleans())))
def test_what_was_written_is_read_and_inferred_quotes_are_never_crossed(trades: list[Trade]) -> None:
    trades = sorted(trades, key=lambda trade: trade.ts_ms)
    rows = (f"{t.ts_ms},1,{format_units(t.price)},{format_units(t.qty)},{t.buyer_maker}" for t in trades)
    assert read(TRADES, *rows) == trades
    quotes = InferredQuotes()
    for quote in map(quotes.after, trades):
        assert quote.bid == 0 or quote.ask == 0 or quote.bid < quote.ask
