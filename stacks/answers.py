"""What the balancer itself answers, in the envelope of the API, when no gateway does."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from app.errors import ExecutionUnavailable, Forbidden, NotFound, Unknown
from app.middleware import HeadersTooLarge
from app.operation import BadRequest, PayloadTooLarge, RequestTimeout
from app.routes import OPERATIONS


class Answer(NamedTuple):
    status: int
    code: str
    message: str


NOT_SENT: Final = Answer(
    ExecutionUnavailable.status,
    ExecutionUnavailable.code,
    "no gateway could be reached, so none has the request; try again",
)
NO_ANSWER: Final = Answer(
    Unknown.status,
    Unknown.code,
    "the gateway gave no answer; ask again with the same client_order_id for what became of it",
)
# A client that keeps to one of the two lengths cannot mean two requests by one. HAProxy hides that there were both.
NO_LENGTH: Final = Answer(
    BadRequest.status, BadRequest.code, "a body needs a Content-Length; Transfer-Encoding is not taken"
)
# Were it sent on, or redirected, the client would go on sending its key in the clear.
PLAIN: Final = Answer(
    Forbidden.status,
    Forbidden.code,
    "use https; a key that was sent without it may have been read on the way: replace it",
)


# With 405: what any path takes.
ALLOW: Final = ", ".join(sorted({operation.method for operation in OPERATIONS}))


class Limits(Protocol):
    @property
    def max_body(self) -> int: ...
    @property
    def max_head(self) -> int: ...


def refusals(model: Limits) -> dict[int, Answer]:
    """What is refused before a gateway sees it, by status."""
    every = (
        Answer(BadRequest.status, BadRequest.code, "the request is not HTTP"),
        Answer(NotFound.status, NotFound.code, "there is nothing at this path; /api/openapi.json lists what there is"),
        Answer(405, "method_not_allowed", "CONNECT and TRACE are not taken"),
        Answer(RequestTimeout.status, RequestTimeout.code, "the request did not arrive in time"),
        Answer(PayloadTooLarge.status, PayloadTooLarge.code, f"the body has more than {model.max_body} bytes"),
        Answer(HeadersTooLarge.status, HeadersTooLarge.code, f"the headers have more than {model.max_head} bytes"),
    )
    return {int(answer.status): answer for answer in every}
