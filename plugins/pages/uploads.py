"""Receive pictures from outside. Nothing here looks into them: they are decoded elsewhere, in processes of
their own."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import IO

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from jobs.base.atomic import in_use, staged_file
from jobs.intake.look import content_id
from jobs.store.root import DataRoot

MAX_BYTES = 100_000_000
SMALL = 1_000_000
"""Bytes of a body that are kept in memory while it arrives, and are passed on without waiting for others."""
PATIENCE_S = 120.0
"""How long a request's body may take to arrive."""
FREE_BYTES = 1_000_000_000
"""What an upload leaves free on the disk."""
MOST_ARRIVING = 32
AT_ONCE = asyncio.Semaphore(8)
"""Limits the memory of larger bodies, which are read when they have arrived."""
FULL = "The disk is nearly full: free some space and send the file again."

_arriving = 0


@asynccontextmanager
async def arrived(request: Request, root: DataRoot, most: int = MAX_BYTES) -> AsyncIterator[bytes]:
    """The request's body, once all of it is there: until then it takes no place that others wait for.

    Raises HTTPException with a sentence if it is too large or takes too long, or if too many arrive at once.
    """
    global _arriving
    if _arriving >= MOST_ARRIVING:
        raise HTTPException(
            503, f"{_arriving} files arrive already: send yours again in a moment.", {"Retry-After": "5"}
        )
    with SpooledTemporaryFile(SMALL, dir=_folder(root)) as file:
        _arriving += 1
        try:
            size = await _receive(request, file, most)
        finally:
            _arriving -= 1
        file.seek(0)
        if size <= SMALL:
            yield file.read()
            return
        async with AT_ONCE:
            yield file.read()


def _folder(root: DataRoot) -> str:
    root.uploads.mkdir(parents=True, exist_ok=True)
    return str(root.uploads)


async def _receive(request: Request, file: IO[bytes], most: int) -> int:
    size = 0
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise HTTPException(413, f"That is larger than {MAX_BYTES // 1_000_000} MB: send less.")
                file.write(chunk)
    except TimeoutError as error:
        raise HTTPException(408, f"The file did not arrive within {PATIENCE_S:.0f} s.") from error
    except ClientDisconnect as error:
        # Nobody is there to read it; but it is no fault of ours.
        raise HTTPException(400, "The connection was closed before the file had arrived.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise HTTPException(507, FULL) from error
    return size


async def receive(request: Request, root: DataRoot) -> str:
    """Keep the picture in the request's body under ``uploads/``; return its id, by which it may be searched.

    It is kept until nobody has asked about it for a day. Raises HTTPException with a sentence.
    """
    async with arrived(request, root) as content:
        if not content:
            raise HTTPException(400, "The file is empty.")
        return await asyncio.to_thread(_keep, content, root)


def _keep(content: bytes, root: DataRoot) -> str:
    id_ = content_id(content)
    target = root.uploads / id_
    if not in_use(target):
        root.uploads.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(root.uploads).free < len(content) + FREE_BYTES:
            raise HTTPException(507, FULL)
        with staged_file(target) as staging:
            staging.write_bytes(content)
    return id_
