"""Say that Airflow's database is away, where Airflow itself would say that the credentials are wrong."""

from __future__ import annotations

import asyncio
import re

from airflow import settings
from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN = re.compile(r"/auth/(token|login)")
SENTENCE = (
    "Airflow's database does not answer: try again in a minute, and see the database's log if it lasts."
)
PATIENCE_S = 5.0


class DatabaseAway:
    """Middleware for all of Airflow: answers 503 to what failed because the database is away."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal started, replaced
            if message["type"] == "http.response.start":
                started = True
                replaced = _suspicious(scope["path"], message["status"]) and not await _answers()
                if replaced:
                    await _away(Request(scope))(scope, receive, send)
            if not replaced:
                await send(message)

        try:
            await self.app(scope, receive, send_or_replace)
        except SQLAlchemyError:
            if started or await _answers():
                raise
            await _away(Request(scope))(scope, receive, send)


def _suspicious(path: str, status: int) -> bool:
    return status == 500 or (status == 401 and LOGIN.search(path) is not None)


async def _answers() -> bool:
    try:
        await asyncio.wait_for(asyncio.to_thread(_ask), PATIENCE_S)
    except (SQLAlchemyError, TimeoutError):
        return False
    return True


def _ask() -> None:
    assert settings.engine is not None  # Airflow runs
    with settings.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _away(request: Request) -> Response:
    later = {"Retry-After": "10"}
    if "text/html" in request.headers.get("Accept", ""):
        return PlainTextResponse(SENTENCE, 503, later)
    return JSONResponse({"detail": SENTENCE}, 503, later)
