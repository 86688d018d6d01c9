"""The rules of stacks/policy.py as a Pulumi policy pack: pulumi up --policy-pack stacks/policy_pack."""

from __future__ import annotations

import sys
from pathlib import Path

# Pulumi starts this folder, not the package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pulumi_policy import EnforcementLevel, PolicyPack

from stacks.policy_pack.policies import policies

if __name__ == "__main__":
    PolicyPack("veloz", policies(), EnforcementLevel.MANDATORY)
