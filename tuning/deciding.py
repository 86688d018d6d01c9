"""What becomes of one setting on one machine."""

from __future__ import annotations

from tuning.choices import Choices
from tuning.computed import HUGE_PAGE_KIB, HUGE_PAGES
from tuning.machine import Machine
from tuning.pairs import brought_by, partner_holds
from tuning.planned import BYTES_RATIO, Planned
from tuning.profile import Setting
from tuning.rules import chosen, lowers, satisfied, stricter

_RANGE = "net.ipv4.ip_local_port_range"
_UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"


def decide(setting: Setting, machine: Machine, choices: Choices, loading: frozenset[str]) -> Planned:
    """`loading`: modules that are there once the plan's are loaded."""
    if setting.kind == "module":
        return _module(setting, machine)
    current = current_of(setting, machine)
    if current is not None:
        return _value(setting, current, machine, choices)
    if brought_by(setting.key) in loading - machine.modules:
        return Planned(setting, setting.value, None, "set", f"{setting.reason} Its module brings it.")
    return Planned(setting, setting.value, None, "unavailable", _absent(machine))


def _value(setting: Setting, current: str, machine: Machine, choices: Choices) -> Planned:
    if why := _kept_by_partner(setting, machine):
        return Planned(setting, current, current, "keep", why)
    may_lower = setting.key in choices.may_lower
    want = setting.value if may_lower else reach(setting, current)
    if want == current:
        if setting.rule == "at_least" and want != setting.value:
            return Planned(
                setting, want, current, "refused_lower", f"the kernel's {current} stays: {setting.value} is less"
            )
        return Planned(setting, want, current, "keep", f"it is {current} already")
    if why := _impossible(setting, want, machine):
        return Planned(setting, setting.value, current, "unavailable", why)
    return Planned(setting, want, current, "set", f"{_said(setting, want, current)}: {setting.reason}", may_lower)


def current_of(setting: Setting, machine: Machine) -> str | None:
    """As the kernel has it, of a switch the word that holds; None: there is no such key."""
    have = (machine.sysfs if setting.kind == "sysfs" else machine.sysctls).get(setting.key)
    return None if have is None else chosen(have)


def loadable(machine: Machine) -> bool:
    return machine.modules_available and not machine.container


def reach(setting: Setting, current: str) -> str:
    """The nearest value to `current` that satisfies the setting."""
    if setting.rule == "exactly" or (setting.key in BYTES_RATIO and current == "0"):
        return setting.value
    if satisfied(setting.rule, setting.value, current):
        return current
    return stricter(setting.rule, setting.value, current)


def _module(setting: Setting, machine: Machine) -> Planned:
    if setting.key in machine.modules:
        return Planned(setting, setting.value, "", "keep", "it is loaded already")
    if machine.container:
        return Planned(setting, setting.value, None, "unavailable", f"a {machine.container} container loads no modules")
    if not machine.modules_available:
        return Planned(setting, setting.value, None, "unavailable", "this host has no modules to load")
    return Planned(setting, setting.value, None, "set", setting.reason)


def _absent(machine: Machine) -> str:
    if machine.container:
        return f"a {machine.container} container has no such key: it is the machine's"
    return f"kernel {machine.kernel} has no such key here"


def _kept_by_partner(setting: Setting, machine: Machine) -> str:
    """The other one of a pair is in use and does as well, or a value of that kind may not be taken from it."""
    if not partner_holds(setting.key, machine.sysctls):
        return ""
    ratio = BYTES_RATIO.get(setting.key)
    if ratio is None:
        return "0: the amount itself is set, and stays"
    percent = machine.sysctls[ratio]
    if machine.memory_kib * 1024 * int(percent) // 100 <= int(setting.value):
        return f"0: {ratio} = {percent} is less of this memory already"
    return ""


def _impossible(setting: Setting, want: str, machine: Machine) -> str:
    path = setting.key if setting.kind == "sysfs" else f"/proc/sys/{setting.key.replace('.', '/')}"
    if not machine.writable(path):
        return f"{path} is read-only on this host"
    if machine.container and brought_by(setting.key):
        return f"only the machine may write it, not a {machine.container} container"
    ratio = BYTES_RATIO.get(setting.key)
    if ratio and machine.sysctls.get(setting.key) == "0" and machine.sysctls.get(ratio) == "0":
        return f"{ratio} is 0 too: the kernel has no way back to that"
    if setting.key == HUGE_PAGES and HUGE_PAGE_KIB not in machine.huge_page_sizes:
        return "this kernel has no huge pages of 2 MiB"
    if setting.key == _RANGE and int(machine.sysctls.get(_UNPRIVILEGED, "0")) > int(want.split(maxsplit=1)[0]):
        return f"{_UNPRIVILEGED} is above it: the kernel refuses"
    return ""


def _said(setting: Setting, want: str, current: str) -> str:
    if setting.key in BYTES_RATIO and current == "0":
        return f"from a share of memory ({BYTES_RATIO[setting.key]}) to {want}, lowered"
    change = f"from {current or 'nothing'} to {want}"
    if setting.rule == "at_least" and want != setting.value:
        return f"{change} (what the kernel has more of stays)"
    if setting.rule == "at_least" and lowers(want, current):
        return f"{change}, lowered as allowed"
    return f"{change}, lowered" if setting.rule == "at_most" else change
