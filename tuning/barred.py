"""Whether a module that is to be loaded at boot may be. Pure."""

from __future__ import annotations

from typing import Final

_LOADERS: Final = ("modprobe", "insmod")


def barred(module: str, configuration: str) -> str:
    """The line that keeps systemd-modules-load(8) from it; empty when there is none.

    `configuration`: what `modprobe --showconfig` prints, of all of modprobe.d(5) and the kernel's command line.
    """
    for line in configuration.splitlines():
        words = line.split(maxsplit=2)
        if len(words) < 2 or words[1].replace("-", "_") != module.replace("-", "_"):  # noqa: PLR2004 - command and module
            continue
        instead = words[0] == "install" and not any(loader in words[-1] for loader in _LOADERS)
        if words[0] == "blacklist" or instead:
            return line.strip()
    return ""
