"""The Pulumi program: from the stack's description to what runs."""

from importlib import import_module

import pulumi

from stacks.document import load
from stacks.images.build import built
from stacks.refusals import SpecError
from stacks.secrets import Secrets

config = pulumi.Config("veloz")
try:
    spec = load(config.require_object("deployment"))
    secrets = Secrets.from_config(config, spec)
except SpecError as error:
    raise pulumi.RunError(str(error)) from None
import_module(f"stacks.{spec.topology}").deploy(spec, secrets, built(spec, secrets)).export()
