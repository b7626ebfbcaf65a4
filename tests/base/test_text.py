"""Text from outside: paths that people name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.base.text import path_of, spellings


def test_a_path_is_absolute_and_knows_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert path_of("~/cars") == path_of("cars") == tmp_path / "cars"


@pytest.mark.parametrize("text", ["~photo.jpg", "~nosuch/cars", "~"])
def test_a_name_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert path_of(text) == (tmp_path if text == "~" else tmp_path / text)


def test_the_two_forms_of_accents_are_spellings_of_one_name() -> None:
    composed, decomposed = "Caf\u00e9.jpg", "Cafe\u0301.jpg"
    assert spellings(composed) == [composed, decomposed]
    assert spellings(decomposed) == [decomposed, composed]
    assert spellings("cafe.jpg") == ["cafe.jpg"]


@pytest.mark.parametrize("text", ["caf\udce9.jpg", "a\0b.jpg", "\0"])
def test_what_is_no_path_is_one_sentence(text: str) -> None:
    with pytest.raises(LookalikeError, match="is not a path that can be used: give another one") as caught:
        path_of(text)
    str(caught.value).encode()
