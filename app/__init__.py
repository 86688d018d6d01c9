"""The VeloZ gateway: REST, event streams, keys and sessions, the durable order log, and the engine it feeds."""

__version__ = "0.1.0"
