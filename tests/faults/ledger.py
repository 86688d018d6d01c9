"""The client's own record: every request before it is sent and every answer, on disk before it counts."""

from __future__ import annotations

import asyncio
import json
import os
import time
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

Body = dict[str, str]

# Answers that say the order was not taken: refused, limited, or nobody there to take it.
NOT_TAKEN = frozenset({400, 401, 403, 404, 413, 429, 503})
NOT_CONNECTED = "ClientConnectorError"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came back: a status with its answer, or an error of the connection (nothing is known then)."""

    n: int
    path: str
    body: Body
    status: int | None = None
    answer: dict[str, Any] = {}
    error: str = ""
    seconds: float = 0.0

    @property
    def order_id(self) -> str:
        return self.body.get("client_order_id", "")

    @property
    def not_taken(self) -> bool:
        """Whether the gateway cannot have taken it, by its own word or because it never got it."""
        return self.status in NOT_TAKEN or self.error.startswith(NOT_CONNECTED)


class Ledger:
    """An append-only file of JSON lines. Whoever writes waits for the fsync; those who wait together share one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._count = 0

    async def intent(self, path: str, body: Body) -> int:
        self._count += 1
        n = self._count
        await self._write({"n": n, "at": time.time_ns(), "path": path, "body": body})
        return n

    async def answer(self, n: int, status: int, text: str, seconds: float) -> None:
        await self._write({"n": n, "at": time.time_ns(), "status": status, "text": text, "seconds": seconds})

    async def failure(self, n: int, error: str, seconds: float) -> None:
        await self._write({"n": n, "at": time.time_ns(), "error": error, "seconds": seconds})

    async def _write(self, entry: dict[str, Any]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(entry).encode() + b"\n", done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            os.write(self._file, b"".join(line for line, _ in batch))
            await asyncio.to_thread(os.fdatasync, self._file)
            for _, done in batch:
                if not done.cancelled():
                    done.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def exact(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON value
    """JSON with decimals as they are written."""
    return json.loads(text, parse_float=Decimal)


def read(path: Path) -> list[Call]:
    """The calls of a ledger, in the order they were intended; one without an answer has neither status nor error."""
    calls: dict[int, Call] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if "path" in entry:
            calls[entry["n"]] = Call(n=entry["n"], path=entry["path"], body=entry["body"])
        elif "error" in entry:
            calls[entry["n"]] = msgspec.structs.replace(
                calls[entry["n"]], error=entry["error"], seconds=entry["seconds"]
            )
        else:
            calls[entry["n"]] = msgspec.structs.replace(
                calls[entry["n"]], status=entry["status"], answer=_answer(entry["text"]), seconds=entry["seconds"]
            )
    return list(calls.values())


def _answer(text: str) -> dict[str, Any]:
    try:
        value = exact(text)
    except ValueError:
        return {"not_json": text}
    return value if isinstance(value, dict) else {"not_object": value}
