"""What gateways tell each other of their commits, as messages of Redis pub/sub.

`realm` names the database: others may use the same Redis, and their accounts may have the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeAlias

import msgspec

from app.hub import LogEntry

COMMITS: Final = "veloz:commits"
MOST_BYTES: Final = 256 * 1024  # of payload in a message; one event that is larger is only announced

Message: TypeAlias = tuple[str, bytes]  # channel, content


class Notice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Events of one account, numbered from `first`: type, and payload as the log has it. None: the log goes to before `first`."""

    realm: str
    account: str
    first: int
    items: list[tuple[str, bytes]]


class Commit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Transaction `xid` appended to the log."""

    realm: str
    xid: int


encode = msgspec.msgpack.Encoder().encode
decode_notice = msgspec.msgpack.Decoder(Notice).decode
decode_commit = msgspec.msgpack.Decoder(Commit).decode


def channel(account: str) -> str:
    return f"veloz:events:{account}"


def messages(realm: str, entries: Sequence[LogEntry], xid: int) -> Iterator[Message]:
    """Committed entries as messages, each account's in order; `xid` is the last transaction's."""
    for account, of_account in groupby(sorted(entries, key=attrgetter("account")), key=attrgetter("account")):
        for notice in _notices(realm, account, list(of_account)):
            yield channel(account), encode(notice)
    yield COMMITS, encode(Commit(realm, xid))


def _notices(realm: str, account: str, entries: Sequence[LogEntry]) -> Iterator[Notice]:
    """Contiguous runs of at most MOST_BYTES; the entries are in ascending order."""
    items: list[tuple[str, bytes]] = []
    first, size = entries[0].seq, 0
    for entry in entries:
        whole = len(entry.payload) <= MOST_BYTES
        if items and (entry.seq != first + len(items) or size + len(entry.payload) > MOST_BYTES or not whole):
            yield Notice(realm, account, first, items)
            items, size = [], 0
        if not items:
            first = entry.seq
        if not whole:
            yield Notice(realm, account, entry.seq + 1, [])
            continue
        items.append((entry.type, entry.payload))
        size += len(entry.payload)
    if items:
        yield Notice(realm, account, first, items)
