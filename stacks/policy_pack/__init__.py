"""The rules of stacks/policy.py for Pulumi's policy engine."""
