"""The secret, the largest body and the longest queue."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service import guard
from service.guard import Guard

SECRET = "of some length"  # noqa: S105


class Asked:
    """A request to a guarded application that reads the whole body, and what was answered."""

    def __init__(self, secret: str = SECRET, chunks: int = 1, path: str = "/search") -> None:
        headers = [(b"authorization", f"Bearer {secret}".encode())]
        self.scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        self.left = chunks
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        self.left -= 1
        return {"type": "http.request", "body": bytes(1_000), "more_body": self.left > 0}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def said(self) -> Any:
        return json.loads(self.sent[1]["body"])


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await Response(f"{len(body)}")(scope, receive, send)


def ask(app: Guard, asked: Asked) -> Asked:
    asyncio.run(app(asked.scope, asked.receive, asked.send))
    return asked


def test_a_wrong_secret_is_refused_and_the_right_one_is_not() -> None:
    app = Guard(whole, SECRET)
    assert ask(app, Asked("")).status == ask(app, Asked(SECRET[:-1])).status == 401
    assert ask(app, Asked()).status == 200


def test_a_body_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_BYTES", 5_000)
    app = Guard(whole, SECRET)
    assert ask(app, Asked(chunks=5)).status == 200
    endless = ask(app, Asked(chunks=10**9))
    assert (endless.status, endless.left) == (413, 10**9 - 6)
    assert endless.said["detail"].endswith("send smaller pictures.")
    assert app.waiting == 0


def test_too_long_a_queue_is_refused_but_health_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_WAITING", 3)
    held = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/search":
            await held.wait()
        await whole(scope, receive, send)

    app = Guard(slow, SECRET)

    async def many() -> tuple[list[Asked], Asked]:
        asked = [Asked() for _ in range(5)]
        health = Asked(path="/health")
        tasks = [asyncio.create_task(app(one.scope, one.receive, one.send)) for one in asked]
        await asyncio.sleep(0.1)
        await app(health.scope, health.receive, health.send)
        held.set()
        await asyncio.gather(*tasks)
        return asked, health

    asked, health = asyncio.run(many())
    assert sorted(one.status for one in asked) == [200, 200, 200, 503, 503]
    assert health.status == 200
    refused = next(one for one in asked if one.status == 503)
    assert refused.said["detail"] == "3 questions are waiting already: ask again in a second."
    assert ask(app, Asked()).status == 200
