"""Whether PostgreSQL and Redis of a host serve somebody already: a native install takes both over, settings and data.

Asked before anything is changed, and where there is none of our deployments: its name is written before the stores are touched.
`stores`, `holds_nothing` and `findings` are pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from pyinfra.api import FactBase

from hosts import places
from hosts.facts import sections
from stacks import ports
from stacks.commands.findings import Finding

# What users make is numbered from here: FirstNormalObjectId of PostgreSQL's access/transam.h.
_FIRST: Final = 16384
_ASK: Final = (
    "SELECT 'answers', '' "
    "UNION ALL SELECT 'database', datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') "
    "UNION ALL SELECT 'role', rolname FROM pg_roles WHERE oid >= {first} "
    "UNION ALL SELECT 'relation', relname FROM pg_class WHERE oid >= {first} AND relkind IN ('r', 'p', 'v', 'm', 'f')"
)
# One that starts, after a loss of power or by apt that was left at work, needs a moment.
_TRIES: Final = " ".join(map(str, range(15)))
_PSQL: Final = f"timeout 10 psql -p {ports.POSTGRES} -wAXtq -c {shlex.quote(_ASK.format(first=_FIRST))}"
# Files of one that is down: databases and tables by their numbers, and table spaces, of which a new cluster has none.
_FILES: Final = (
    'for d in "$4/base" "$4/pg_tblspc"; do find "$d/" -mindepth 1 -maxdepth 2 -printf "%f\\n"; done | '
    f"awk '/^[0-9]+$/ && $1 >= {_FIRST}' | head -n 1"
)
_SET: Final = f"value() {{ awk -v n=\"$1\" '$1 == n {{v = $2}} END {{print v}}' {places.REDIS_MAIN} | tr -d '\"'; }}"
_DATA: Final = (
    'd=$(value dir); d=${d:-/var/lib/redis}; for f in "$d"/*.rdb "$d"/*.aof "$d"/*/*.rdb "$d"/*/*.aof "$d/$(value dbfilename)"; '
    'do case $f in */temp-*) continue ;; esac; [ -f "$f" ] && '
    'echo "$(stat -c %s "$f") $(head -c 512 "$f" | od -An -v -tx1 | tr -d " \\n") $f"; done'
)
_PARTS: Final = {
    "cluster": f"set -- $(pg_lsclusters --no-header | awk '$3 == {ports.POSTGRES} {{print $1, $2, $4, $6; exit}}'); echo \"$*\"",
    "files": f'[ -z "$4" ] || {{ {_FILES}; }}',
    "postgres": (
        f"case $3 in online*) for t in {_TRIES}; do "
        f"(cd / && runuser -u postgres -- {_PSQL}) && break; sleep 1; done ;; esac"
    ),
    "redis": "systemctl is-active redis-server.service",
    "tcp": f"{_SET}; p=$(value port); timeout 5 redis-cli -p ${{p:-{ports.REDIS}}} info keyspace 2>&1",
    "socket": f"s=$(value unixsocket); timeout 5 redis-cli -s ${{s:-{places.REDIS_SOCKET}}} info keyspace 2>&1",
    "data": _DATA,
}
_KEYS: Final = re.compile(r"db(\d+):keys=(\d+)")
_NOBODY_THERE: Final = "Could not connect"
# Of a dump, https://github.com/redis/redis/blob/7.0/src/rdb.h: its magic, a field about itself, its end, a checksum.
_MAGIC: Final = 9
_ABOUT: Final = 0xFA
_END: Final = 0xFF
_CHECKSUM: Final = 8
_SHOWN: Final = 4


class Stores(NamedTuple):
    """What each has of somebody's, in words; empty: nothing."""

    postgres: tuple[str, ...] = ()
    redis: tuple[str, ...] = ()


class StoresFact(FactBase[Stores]):
    def command(self) -> str:
        return sections.script(_PARTS)

    def process(self, output: list[str]) -> Stores:
        return stores(output)


def stores(lines: Iterable[str]) -> Stores:
    """Of the fact's output."""
    said = sections.split(lines)
    return Stores(tuple(_postgres(said)), tuple(_redis(said)))


def _postgres(said: Mapping[str, list[str]]) -> Iterator[str]:
    cluster = " ".join(said.get("cluster", [])).split()
    if not cluster:
        return
    name = "/".join(cluster[:2])
    found = [line.partition("|") for line in said.get("postgres", [])]
    if found:
        yield from (f"{what} {which}" for what, _, which in found if what != "answers")
    elif cluster[2].startswith("online"):
        yield f"cluster {name}, which does not say what is in it"
    elif said.get("files"):
        yield f"cluster {name}, which is down and has data"


def _redis(said: Mapping[str, list[str]]) -> Iterator[str]:
    if said.get("redis", [""])[:1] == ["active"]:
        yield from _keys(["\n".join(said.get(way, [])).strip() for way in ("tcp", "socket")])
    for line in dict.fromkeys(said.get("data", [])):  # one by its usual name and as its settings name it
        size, head, path = line.split(" ", 2)  # of an empty file the second is empty
        if not holds_nothing(int(size), bytes.fromhex(head)):
            yield f"data in {path}"


def _keys(answers: list[str]) -> Iterator[str]:
    """`answers`: by each way to it; one that nobody is behind counts for nothing."""
    heard = [one for one in answers if one.startswith("# Keyspace")]
    others = [one for one in answers if one and one not in heard and not one.startswith(_NOBODY_THERE)]
    if others or not heard:
        yield f"a server that does not say what is in it ({' '.join((others or answers)[0].split())[:80] or 'no answer'})"
    for number, keys in sorted({found for one in heard for found in _KEYS.findall(one)}):
        yield f"{keys} keys in database {number}"


def holds_nothing(size: int, head: bytes) -> bool:
    """Whether a dump or an append-only file of Redis is one without data, by its size and its first bytes."""
    if size == 0:
        return True
    at = _MAGIC
    while _byte(head, at) == _ABOUT:
        at = _after(head, _after(head, at + 1))
    return _byte(head, at) == _END and size == at + 1 + _CHECKSUM


def _after(head: bytes, at: int) -> int:
    """Where what follows a string begins; of one that is longer than any about an empty dump, beyond the end."""
    first = _byte(head, at)
    if first < 0x40:  # noqa: PLR2004 - six bits of length
        return at + 1 + first
    return at + 1 + {0xC0: 1, 0xC1: 2, 0xC2: 4}.get(first, len(head))


def _byte(head: bytes, at: int) -> int:
    return head[at] if at < len(head) else -1


def findings(there: Stores) -> Iterator[Finding]:
    for what, held in (("PostgreSQL", there.postgres), ("Redis", there.redis)):
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        yield Finding(
            f"{what} there", "nobody's", f"{', '.join(held[:_SHOWN])}{more}" if held else "nobody's",
            "refused" if held else "ok",
            f"A native install takes over the host's own {what}, which serves somebody: take another host, or set "
            "hosts.install: docker (then the stores are containers, or external ones), or move away what is there; where it "
            f"is this deployment's own, write its name into {places.DEPLOYMENT} there.",
        )  # fmt: skip
