"""Watch the inbox: fire an event once files were added, changed or removed and the copying is over."""

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
from jobs.intake.folder import label_file
from jobs.intake.listing import scan, stamp_of
from jobs.store.root import DataRoot

EVERY_S = 5.0
"""Seconds between two scans; copying is over when two scans in a row see the same."""
REST = 19
"""After a scan, wait at least this many times as long as it took: 5 % of a core at most."""
LONGEST_BACK_OFF_S = 300.0
SEEN = "seen"
"""The state of the inbox at the last event: stored with the asset, so that it survives a restart."""


def snapshot(folder: Path) -> tuple[str, int]:
    """A digest of all names and stamps of pictures and of the labels, and how many pictures there are.

    No file is opened, and a missing folder counts as empty. Raises LookalikeError if the folder can't be
    listed; one in it that can't is part of the digest.
    """
    pictures = scan(folder, DataRoot.from_env().apart).pictures if folder.is_dir() else []
    digest = hashlib.sha256()
    for file in pictures:
        digest.update(f"{file.relative}\0{file.stamp}\0{file.reason}\n".encode())
    if folder.is_dir() and (labels := label_file(folder)):
        # A link to what is missing is a change like any other; the run says what is wrong with it.
        digest.update(stamp_of(labels.stat() if labels.exists() else labels.lstat()).encode())
    return digest.hexdigest(), len(pictures)


class InboxTrigger(BaseEventTrigger):
    """Fires when the content of ``folder`` differs from that at the last event, and no longer changes."""

    def __init__(self, folder: str, every_s: float = EVERY_S) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder, self.every_s = folder, every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "plugins.inbox.InboxTrigger", {"folder": self.folder, "every_s": self.every_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Scan without end. Errors are logged and retried, more and more slowly.

        An event is fired first and stored as fired at the next scan, when Airflow has long recorded it:
        a triggerer that is killed in between fires it twice rather than never.
        """
        store = self.asset_state_store
        assert store is not None  # Airflow sets it for the watchers of an asset
        empty = hashlib.sha256().hexdigest()
        stored = fired = before = None
        wait_s = self.every_s
        while True:
            try:
                if stored is None:
                    stored = fired = await store.aget(SEEN, empty)
                elif stored != fired:
                    await store.aset(SEEN, fired)
                    stored = fired
                started = time.monotonic()
                now, pictures = await asyncio.to_thread(snapshot, Path(self.folder))
                wait_s = max(self.every_s, REST * (time.monotonic() - started))
            except (LookalikeError, OSError, AirflowRuntimeError) as error:
                wait_s = min(2 * wait_s, LONGEST_BACK_OFF_S)
                self.log.warning("The inbox can't be watched, retrying in %.0f s: %s", wait_s, error)
            else:
                if now == before != fired:
                    self.log.info("The inbox has changed: %s pictures", f"{pictures:,}")
                    yield TriggerEvent({"pictures": pictures})  # type: ignore[no-untyped-call]
                    fired = now
                before = now
            await asyncio.sleep(wait_s)
