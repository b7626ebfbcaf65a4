"""Which source a run may publish over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.base.errors import LookalikeError
from jobs.base.options import INDEX_OPTIONS
from jobs.sources import replaces_another
from jobs.store.root import DataRoot
from jobs.store.settings import write_settings

DEFAULTS = {option.name: option.default for option in INDEX_OPTIONS}
MINE = {"source": "folder", "folder": "/pictures"}


@pytest.mark.parametrize(
    ("published", "run", "replaces"),
    [
        (None, MINE, False),
        (MINE, MINE, False),
        (MINE, {"source": "folder", "folder": "/pictures/"}, False),
        (MINE, {**MINE, "weights": "random", "limit": 3}, False),
        ({"source": "sample"}, MINE, True),
        ({"source": "inbox"}, MINE, True),
        (MINE, {"source": "sample"}, None),
        (MINE, {"source": "inbox"}, None),
        (MINE, {"source": "folder", "folder": "/others"}, None),
        ({"source": "stanford_cars"}, {"source": "sample"}, None),
    ],
)
def test_an_index_of_other_pictures_is_replaced_only_if_that_is_said(
    tmp_path: Path, published: dict[str, Any] | None, run: dict[str, Any], replaces: bool | None
) -> None:
    root = DataRoot(tmp_path)
    if published:
        write_settings(root, {"params": DEFAULTS | published})
    if replaces is None:
        with pytest.raises(
            LookalikeError, match=r"published index is of .* and this run is of .*: set replace"
        ):
            replaces_another(root, DEFAULTS | run)
    said = {"replace": True} if replaces is None else {}
    assert replaces_another(root, DEFAULTS | run | said) is (replaces is not False)
