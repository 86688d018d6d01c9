"""Whether a request is let in: limits, credential, role. Nothing else of it has been read yet."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from app.address import site
from app.auth import NOBODY
from app.borrow import DATABASE_AWAY
from app.errors import AuthenticationRequired, ExecutionUnavailable, Forbidden, RateLimitExceeded, VelozError
from app.keys import ADDRESS, HEADERS, PRINCIPAL, Services
from app.ratelimit import Charge
from app.roles import Principal, Role


async def admit(request: web.Request, services: Services, role: Role | None, weight: int) -> Principal:
    """Identify, check the role, use weight; the limits' headers go on the answer. Raises what refuses the request.

    `role` None needs no credential, `weight` 0 uses nothing. An address over its limit costs neither database nor Redis.
    """
    address = Charge(f"address:{site(request[ADDRESS])}", weight, services.config.rate_limit_address)
    if weight and (denied := services.limiter.surely_denied(address)):
        request[HEADERS].update(denied.headers())
        raise RateLimitExceeded("too many requests from this address", denied.retry_after)
    if role is None:
        await charge(request, services, [address] if weight else [])
        return NOBODY
    try:
        principal = await services.authenticator.principal(request)
    except DATABASE_AWAY:
        await charge(request, services, [address])
        raise
    except VelozError as refusal:
        unknown, started = refusal.status is HTTPStatus.UNAUTHORIZED, services.lifecycle.started
        failed = failed_login(request, services, refusal) if unknown and started else []
        await charge(request, services, [address, *failed])
        if unknown and not started:
            raise ExecutionUnavailable("the gateway is starting and does not know all keys yet") from refusal
        raise
    charges = [address]
    if principal.key_id is not None:
        charges.append(Charge(f"key:{principal.key_id}", weight, services.config.rate_limit_key))
    await charge(request, services, charges)
    request[PRINCIPAL] = principal
    if not principal.role.includes(role):
        raise Forbidden(f"the key's role is {principal.role}, this needs {role}")
    return principal


async def charge(request: web.Request, services: Services, charges: Sequence[Charge]) -> None:
    """Use the charges' weights or raise RateLimitExceeded."""
    verdict = await services.limiter.use(charges)
    if verdict.limit:
        request[HEADERS].update(verdict.headers())
    if not verdict.allowed:
        raise RateLimitExceeded("too many requests; wait for Retry-After seconds", verdict.retry_after)


def failed_login(request: web.Request, services: Services, refusal: VelozError) -> list[Charge]:
    """What a wrong credential costs besides; a missing one costs nothing."""
    if isinstance(refusal, AuthenticationRequired):
        return []
    return [Charge(f"login:{site(request[ADDRESS])}", 1, services.config.rate_limit_login)]
