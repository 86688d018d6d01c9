"""Ask the gateway in this container how it is: `probe.py live|ready [PORT]`; exit status 0 when it answers 200.

For `python -I -S`: no package, no shell and no other program is needed.
"""

import sys

# Not `socket`: its imports are half the cost of a probe, and there is one every few seconds.
from _socket import socket

SECONDS = 2.5
DEFAULT_PORT = 8080


def status(path: str, port: int) -> int:
    """The answer's status; 0 for one that is not HTTP. Raises OSError when there is none."""
    connection = socket()
    connection.settimeout(SECONDS)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while len(head) < len("HTTP/1.1 200") and (more := connection.recv(64)):
        head += more
    connection.close()
    protocol, _, code = head.decode("latin-1").partition(" ")
    return int(code[:3]) if protocol.startswith("HTTP/") and code[:3].isdecimal() else 0


def main(arguments: list[str]) -> int:
    if len(arguments) not in {1, 2} or arguments[0] not in {"live", "ready"}:
        sys.stderr.write("usage: probe.py live|ready [PORT]\n")
        return 2
    port = int(arguments[1]) if arguments[1:] else DEFAULT_PORT
    try:
        answered = status(f"/health/{arguments[0]}", port)
    except OSError as error:
        sys.stdout.write(f"no answer on port {port}: {error}\n")
        return 1
    sys.stdout.write(f"{arguments[0]}: status {answered}\n")
    return 0 if answered == 200 else 1  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
