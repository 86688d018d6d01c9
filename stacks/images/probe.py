"""Ask the gateway in this container how it is: `probe.py live|ready [PORT]`; exit status 0 when it answers 200.

It asks where VELOZ_HOST and VELOZ_PORT say. For `python -I -S`: no package, no shell, no other program.
"""

import os
import sys

# Not `socket`, whose imports are half the cost of a probe; there is one every few seconds.
from _socket import AF_INET, AF_INET6, socket

SECONDS = 2.5
DEFAULT_PORT = "8080"
HERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def status(host: str, port: int, path: str) -> int:
    """The answer's status; 0 for one that is not HTTP. Raises OSError when there is none."""
    connection = socket(AF_INET6 if ":" in host else AF_INET)
    connection.settimeout(SECONDS)
    connection.connect((host, port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: veloz\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while len(head) < len("HTTP/1.1 200") and (more := connection.recv(64)):
        head += more
    connection.close()
    protocol, _, code = head.decode("latin-1").partition(" ")
    return int(code[:3]) if protocol.startswith("HTTP/") and code[:3].isdecimal() else 0


def main(arguments: list[str]) -> int:
    what, *rest = arguments or [""]
    port = rest[0] if rest else os.environ.get("VELOZ_PORT") or DEFAULT_PORT
    if what not in {"live", "ready"} or len(rest) > 1 or not port.isdecimal():
        sys.stderr.write("usage: probe.py live|ready [PORT]\n")
        return 2
    host = os.environ.get("VELOZ_HOST", "")
    try:
        answered = status(HERE.get(host, host), int(port), f"/health/{what}")
    except OSError as error:
        sys.stdout.write(f"{what}: no answer: {error}\n")
        return 1
    sys.stdout.write(f"{what}: status {answered}\n")
    return 0 if answered == 200 else 1  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
