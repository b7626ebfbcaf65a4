"""What a browser gets instead of a page where its login has ended: the way to the login, and back."""

from __future__ import annotations

import base64
import hashlib
import json

from fastapi import Request
from fastapi.responses import HTMLResponse

SCRIPT = "top.location.replace({login} + encodeURIComponent(top.location.href))"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Log in</title></head>
<body><p>You are no longer logged in: <a href="{href}" target="_top">log in</a>.</p>
<script>{script}</script></body></html>"""


def first(request: Request) -> HTMLResponse:
    """401, with a page that leads the whole window to Airflow's login."""
    # Airflow itself is served one level above us, and knows the login of its own auth manager.
    login = request.scope["root_path"].rpartition("/")[0] + "/api/v2/auth/login?next="
    script = SCRIPT.format(login=json.dumps(login))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{allowed}'; base-uri 'none'; frame-ancestors 'self'"
    page = PAGE.format(href=login.removesuffix("?next="), script=script)
    return HTMLResponse(page, 401, {"Content-Security-Policy": policy})
