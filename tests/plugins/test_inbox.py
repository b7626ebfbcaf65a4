"""The trigger that watches the inbox: once for what has settled, never in a loop, also after a restart.

No time passes here between two scans: scans are counted.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from plugins import inbox
from plugins.inbox import EVERY_S, LONGEST_BACK_OFF_S, REST, InboxTrigger, snapshot
from tests.support.pictures import write_picture, write_pictures

SCANS = 20


class EnoughError(Exception):
    """There were so many scans that every event would have been fired."""


class Clock:
    """What the trigger sleeps by: each sleep is noted and over at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.left = SCANS

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.left -= 1
        if not self.left:
            raise EnoughError

    async def fires(self, events: AsyncIterator[Any]) -> Any:
        """The next event's payload; None if there is none in ``SCANS`` scans, which end the trigger."""
        self.left = SCANS
        try:
            return (await anext(events)).payload
        except EnoughError:
            return None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("plugins.inbox.asyncio.sleep", clock.sleep)
    return clock


class Store:
    """What Airflow keeps with an asset; the real one is behind the scheduler's API."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.failing = False

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    async def aset(self, key: str, value: Any) -> None:
        if self.failing:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
        self.kept[key] = value


def watch(folder: Path, store: Store) -> InboxTrigger:
    classpath, arguments = InboxTrigger(str(folder)).serialize()
    module, _, name = classpath.rpartition(".")
    trigger: InboxTrigger = getattr(importlib.import_module(module), name)(**arguments)
    trigger.asset_state_store = store  # type: ignore[assignment]
    return trigger


def test_new_pictures_fire_one_event_and_none_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    async def story() -> None:
        store = Store()
        events = watch(tmp_path, store).run()
        write_pictures(tmp_path, 3)
        assert await clock.fires(events) == {"pictures": 3}
        assert await clock.fires(events) is None
        assert await clock.fires(watch(tmp_path, store).run()) is None

    asyncio.run(story())


def write_unnoticed(path: Path) -> None:
    """Other bytes, with the size and the time of those before."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swap(one: Path, other: Path) -> None:
    aside = one.with_name(".aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("change", ["new", "changed", "rewritten", "swapped", "removed", "labels", "link"])
def test_every_kind_of_change_in_the_inbox_fires_an_event(tmp_path: Path, clock: Clock, change: str) -> None:
    async def story() -> None:
        store, (first, second) = Store(), write_pictures(tmp_path, 2)
        assert await clock.fires(watch(tmp_path, store).run()) == {"pictures": 2}
        # The first event was not noted yet, so it comes twice rather than never.
        events = watch(tmp_path, store).run()
        assert await clock.fires(events) == {"pictures": 2}
        assert await clock.fires(events) is None
        changes: dict[str, Callable[[], object]] = {
            "new": lambda: write_picture(tmp_path / "deep" / "new.png", 9),
            "changed": lambda: os.utime(write_picture(first, 8), ns=(1, 1)),
            "rewritten": lambda: write_unnoticed(first),
            "swapped": lambda: swap(first, second),
            "removed": first.unlink,
            "labels": lambda: (tmp_path / "labels.csv").write_text("image,label\n000.jpg,car\n"),
            "link": lambda: (tmp_path / "labels.csv").symlink_to("/no/such/file"),
        }
        changes[change]()
        assert await clock.fires(watch(tmp_path, store).run()) is not None

    asyncio.run(story())


def test_a_copy_under_way_is_waited_for(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = iter(range(1, 10_000))

    def growing(folder: Path) -> tuple[str, int]:
        (folder / "big.jpg").write_bytes(b"x" * next(sizes))
        return snapshot(folder)

    async def story() -> None:
        events = watch(tmp_path, Store()).run()
        monkeypatch.setattr(inbox, "snapshot", growing)
        assert await clock.fires(events) is None

    asyncio.run(story())


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_inbox_fires_no_event(tmp_path: Path, clock: Clock, there: bool) -> None:
    folder = tmp_path / "inbox"
    if there:
        folder.mkdir()
        (folder / "notes.txt").write_text("no picture")
    assert asyncio.run(clock.fires(watch(folder, Store()).run())) is None


def test_a_failing_asset_store_does_not_make_the_trigger_spin(tmp_path: Path, clock: Clock) -> None:
    async def story() -> None:
        store = Store()
        store.failing = True
        write_pictures(tmp_path, 1)
        events = watch(tmp_path, store).run()
        assert await clock.fires(events) == {"pictures": 1}
        assert await clock.fires(events) is None

    asyncio.run(story())


def test_scans_keep_their_pace_and_rest_after_long_ones(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The even scans take no time, the odd ones seven seconds."""
    times = (second for number in range(SCANS) for second in (100 * number, 100 * number + number % 2 * 7))
    monkeypatch.setattr("plugins.inbox.time", SimpleNamespace(monotonic=lambda: next(times)))
    assert asyncio.run(clock.fires(watch(tmp_path, Store()).run())) is None
    assert clock.slept == [EVERY_S, 7 * REST] * (SCANS // 2)


def test_a_folder_that_can_not_be_listed_is_retried_more_and_more_slowly(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[Path] = []

    def broken(folder: Path) -> tuple[str, int]:
        scans.append(folder)
        raise OSError("stale handle")

    monkeypatch.setattr(inbox, "snapshot", broken)
    assert asyncio.run(clock.fires(watch(tmp_path, Store()).run())) is None
    assert len(scans) == SCANS
    doubled = [EVERY_S * 2**number for number in range(1, SCANS + 1)]
    assert clock.slept == [min(seconds, LONGEST_BACK_OFF_S) for seconds in doubled]
