"""A testinfra suite: every value of a plan, read from its host by other tools than those that set it.

`hosts.suite` runs it in a process of its own: testinfra is a plugin of pytest's.
"""
