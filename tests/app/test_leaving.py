"""A listener that closes resets nobody."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop
from aiohttp import web

from app.leaving import stop_listening
from app.protocol import EdgeRunner

CLIENTS = 50
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_connections_in_the_kernels_queue_are_served_when_the_listener_closes(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_close_with_a_full_queue())


async def _close_with_a_full_queue() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_post("/", answer)
    runner = EdgeRunner(app, header_timeout=5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2 * CLIENTS)
    await site.start()
    address = runner.addresses[0]
    # The loop does not run between these, so none of them is accepted yet; each has sent its request.
    clients = [socket.create_connection(address) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(REQUEST)
        client.setblocking(False)
    await stop_listening(runner, site)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    running = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(running.sock_recv(client, 4096) for client in clients))
        assert all(one.startswith(b"HTTP/1.1 200") for one in answers)
    finally:
        for client in clients:
            client.close()
        await runner.cleanup()
