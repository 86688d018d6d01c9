"""The protocol's edges over the real pipe: whatever is sent, the engine answers, lives on and ends with status 0."""

import random
import re
import select
import subprocess
from pathlib import Path

import pytest

from tests.engine.model_events import Event
from tests.engine.pipe import by_request, parse, say, talk

T = "ts=1700000000000000000"
PING = f"PING alive {T}\n".encode()
OPENING = (f"SYMBOL S base=B quote=Q tick=0.5 lot=0.01 {T}", f"ACCOUNT main {T}", f"DEPOSIT Q 1000 {T}")


def codes(events: list[Event]) -> list[object]:
    return [event["code"] for event in events if event["type"] == "error"]


def alive(events: list[Event]) -> bool:
    return events[-1] == {"type": "pong", "ts_ns": "1700000000000000000", "token": "alive"}


# One line for each error code, after OPENING and `ORDER BUY S 1 10 o`.
REFUSED = {
    "BAD_REQ": "@0 PING",
    "BAD_BYTE": "PING \t",
    "LINE_TOO_LONG": "PING " + "x" * 65_536,
    "UNKNOWN_COMMAND": "FLY",
    "BAD_ARGUMENTS": "CANCEL",
    "BAD_OPTION": "PING colour=red",
    "BAD_TOKEN": "ACCOUNT a$b",
    "BAD_NUMBER": "DEPOSIT Q 1e3",
    "BAD_SIDE": "ORDER HOLD S 1 10 a",
    "BAD_TYPE": "ORDER BUY S 1 10 a ICEBERG",
    "BAD_TIF": "ORDER BUY S 1 0 a MARKET GTX",
    "BAD_EXPIRE": "ORDER BUY S 1 10 a LIMIT GTD expire=1",
    "BAD_AMEND": "AMEND o stop=5",
    "UNKNOWN_SYMBOL": "TRADE NOSUCH 1 1",
    "SYMBOL_EXISTS": "SYMBOL S base=B quote=X tick=1 lot=1",
    "UNKNOWN_ACCOUNT": "HASH nobody",
    "ACCOUNT_EXISTS": "ACCOUNT main",
    "RESTORING": "RESTORE BEGIN r\nHASH r",
    "BAD_STATE": "RESTORE END main",
    "DUPLICATE_ORDER": "ORDER BUY S 1 10 o",
    "NOT_FOUND": "CANCEL nothing",
    "INSUFFICIENT_FUNDS": "WITHDRAW Q 991",
    "OVERFLOW": "DEPOSIT Q 92233720368",
    "BOOK_IS_DEPTH": "DEPTH S SNAPSHOT 1 - -\nQUOTE S 1 1 2 2",
    "KILL_SWITCH": "LIMITS kill=1\nAMEND o price=9",
    "BAD_TICK": "AMEND o price=9.25",
    "BAD_LOT": "AMEND o qty=1.001",
    "MAX_ORDER_QTY": "LIMITS max_order_qty=1\nAMEND o qty=2",
    "MIN_NOTIONAL": "SYMBOL S base=B quote=Q tick=0.5 lot=0.01 min_notional=10\nAMEND o qty=0.5",
    "MAX_NOTIONAL": "LIMITS max_notional=10\nAMEND o qty=2",
    "PRICE_BAND": "TRADE S 12 1\nLIMITS price_band_bps=1\nAMEND o price=11",
    "POSITION_LIMIT": "LIMITS max_position=1\nAMEND o qty=2",
    "POST_ONLY_WOULD_TAKE": "QUOTE S 9 1 12 1\nORDER BUY S 1 9 p LIMIT GTX\nAMEND p price=12",
    "SELF_TRADE": "DEPOSIT B 1\nORDER SELL S 1 12 s\nAMEND o price=12",
}


@pytest.mark.parametrize("code", REFUSED)
def test_every_error_code_is_reached_and_survived(engine: Path, code: str) -> None:
    lines = [*OPENING, "ORDER BUY S 1 10 o", *REFUSED[code].split("\n")]
    events = say(engine, *(line if T in line else f"{line} {T}" for line in lines), PING.decode().strip())
    assert codes(events) == [code]
    error = next(event for event in events if event["type"] == "error")
    assert isinstance(error["message"], str)
    assert len(error["message"]) > len("no ")
    assert alive(events)


def test_every_code_of_the_document_is_tried() -> None:
    text = (Path(__file__).parents[2] / "docs" / "engine_protocol.md").read_text()
    listed = set(re.findall(r"[A-Z]+(?:_[A-Z]+)+|OVERFLOW|RESTORING", text.partition("## 9. Errors")[2]))
    assert len(listed) >= 25
    assert listed <= set(REFUSED)


