"""Shards: the pictures that are embedded and stored at a time, and the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SHARD = 512
"""Pictures per shard: the most that a killed run loses."""


@dataclass(frozen=True)
class Picture:
    """A content hash and the files that had this content when the catalog was made."""

    id: str
    paths: tuple[str, ...]
    embedded: bool = False
    """Whether the store has its embedding: then only its resized copy is made again."""


Shard = Sequence[Picture]


@dataclass
class Outcome:
    """What became of the pictures of one shard."""

    embedded: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    """Id -> reason of pictures that can't be decoded; the store records them."""
    lost: dict[str, str] = field(default_factory=dict)
    """Path -> reason of files that no longer hold their picture; the next run looks again."""


def cut(pictures: Sequence[Picture], size: int = SHARD) -> list[Shard]:
    """Cut ``pictures`` into shards of ``size``, the last with the rest."""
    return [pictures[start : start + size] for start in range(0, len(pictures), size)]
