"""The manifest of an index version: what it was made of, how it is searched, what was measured on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, FiniteFloat
from typing_extensions import TypedDict

from jobs.base.ranges import Count, Positive, Share
from jobs.store.embeddings import ModelDescription

FORMAT = 2
"""Of the whole version: its manifest names what else belongs to it."""
PUBLISHED_FORMAT = 1
"""Of ``published.json``."""


class Lsh(TypedDict):
    """Parameters of the saved BucketedRandomProjectionLSHModel."""

    num_hash_tables: Count
    bucket_length: Positive
    seed: Annotated[int, Field(ge=0)]
    reduced_dimension: Count | None
    """Dimensions that the PCA leaves; None if whole vectors are hashed."""


class Recall(TypedDict):
    """Recall@k, measured on the index itself."""

    k: Count
    target: Share
    measured: Share
    lower_bound: FiniteFloat
    queries: Annotated[int, Field(ge=0)]
    p10: NotRequired[Share]
    """Nine queries in ten reach at least this."""
    distribution: NotRequired[list[int]]
    """How many queries found 0, 1 ... k of their true nearest neighbours."""
    disjoint: NotRequired[bool]
    """Whether other pictures asked than those that calibrated the index; False if there were too few."""
    tries: NotRequired[int]
    """Numbers of candidates that were measured until the last one."""
    predicted: NotRequired[float | None]
    """What the calibration promised; None if params override it."""


class FileStamp(TypedDict):
    bytes: int
    crc32: int


class Manifest(TypedDict):
    """``manifest.json``."""

    version: str
    created: str
    """ISO 8601, UTC."""
    images: Annotated[int, Field(ge=2)]
    dimension: Count
    model: ModelDescription
    vectors: str
    calibration: str
    catalog: str
    """The catalog whose pictures it holds."""
    source: dict[str, Any]
    """The source's name and the catalog's counts."""
    lsh: Lsh
    hashes_kept_of: str | None
    """The version whose hashes were reused; None if every picture was hashed."""
    spark: str
    search: Literal["sketch", "exact"]
    """``sketch``, or ``exact`` if there are too few pictures to hash."""
    candidates: Count
    """Pictures that a query re-ranks by exact distance."""
    candidates_fraction: Positive
    """Their share of all pictures, summed over the parts."""
    bytes_read: Positive
    """Bytes that a query reads, as a share of all vectors."""
    clipped: NotRequired[float]
    """Share of the hashes that packing clips."""
    recall: Recall
    files: dict[str, FileStamp]


class Published(TypedDict):
    """``published.json``: when a version was published."""

    run: str | None
    """The run that published the version; None if it was published by hand."""
    at: str
    """ISO 8601, UTC."""