def test_binary_garbage_is_answered_by_errors_alone(engine: Path) -> None:
    noise = random.Random(7)
    lines = [noise.randbytes(noise.randrange(1, 400)).replace(b"\n", b"?").replace(b"\r", b"?") for _ in range(400)]
    events = talk(engine, b"".join(b"\xff" + line + b"\n" for line in lines) + PING)
    assert codes(events) == ["BAD_BYTE"] * len(lines)
    assert alive(events)


def test_printable_garbage_never_opens_an_account_or_an_order(engine: Path) -> None:
    noise = random.Random(8)
    words = [
        *'@*=#,:"\\{}',
        "ORDER",
        "BUY",
        "S",
        "1",
        "-1",
        "acct=",
        "ts=",
        "9" * 40,
        "DEPTH",
        "RESTORE",
        "LIMITS",
        "=",
    ]
    lines = ["?" + " ".join(noise.choices(words, k=noise.randrange(1, 12))) for _ in range(2_000)]
    events = talk(engine, "".join(f"{line}\n" for line in lines).encode() + PING + f"STATS {T}\n".encode())
    assert set(codes(events)) == {"UNKNOWN_COMMAND"}
    assert len(codes(events)) == len(lines)
    assert (events[-1]["accounts"], events[-1]["orders"]) == ("0", "0")


def test_shuffled_commands_are_answered_each_by_its_number(engine: Path) -> None:
    noise = random.Random(9)
    words = [
        "ORDER",
        "BUY",
        "SELL",
        "S",
        "1",
        "10",
        "o",
        "LIMIT",
        "GTC",
        "AMEND",
        "CANCEL",
        "qty=2",
        "price=11",
        "main",
    ]
    words += [
        "DEPTH",
        "SNAPSHOT",
        "QUOTE",
        "TRADE",
        "RESTORE",
        "BEGIN",
        "END",
        "acct=main",
        "stp=NONE",
        "0",
        "-",
        "1:1",
    ]
    lines = [f"@{n} {' '.join(noise.choices(words, k=noise.randrange(1, 9)))} {T}" for n in range(1, 3_001)]
    answers = by_request(
        talk(
            engine,
            "".join(f"{line}\n" for line in [*(f"@{9_000 + n} {o}" for n, o in enumerate(OPENING)), *lines]).encode(),
        )
    )
    assert [str(n) for n in range(1, 3_001)] == [number for number in answers if int(number) < 9_000]
    assert all(events[-1]["type"] == "done" for events in answers.values())


def test_a_line_of_ten_megabytes_is_one_error(engine: Path) -> None:
    events = talk(engine, b"ORDER " + b"x" * 10_000_000 + b"\n" + PING)
    assert codes(events) == ["LINE_TOO_LONG"]
    assert alive(events)


def test_ten_megabytes_without_an_end_are_dropped_at_the_end_of_file(engine: Path) -> None:
    events = talk(engine, PING + b"x" * 10_000_000)
    assert alive(events)


def test_the_longest_line_is_read_and_one_byte_more_is_not(engine: Path) -> None:
    longest = f"PING alive {T}".encode().rjust(65_536)
    assert alive(talk(engine, longest + b"\n"))
    assert alive(talk(engine, longest + b"\r\n"))
    assert codes(talk(engine, b" " + longest + b"\n")) == ["LINE_TOO_LONG"]


def test_half_a_line_at_the_end_of_file_is_not_carried_out(engine: Path) -> None:
    whole = "".join(f"{line}\n" for line in OPENING)
    events = talk(engine, f"{whole}ORDER BUY S 1 10 cut-sh".encode())
    assert [event["type"] for event in events] == ["transfer", "account"]


def test_the_end_of_file_alone_ends_the_engine(engine: Path) -> None:
    assert talk(engine, b"") == []


def test_quit_ends_the_engine_and_leaves_the_rest_unread(engine: Path) -> None:
    events = say(engine, f"@1 QUIT {T}", f"@2 PING {T}")
    assert events == [{"type": "done", "req": "1"}]


