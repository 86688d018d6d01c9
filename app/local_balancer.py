"""The balancer before several gateways on this machine; imported only for them, because it takes long."""

import os
import pwd
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from grp import getgrgid

from app.child import Child, bound_to_us, running
from app.local_gateways import Place
from app.local_options import HOST, LocalError, Options
from stacks import programs
from stacks.balancer import Balancer, BalancerError, Kind, Server
from stacks.programs import Program


def find(kind: Kind | None) -> Program:
    """Nginx when it is there, else HAProxy. Raises LocalError."""
    try:
        return programs.find(kind)
    except BalancerError as error:
        msg = f"{error} One gateway needs none: --gateways 1."
        raise LocalError(msg) from error


@contextmanager
def balanced(program: Program, options: Options, gateways: Iterable[Place]) -> Iterator[Child]:
    """The balancer where the options say, running. Raises LocalError when it refuses its configuration."""
    directory = options.data_dir / "balancer"
    directory.mkdir(mode=0o700, exist_ok=True)
    # Its master stays what we are; the workers, which meet the clients, are nobody when we are root.
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    model = Balancer(
        host=options.host,
        port=options.port,
        gateways=tuple(Server(place.name, HOST, place.port) for place in gateways),
        workers=1,
        user=nobody.pw_name if nobody else "",
        group=getgrgid(nobody.pw_gid).gr_name if nobody else "",
    )
    try:
        program.configure(model, directory)
    except BalancerError as error:
        raise LocalError(str(error)) from error
    command = bound_to_us(program.command(directory), signal.SIGTERM)
    log = options.data_dir / "balancer.log" if options.log_files else None
    with running("The balancer", command, log, signal.SIGTERM) as child:
        try:
            yield child
        finally:
            if child.process.poll() is not None:  # killed, it left its workers, which would keep the port
                with suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)  # its own group since `start`
