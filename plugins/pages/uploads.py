"""Receive an uploaded query picture."""

from __future__ import annotations

import asyncio
import os
import re
import sys

from fastapi import HTTPException, Request

from jobs.intake.look import content_id
from jobs.store.gallery import open_gallery
from jobs.store.root import PROJECT, DataRoot
from jobs.store.versions import name_index

MAX_BYTES = 100_000_000
PATIENCE_S = 40.0
AT_ONCE = asyncio.Semaphore(2)
"""Limits how many pictures are decoded at once."""


async def receive(request: Request, root: DataRoot) -> str:
    """Read the picture in the request's body; return what ``similarity_query`` takes as its query.

    That is the id of the picture in the index with the same bytes, or else the path of a copy under
    ``uploads/``. The copy is decoded and encoded again in a separate process with limits on memory and
    time, because the file is untrusted and may crash a decoder.

    Raises HTTPException with a sentence.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise HTTPException(413, f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    if not content:
        raise HTTPException(400, "The file is empty.")
    return await asyncio.to_thread(_known, root, bytes(content)) or await _kept(root, bytes(content))


def _known(root: DataRoot, content: bytes) -> str | None:
    with open_gallery(name_index(root)) as gallery:
        picture = gallery.picture(content_id(content))
    return str(picture["id"]) if picture else None


async def _kept(root: DataRoot, content: bytes) -> str:
    async with AT_ONCE:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jobs.upload",
            cwd=PROJECT,
            env={**os.environ, "LOOKALIKE_DATA": str(root.root)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(content), PATIENCE_S)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise HTTPException(400, "The picture takes too long to decode.") from error
    if process.returncode == 0:
        return output.decode().strip()
    sentence = re.search("^error: (.*)$", errors.decode(errors="replace"), re.MULTILINE)
    raise HTTPException(400, sentence[1] if sentence else "The file crashes the decoder.")