@pytest.mark.parametrize("chunk", [1, 7, 4_096])
def test_lines_may_come_in_any_pieces(engine: Path, chunk: int) -> None:
    data = b"".join(f"@{n} PING x{n} {T}\r\n".encode() for n in range(1, 200))
    with subprocess.Popen([engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for start in range(0, len(data), chunk):
            process.stdin.write(data[start : start + chunk])
            process.stdin.flush()
        process.stdin.close()
        events = [parse(line) for line in process.stdout][1:]
    assert process.returncode == 0
    assert [event["token"] for event in events if event["type"] == "pong"] == [f"x{n}" for n in range(1, 200)]


def test_an_answer_comes_without_waiting_for_more_input(engine: Path) -> None:
    with subprocess.Popen([engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"", f"@1 PING x {T}\n".encode(), b"PIN", b"G\n"):
            process.stdin.write(line)
            if line != b"PIN":
                assert select.select([process.stdout], [], [], 10)[0], "no answer"
                assert process.stdout.read(65_536).endswith(b"\n")
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_command_cannot_be_smuggled_in_by_a_carriage_return(engine: Path) -> None:
    smuggled = f"ORDER BUY S 1 10 a\rCANCEL_ALL {T}"
    events = say(engine, *OPENING, smuggled, f"ORDER BUY S 1 10 a\x00 {T}", f"STATS {T}")
    assert codes(events) == ["BAD_BYTE", "BAD_BYTE"]
    assert events[-1]["orders"] == "0"


def test_the_same_lines_give_the_same_bytes(engine: Path) -> None:
    lines = [*OPENING, *(f"@{n} ORDER BUY S 0.1 {10 + n % 7} o{n} {T}" for n in range(1, 300)), f"TRADE S 12 5 {T}"]
    data = "".join(f"{line}\n" for line in lines).encode()
    first, second = (subprocess.run([engine], input=data, capture_output=True, check=True).stdout for _ in range(2))
    assert first == second


def test_without_a_time_the_system_clock_is_taken(engine: Path) -> None:
    events = say(engine, "PING a ts=5", "PING b", "PING c ts=7")
    first, second, third = (int(str(event["ts_ns"])) for event in events)
    assert first == 5
    assert second > 1_700_000_000 * 10**9
    assert third == second


def restore_lines(states: list[Event], account: Event, trades: int) -> list[str]:
    """What a gateway would send, made from what the engine said of the account and nothing else."""
    name = account["account"]
    lines = [f"RESTORE BEGIN {name} trades={trades}"]
    balances, positions = account["balances"], account["positions"]
    assert isinstance(balances, list)
    assert isinstance(positions, list)
    for row in balances:
        total = sum(
            int(row[key].replace(".", "")) * 10 ** (8 - len(row[key].partition(".")[2])) for key in ("free", "locked")
        )
        lines.append(f"RESTORE BALANCE {row['asset']} {total // 10**8}.{total % 10**8:08} acct={name}")
    for row in positions:
        figures = " ".join(row[key] for key in ("symbol", "qty", "cost", "realised", "day", "day_realised"))
        lines.append(f"RESTORE POSITION {figures} acct={name}")
    for o in states:
        keys = ("side", "symbol", "order_qty", "limit_price", "client_order_id", "order_type", "tif")
        words = " ".join(str(o[key]) for key in keys)
        options = (
            f"rank={o['rank']} executed={o['executed_qty']} notional={o['executed_notional']} status={o['status']}"
        )
        options += (
            f" created={o['created_ts_ns']} last={o['last_ts_ns']} stp={o['stp']} triggered={int(bool(o['triggered']))}"
        )
        options += f" stop={o['stop_price']}" if "stop_price" in o else ""
        options += f" expire={o['expire_ts_ns']}" if "expire_ts_ns" in o else ""
        options += f" reason={o['reason']}" if o["reason"] else ""
        lines.append(f"RESTORE ORDER {words} {options} acct={name}")
    return [*lines, f"RESTORE END {name}"]


def test_an_account_rebuilt_from_its_own_events_has_its_digest(engine: Path) -> None:
    trading = [
        "DEPOSIT B 3", "LIMITS maker_fee_bps=1.5 taker_fee_bps=12.34567891",
        "QUOTE S 9.5 1 10 0.7", "ORDER BUY S 1 10.5 a", "ORDER SELL S 0.5 0 b STOP stop=9",
        "ORDER SELL S 0.5 9 c STOP_LIMIT GTD stop=9.5 expire=1800000000000000000",
        "ORDER BUY S 2 9 d LIMIT GTX", "AMEND d qty=1.5", "ORDER SELL S 1 12 e stp=NONE",
        "TRADE S 9.5 0.11", "ORDER SELL S 0.3 0 f MARKET",
    ]  # fmt: skip
    lines = [*OPENING, *(f"{line} {T}" for line in trading), f"@8 STATE main {T}", f"@9 HASH main {T}"]
    events = say(engine, *lines)
    answers = by_request([event for event in events if "req" in event])
    *states, account, _ = answers["8"]
    trades = max(int(str(event["trade_id"])) for event in events if event["type"] == "fill")
    assert len(states) >= 4
    rebuilt = say(
        engine, OPENING[0], *(f"{line} {T}" for line in restore_lines(states, account, trades)), f"@8 STATE main {T}"
    )
    digest = answers["9"][0]
    assert rebuilt[0] == {
        "type": "hash",
        "account": "main",
        "hash": digest["hash"],
        "open_orders": digest["open_orders"],
    }
    assert rebuilt[1:] == answers["8"]
