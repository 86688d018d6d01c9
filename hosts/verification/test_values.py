"""Sysctls and switches as the kernel and the next boot have them, modules, files, the clock."""

from __future__ import annotations

from typing import Any, Final

from testinfra.host import Host

from hosts.facts.look import SYNCHRONISED
from hosts.verification.conftest import Judge, plan
from tuning import clock, shadow, tmpfiles, verdict
from tuning.given import Given
from tuning.machine import CHRONY_FILE, JOURNAL_FILE, LIMITS_FILE, MODULES_FILE, UFW_DEFAULTS_FILE, UFW_FILE
from tuning.plan import Planned

_PATH: Final = "LC_ALL=C PATH=/usr/sbin:/sbin:$PATH"
# What prints all that the reader of one of our files reads.
_EVERYTHING: Final = {
    JOURNAL_FILE: "systemd-analyze cat-config systemd/journald.conf",
    CHRONY_FILE: f"{_PATH} chronyd -p",
    LIMITS_FILE: "export LC_ALL=C; for f in /etc/security/limits.conf /etc/security/limits.d/*.conf; do "
    '[ -f "$f" ] && printf "\\n# %s\\n" "$f" && cat "$f"; done',
}


def _given(host: Host, remembered: dict[str, Any]) -> tuple[Given, ...]:
    """What systemd gives at boot, and what ufw gives after it; read once."""
    if "given" not in remembered:
        systemd = shadow.of_systemd(host.run("systemd-analyze cat-config sysctl.d").stdout)
        path = shadow.ufw_file(host.run("cat %s", UFW_FILE).stdout, host.run("cat %s", UFW_DEFAULTS_FILE).stdout)
        ufw = shadow.of_ufw(path, host.run("cat %s", path).stdout) if path else ()
        remembered["given"] = (*systemd, *ufw)
    found: tuple[Given, ...] = remembered["given"]
    return found


def _written(host: Host, remembered: dict[str, Any]) -> tuple[Given, ...]:
    """What systemd-tmpfiles writes at boot; read once."""
    if "written" not in remembered:
        remembered["written"] = tmpfiles.of_systemd(host.run("systemd-analyze cat-config tmpfiles.d").stdout)
    found: tuple[Given, ...] = remembered["written"]
    return found


def test_sysctl(host: Host, sysctl: Planned, judged: Judge, remembered: dict[str, Any]) -> None:
    key = sysctl.setting.key
    done = host.run(f"{_PATH} sysctl -n %s", key)
    boot = shadow.winner(key, _given(host, remembered))
    judged(verdict.value(sysctl, done.stdout if done.rc == 0 else None, boot))


def test_sysfs(host: Host, sysfs: Planned, judged: Judge, remembered: dict[str, Any]) -> None:
    key = sysfs.setting.key
    done = host.run("cat %s", key)
    boot = tmpfiles.winner(key, _written(host, remembered))
    judged(verdict.value(sysfs, done.stdout if done.rc == 0 else None, boot))


def test_module(host: Host, module: Planned, judged: Judge) -> None:
    name = module.setting.key
    there = host.run(f"{_PATH} lsmod | grep -q '^%s ' || test -d /sys/module/%s" % (name, name)).rc == 0
    configuration = host.run(f"{_PATH} modprobe --showconfig").stdout
    judged(verdict.module(module, configuration, loaded=there, at_boot=MODULES_FILE in plan().files))


def test_file(host: Host, file: tuple[str, str], judged: Judge) -> None:
    path, want = file
    done = host.run("cat %s", path)
    everything = host.run(_EVERYTHING[path]).stdout if path in _EVERYTHING else ""
    judged(verdict.file(path, want, done.stdout if done.rc == 0 else None, everything))


def test_clock(host: Host, judged: Judge) -> None:
    have = clock.of_chrony(host.run(f"{_PATH} chronyc -c tracking").stdout)
    have = have or clock.of_timesyncd(host.run("LC_ALL=C timedatectl timesync-status").stdout)
    synchronised = host.run(SYNCHRONISED).stdout.strip() == "yes"
    container = host.run("systemd-detect-virt --container").stdout.strip().replace("none", "")
    judged(verdict.clock(have, synchronised=synchronised, container=container))
