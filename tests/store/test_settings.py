"""The params of the run that published last: later runs repeat them, so nothing wrong may come in by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.base.errors import LookalikeError
from jobs.base.options import INDEX_OPTIONS
from jobs.store.root import DataRoot
from jobs.store.settings import Settings, published_settings, write_settings

DEFAULTS = {option.name: option.default for option in INDEX_OPTIONS}


def test_settings_that_were_written_are_read(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    assert published_settings(root) is None
    for settings in (Settings(params=DEFAULTS), Settings(params=DEFAULTS, splits={"all": 3})):
        write_settings(root, settings)
        assert published_settings(root) == settings


def test_an_earlier_release_counted_the_recall_among_as_many_as_were_asked_for(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    params = {name: value for name, value in DEFAULTS.items() if name != "recall_at"}
    write_settings(root, {"params": {**params, "k": 7}})
    settings = published_settings(root)
    assert settings and settings["params"] == {**DEFAULTS, "k": 7, "recall_at": 7}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", "5"),
        ("k", 0),
        ("recall", True),
        ("weights", 7),
        ("with_test", "no"),
        ("source", "web"),
        ("seed", -1),
    ],
)
def test_settings_with_a_wrong_value_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    root = DataRoot(tmp_path)
    write_settings(root, {"params": DEFAULTS})
    file = root.index / "settings.json"
    held = json.loads(file.read_text())
    held["params"][name] = value
    file.write_text(json.dumps(held))
    with pytest.raises(LookalikeError, match=rf"settings.json is corrupt: {name} is "):
        published_settings(root)
