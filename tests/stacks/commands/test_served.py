"""The certificate that the edge shows, against the one it was given."""

import asyncio
import ssl
from pathlib import Path

from stacks.commands import served
from stacks.commands.certificates import generate
from stacks.commands.client import Edge
from tests.faults.gateway import free_port


async def test_another_certificate_than_the_given_one_is_seen(tmp_path: Path) -> None:
    """Whoever signed it, and whatever follows it in the chain."""
    given, older = (generate("x", ["veloz.test"]) for _ in range(2))
    (tmp_path / "chain").write_text(given.certificate + given.authority + given.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain")
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        edge = Edge(f"https://veloz.test:{port}", "127.0.0.1", port)
        assert await asyncio.to_thread(served.other, edge, given.certificate + given.authority) == ""
        wrong = await asyncio.to_thread(served.other, edge, older.certificate)
    assert wrong == f"https://veloz.test:{port} shows another certificate than veloz:secrets.tls_certificate"


def test_an_edge_without_tls_is_said() -> None:
    port = free_port()
    found = served.other(Edge(f"https://x:{port}", "127.0.0.1", port), generate("x", ["x"]).certificate)
    assert found.startswith(f"https://x:{port} shows no certificate: ")
