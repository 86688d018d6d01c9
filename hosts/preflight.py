"""Whether a host will do, before anything is changed on it. Pure; `hosts.facts.look` has looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hosts.facts.look import Look
from stacks.commands.findings import Finding, Verdict

# Those whose packages, units and file places the stages are written for.
SYSTEMS: Final = {("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")}
_KERNEL: Final = (5, 10)
_CLOCK_NOTE: Final = 0.5  # seconds; below that a round trip and a busy machine explain it
_CLOCK_REFUSED: Final = 60.0
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - as `ss` spells it
_DISK_MIB: Final = 256  # of /var, for packages and a snapshot; what an installation needs is asked by that


def findings(look: Look, now: float, ports: Sequence[int] = (), ours: Sequence[str] = ()) -> Iterator[Finding]:
    """`now`: seconds since 1970 here; `ports` that are to be free, but for processes named in `ours`."""
    yield from _system(look)
    yield Finding("rights", "root", "root" if look.root else "not root", "ok" if look.root else "refused",
                  "Name root as HOST=root@…, or a user who may sudo without a password.")  # fmt: skip
    yield Finding("disk", f"{_DISK_MIB} MiB free", f"{look.free_mib} MiB",
                  "ok" if look.free_mib >= _DISK_MIB else "refused", "Make room below /var.")  # fmt: skip
    yield _clock(look, now)
    if look.container:
        yield Finding("machine", "a host of its own", f"a container ({look.container})", "note",
                      "The kernel is shared: what its namespaces do not have is told as unavailable, not set.")  # fmt: skip
    else:
        yield Finding("machine", "a host of its own", "a host of its own")
    yield Finding("python3", "any, for the measurement", look.python or "none", "ok" if look.python else "note",
                  "Without it latency is not measured: apt install python3.")  # fmt: skip
    yield from (held(look, port, ours) for port in ports)


def _system(look: Look) -> Iterator[Finding]:
    have = f"{look.system} {look.version}".strip() or "unknown"
    want = "Debian 12 or 13, Ubuntu 22.04 or 24.04"
    yield Finding("system", want, have, "ok" if (look.system, look.version) in SYSTEMS else "refused",
                  f"Take a host with {want}.")  # fmt: skip
    number = tuple(int(part) for part in look.kernel.split("-")[0].split(".")[:2] if part.isdigit())
    yield Finding("kernel", f"{_KERNEL[0]}.{_KERNEL[1]} or newer", look.kernel or "unknown",
                  "ok" if number >= _KERNEL else "refused", "Install a newer kernel and reboot.")  # fmt: skip
    yield Finding("init", "systemd", look.init or "unknown", "ok" if look.init == "systemd" else "refused",
                  "Units, sysctl.d and tmpfiles.d are systemd's: take a host that boots with it.")  # fmt: skip


def _clock(look: Look, now: float) -> Finding:
    """Against this machine's, which may be the wrong one."""
    offset = abs(look.clock - now)
    verdict: Verdict = "ok" if offset <= _CLOCK_NOTE else "note" if offset <= _CLOCK_REFUSED else "refused"
    have = f"{offset:.1f} s" + ("" if look.synchronised else ", not synchronised by NTP")
    return Finding("clock", f"within {_CLOCK_NOTE:g} s of this machine's", have, verdict,
                   "One of the two is wrong: look at `timedatectl` on both.")  # fmt: skip


def held(look: Look, port: int, ours: Sequence[str]) -> Finding:
    """Whether a port is free, or has one of `ours`."""
    holders = {one.process or "a process" for one in look.listeners if one.port == port}
    strangers = sorted(holders - set(ours))
    have = f"held by {', '.join(strangers or sorted(holders))}" if holders else "free"
    return Finding(f"port {port}", "free", have, "refused" if strangers else "ok",
                   f"See who has it: ss -ltnp 'sport = :{port}'.")  # fmt: skip


def own_addresses(look: Look, port: int, addresses: Sequence[str], ours: Sequence[str] = ()) -> Finding:
    """A port that is bound to these addresses alone: whoever has it at another one is in nobody's way.

    At all addresses it can only be a stranger's, whatever its name.
    """
    holders = [
        f"{one.process or 'a process'} at {one.address}"
        for one in look.listeners
        if (one.protocol, one.port) == ("tcp", port)
        and (one.address in _EVERY_ADDRESS or (one.address in addresses and one.process not in ours))
    ]
    where = addresses[0] if len(addresses) == 1 else f"{addresses[0]} … {addresses[-1]}"
    return Finding(f"port {port} of {where}", "free", f"held by {', '.join(holders)}" if holders else "free or ours",
                   "refused" if holders else "ok",
                   f"It is for gateways: see who has it (ss -ltnp 'sport = :{port}'), and give that another port.")  # fmt: skip
