"""Who may ask, how much at once, and how much in one request."""

from __future__ import annotations

import hmac
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.problems import answer, problem

MAX_BYTES = 110_000_000
"""Of a request's body: a picture of 100 MB, and what stands around it."""
MAX_WAITING = 64
"""Requests that are answered or wait at once; more are refused."""


class TooLargeError(Exception):
    """More bytes than a body may have."""


class Guard:
    """ASGI middleware: 401 without the secret, 503 if the queue is too long, 413 for too large a body."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.app, self._expected = app, f"Bearer {secret}".encode()
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._expected):
            refused = problem(401, "This port answers Airflow alone: ask through its /lookalike/api/v1.")
            await answer(refused, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        elif self.waiting >= MAX_WAITING and not scope["path"].startswith(("/health", "/metrics")):
            busy = problem(503, f"{self.waiting} questions are waiting already: ask again in a second.")
            await answer(busy, {"Retry-After": "1"})(scope, receive, send)
        else:
            self.waiting += 1
            try:
                await self._within_size(scope, receive, send)
            finally:
                self.waiting -= 1

    async def _within_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken, started = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BYTES:
                raise TooLargeError
            return message

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                route = getattr(scope.get("route"), "path", "none")
                metrics.ANSWERS.labels(route, message["status"]).inc()
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except TooLargeError:
            if started:
                raise
            large = problem(
                413, f"The request has more than {MAX_BYTES // 1_000_000} MB: send smaller pictures."
            )
            await answer(large, {"Connection": "close"})(scope, receive, send)
