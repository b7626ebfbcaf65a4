"""Where pictures and labels come from.

Every kind of source returns a ``Source``: a plain description of folders and label
files, small enough to be passed from task to task as JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

INBOX = "inbox"
"""The source that is only the inbox, and the split of every source that holds it."""


@dataclass(frozen=True)
class Split:
    """Pictures and the label CSV that names them. File names are unique within a split only."""

    name: str
    pictures: Annotated[str, Field(min_length=1)]
    """Folder, absolute; every picture file in its tree belongs to the split."""
    labels: str | None = None
    """Label CSV, absolute; None if there is none."""
    label_rule: Annotated[str, Field(pattern="^(auto|csv|class_folders|none)$")] = "csv"
    """``csv``: the label CSV; ``class_folders``: the picture's class folder; ``auto``: the label CSV where it
    names the picture, else the class folder; ``none``: unlabelled."""


@dataclass(frozen=True)
class Source:
    """One source of pictures, present on this machine."""

    name: str
    splits: Annotated[tuple[Split, ...], Field(min_length=1)]
    class_names: str | None = None
    """The dev kit's ``cars_meta.mat``, absolute; None if labels name classes themselves."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Source:
        """The source that ``to_dict`` described. Raises ValueError if ``value`` describes none."""
        return TypeAdapter(cls).validate_python(value)
