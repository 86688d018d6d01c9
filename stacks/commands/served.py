"""The certificate that the edge shows, against the one it was given."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from stacks.commands.client import Edge

_SECONDS: Final = 10


def other(edge: Edge, given: str) -> str:
    """What is wrong, empty when the edge shows the first of the certificates in `given` (PEM)."""
    wanted = load_pem_x509_certificate(given.encode()).public_bytes(Encoding.DER)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only looked at: the smoke test verifies
    try:
        with (
            socket.create_connection((edge.address, edge.port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=edge.hostname) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except OSError as error:
        return f"{edge.url} shows no certificate: {error}"
    return "" if shown == wanted else f"{edge.url} shows another certificate than veloz:secrets.tls_certificate"
