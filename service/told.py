"""What the API tells beside answers to searches."""

from __future__ import annotations

from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.search.answering import Found
from jobs.store.answers import Caption
from jobs.store.manifest import Recall
from jobs.store.root import DataRoot
from jobs.store.versions import complete_versions
from service.problems import Problem


class Copy(TypedDict):
    path: str
    label: str | None


class Known(Caption):
    """A picture of the index."""

    copies: list[Copy]
    """Other files with the same bytes."""
    version: str


class Listed(TypedDict):
    version: str
    current: bool
    created: str
    published_at: str | None
    pictures: int
    model: str
    recall: Recall


class Versions(TypedDict):
    versions: list[Listed]


class Alike(TypedDict):
    pictures: list[Caption]


class NearDuplicates(TypedDict):
    groups: list[Alike]
    """Pictures that are nearly the same, at most a hundred of a group."""
    next: int | None
    """``after`` of the next page; None if this is the last one."""
    version: str


class Answers(TypedDict):
    answers: list[Found | Problem]
    """One for each question, in their order."""


def versions_of(root: DataRoot, current: str) -> list[Listed]:
    """Complete versions of this format, the newest first."""
    rows = []
    for index in complete_versions(root):
        try:
            manifest, published = index.manifest(), index.published()
        except LookalikeError:  # of another format, or removed meanwhile: nothing that can be asked
            continue
        rows.append(
            Listed(
                version=index.version,
                current=index.version == current,
                created=manifest["created"],
                published_at=published and published["at"],
                pictures=manifest["images"],
                model=manifest["model"]["title"],
                recall=manifest["recall"],
            )
        )
    if not rows:
        raise LookalikeError(f"{root.index} holds no version that can be read: put the data root back.")
    return sorted(rows, key=lambda row: row["created"], reverse=True)
