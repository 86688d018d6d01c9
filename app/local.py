"""The whole system on this machine: engines, PostgreSQL, Valkey and gateways, all stopped by one Ctrl-C."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import Progress

from app import __version__
from app.build import BuildError, build_engine
from app.child import Child
from app.embedded import EmbeddedServers
from app.local_gateways import Gateways, await_answer
from app.local_options import Options, check, market_variables, postgres_settings, reached_at

if TYPE_CHECKING:  # one gateway has no balancer and shall not wait for its imports
    from stacks.programs import Program

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


def run_local(options: Options, console: Console) -> None:
    """Start everything, print how to use it, and stop it in order on SIGINT, SIGTERM or SIGHUP.

    Raises LocalError, BuildError, EmbeddedError or ChildError.
    """
    check(options)
    engine = _given_engine()
    postgres = postgres_settings(options.gateways, os.environ)
    program = _program(options)
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        try:
            servers = stack.enter_context(
                EmbeddedServers(options.data_dir, postgres=postgres, log_files=options.log_files)
            )
            gateways = Gateways(
                options.data_dir,
                _variables(options, servers),
                options.gateways,
                options.port,
                host=options.host,
                log_files=options.log_files,
            )
            if engine is None:
                _build(console)
            started = time.monotonic()
            children = [*servers.children, *_balanced(stack, program, options, gateways)]
            seconds = time.monotonic() - started
            console.print(_welcome(options, program, gateways, seconds), soft_wrap=True, highlight=False)
            while True:
                ended = _first_to_end([*children, *gateways.children])
                gateways.restart(ended)
                console.print(f"{ended.name} ended with status {ended.process.returncode} and was started again")
        except KeyboardInterrupt:
            for number in (signal.SIGINT, *STOP_SIGNALS):
                signal.signal(number, signal.SIG_IGN)  # it is being stopped already
            console.print("\nstopping: the gateway finishes what it has, then the servers")
    console.print("stopped; everything is kept in", str(options.data_dir), soft_wrap=True, highlight=False)


def _program(options: Options) -> Program | None:
    if options.gateways == 1:
        return None
    from app.local_balancer import find  # noqa: PLC0415

    return find(options.balancer)


def _balanced(stack: ExitStack, program: Program | None, options: Options, gateways: Gateways) -> list[Child]:
    """Start the gateways, and before several of them the balancer, which is in the list; all are ready.

    The balancer starts before the gateways and so stops after them: what they still answer while they drain passes
    through it, and what comes meanwhile it refuses as sent to nobody, where a closed port would say nothing.
    """
    if program is None:
        stack.enter_context(gateways)
        return []
    from app.local_balancer import balanced  # noqa: PLC0415

    balancer = stack.enter_context(balanced(program, options, gateways.places))
    stack.enter_context(gateways)
    await_answer(balancer, options.host, options.port)
    return [balancer]


def _variables(options: Options, servers: EmbeddedServers) -> dict[str, str]:
    """What all gateways have in common."""
    variables = {
        "VELOZ_POSTGRES_DSN": servers.postgres_dsn,
        "VELOZ_REDIS_URL": servers.redis_url,
        "VELOZ_API_KEY_FILE": str(options.api_key_file or api_key_file(options.data_dir)),
        **market_variables(options.market, options.speed),
    }
    if options.gateways > 1:
        variables["VELOZ_CLUSTER_SECRET_FILE"] = str(secret_file(options.data_dir, "cluster_secret"))
    return variables


def api_key_file(data_dir: Path) -> Path:
    """The file of the first admin key."""
    return secret_file(data_dir, "api_key")


def secret_file(data_dir: Path, name: str) -> Path:
    """A secret's file, made on the first run: 256 random bits as 64 hexadecimal digits, mode 0400."""
    path = data_dir.absolute() / name
    if not path.exists():
        new = path.with_name(f"{name}.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:  # noqa: PTH123 (mode from the start)
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _given_engine() -> Path | None:
    """The one that VELOZ_ENGINE names, which the gateways take instead of a build. Raises BuildError."""
    path = os.environ.get("VELOZ_ENGINE")
    if path and not os.access(path, os.X_OK):
        msg = f"VELOZ_ENGINE {path}: there is no program. Correct the path, or leave it out to build the engine."
        raise BuildError(msg)
    return Path(path) if path else None


def _build(console: Console) -> None:
    if not console.is_terminal:
        console.print("building the engine")
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("building the engine", total=1)
        build_engine("release", lambda done, step: bar.update(task, completed=done, description=_short(step)))


def _short(step: str) -> str:
    """The file a step of the build is about, e.g. engine_orders.cpp of Building CXX object …/engine_orders.cpp.o."""
    return f"building the engine: {step.rsplit('/', maxsplit=1)[-1].rsplit(maxsplit=1)[-1].removesuffix('.o')}"


def _first_to_end(children: list[Child]) -> Child:
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for child in children:
            descriptor = os.pidfd_open(child.process.pid)
            stack.callback(os.close, descriptor)
            selector.register(descriptor, selectors.EVENT_READ, child)
        key, _ = selector.select()[0]
        ended: Child = key.data
        return ended


def _welcome(options: Options, program: Program | None, gateways: Gateways, seconds: float) -> str:
    base = f"http://{reached_at(options.host)}:{options.port}"
    key_file = options.api_key_file or api_key_file(options.data_dir)
    key = f'-H "X-API-Key: $(cat {key_file})"'
    several = cluster = ""
    if program is not None:
        places = "".join(f"\n           {place.name} {place.url}" for place in gateways.places)
        several = f"\n  balancer {program.name}, before{places}"
        cluster = f"\n  curl {key} {base}/api/cluster"
    took = "the gateways took" if program else "the gateway took"
    return f"""\
[bold]VeloZ {__version__}[/] is ready at [bold]{base}[/] ({took} {seconds:.1f} s)
  market   {options.market}
  data     {options.data_dir}
  API key  {key_file}{several}

Try, in another terminal:
  curl {base}/health
  curl {key} -d side=BUY -d symbol=BTCUSDT -d qty=0.01 -d price=30000 {base}/api/order
  curl -N {key} {base}/api/stream{cluster}

Ctrl-C stops everything; the next start goes on from here."""
