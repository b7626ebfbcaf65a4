"""The API for scripts and for the page Find: who is logged in and may ask is passed on to the warm search."""

from __future__ import annotations

import asyncio
import os
import re
from http import HTTPStatus
from textwrap import shorten
from typing import Annotated
from weakref import WeakKeyDictionary

import httpx
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from jobs.base.text import plain
from jobs.store.root import DataRoot
from plugins.pages.access import ASK
from plugins.pages.uploads import MAX_BYTES, arrived

PREFIX = "/api/v1"
AROUND = 1_000_000
"""Bytes that a form has beside its picture."""
QUESTIONS = ("search", "search/batch")
READABLE = re.compile(r"versions|near-duplicates|pictures/[0-9a-f]{32}(/neighbours|/image)?")
CONNECT_S, READ_S, PICTURE_S, BATCH_S = 2, 15, 90, 300
"""How long an answer may take; a picture may take a minute to be given up."""

router = APIRouter(prefix=PREFIX)
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
"""One per event loop, which its connections belong to."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error as https://www.rfc-editor.org/rfc/rfc9457 has it."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """What can be asked, for programs that read such files."""
    answer = await ask(request, "openapi.json")
    if answer.status_code != 200:
        return _passed(answer)
    described = answer.json()
    described["servers"] = [{"url": request.scope["root_path"] + PREFIX}]
    described["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "From Airflow: POST /auth/token."}
    }
    described["security"] = [{"token": []}]
    return JSONResponse(described)


@router.post("/search", dependencies=ASK)
@router.post("/search/batch", dependencies=ASK)
async def search(request: Request, root: Annotated[DataRoot, Depends(DataRoot.from_env)]) -> Response:
    path = request.url.path.rpartition(PREFIX + "/")[2]
    seconds = BATCH_S if path in QUESTIONS[1:] else PICTURE_S if _is_form(request) else READ_S
    async with arrived(request, root, MAX_BYTES + AROUND) as content:
        return _passed(await ask(request, path, content, seconds))


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def read(request: Request, path: str) -> Response:
    if path in QUESTIONS:
        raise HTTPException(405, f"Questions are asked by POST: send a body to {path}.", {"Allow": "POST"})
    if path.startswith("pictures/") and not READABLE.fullmatch(path):
        raise HTTPException(404, "A picture's address is pictures/ and its id, 32 hex digits: send one.")
    if not READABLE.fullmatch(path):
        described = f"{request.scope['root_path']}{PREFIX}/openapi.json"
        raise HTTPException(404, f"The API has no {shorten(plain(path), 100)!r}: see {described}.")
    return _passed(await ask(request, path))


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/")


async def ask(request: Request, path: str, content: bytes = b"", seconds: float = READ_S) -> httpx.Response:
    """Ask the warm search; once more if it ended meanwhile, for a question changes nothing.

    Raises HTTPException with a sentence if it is not there.
    """
    address = os.environ.get("LOOKALIKE_SEARCH")
    if not address:
        raise HTTPException(503, "LOOKALIKE_SEARCH is not set: start Airflow by make airflow or make up.")
    headers = {"Authorization": f"Bearer {os.environ.get('LOOKALIKE_SEARCH_SECRET', '')}"}
    if kind := request.headers.get("content-type"):
        headers["Content-Type"] = kind
    url = httpx.URL(f"{address.rstrip('/')}/{path}", query=request.url.query.encode())
    for last in (False, True):
        try:
            return await _connected().request(
                "POST" if request.method == "POST" else "GET",
                url,
                headers=headers,
                content=content,
                timeout=httpx.Timeout(seconds, connect=CONNECT_S),
            )
        except httpx.TimeoutException as error:
            raise HTTPException(504, "The search did not answer in time: ask again later.") from error
        except httpx.TransportError as error:
            if last:
                raise HTTPException(
                    503, "The search is not running: ask again in a moment, or run the DAG similarity_query."
                ) from error
    raise AssertionError  # the second try returns or raises


def _connected() -> httpx.AsyncClient:
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        # No proxy reaches it.
        _clients[loop] = httpx.AsyncClient(trust_env=False)
    return _clients[loop]


def _passed(answer: httpx.Response) -> Response:
    if answer.status_code == 401:
        return problem(
            503, "The search and Airflow have different secrets: set LOOKALIKE_SEARCH_SECRET alike."
        )
    kept = {name: answer.headers[name] for name in ("Retry-After",) if name in answer.headers}
    return Response(answer.content, answer.status_code, kept, answer.headers.get("content-type"))
