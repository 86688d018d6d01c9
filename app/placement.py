"""Which gateway is to own which shard. Pure.

Rendezvous hashing: of the gateways that live, a shard is for the one whose name gives the greatest hash with it. Who joins takes
a share of every other's shards, who leaves gives its own to all others, and nothing else moves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from app.fencing import SHARDS

# Shards handed over at a time: an account waits for its own batch, not for all that move.
HANDOVER = 32


class Peer(msgspec.Struct, frozen=True):
    """A live gateway: where it answers, and whether it is leaving. `lease` is in seconds."""

    owner: str
    url: str = ""
    draining: bool = False
    lease: float = 0.0


class Holding(msgspec.Struct, frozen=True):
    """A shard as the database has it; `owner` None: nobody's."""

    owner: str | None
    epoch: int


class Picture(msgspec.Struct, frozen=True):
    """Everything of one moment: the live gateways by name, and the shards."""

    peers: Mapping[str, Peer]
    shards: Mapping[int, Holding]

    def owner(self, shard: int) -> Peer | None:
        """The live gateway that has the shard; None when nobody has, or one that is dead."""
        holding = self.shards.get(shard)
        return None if holding is None or holding.owner is None else self.peers.get(holding.owner)


class Plan(msgspec.Struct, frozen=True):
    """What one gateway is to do now: shards to claim, shards to hand over."""

    claim: frozenset[int]
    release: frozenset[int]


def target(shard: int, owners: Iterable[str]) -> str | None:
    """The gateway that is to have the shard; None when there is none."""
    return max(owners, key=lambda owner: hashlib.sha256(f"{shard}/{owner}".encode()).digest(), default=None)


def targets(owners: Iterable[str]) -> Mapping[int, str | None]:
    """Every shard's target."""
    return _targets(frozenset(owners))


@lru_cache(maxsize=16)
def _targets(owners: frozenset[str]) -> dict[int, str | None]:
    names = sorted(owners)
    return {shard: target(shard, names) for shard in range(SHARDS)}


def plan(picture: Picture, me: str, held: frozenset[int]) -> Plan:
    """What `me`, in whose engine the shards `held` are, is to do.

    Claimed is what is mine to have and nobody living has, my own of an earlier engine included. Handed over is what another
    is to have; when nobody is (all are leaving) everything stays where it is.
    """
    staying = [peer.owner for peer in picture.peers.values() if not peer.draining]
    goal = targets(staying)
    claim, release = set(), set()
    for shard, holding in picture.shards.items():
        mine = holding.owner == me
        if goal[shard] == me and shard not in held and (mine or picture.owner(shard) is None):
            claim.add(shard)
        elif mine and goal[shard] not in (me, None):
            release.add(shard)
    return Plan(frozenset(claim), frozenset(sorted(release)[:HANDOVER]))
