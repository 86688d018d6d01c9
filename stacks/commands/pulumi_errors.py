"""What pulumi says, as a sentence: value, rule, remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple


class _Known(NamedTuple):
    """`sentence` with the pattern's groups in it, or made from what was found."""

    pattern: str
    sentence: str | Callable[[re.Match[str]], str]

    def said(self, found: re.Match[str], backend: str) -> str:
        if isinstance(self.sentence, str):
            return self.sentence.format(*(group or "" for group in found.groups()), backend=backend)
        return self.sentence(found)


def _docker(found: re.Match[str]) -> str:
    where = next((group for group in found.groups() if group), "")
    return (
        f"Docker cannot be reached{f' at {where}' if where else ''}. Its daemon must run and this user must be allowed to "
        "use it: start it, or name another by docker.host in the stack file."
    )


def _cluster(_found: re.Match[str]) -> str:
    return (
        "The cluster cannot be reached. Its API server must answer: check the network, KUBECONFIG, and kubernetes.context in the "
        "stack file (kubectl cluster-info)."
    )


# The first that is found in what pulumi said. Later ones are rather consequences than causes.
_KNOWN: Final = (
    _Known(
        r"no stack named '([^']+)' found",
        "There is no stack {0} in {backend}. Make it: make init STACK={0}",
    ),
    _Known(
        r"incorrect passphrase",
        "The passphrase is not the one this stack's secrets were encrypted with. It must be: give that one by "
        "PULUMI_CONFIG_PASSPHRASE_FILE, or put it back into .veloz/passphrase.",
    ),
    _Known(
        r"passphrase must be set",
        "There is no passphrase for this stack's secrets. It must be the one they were encrypted with: put it back into "
        ".veloz/passphrase, or name its file by PULUMI_CONFIG_PASSPHRASE_FILE.",
    ),
    _Known(
        r"the stack is currently locked by (\d+) lock",
        "Another command works on this stack, or was killed and left its lock. Wait for it; when none runs any more, take "
        "the lock away: python -m stacks pulumi --stack STACK -- cancel",
    ),
    _Known(
        r"no language plugin '([^']+)'",
        "Pulumi's {0} was not found. It must be on PATH beside pulumi: install Pulumi anew and whole.",
    ),
    _Known(
        r"(?:no resource plugin|could not load plugin for) '?(?:pulumi-resource-)?([a-z0-9-]+)(?:-v([0-9.]+))?",
        "Pulumi's plugin {0} is not there and could not be loaded. It must be on PATH or in ~/.pulumi/plugins: "
        "pulumi plugin install resource {0}",
    ),
    _Known(
        r"(?:failed to load|loading|error installing|downloading) plugin:? '?(?:resource plugin )?"
        r"(?:pulumi-resource-)?([a-z0-9-]+)",
        "Pulumi's plugin {0} is not there and could not be loaded. It must be on PATH or in ~/.pulumi/plugins: "
        "pulumi plugin install resource {0}",
    ),
    _Known(r"Cannot connect to the Docker daemon at ([^\s]+?)\.? ", _docker),
    _Known(r"permission denied while trying to connect to the Docker daemon socket at ([^\s:]+:/?/?[^\s:]+)", _docker),
    _Known(r"[Ee]rror (?:pinging|initializing) Docker (?:server|client)?", _docker),
    _Known(r"dial (?:unix|tcp) ([^\s:]*docker[^\s:]*)", _docker),
    _Known(r"configured Kubernetes cluster is unreachable", _cluster),
    _Known(
        r"context \"([^\"]+)\" does not exist",
        "There is no context {0} in the kubeconfig. kubernetes.context must be one of `kubectl config get-contexts`: correct it.",
    ),
    _Known(
        r"(\w[\w.]*) \"([^\"]+)\" already exists\s+The resource already exists in the cluster",
        "In the cluster there is {0} {1} already, which the state of this stack does not know of. Another stack has this name, "
        "or the state is kept elsewhere (PULUMI_BACKEND_URL). Give this deployment another name, or select that state.",
    ),
    _Known(
        r"[Bb]ind for ([0-9a-f.:\[\]]+):(\d+) failed: port is already allocated|listen tcp[46]? ([0-9a-f.:\[\]]+):(\d+): bind",
        lambda m: (
            f"Port {m[2] or m[4]} on {m[1] or m[3]} is taken. It must be free: end what has it, or choose another by "
            "edge.http_port or edge.https_port."
        ),
    ),
    _Known(
        r"(?:[Uu]nable to (?:find or )?pull image|manifest for|pull access denied for|No such image:?) ([^\s,:]+(?::[^\s,:]+)?)",
        "The image {0} cannot be had. It must be on the host or in a registry that it reaches: load it, or name another "
        "under images.",
    ),
    _Known(
        r"error setting rlimit type 7",
        "The daemon may not give a container as many open files as limits.open_files says: its own limit is lower. Raise "
        "that (LimitNOFILE of docker.service), or lower limits.open_files.",
    ),
    _Known(
        r"[Rr]ange of CPUs is from [\d.]+ to ([\d.]+)",
        "A container would have more CPU than the host, which has {0}. Choose the profile minimum, or less by "
        "sizes.COMPONENT.cpu.",
    ),
    _Known(
        r"[Cc]onflict\. The container name \"/?([^\"]+)\" is already in use",
        "There is a container {0} already, which is not of this stack. Remove it, or give the deployment another name.",
    ),
    _Known(
        r"[Pp]ool overlaps with other one on this address space",
        "The networks of this deployment overlap with others of the host. docker.subnet must be free there: choose another.",
    ),
    _Known(
        r"((?:nginx|haproxy) refuses its new configuration: .*[^.\s])",
        "{0}. Correct what they name: certificate and key, or a value under edge; or return: make rollback STACK=…",
    ),
    _Known(
        r"container failed to be in healthy state",
        "A container did not become healthy. See why: docker logs, for the one that failed above.",
    ),
    _Known(
        r"no space left on device",
        "The disk is full. Make room (docker system df shows what Docker holds), then run the command again.",
    ),
    _Known(
        r"resource \"?([^\"\s]+)\"? cannot be deleted\s+because it is protected",
        "{0} holds data and is protected, so it is not deleted. Put back what was taken out of the description. "
        "The whole deployment goes, with all of its data, by: make destroy STACK=… CONFIRM=…",
    ),
    _Known(
        r"unable to open state directory \"?([^\":\s]+[^\"\s]*)\"?",
        "The state in {0} cannot be opened. The folder must be there and readable: PULUMI_BACKEND_URL names it.",
    ),
    _Known(
        r"(?:PULUMI_ACCESS_TOKEN must be set|not logged in|please run `?pulumi login)",
        "Nobody is logged in to {backend}. Log in: pulumi login",
    ),
)
# Lines that say nothing by themselves.
_NOISE = re.compile(
    r"^\s*$|^\s*(File \"|Traceback|at |raise |return |await |self\.|The above exception|During handling|\^+$|~+)"
    r"|^error: (?:update|preview|destroy) failed$|^\s*error: an unhandled error occurred|^\s*error: Program failed"
)
_MOST_LINES = 12


def explain(said: str, *, backend: str = "the backend") -> str:
    """One sentence when the cause is known; else what pulumi said, without a program's inner workings."""
    if refused := _refused(said):
        return refused
    for known in _KNOWN:
        if found := re.search(known.pattern, said):
            return known.said(found, backend)
    lines = [line.strip() for line in said.splitlines() if not _NOISE.search(line)]
    errors = [line for line in lines if "error" in line.lower() or line.startswith("* ")] or lines
    shown = list(dict.fromkeys(errors))[-_MOST_LINES:]
    return "Pulumi refuses: " + ("\n  ".join(shown) if shown else "it ended without a word; run the command again.")


def _refused(said: str) -> str:
    """What the program itself refused, of its traceback only the words."""
    found = re.search(r"(?:stacks\.refusals\.)?(SpecError|BalancerError): (.*?)(?:\n\s*\n|\Z)", said, re.DOTALL)
    if not found:
        return ""
    lines = [
        line.strip() for line in found[2].splitlines() if line.strip() and not line.startswith(("error:", "Resources:"))
    ]
    return "The description is refused:\n" + "\n".join(f"  {line}" for line in lines)
