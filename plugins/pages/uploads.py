"""Receive pictures from outside. Nothing here looks into them: they are decoded elsewhere, in processes of
their own."""

from __future__ import annotations

import asyncio
import shutil

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from jobs.base.atomic import in_use, staged_file
from jobs.intake.look import content_id
from jobs.store.root import DataRoot

MAX_BYTES = 100_000_000
PATIENCE_S = 120.0
"""How long a request's body may take to arrive."""
FREE_BYTES = 1_000_000_000
"""What an upload leaves free on the disk."""
AT_ONCE = asyncio.Semaphore(8)
"""Limits the memory of bodies that are being received."""


async def body_of(request: Request, most: int = MAX_BYTES) -> bytes:
    """The request's body. Raises HTTPException with a sentence if it is too large or takes too long."""
    content = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for chunk in request.stream():
                content += chunk
                if len(content) > most:
                    raise HTTPException(413, f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    except TimeoutError as error:
        raise HTTPException(408, f"The file did not arrive within {PATIENCE_S:.0f} s.") from error
    except ClientDisconnect as error:
        # Nobody is there to read it; but it is no fault of ours.
        raise HTTPException(400, "The connection was closed before the file had arrived.") from error
    return bytes(content)


async def receive(request: Request, root: DataRoot) -> str:
    """Keep the picture in the request's body under ``uploads/``; return its id, by which it may be searched.

    It is kept until nobody has asked about it for a day. Raises HTTPException with a sentence.
    """
    async with AT_ONCE:
        content = await body_of(request)
        if not content:
            raise HTTPException(400, "The file is empty.")
        return await asyncio.to_thread(_keep, content, root)


def _keep(content: bytes, root: DataRoot) -> str:
    id_ = content_id(content)
    target = root.uploads / id_
    if not in_use(target):
        root.uploads.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(root.uploads).free < len(content) + FREE_BYTES:
            raise HTTPException(507, "The disk is nearly full: free some space and send the file again.")
        with staged_file(target) as staging:
            staging.write_bytes(content)
    return id_
