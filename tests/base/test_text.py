"""Text from outside: paths that people name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.base.text import path_of


def test_a_path_is_absolute_and_knows_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert path_of("~/cars") == path_of("cars") == tmp_path / "cars"


@pytest.mark.parametrize("text", ["~nosuch/cars", "caf\udce9.jpg"])
def test_what_is_no_path_is_one_sentence(text: str) -> None:
    with pytest.raises(LookalikeError, match="is not a path that can be used: give another one") as caught:
        path_of(text)
    str(caught.value).encode()
