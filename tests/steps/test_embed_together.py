"""Two embed steps at once, by the same model: one waits, and no picture is embedded twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from jobs.base.locks import one_at_a_time
from jobs.base.logs import Progress
from jobs.embedding.model import Model
from jobs.embedding.shards import Outcome, Picture
from jobs.store.root import DataRoot
from tests.support.pictures import write_picture, write_pictures
from tests.support.place import Place, embed_inside


def test_a_second_step_waits_and_embeds_only_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    place = Place(tmp_path)
    write_pictures(place.pictures, 12)
    smaller = place.take_in()
    write_picture(place.pictures / "new.jpg", 99)
    larger = place.take_in()
    began, may_go_on = Event(), Event()

    def slow(
        pictures: Sequence[Picture], root: DataRoot, model: Model, progress: Progress
    ) -> Iterator[Outcome]:
        began.set()
        assert may_go_on.wait(60)
        yield from embed_inside(pictures, root, model, progress)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(place.embed, catalog=smaller, engine=slow)
        assert began.wait(60)
        second = threads.submit(place.embed, catalog=larger)
        while not (waits := "another process works in" in caplog.text) and not second.done():
            pass
        may_go_on.set()
        results = [each.result(60) for each in (first, second)]
    assert waits
    assert [(each["embedded"], each["kept"]) for each in results] == [(12, 0), (1, 12)]
    ids, _ = place.store.read()
    assert ids == sorted(place.ids())
    assert len(place.store.csv.read_text().splitlines()) == 1 + 13


def test_a_turn_ends_with_its_block_and_folders_are_apart(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path / "a"), one_at_a_time(tmp_path / "b"):
        pass
    with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path / "a"):
        raise ZeroDivisionError
    with one_at_a_time(tmp_path / "a"):
        pass
