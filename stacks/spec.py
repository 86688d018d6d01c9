"""A whole deployment as plain data: what a stack file says under `veloz:deployment`, with every default filled in.

No I/O, clock or environment here, no secret and nothing of Pulumi's. `stacks.document.load` gives a Deployment that passed
every rule, those of `stacks.checks` too.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from stacks.machines import Hosts
from stacks.sizes import PROFILES, Change, Component, MiB, Millicores, Profile, Size
from tuning.containers import container_sysctls

Topology: TypeAlias = Literal["single", "compose", "kubernetes"]
EdgeKind: TypeAlias = Literal["nginx", "haproxy", "ingress"]
Store: TypeAlias = Literal["embedded", "deployed", "external"]
# Which part of the whole a container belongs to.
Role: TypeAlias = Literal["balancer", "gateway", "postgres", "redis", "prometheus", "grafana"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

Name = Annotated[str, Meta(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?\Z")]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z")]
_DNS_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
Hostname = Annotated[str, Meta(max_length=253, pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*\Z")]
Address = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}\Z")]
EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound to
Network = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}\Z")]
Port = Annotated[int, Meta(ge=1, le=65_535)]
# As Docker reads references: no scheme, and no capitals but in the host and the tag.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
_PATH = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
_TAG = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
_REFERENCE = rf"({_HOST}/)?{_PATH}(/{_PATH})*{_TAG}"
_IMAGE = "an image as Docker writes it: [HOST[:PORT]/]name[:TAG][@sha256:DIGEST], without https://, the name in small letters"
Image = Annotated[str, Meta(max_length=320, pattern=rf"^{_REFERENCE}\Z", title=_IMAGE)]
Registry = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=rf"^({_HOST}(/{_PATH})*)?\Z",
        title="HOST[:PORT][/path] in small letters, without https://, without a slash at its end, without a tag",
    ),
]
Sysctl = Annotated[str, Meta(pattern=r"^(net|kernel|fs)(\.[a-z0-9_]+)+\Z")]
SysctlValue = Annotated[str, Meta(pattern=r"^[0-9]+( [0-9]+)*\Z")]
Replicas = Annotated[int, Meta(ge=1, le=50)]


class Gateways(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The gateways, each with its engine.

    `settings` are fields of app.settings.Settings by name, but for what follows from the rest of this description
    (addresses, ports, stores, secrets).
    """

    replicas: Replicas = 3
    settings: dict[str, str | int | float | bool | list[str]] = {}
    drain_policy: Literal["hold", "cancel"] = "hold"
    stop_grace: Annotated[int, Meta(ge=1, le=600, description="seconds from SIGTERM until a gateway is killed")] = 30
    egress: Annotated[bool, Meta(description="may open connections to the internet: market data and venues")] = False


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the certificate is from.

    `generated`: an authority of its own, made by `init`; `provided`: certificate and key are secrets of the stack;
    `issued`: by cert-manager, with `edge.kind: ingress`.
    """

    source: Literal["none", "generated", "provided", "issued"] = "generated"
    issuer: Annotated[str, Meta(pattern=r"^[a-z0-9.-]{0,253}\Z", description="cert-manager's ClusterIssuer")] = ""
    hsts_seconds: Annotated[int, Meta(ge=0, le=63_072_000)] = 31_536_000


class Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where clients come in: the only thing that is published."""

    kind: EdgeKind = "nginx"
    address: Annotated[Address, Meta(description="of the host, for containers")] = "127.0.0.1"
    http_port: Port = 80
    https_port: Port = 443
    hostname: Hostname = "localhost"
    proxies: Annotated[
        tuple[Network, ...], Meta(description="before this balancer, whose X-Forwarded-For is believed")
    ] = ()
    replicas: Annotated[Replicas, Meta(description="of the balancer on Kubernetes")] = 2
    tls: Tls = Tls()


class Postgres(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`external`: its DSN is the secret `postgres_dsn`."""

    store: Store = "deployed"
    max_connections: Annotated[int, Meta(ge=20, le=10_000)] = 200
    host: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]{1,253})?\Z", description="of an external one")] = ""
    port: Port = 5432


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`external`: its URL is the secret `redis_url`."""

    store: Store = "deployed"
    host: Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]{1,253})?\Z", description="of an external one")] = ""
    port: Port = 6379


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    prometheus: bool = True
    grafana: bool = True
    keep_days: Annotated[int, Meta(ge=1, le=3650)] = 30


