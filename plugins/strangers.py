"""Keep from strangers what Airflow itself tells anybody: its version and the descriptions of its APIs.

What is left without a login is the health page and the login with all that draws it.
"""

from __future__ import annotations

import re

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.core_api.security import resolve_user_from_token
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

TELLING = re.compile(r"/(docs|redoc|openapi\.json)(/.*)?$|^/api/v2/version/?$")


class LoginFirst:
    """Middleware of Airflow's whole application: answers 401 or 403 where a login is needed and is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and TELLING.search(scope["path"]):
            request = Request(scope)
            scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
            token = bearer if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN)
            try:
                await resolve_user_from_token(token)
            except HTTPException as error:
                answer = JSONResponse({"detail": error.detail}, error.status_code)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
