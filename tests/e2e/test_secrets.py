"""A canary key is searched for everywhere a key could have leaked to."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded import EmbeddedServers
from tests.e2e.api import Api
from tests.faults.gateway import Gateway, environment, running
from tests.faults.stream import Follower

CHUNK = 1 << 20
PASSWORD = "canary-" + secrets.token_hex(16)


def _files_with(needles: list[bytes], directory: Path) -> list[Path]:
    """Files that hold one of the needles, whole blocks overlapping so that none is missed at a border."""
    overlap = max(map(len, needles)) - 1
    found = []
    for path in sorted(directory.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            with path.open("rb") as file:
                tail = b""
                while block := file.read(CHUNK):
                    if any(needle in tail + block for needle in needles):
                        found.append(path)
                        break
                    tail = block[-overlap:]
        except FileNotFoundError:  # a server removed it meanwhile
            continue
    return found


def _rows_with(needles: list[str], dsn: str) -> Iterator[str]:
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            text = psycopg.sql.SQL("SELECT t::text FROM {} t").format(psycopg.sql.Identifier(table))
            for (row,) in connection.execute(text):
                if any(needle in row for needle in needles):
                    yield f"{table}: {row}"


def _redis_with(needles: list[str], url: str) -> Iterator[str]:
    """Keys and values of every type, as text."""
    with redis.Redis.from_url(url, decode_responses=True, encoding_errors="replace") as client:
        readers = {
            "string": client.get,
            "hash": client.hgetall,
            "set": client.smembers,
            "list": lambda key: client.lrange(key, 0, -1),
            "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            "stream": client.xrange,
        }
        for key in client.scan_iter():
            text = f"{key} {readers[str(client.type(key))](key)}"
            if any(needle in text for needle in needles):
                yield text


def _processes_with(needles: list[bytes], pids: list[int]) -> list[str]:
    return [
        f"/proc/{pid}/{name}"
        for pid in pids
        for name in ("environ", "cmdline")
        if any(needle in Path(f"/proc/{pid}/{name}").read_bytes() for needle in needles)
    ]


async def _use(gateway: Gateway, key: str) -> str:
    """Do with the key all that a client can, rightly and wrongly; returns a key that was made with it."""
    async with Api(gateway, key) as api:
        assert (await api.order("canary")).status == 200
        made = await api.post("/api/auth/keys", {"name": "second canary", "role": "trader"})
        assert made.status == 201
        assert (await api.get("/api/auth/keys")).status == 200
        assert (await api.post("/api/auth/session", {})).status in {200, 201}
        assert (await api.get("/api/order_state", client_order_id=key)).status == 404
        assert (await api.post("/api/order", {"symbol": 1})).status == 400
    async with Api(gateway, key + "0") as wrong:
        assert (await wrong.get("/api/account")).status == 401
    async with Api(gateway, "") as bearer:
        headers = {"Authorization": f"Bearer {key}"}
        assert (await bearer.ask("GET", "/api/account", headers=headers)).status == 200
        login = {"user_id": "admin", "password": PASSWORD}
        assert (await bearer.post("/api/auth/login", login)).status == 200
        assert (await bearer.post("/api/auth/login", login | {"password": "wrong"})).status == 401
    follower = Follower(gateway.url, {"X-API-Key": made.json["api_key"]})
    following = asyncio.create_task(follower.run())
    await follower.reached(1)
    following.cancel()
    return str(made.json["api_key"])


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_a_key_is_found_in_its_own_file_only(
    level: str,
    database: str,
    redis_url: str,
    embedded: EmbeddedServers,
    engine_binary: Path,
    tmp_path: Path,
) -> None:
    canary = secrets.token_hex(32)
    key_file, password_file = tmp_path / "api_key", tmp_path / "password"
    for path, text in ((key_file, canary), (password_file, PASSWORD)):
        path.write_text(text)
        path.chmod(0o400)
    environ = environment(database, redis_url, engine_binary, VELOZ_API_KEY="", VELOZ_LOG_LEVEL=level)
    files = {"VELOZ_API_KEY_FILE": str(key_file), "VELOZ_ADMIN_PASSWORD_FILE": str(password_file)}
    async with running(tmp_path, environ | files) as gateway:
        made = await _use(gateway, canary)
        needles = [canary, made, PASSWORD]
        raw = [needle.encode() for needle in needles]
        assert _processes_with(raw, [gateway.pid, *gateway.children()]) == []
        assert list(_rows_with(needles, database)) == []
        assert list(_redis_with(needles, redis_url)) == []
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        log = embedded.children[0].log
        assert log is not None
        assert _files_with(raw, log.parent) == []
    assert gateway.log.stat().st_size > 0
    assert _files_with(raw, tmp_path) == [key_file, password_file]