BuildArgument: TypeAlias = Literal["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL"]


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`veloz` empty: built from this tree, and pushed to `registry` when there is one."""

    registry: Registry = ""
    veloz: Annotated[str, Meta(max_length=320, pattern=rf"^({_REFERENCE})?\Z", title=_IMAGE)] = ""
    known_settings: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")], ...],
        Meta(description="of an older images.veloz, by its label io.veloz.settings; a rollback writes it. Empty: all"),
    ] = ()
    python: Image = "python:3.11.13-slim-bookworm"
    nginx: Image = "nginx:1.28.0-bookworm"
    haproxy: Image = "haproxy:3.2.25"
    postgres: Image = "postgres:15.13-bookworm"
    redis: Image = "redis:7.4.5-bookworm"
    prometheus: Image = "prom/prometheus:v3.5.0"
    grafana: Image = "grafana/grafana:12.1.0"
    build_args: Annotated[
        dict[BuildArgument, str], Meta(description="what a builder's network asks for; not in the image, not secret")
    ] = {}
    pull_secret: Annotated[
        str, Meta(pattern=r"^[a-z0-9.-]{0,253}\Z", description="of the cluster, for a private registry")
    ] = ""


# Many connections from one balancer to one gateway; a peer that vanished is noticed after 90 s. Kubernetes counts them as
# safe, and Pod Security "restricted" lets them pass.
SYSCTLS: Final = MappingProxyType(container_sysctls())


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of every container; `open_files` and the logs of Docker's. `sysctls` are of the gateways' and the balancer's namespaces.

    None on processes: Docker's provider has no such limit, and Kubernetes' is the kubelet's.
    """

    open_files: Annotated[int, Meta(ge=1024, le=1_048_576)] = 65_535
    log_size: Annotated[int, Meta(ge=1, le=10_240, description="MiB; then another file is begun")] = 10
    log_files: Annotated[int, Meta(ge=2, le=100)] = 5
    sysctls: dict[Sysctl, SysctlValue] = msgspec.field(default_factory=lambda: dict(SYSCTLS))


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What there is to give to containers: thousandths of a core, MiB."""

    cpu: Millicores
    memory: MiB


class Docker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What concerns single and compose alone. `subnet` is cut into a /24 for each network."""

    host: Annotated[str, Meta(pattern=r"^(|(unix|tcp|ssh)://[!-~]+)\Z", description="empty: the docker command's")] = ""
    subnet: Network = "10.213.0.0/20"
    capacity: Annotated[Capacity | None, Meta(description="of the host; when it is given, all containers must fit")] = (
        None
    )


class Kubernetes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What concerns kubernetes alone.

    `pod_networks`: where requests of pods come from. `ingress_networks`: where those of an ingress controller come from that is
    no pod of `ingress_namespace`. `dns_networks`: the cluster's DNS where it is no pod, by default the address of a node's cache
    (NodeLocal DNSCache); with kube-proxy in iptables mode that cache answers at the address of the service kube-dns too.
    """

    context: str = ""
    storage_class: Annotated[str, Meta(pattern=r"^[a-z0-9.-]{0,253}\Z")] = ""
    ingress_class: Annotated[str, Meta(pattern=r"^[a-z0-9.-]{0,253}\Z")] = ""
    ingress_namespace: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,63}\Z")] = "ingress-nginx"
    pod_networks: tuple[Network, ...] = ("10.0.0.0/8",)
    ingress_networks: tuple[Network, ...] = ()
    dns_networks: tuple[Network, ...] = ("169.254.20.10/32",)
    dns_domain: Hostname = "cluster.local"
    max_replicas: Annotated[int, Meta(ge=0, le=50, description="of the autoscaler; 0: twice gateways.replicas")] = 0
    load_balancer_annotations: dict[str, str] = {}
    cpu_burst: Annotated[
        int,
        Meta(
            ge=1,
            le=32,
            description="limit of CPU as a multiple of what is promised; 1: own cores where nodes give them",
        ),
    ] = 1
    node: Annotated[
        Capacity | None, Meta(description="allocatable on one node; when it is given, each pod must fit")
    ] = None


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    topology: Topology
    name: Name = "veloz"
    profile: Profile = "minimum"
    sizes: dict[Component, Change] = {}
    gateways: Gateways = Gateways()
    edge: Edge = Edge()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    monitoring: Monitoring = Monitoring()
    images: Images = Images()
    limits: Limits = Limits()
    docker: Docker = Docker()
    kubernetes: Kubernetes = Kubernetes()
    hosts: Hosts = Hosts()

    def size(self, component: Component) -> Size:
        return self.sizes.get(component, Change()).of(PROFILES[self.profile][component])

    @property
    def gateway_size(self) -> Size:
        """Of a gateway with its engine: they share a container."""
        return self.size("gateway") + self.size("engine")

    def container_size(self, role: Role) -> Size:
        """Of one container of a role. The one of single holds the stores too."""
        if role != "gateway":
            return self.size(role)
        if self.topology == "single":
            return self.gateway_size + self.size("postgres") + self.size("redis")
        return self.gateway_size

    @property
    def most_gateways(self) -> int:
        """As many as the autoscaler makes."""
        if self.topology != "kubernetes":
            return self.gateways.replicas
        return self.kubernetes.max_replicas or 2 * self.gateways.replicas

    @property
    def encrypted(self) -> bool:
        """Whether clients speak TLS."""
        return self.edge.tls.source != "none"

    def replicas(self, role: Role) -> int:
        """How many containers of a role there are; 0 when the deployment has none."""
        one = self.topology == "single"
        match role:
            case "gateway":
                return 1 if one else self.gateways.replicas
            case "balancer":
                several = self.edge.replicas if self.topology == "kubernetes" else 1
                return 0 if one or self.edge.kind == "ingress" else several
            case "postgres":
                return int(self.postgres.store == "deployed")
            case "redis":
                return int(self.redis.store == "deployed")
            case "prometheus":
                return int(self.monitoring.prometheus and not one)
            case "grafana":
                return int(self.monitoring.grafana and not one)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Those it has containers of."""
        return tuple(role for role in ROLES if self.replicas(role))
