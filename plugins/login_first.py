"""Require a login for Airflow's version and API docs, which Airflow itself shows without one.

Only the health page and the login page with its files stay open.
"""

from __future__ import annotations

import re

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.core_api.security import resolve_user_from_token
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# That of our own API asks for a login itself.
GUARDED = re.compile(r"(?<!/api/v1)/(docs|redoc|openapi\.json)(/.*)?$|^/api/v2/version/?$")


class LoginFirst:
    """Middleware for all of Airflow: answers 401 or 403 if a guarded path is requested without a login."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and GUARDED.search(scope["path"]):
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
