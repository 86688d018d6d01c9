"""The whole system on this machine: engine, PostgreSQL, Valkey and one gateway, all stopped by one Ctrl-C."""

import os
import secrets
import selectors
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import Progress

from app import __version__
from app.build import build_engine
from app.child import Child, ChildError, await_ready, bound_to_us, running
from app.embedded import EmbeddedServers

ROOT: Final = Path(__file__).resolve().parent.parent
HOST: Final = "127.0.0.1"
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class LocalError(Exception):
    """A refusal in words for the person at the terminal."""


class Options(NamedTuple):
    """What a user chooses: `market` is sim or replay:FILE[,FILE]; `speed` is of a replay, 0 as fast as possible."""

    market: str
    data_dir: Path
    port: int
    speed: float


def run_local(options: Options, console: Console) -> None:
    """Start everything, print how to use it, and stop it in order on SIGINT, SIGTERM or SIGHUP.

    Raises LocalError, BuildError, EmbeddedError or ChildError.
    """
    market = market_variables(options.market, options.speed)
    _check_port(options.port)
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        try:
            servers = stack.enter_context(EmbeddedServers(options.data_dir))
            key_file = api_key_file(options.data_dir)
            variables = {
                "VELOZ_HOST": HOST,
                "VELOZ_PORT": str(options.port),
                "VELOZ_POSTGRES_DSN": servers.postgres_dsn,
                "VELOZ_REDIS_URL": servers.redis_url,
                "VELOZ_API_KEY_FILE": str(key_file),
                **market,
            }
            _build(console)
            started = time.monotonic()
            gateway = stack.enter_context(_gateway(options, variables))
            console.print(_welcome(options, key_file, time.monotonic() - started), soft_wrap=True, highlight=False)
            ended = _first_to_end([*servers.children, gateway])
            msg = f"{ended.name} ended by itself with status {ended.process.wait()}; its log is {ended.log}"
            raise ChildError(msg)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, *STOP_SIGNALS):
                signal.signal(number, signal.SIG_IGN)  # it is being stopped already
            console.print("\nstopping: the gateway finishes what it has, then the servers")
    console.print("stopped; everything is kept in", str(options.data_dir), soft_wrap=True, highlight=False)


def market_variables(market: str, speed: float) -> dict[str, str]:
    """The gateway's variables for sim or replay:FILE[,FILE]; paths are made absolute."""
    source, _, names = market.partition(":")
    if market == "sim":
        return {"VELOZ_MARKET_SOURCE": "sim"}
    if source != "replay" or not names:
        msg = f"--market {market}: must be sim, or replay:FILE with one or more CSV files separated by commas."
        raise LocalError(msg)
    files = [Path(name).absolute() for name in names.split(",")]
    for file in files:
        if not file.is_file() or not os.access(file, os.R_OK):
            msg = f"--market {market}: there is no readable file {file}."
            raise LocalError(msg)
    return {
        "VELOZ_MARKET_SOURCE": "replay",
        "VELOZ_REPLAY_FILE": ",".join(map(str, files)),
        "VELOZ_REPLAY_SPEED": str(speed),
    }


def api_key_file(data_dir: Path) -> Path:
    """The file of the first admin key, made on the first run: 256 random bits as 64 hexadecimal digits, mode 0400."""
    path = data_dir.absolute() / "api_key"
    if not path.exists():
        new = path.with_name("api_key.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:  # noqa: PTH123 (mode from the start)
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            msg = f"Port {port} on {HOST} cannot be used: {error.strerror}. Choose another with --port."
            raise LocalError(msg) from error


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


def _build(console: Console) -> None:
    if not console.is_terminal:
        console.print("building the engine")
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("building the engine", total=1)
        build_engine("release", lambda done, step: bar.update(task, completed=done, description=_short(step)))


def _short(step: str) -> str:
    """The file a step of the build is about, e.g. engine_orders.cpp of Building CXX object …/engine_orders.cpp.o."""
    return f"building the engine: {step.rsplit('/', maxsplit=1)[-1].rsplit(maxsplit=1)[-1].removesuffix('.o')}"


@contextmanager
def _gateway(options: Options, variables: Mapping[str, str]) -> Iterator[Child]:
    """The gateway, ready to trade."""
    command = bound_to_us([sys.executable, "-m", "app", "gateway"], signal.SIGTERM)
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    # A secret given both as NAME and as NAME_FILE is refused: ours stand in for the user's in either form.
    others = {f"{name}_FILE" for name in variables} | {name.removesuffix("_FILE") for name in variables}
    env = {name: value for name, value in os.environ.items() if name not in others}
    env |= {**variables, "PYTHONPATH": python_path}
    with running("The gateway", command, options.data_dir / "gateway.log", signal.SIGTERM, env=env) as child:
        await_ready(child, lambda: _is_ready(f"http://{HOST}:{options.port}/health/ready"))
        yield child


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 (our own address)
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, TimeoutError):  # nobody listens yet, or 503 while it recovers
        return False


def _first_to_end(children: list[Child]) -> Child:
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for child in children:
            descriptor = os.pidfd_open(child.process.pid)
            stack.callback(os.close, descriptor)
            selector.register(descriptor, selectors.EVENT_READ, child)
        key, _ = selector.select()[0]
        ended: Child = key.data
        return ended


def _welcome(options: Options, key_file: Path, seconds: float) -> str:
    base = f"http://{HOST}:{options.port}"
    key = f'-H "X-API-Key: $(cat {key_file})"'
    return f"""\
[bold]VeloZ {__version__}[/] is ready at [bold]{base}[/] (the gateway took {seconds:.1f} s)
  market   {options.market}
  data     {options.data_dir}
  API key  {key_file}

Try, in another terminal:
  curl {base}/health
  curl {key} -d side=BUY -d symbol=BTCUSDT -d qty=0.01 -d price=30000 {base}/api/order
  curl -N {key} {base}/api/stream

Ctrl-C stops everything; the next start goes on from here."""
