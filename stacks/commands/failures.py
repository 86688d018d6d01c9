"""How a command ends in vain: sentences for the person at the terminal, never a traceback."""

from __future__ import annotations


class Failure(Exception):
    """What is wrong, by value, rule and remedy."""


class Interrupted(Exception):
    """The person stopped it; the message says what was going on."""
