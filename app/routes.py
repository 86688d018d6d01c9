"""Every operation of the HTTP interface, in one table: the routes, the limits' weights and the OpenAPI document come from it."""

from __future__ import annotations

from app import account, admin, api_keys, cluster, dead_man, events, health, login, market, openapi, order_lists, orders
from app.errors import (
    AuthenticationRequired,
    Conflict,
    InvalidApiKey,
    InvalidToken,
    NotFound,
    RiskRejected,
    Unknown,
)
from app.operation import Nothing, Operation
from app.roles import Role
from app.sessions import SessionsUnavailable

EVENT_STREAM = "text/event-stream"
PROMETHEUS = "text/plain"
LIST_WEIGHT = 5

_TRADE = (NotFound, RiskRejected, Conflict, Unknown)
_DATABASE = (NotFound,)

_HEALTH = (
    Operation("GET", "/health", health.ready, "Can it trade", "health", health.Health, None, 0, also=(503,)),
    Operation("GET", "/health/ready", health.ready, "Can it trade", "health", health.Health, None, 0, also=(503,)),
    Operation("GET", "/health/live", health.live, "Is it alive", "health", health.Alive, None, 0, also=(503,)),
    Operation(
        "GET",
        "/metrics",
        health.metrics,
        "Metrics for Prometheus",
        "health",
        None,
        None,
        0,
        content_type=PROMETHEUS,
        raises=(AuthenticationRequired, InvalidApiKey),
    ),
    Operation("GET", "/api/openapi.json", openapi.document, "This document", "health", None, None),
)
_MARKET = (
    Operation("GET", "/api/config", market.configuration, "What this gateway does", "market", market.Configuration),
    Operation(
        "GET",
        "/api/market",
        market.one,
        "The last market of a symbol",
        "market",
        market.Market,
        query=market.MarketQuery,
        raises=(NotFound,),
    ),
    Operation("GET", "/api/markets", market.every, "The last market of every symbol", "market", market.Markets),
    Operation(
        "GET",
        "/api/execution/ping",
        market.ping,
        "A round trip through the engine",
        "market",
        market.Ping,
        raises=(Unknown,),
    ),
)
_ORDERS = (
    Operation(
        "POST",
        "/api/order",
        orders.submit,
        "Submit an order",
        "orders",
        orders.Accepted,
        Role.TRADER,
        body=orders.OrderBody,
        raises=_TRADE,
        description="The same request again gets the first answer, for ever. 504: ask again with the same client_order_id.",
    ),
    Operation(
        "POST",
        "/api/order/amend",
        orders.amend,
        "Change an open order",
        "orders",
        orders.Accepted,
        Role.TRADER,
        body=orders.AmendBody,
        raises=_TRADE,
    ),
    Operation(
        "POST",
        "/api/cancel",
        orders.cancel,
        "Cancel an open order",
        "orders",
        orders.Accepted,
        Role.TRADER,
        body=orders.CancelBody,
        raises=(NotFound, Conflict, Unknown),
    ),
    Operation(
        "POST",
        "/api/cancel_all",
        orders.cancel_all,
        "Cancel open orders",
        "orders",
        orders.AllCancelled,
        Role.TRADER,
        10,
        body=orders.CancelAllBody,
        raises=(NotFound, Unknown),
        also=(504,),
    ),
    Operation(
        "GET",
        "/api/orders",
        order_lists.events,
        "Recent events of orders, newest first",
        "orders",
        order_lists.EventPage,
        weight=LIST_WEIGHT,
        query=order_lists.EventsQuery,
    ),
    Operation(
        "GET",
        "/api/orders_state",
        order_lists.states,
        "Orders as they are now, newest first",
        "orders",
        order_lists.StatePage,
        weight=LIST_WEIGHT,
        query=order_lists.StatesQuery,
    ),
    Operation(
        "GET",
        "/api/order_state",
        order_lists.state,
        "One order as it is now",
        "orders",
        order_lists.OrderState,
        query=order_lists.StateQuery,
        raises=(NotFound,),
    ),
    Operation(
        "GET",
        "/api/trades",
        order_lists.trades,
        "Fills, newest first",
        "orders",
        order_lists.TradePage,
        weight=LIST_WEIGHT,
        query=order_lists.TradesQuery,
    ),
)
_ACCOUNT = (
    Operation(
        "GET",
        "/api/account",
        account.balances,
        "Balances",
        "account",
        account.Balances,
        query=account.AccountQuery,
        raises=_DATABASE,
    ),
    Operation(
        "GET",
        "/api/positions",
        account.positions,
        "Positions",
        "account",
        account.Positions,
        query=account.AccountQuery,
        raises=_DATABASE,
    ),
    Operation(
        "GET",
        "/api/stream",
        events.stream,
        "Follow events",
        "account",
        None,
        weight=LIST_WEIGHT,
        query=events.StreamQuery,
        content_type=EVENT_STREAM,
        raises=(NotFound,),
        description=(
            "With cancel_on_disconnect=T (a trader's key), T seconds after the key's last such stream on any gateway has"
            " ended, all open orders that the key placed on its own account are cancelled (reason DISCONNECTED); a stream"
            " opened with it before then keeps them. 0 disarms."
        ),
    ),
)
_SWITCHES = (
    Operation(
        "POST",
        "/api/dead_man_switch",
        dead_man.set_timer,
        "Arm or refresh the dead man's switch",
        "orders",
        dead_man.Switch,
        Role.TRADER,
        body=dead_man.SwitchBody,
        raises=(NotFound,),
        description=(
            "Unless it comes again within timeout_seconds, all open orders that this key placed on its own account are"
            " cancelled (reason DEAD_MAN), whatever became of the gateway that it was sent to. 0 disarms."
        ),
    ),
    Operation(
        "GET",
        "/api/dead_man_switch",
        dead_man.states,
        "The key's switches: the timer, and that of its streams",
        "orders",
        dead_man.SwitchList,
        Role.TRADER,
    ),
    Operation(
        "DELETE", "/api/dead_man_switch", dead_man.disarm, "Disarm both switches", "orders", login.Done, Role.TRADER
    ),
)
_AUTH = (
    Operation(
        "POST",
        "/api/auth/session",
        login.create,
        "Make a session with an API key",
        "auth",
        login.SessionMade,
        None,
        LIST_WEIGHT,
        body=Nothing,
        raises=(AuthenticationRequired, InvalidApiKey, InvalidToken, SessionsUnavailable),
    ),
    Operation(
        "DELETE", "/api/auth/session", login.end, "End this session", "auth", login.Done, raises=(SessionsUnavailable,)
    ),
    Operation(
        "POST",
        "/api/auth/login",
        login.login,
        "Make a session with the admin's password",
        "auth",
        login.SessionMade,
        None,
        LIST_WEIGHT,
        body=login.LoginBody,
        raises=(InvalidToken, NotFound, SessionsUnavailable),
    ),
    Operation(
        "GET",
        "/api/auth/keys",
        api_keys.listed,
        "API keys",
        "auth",
        api_keys.KeyList,
        Role.ADMIN,
        query=api_keys.KeysQuery,
    ),
    Operation(
        "POST",
        "/api/auth/keys",
        api_keys.create,
        "Make an API key",
        "auth",
        api_keys.KeyMade,
        Role.ADMIN,
        LIST_WEIGHT,
        body=api_keys.KeyBody,
        status=201,
        raises=(NotFound,),
    ),
    Operation(
        "DELETE",
        "/api/auth/keys",
        api_keys.revoke,
        "Revoke an API key",
        "auth",
        login.Done,
        Role.ADMIN,
        query=api_keys.RevokeQuery,
        body=api_keys.RevokeBody,
        raises=(NotFound, Conflict),
    ),
)
_SET_LIMITS = {
    "handle": admin.set_limits,
    "summary": "Change an account's limits",
    "tag": "admin",
    "answer": admin.LimitsAnswer,
    "role": Role.ADMIN,
    "body": admin.LimitsBody,
    "raises": (NotFound, Unknown),
}
_ADMIN = (
    Operation(
        "GET",
        "/api/admin/accounts",
        admin.accounts,
        "Accounts",
        "admin",
        admin.AccountPage,
        Role.ADMIN,
        LIST_WEIGHT,
        query=admin.AccountsQuery,
    ),
    Operation(
        "POST",
        "/api/admin/accounts",
        admin.open_account,
        "Open an account",
        "admin",
        admin.AccountMade,
        Role.ADMIN,
        LIST_WEIGHT,
        body=admin.AccountBody,
        status=201,
        raises=(Conflict, Unknown),
    ),
    Operation(
        "GET",
        "/api/admin/limits",
        admin.limits,
        "An account's limits",
        "admin",
        admin.LimitsAnswer,
        Role.ADMIN,
        query=admin.AccountQuery,
        raises=(NotFound,),
    ),
    Operation("PUT", "/api/admin/limits", **_SET_LIMITS),  # type: ignore[arg-type]
    Operation("PATCH", "/api/admin/limits", **_SET_LIMITS),  # type: ignore[arg-type]
    Operation(
        "POST",
        "/api/admin/kill_switch",
        admin.set_kill,
        "Turn a kill switch",
        "admin",
        admin.KillAnswer,
        Role.ADMIN,
        body=admin.KillBody,
        raises=(NotFound, Unknown),
        also=(504,),
    ),
    Operation(
        "GET",
        "/api/admin/digest",
        admin.digest,
        "The digest of an account's state in its engine",
        "admin",
        admin.DigestAnswer,
        Role.ADMIN,
        query=admin.AccountQuery,
        raises=(NotFound, Unknown),
    ),
    Operation(
        "GET",
        "/api/cluster",
        cluster.overview,
        "The gateways, and who owns which shards",
        "admin",
        cluster.Cluster,
        Role.ADMIN,
        LIST_WEIGHT,
    ),
    Operation(
        "GET", "/api/admin/config", admin.config, "Settings that can change", "admin", admin.ConfigList, Role.ADMIN
    ),
    Operation(
        "PUT",
        "/api/admin/config",
        admin.set_config,
        "Change a setting",
        "admin",
        login.Done,
        Role.ADMIN,
        body=admin.ConfigBody,
        raises=(NotFound,),
    ),
    Operation(
        "GET",
        "/api/admin/config/history",
        admin.history,
        "Changes of settings, newest first",
        "admin",
        admin.HistoryPage,
        Role.ADMIN,
        LIST_WEIGHT,
        query=admin.HistoryQuery,
    ),
    Operation(
        "GET",
        "/api/admin/audit",
        admin.audit_trail,
        "The audit trail, newest first",
        "admin",
        admin.AuditPage,
        Role.ADMIN,
        LIST_WEIGHT,
        query=admin.AuditQuery,
    ),
)

OPERATIONS: tuple[Operation, ...] = (*_HEALTH, *_MARKET, *_ORDERS, *_SWITCHES, *_ACCOUNT, *_AUTH, *_ADMIN)
