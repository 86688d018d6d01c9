"""The authority's certificate, where a person and a client find it."""

from __future__ import annotations

from stacks.commands import atomic
from stacks.commands.pulumi_cli import Configuration
from stacks.commands.stack import Stack


def write(stack: Stack, configuration: Configuration) -> str:
    """Its path; empty when the stack has no authority of its own. Nothing is written when it is there already."""
    if not (authority := configuration.secrets.get("tls_ca")):
        return ""
    path = stack.project.authority(stack.name)
    if not path.exists() or path.read_text(encoding="utf-8") != authority:
        atomic.write(path, authority)
        stack.output.say(f"The certificate that clients check the edge's with is in {path}.")
    return str(path)
