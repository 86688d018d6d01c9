"""A log line is one JSON object with the id of the request it belongs to."""

from __future__ import annotations

import json
import logging

from app.logs import REQUEST_ID, JsonFormatter


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.getLogger("veloz.test").makeRecord(
        "veloz.test", logging.INFO, "f", 1, message, (), None, extra=extra
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    loaded: dict[str, object] = json.loads(text)
    return loaded


def test_a_line_carries_what_it_was_given() -> None:
    token = REQUEST_ID.set("abc")
    try:
        made = line("two\nlines", seconds=1.5, thing=logging)
    finally:
        REQUEST_ID.reset(token)
    assert (made["message"], made["level"], made["request_id"], made["seconds"]) == ("two\nlines", "INFO", "abc", 1.5)
    assert str(made["time"]).endswith("+00:00")


def test_outside_a_request_there_is_no_id() -> None:
    assert "request_id" not in line("x")
