"""Notice what lands in the inbox, changes there or leaves it, and say so once the copying is over."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from jobs.base.errors import LookalikeError
from jobs.intake.folder import LABELS_FILE
from jobs.intake.listing import scan

EVERY_S = 5.0
"""Seconds between two looks; pictures have landed when two looks in a row see the same."""
REST = 19
"""A look that takes long is followed by so many times as long without one: 5 % of a core at most."""
LONGEST_BACK_OFF_S = 300.0
SEEN = "seen"
"""What the inbox looked like when it was last told of: kept with the asset, so it outlives a restart."""


def snapshot(folder: Path) -> tuple[str, int]:
    """A digest of all names, sizes and times of pictures and of the labels, and how many pictures there are.

    No file is opened, and a folder that is not there is an empty one. Raises LookalikeError if a
    folder in it can't be looked into.
    """
    found = scan(folder)[0] if folder.is_dir() else []
    digest = hashlib.sha256()
    for file in found:
        digest.update(f"{file.relative}\0{file.size_bytes}\0{file.mtime_ns}\0{file.reason}\n".encode())
    try:
        labels = (folder / LABELS_FILE).stat()
        digest.update(f"{labels.st_size}\0{labels.st_mtime_ns}".encode())
    except FileNotFoundError:
        pass
    return digest.hexdigest(), len(found)


class InboxTrigger(BaseEventTrigger):
    """Fires when what lies in ``folder`` differs from what it was at the last firing, and has settled."""

    def __init__(self, folder: str, every_s: float = EVERY_S) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder, self.every_s = folder, every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "plugins.inbox.InboxTrigger", {"folder": self.folder, "every_s": self.every_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look for ever. Whatever goes wrong is said and tried again, ever more slowly.

        An event is told first and noted as told at the next look, when Airflow has long stored it: a
        triggerer that is killed in between tells it twice rather than never.
        """
        store = self.asset_state_store
        assert store is not None  # Airflow gives it to what watches an asset
        empty = hashlib.sha256().hexdigest()
        noted = told = before = None
        wait_s = self.every_s
        while True:
            try:
                if noted is None:
                    noted = told = await store.aget(SEEN, empty)
                elif noted != told:
                    await store.aset(SEEN, told)
                    noted = told
                started = time.monotonic()
                now, pictures = await asyncio.to_thread(snapshot, Path(self.folder))
                wait_s = max(self.every_s, REST * (time.monotonic() - started))
            except (LookalikeError, OSError, AirflowRuntimeError) as error:
                wait_s = min(2 * wait_s, LONGEST_BACK_OFF_S)
                self.log.warning("The inbox can't be watched, next try in %.0f s: %s", wait_s, error)
            else:
                if now == before != told:
                    self.log.info("The inbox has changed: %s pictures", f"{pictures:,}")
                    yield TriggerEvent({"pictures": pictures})  # type: ignore[no-untyped-call]
                    told = now
                before = now
            await asyncio.sleep(wait_s)
