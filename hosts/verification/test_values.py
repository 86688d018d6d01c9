"""Sysctls as the kernel and the next boot have them, switches of /sys, modules, files."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

from hosts.verification import boot, judging
from hosts.verification.conftest import Judge
from tuning.plan import Planned

_PATH = "PATH=/usr/sbin:/sbin:$PATH"


def _given(host: Host, remembered: dict[str, Any]) -> tuple[list[boot.Given], list[boot.Given]]:
    """What systemd gives at boot, and what ufw gives after it; read once."""
    if "given" not in remembered:
        systemd = boot.of_systemd(host.run("systemd-analyze cat-config sysctl.d").stdout)
        path = boot.ufw_file(host.run("cat /etc/ufw/ufw.conf").stdout, host.run("cat /etc/default/ufw").stdout)
        text = host.run("cat %s", path).stdout if path else ""
        ufw = [one for line in text.splitlines() if (one := boot.assignment(path, line))]
        remembered["given"] = (systemd, ufw)
    found: tuple[list[boot.Given], list[boot.Given]] = remembered["given"]
    return found


def test_sysctl(host: Host, sysctl: Planned, judged: Judge, remembered: dict[str, Any]) -> None:
    done = host.run(f"{_PATH} sysctl -n %s", sysctl.setting.key)
    systemd, ufw = _given(host, remembered)
    winner = boot.winner(sysctl.setting.key, ufw) or boot.winner(sysctl.setting.key, systemd)
    judged(judging.sysctl(sysctl, done.stdout if done.rc == 0 else None, winner))


def test_sysfs(host: Host, sysfs: Planned, judged: Judge) -> None:
    done = host.run("cat %s", sysfs.setting.key)
    judged(judging.value(sysfs, done.stdout if done.rc == 0 else None))


def test_module(host: Host, module: Planned, judged: Judge) -> None:
    name = module.setting.key
    there = host.run(f"{_PATH} lsmod | grep -q '^%s ' || test -d /sys/module/%s" % (name, name)).rc == 0
    judged(judging.module(module, loaded=there))


def test_file(host: Host, file: tuple[str, str], judged: Judge) -> None:
    path, want = file
    done = host.run("cat %s", path)
    judged(judging.file(path, want, done.stdout if done.rc == 0 else None))
