"""What a request can be refused with: one exception a code, each carrying its HTTP status.

The codes are the public ones of the API's error envelope. Handlers raise them; the middleware alone turns them into answers.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class VelozError(Exception):
    """A refusal with a stable code and an HTTP status; `message` is shown to the client."""

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadJson(VelozError):
    """The body is not the JSON object it should be."""

    code = "bad_json"
    status = HTTPStatus.BAD_REQUEST


class BadParams(VelozError):
    """A parameter breaks a rule; the message names parameter, value and rule."""

    code = "bad_params"
    status = HTTPStatus.BAD_REQUEST


class AuthenticationRequired(VelozError):
    """No credential came with a request that needs one."""

    code = "authentication_required"
    status = HTTPStatus.UNAUTHORIZED


class InvalidApiKey(VelozError):
    """The API key is unknown, malformed or revoked."""

    code = "invalid_api_key"
    status = HTTPStatus.UNAUTHORIZED


class InvalidToken(VelozError):
    """The session is unknown, expired, or its key was revoked."""

    code = "invalid_token"
    status = HTTPStatus.UNAUTHORIZED


class Forbidden(VelozError):
    """The credential is good, its role is not enough."""

    code = "forbidden"
    status = HTTPStatus.FORBIDDEN


class NotFound(VelozError):
    """The thing asked for does not exist."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Conflict(VelozError):
    """The id is taken by something with other content."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class RiskRejected(VelozError):
    """The engine's risk checks refused the order; `reason` is their code (docs/engine_protocol.md, section 5)."""

    code = "risk_rejected"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, message: str, reason: str, client_order_id: str | None = None, seq: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.client_order_id = client_order_id
        self.seq = seq


class RateLimitExceeded(VelozError):
    """Too many requests; `retry_after` is in seconds."""

    code = "rate_limit_exceeded"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExecutionUnavailable(VelozError):
    """Orders cannot be taken now and this one was not; `retry_after` is in seconds."""

    code = "execution_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(VelozError):
    """Whether the command took effect is not known; asking again with the same id tells."""

    code = "unknown"
    status = HTTPStatus.GATEWAY_TIMEOUT
