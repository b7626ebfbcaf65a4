"""An HTTP server on this machine with prepared answers, which records its requests."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


@dataclass(frozen=True)
class Reply:
    """One answer; a Range is served where ``ranges`` is set."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = True
    declared: bool = True
    """Whether a Content-Length is sent."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    range: str | None
    body: bytes


class LocalServer:
    """Serves on a free port of 127.0.0.1 while used as a context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def reply(self, path: str, *replies: Reply) -> str:
        """Answer requests for ``path`` in this order, the last for ever; return the URL."""
        self._replies[path] = list(replies)
        return self.url + path

    def __enter__(self) -> LocalServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", 0))
        asked_range = request.headers.get("Range")
        path = request.path.partition("?")[0]
        self.asked.append(Asked(request.command, path, asked_range, request.rfile.read(length)))
        replies = self._replies[path] or [Reply(status=404)]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        status, body, headers = reply.status, reply.body, dict(reply.headers)
        if asked_range and reply.ranges and status == 200:
            start = int(asked_range.removeprefix("bytes=").rstrip("-"))
            status, body = (206, body[start:]) if start < len(body) else (416, b"")
            headers["Content-Range"] = f"bytes {start}-{len(reply.body) - 1}/{len(reply.body)}"
        if reply.declared:
            headers["Content-Length"] = str(len(body))
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        with suppress(ConnectionError):  # the client may have heard enough
            request.wfile.write(body[: reply.cut_after])
