"""Where a project keeps what: stack files, releases, the local state, the passphrase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from stacks.commands.failures import Failure
from stacks.document import parse, read_stack, secret_names
from stacks.refusals import SpecError
from stacks.spec import Deployment

ROOT: Final = Path(__file__).resolve().parents[2]
# As Pulumi has it, with organization and project before it in backends that know those.
_STACK = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/){0,2}[a-z0-9][A-Za-z0-9._-]{0,99}")


class Project(NamedTuple):
    """`config` is the folder of the stack files; `backend` what Pulumi.yaml says, if anything."""

    root: Path
    name: str
    config: Path
    backend: str

    @property
    def state(self) -> Path:
        """What belongs to this working copy alone, and into no repository."""
        return self.root / ".veloz"

    @property
    def passphrase(self) -> Path:
        return self.state / "passphrase"

    def stack_file(self, stack: str) -> Path:
        return self.config / f"Pulumi.{_last(stack)}.yaml"

    def releases(self, stack: str) -> Path:
        return self.config / f"Pulumi.{_last(stack)}.releases.jsonl"

    def authority(self, stack: str) -> Path:
        """The certificate that clients check the edge's with."""
        return self.state / f"{_last(stack)}-ca.crt"

    def text(self, stack: str) -> str:
        """The stack file. Raises Failure."""
        path = self.stack_file(stack)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Failure(f"There is no stack file {path}. Make it: make init STACK={stack} TOPOLOGY=…") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{path} cannot be read: {error}.") from error

    def document(self, stack: str) -> Mapping[str, Any]:
        """What the stack file says under `veloz:deployment`. Raises Failure."""
        try:
            return parse(self.text(stack))
        except SpecError as error:
            raise refusal(self.stack_file(stack), error) from error

    def secret_names(self, stack: str) -> tuple[str, ...]:
        """Of the secrets that the stack file has; nothing is decrypted. Raises Failure."""
        try:
            return secret_names(self.text(stack))
        except SpecError as error:
            raise refusal(self.stack_file(stack), error) from error

    def deployment(self, stack: str) -> Deployment:
        """Raises Failure with everything that is wrong with the stack file."""
        self.text(stack)
        try:
            return read_stack(self.stack_file(stack))
        except SpecError as error:
            raise refusal(self.stack_file(stack), error) from error


def refusal(path: Path, error: SpecError) -> Failure:
    return Failure(f"{path} is refused:\n" + "\n".join(f"  {line}" for line in str(error).splitlines()))


def read(root: Path = ROOT) -> Project:
    """The project of a folder. Raises Failure."""
    path = root / "Pulumi.yaml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Failure(f"There is no {path}. Name the project's folder: --project DIR.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"{path} cannot be read: {error}.") from error
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        raise Failure(f"{path} has no name. Write one: name: veloz")
    backend = document.get("backend")
    url = backend.get("url") if isinstance(backend, Mapping) else backend
    return Project(
        root.resolve(), document["name"], root.resolve() / str(document.get("stackConfigDir") or "."), str(url or "")
    )


def check_name(stack: str) -> str:
    """Raises Failure for what is no stack's name."""
    if not stack:
        raise Failure("No stack is named. Name one, e.g. STACK=compose.")
    if not _STACK.fullmatch(stack):
        raise Failure(
            f"STACK={stack!r} is no stack's name: letters, digits, dot, underscore, hyphen, at most 100, beginning with a small "
            "letter or a digit. Choose another, e.g. STACK=compose."
        )
    return stack


def _last(stack: str) -> str:
    return stack.rsplit("/", 1)[-1]
