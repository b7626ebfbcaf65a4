"""What is embedded at a time, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARD = 512
"""Pictures a shard: what a killed run loses at most."""


@dataclass(frozen=True)
class Picture:
    """A content hash and the files that held these bytes when the catalog looked."""

    id: str
    paths: tuple[str, ...]


Shard = Sequence[Picture]


@dataclass
class Outcome:
    """What became of one shard, which lies in the store if it says so."""

    embedded: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    """Id -> reason of pictures that can't be decoded, for good."""
    lost: dict[str, str] = field(default_factory=dict)
    """Path -> reason of files that no longer hold their picture."""


def cut(pictures: Sequence[Picture], size: int = SHARD) -> list[Shard]:
    """Cut ``pictures`` into shards of ``size``, the last one of what is left."""
    return [pictures[start : start + size] for start in range(0, len(pictures), size)]
