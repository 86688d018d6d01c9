"""How clients are met with TLS: Mozilla's "intermediate" guideline 5.7 (https://ssl-config.mozilla.org/guidelines/5.7.json)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stacks.ports import HTTPS

Port = Annotated[int, Meta(ge=1, le=65_535)]
File = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z", description="beside the configuration")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")]

# Without the guideline's finite-field DHE suites: they want parameters of their own, and only clients without ECDHE need them.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
CIPHERSUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CURVES: Final = ("X25519", "prime256v1", "secp384r1")
HSTS_SECONDS: Final = 63_072_000


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clients are served on `port`; the balancer's plain one sends them there and serves nothing."""

    port: Port
    hostname: Annotated[Name, Meta(description="that the certificate is for")]
    public_port: Annotated[Port, Meta(description="as clients see it")] = HTTPS
    certificate: Annotated[File, Meta(description="PEM, with what leads to the authority")] = "tls.crt"
    key: Annotated[File, Meta(description="named as the certificate, but for .key: HAProxy wants that")] = "tls.key"
    hsts_seconds: Annotated[int, Meta(ge=0, le=HSTS_SECONDS, description="0: no header")] = HSTS_SECONDS

    @property
    def origin(self) -> str:
        """Where clients of the plain port are sent. Not where they say they came to: a Host header is anybody's."""
        return f"https://{self.hostname}" + ("" if self.public_port == HTTPS else f":{self.public_port}")
