"""``/lookalike`` leads to our pages, which begin at ``/lookalike/``; Airflow itself finds nothing there."""

from __future__ import annotations

from starlette.datastructures import URL
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from plugins.links import PREFIX


class WithSlash:
    """Middleware for all of Airflow."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == scope.get("root_path", "") + PREFIX:
            url = URL(scope=scope)
            answer = RedirectResponse(url.replace(path=url.path + "/"))
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)
