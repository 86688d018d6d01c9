"""A stack that can be deployed: its file, its place in the backend, its secrets. Running it again changes nothing."""

from __future__ import annotations

import secrets
from typing import Any, Final, NamedTuple, get_args

import yaml

from stacks.commands import atomic, certificates, certificates_file, preflight, pulumi_cli
from stacks.commands.failures import Failure
from stacks.commands.pulumi_cli import Configuration
from stacks.commands.stack import Stack
from stacks.document import CONFIG_KEY, load, parse
from stacks.refusals import SpecError
from stacks.secrets import problems, random_names, remedy
from stacks.spec import EVERY_ADDRESS, Deployment, Topology

TOPOLOGIES: Final[tuple[str, ...]] = get_args(Topology)
_TLS: Final = ("tls_certificate", "tls_key", "tls_ca")
_BYTES: Final = 32  # 256 bits
_LONGEST_NAME: Final = 40


class Initialised(NamedTuple):
    """`made`: names of the secrets that are new; `missing`: those that only a person can give."""

    file: str
    made: tuple[str, ...]
    missing: tuple[str, ...]


def initialise(stack: Stack, *, topology: str = "", hostname: str = "", renew: bool = False) -> Initialised:
    """Raises Failure; an existing file is never written over."""
    path = stack.project.stack_file(stack.name)
    if path.exists():
        _agrees(stack, topology, hostname)
    else:
        _write_file(stack, topology or _topology(stack), hostname)
    spec = stack.project.deployment(stack.name)
    _register(stack)
    configuration = stack.pulumi.configuration(stack.name)
    new = _missing(spec, configuration, renew=renew)
    if new:
        with stack.output.step("encrypting secrets") as progress:
            for number, (name, value) in enumerate(new.items(), 1):
                progress(f"{number} of {len(new)}")
                stack.pulumi.set_secret(stack.name, name, value)
        configuration = stack.pulumi.configuration(stack.name)
    certificates_file.write(stack, configuration)
    wrong = problems(configuration.secrets, spec)
    return Initialised(str(path), tuple(new), tuple(one.path.rsplit(".", 1)[-1] for one in wrong))


def advice(stack: Stack, missing: tuple[str, ...]) -> list[str]:
    """How each missing secret is given."""
    spec = stack.project.deployment(stack.name)
    return [f"{name}: {preflight.through_us(remedy(name, spec), stack.name)}" for name in missing]


def _topology(stack: Stack) -> str:
    short = stack.name.rsplit("/", 1)[-1]
    if short in TOPOLOGIES:
        return short
    raise Failure(
        f"Stack {stack.name} has no file yet, and its name does not say which topology it has. Say it: "
        f"make init STACK={stack.name} TOPOLOGY={'|'.join(TOPOLOGIES)}"
    )


def _write_file(stack: Stack, topology: str, hostname: str) -> None:
    if topology not in TOPOLOGIES:
        raise Failure(f"TOPOLOGY={topology} is none of {', '.join(TOPOLOGIES)}. Choose one.")
    short = stack.name.rsplit("/", 1)[-1]
    document: dict[str, Any] = {"topology": topology}
    if short != topology:
        # Two deployments on one host must not have one name.
        document["name"] = short.lower().replace("_", "-").replace(".", "-").strip("-")[:_LONGEST_NAME].strip("-")
    if hostname:
        document["edge"] = {"hostname": hostname}
    path = stack.project.stack_file(stack.name)
    try:
        load(document)
    except SpecError as error:
        raise Failure(
            f"{path} would be refused:\n" + "\n".join(f"  {line}" for line in str(error).splitlines())
        ) from error
    head = (
        f"# All that can be said here: stacks/spec.py. `make init STACK={stack.name}` adds secrets that are missing.\n"
    )
    atomic.write(path, head + yaml.safe_dump({"config": {CONFIG_KEY: document}}, sort_keys=False))
    stack.output.say(f"{path} is new: topology {topology}. Everything not said in it is stacks/spec.py's default.")


def _agrees(stack: Stack, topology: str, hostname: str) -> None:
    """What is asked for is what the file says already."""
    path = stack.project.stack_file(stack.name)
    try:
        said = parse(stack.project.text(stack.name))
    except SpecError as error:
        raise Failure(f"{path} is there already, and refused: {error}") from error
    edge = said.get("edge")
    there = {"TOPOLOGY": said.get("topology"), "HOSTNAME": edge.get("hostname") if isinstance(edge, dict) else None}
    for name, asked in (("TOPOLOGY", topology), ("HOSTNAME", hostname)):
        if asked and asked != there[name]:
            raise Failure(
                f"{path} is there already and says {there[name] or 'nothing'} where {name}={asked} was asked for. It is not "
                "written over: change it there, or name another stack."
            )


def _register(stack: Stack) -> None:
    """The stack in its backend, and the passphrase its secrets are encrypted with."""
    project, output = stack.project, stack.output
    if pulumi_cli.needs_passphrase(project, stack.pulumi.environ):
        if "encryptionsalt:" in project.text(stack.name):
            raise Failure(
                f"The secrets in {project.stack_file(stack.name)} are encrypted with a passphrase that is not here. Put it into "
                f"{project.passphrase} (mode 0600), or name its file by PULUMI_CONFIG_PASSPHRASE_FILE."
            )
        pulumi_cli.make_passphrase(project, output)
        stack.pulumi.environ["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(project.passphrase)
    with output.step(f"stack {stack.name} in {stack.pulumi.backend}") as progress:
        known = {name.rsplit("/", 1)[-1] for name in stack.pulumi.stacks()}
        if stack.name.rsplit("/", 1)[-1] in known:
            progress("there already")
        else:
            stack.pulumi.run(["stack", "init", stack.name, "--no-select"])
            progress("new")


def _missing(spec: Deployment, configuration: Configuration, *, renew: bool) -> dict[str, str]:
    """Those that can be made, and are not there."""
    there = configuration.secrets
    new = {name: secrets.token_hex(_BYTES) for name in random_names(spec) if not there.get(name)}
    if spec.edge.tls.source != "generated":
        if renew:
            raise Failure(
                f"RENEW: edge.tls.source is {spec.edge.tls.source}, so the certificate is not made here. Set it anew."
            )
        return new
    lacking = [name for name in _TLS if not there.get(name)]
    if lacking and len(lacking) < len(_TLS) and not renew:
        raise Failure(
            f"Of the generated certificate {', '.join(lacking)} is missing, and the rest is there. They belong together: "
            "make them anew with RENEW=1."
        )
    if lacking or renew:
        made = certificates.generate(spec.name, _hosts(spec))
        new |= {"tls_certificate": made.certificate, "tls_key": made.key, "tls_ca": made.authority}
    return new


def _hosts(spec: Deployment) -> list[str]:
    """What clients call it: its name, and the address that is published when it is one."""
    hosts = [spec.edge.hostname]
    if spec.topology != "kubernetes" and spec.edge.address not in EVERY_ADDRESS:
        hosts.append(spec.edge.address)
    return hosts
