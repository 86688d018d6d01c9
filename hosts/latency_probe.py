"""Round trips and new connections on loopback, measured by the host itself: `python3 - < this file` prints JSON.

Sent to hosts as text: the standard library alone, and any Python from 3.7.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time

ROUNDS = 5
SECONDS = 0.4  # of a round's round trips, and at most of its connections
WARM_UP = 200
# Each leaves a port in TIME-WAIT for a minute, of 28,000 that a kernel has as it comes.
CONNECTIONS = 1500
MESSAGE = b"x" * 256  # as long as an order


def serve(listener: socket.socket) -> None:
    """Echo, one connection after another, until killed."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            data = connection.recv(4096)
            if not data:
                break
            connection.sendall(data)
        connection.close()


def round_trips(port: int) -> list[float]:
    """Seconds of each, on one connection."""
    taken = []
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends = time.perf_counter() + SECONDS
        while True:
            started = time.perf_counter()
            client.sendall(MESSAGE)
            left = len(MESSAGE)
            while left:
                left -= len(client.recv(left))
            now = time.perf_counter()
            taken.append(now - started)
            if now > ends:
                return taken[WARM_UP:] or taken


def churn(port: int) -> float:
    """Connections a second, each opened, used once and closed."""
    started = time.perf_counter()
    count = 0
    while count < CONNECTIONS and time.perf_counter() < started + SECONDS:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"x")
            client.recv(1)
        count += 1
    return count / (time.perf_counter() - started)


def measure(port: int) -> dict[str, list[float]]:
    """For every round: microseconds at three percentiles, and connections a second."""
    found: dict[str, list[float]] = {"p50": [], "p99": [], "p99.9": [], "churn": []}
    for _ in range(ROUNDS):
        taken = sorted(round_trips(port))
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
            found[name].append(round(taken[min(int(len(taken) * part), len(taken) - 1)] * 1e6, 1))
        found["churn"].append(round(churn(port)))
    return found


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if not child:
        try:
            serve(listener)
        finally:
            os._exit(1)
    try:
        sys.stdout.write(json.dumps(measure(listener.getsockname()[1])) + "\n")
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
