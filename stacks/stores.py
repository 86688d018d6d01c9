"""How the deployed PostgreSQL and Redis are told what to be: the same in containers and in Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stacks import names, ports
from stacks.environment import SECRETS_DIR
from stacks.files import File
from stacks.secrets import Secrets
from stacks.spec import Deployment

if TYPE_CHECKING:
    import pulumi

POSTGRES_VOLUME: Final = "/var/lib/postgresql/data"
REDIS_VOLUME: Final = "/data"
POSTGRES_PASSWORD: Final = f"{SECRETS_DIR}/postgres_password"
REDIS_PASSWORD: Final = f"{SECRETS_DIR}/redis_password"
REDIS_CONFIG: Final = f"{SECRETS_DIR}/redis.conf"


def postgres_environment() -> dict[str, str]:
    """The image's entry point would export what POSTGRES_PASSWORD_FILE names, and the server and its children would have it.

    So initdb reads the file itself, by its last `--pwfile`, and the variable that the entry point insists on says nothing
    (docker-library/postgres, docker-entrypoint.sh: docker_verify_minimum_env, docker_init_database_dir).
    """
    return {
        "POSTGRES_USER": names.DATABASE,
        "POSTGRES_DB": names.DATABASE,
        "POSTGRES_PASSWORD": f"see {POSTGRES_PASSWORD}",
        "POSTGRES_INITDB_ARGS": f"--data-checksums --pwfile={POSTGRES_PASSWORD}",
        # Below the volume's root, which on Kubernetes is not the server's own.
        "PGDATA": f"{POSTGRES_VOLUME}/pgdata",
    }


def postgres_settings(spec: Deployment) -> dict[str, str]:
    """Shares of memory as the manual advises, "Resource Consumption"."""
    memory = spec.size("postgres").memory
    return {
        "listen_addresses": names.listen(spec, "postgres"),
        "port": str(ports.POSTGRES),
        "max_connections": str(spec.postgres.max_connections),
        "shared_buffers": f"{memory // 4}MB",
        "effective_cache_size": f"{memory * 3 // 4}MB",
        "password_encryption": "scram-sha-256",
    }


def postgres_arguments(spec: Deployment) -> tuple[str, ...]:
    """After the image's own entry point."""
    return (
        "postgres",
        *(word for name, value in postgres_settings(spec).items() for word in ("-c", f"{name}={value}")),
    )


def postgres_files(secrets: Secrets) -> tuple[File, ...]:
    return (File(POSTGRES_PASSWORD, _there(secrets.postgres_password), secret=True),)


def postgres_health(spec: Deployment) -> tuple[str, ...]:
    """Over TCP: while the image's entry point makes the database, a server without it answers on the socket."""
    return ("pg_isready", "-q", "-h", _local(names.listen(spec, "postgres")), "-U", names.DATABASE)


def redis_arguments() -> tuple[str, ...]:
    return ("redis-server", REDIS_CONFIG)


def redis_files(spec: Deployment, secrets: Secrets) -> tuple[File, ...]:
    """The configuration holds the password, so that no command line does."""
    import pulumi  # noqa: PLC0415 - the rest is wanted where Pulumi is not installed

    password = _there(secrets.redis_password)
    config = pulumi.Output.concat(redis_settings(spec), "requirepass ", password, "\n")
    return (
        File(REDIS_CONFIG, pulumi.Output.secret(config), secret=True),
        File(REDIS_PASSWORD, password, secret=True),
    )


def redis_settings(spec: Deployment) -> str:
    """All but the password."""
    return "".join(f"{name} {value}\n" for name, value in redis_values(spec).items())


def redis_values(spec: Deployment) -> dict[str, str]:
    """What Redis holds can be rebuilt: a second of it may be lost, the oldest may be evicted."""
    return {
        "bind": names.listen(spec, "redis"),
        "port": str(ports.REDIS),
        "dir": REDIS_VOLUME,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        # The rest is for clients' buffers and for what changes while a child rewrites the file.
        "maxmemory": f"{spec.size('redis').memory * 6 // 10}mb",
        "maxmemory-policy": "volatile-lru",
    }


def redis_health(spec: Deployment) -> tuple[str, ...]:
    """It answers PONG to who has the password."""
    ask = f'REDISCLI_AUTH="$(cat {REDIS_PASSWORD})" redis-cli -h {_local(names.listen(spec, "redis"))} ping'
    return ("sh", "-c", f"{ask} | grep -q PONG")


def _local(address: str) -> str:
    """Where a process of the same container reaches who listens there."""
    return "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - compared, not bound to


def _there(secret: pulumi.Input[str] | None) -> pulumi.Input[str]:
    if secret is None:
        raise ValueError("a secret of the stores is missing")  # Secrets.from_config refuses that
    return secret
