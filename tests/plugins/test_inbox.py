"""The trigger that watches the inbox: once for what has settled, never in a loop, also after a restart."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from plugins import inbox
from plugins.inbox import InboxTrigger, snapshot
from tests.support.pictures import write_picture, write_pictures

QUICK_S = 0.02


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
    classpath, arguments = InboxTrigger(str(folder), QUICK_S).serialize()
    module, _, name = classpath.rpartition(".")
    trigger: InboxTrigger = getattr(importlib.import_module(module), name)(**arguments)
    trigger.asset_state_store = store  # type: ignore[assignment]
    return trigger


async def fires(events: AsyncIterator[Any], within_s: float = 1.0) -> Any:
    """The next event's payload; None if there is none in a time in which many looks are taken."""
    with suppress(TimeoutError):
        return (await asyncio.wait_for(anext(events), within_s)).payload
    return None


def test_new_pictures_fire_one_event_and_none_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        store = Store()
        events = watch(tmp_path, store).run()
        write_pictures(tmp_path, 3)
        assert await fires(events, 20) == {"pictures": 3}
        assert await fires(events) is None
        assert await fires(watch(tmp_path, store).run()) is None

    asyncio.run(story())


@pytest.mark.parametrize("change", ["new", "changed", "removed", "labels"])
def test_every_kind_of_change_in_the_inbox_fires_an_event(tmp_path: Path, change: str) -> None:
    async def story() -> None:
        store, (first, *_) = Store(), write_pictures(tmp_path, 2)
        assert await fires(watch(tmp_path, store).run(), 20) == {"pictures": 2}
        # The first event was not noted yet, so it comes twice rather than never.
        events = watch(tmp_path, store).run()
        assert await fires(events, 20) == {"pictures": 2}
        assert await fires(events) is None
        changes: dict[str, Callable[[], object]] = {
            "new": lambda: write_picture(tmp_path / "deep" / "new.png", 9),
            "changed": lambda: os.utime(write_picture(first, 8), ns=(1, 1)),
            "removed": first.unlink,
            "labels": lambda: (tmp_path / "labels.csv").write_text("image,label\n000.jpg,car\n"),
        }
        changes[change]()
        assert await fires(watch(tmp_path, store).run(), 20) is not None

    asyncio.run(story())


def test_a_copy_under_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter(range(1, 10_000))

    def growing(folder: Path) -> tuple[str, int]:
        (folder / "big.jpg").write_bytes(b"x" * next(sizes))
        return snapshot(folder)

    async def story() -> None:
        events = watch(tmp_path, Store()).run()
        monkeypatch.setattr(inbox, "snapshot", growing)
        assert await fires(events) is None

    asyncio.run(story())


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_inbox_fires_no_event(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "inbox"
    if there:
        folder.mkdir()
        (folder / "notes.txt").write_text("no picture")
    assert asyncio.run(fires(watch(folder, Store()).run())) is None


def test_a_failing_asset_store_does_not_make_the_trigger_spin(tmp_path: Path) -> None:
    async def story() -> None:
        store = Store()
        store.failing = True
        write_pictures(tmp_path, 1)
        events = watch(tmp_path, store).run()
        assert await fires(events, 20) == {"pictures": 1}
        assert await fires(events) is None

    asyncio.run(story())


def test_a_folder_that_can_not_be_listed_is_retried_more_and_more_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def broken(folder: Path) -> tuple[str, int]:
        looks.append(folder)
        raise OSError("stale handle")

    async def story() -> None:
        monkeypatch.setattr(inbox, "snapshot", broken)
        assert await fires(watch(tmp_path, Store()).run(), 3) is None

    asyncio.run(story())
    # At the usual pace there would be 150.
    assert 2 <= len(looks) <= 10
