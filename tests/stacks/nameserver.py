"""A DNS server that knows one name, whose addresses change as a test wants."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_HEADER = struct.Struct("!6H")
_ANSWERED = 0x8180
_NO_SUCH_NAME = 3
_A, _INTERNET = 1, 1


class Nameserver(asyncio.DatagramProtocol):
    """`addresses` empty: there is no such name; None: it is silent."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses: list[str] | None = addresses
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # asyncio's own hint
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.addresses is None or self._transport is None:
            return
        number = _HEADER.unpack_from(data)[0]
        question = data[_HEADER.size : data.index(b"\0", _HEADER.size) + 5]
        kind = struct.unpack("!H", question[-4:-2])[0]
        found = [socket.inet_aton(address) for address in self.addresses] if kind == _A else []
        flags = _ANSWERED | (0 if self.addresses else _NO_SUCH_NAME)
        head = _HEADER.pack(number, flags, 1, len(found), 0, 0)
        answers = b"".join(struct.pack("!HHHIH", 0xC00C, _A, _INTERNET, 1, 4) + address for address in found)
        self._transport.sendto(head + question + answers, addr)


@asynccontextmanager
async def nameserver(addresses: list[str]) -> AsyncIterator[Nameserver]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(lambda: Nameserver(addresses), local_addr=("127.0.0.1", 0))
    try:
        yield made
    finally:
        transport.close()
