"""What Lookalike adds to Airflow's UI: its pages, and the links to them."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from plugins.database_away import DatabaseAway
from plugins.links import PREFIX
from plugins.login_first import LoginFirst
from plugins.pages.app import app
from plugins.with_slash import WithSlash


class LookalikePlugin(AirflowPlugin):
    name = "lookalike"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "Lookalike"}]  # noqa: RUF012
    fastapi_root_middlewares = [  # noqa: RUF012
        {"middleware": WithSlash, "name": "With its slash"},
        {"middleware": LoginFirst, "name": "Login first"},
        {"middleware": DatabaseAway, "name": "Database away"},
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Lookalike",
            "href": f"{PREFIX}/",
            "destination": "nav",
            "url_route": "lookalike",
            "nav_top_level": True,
            "icon": f"{PREFIX}/static/icon.svg",
            "icon_dark_mode": f"{PREFIX}/static/icon-dark.svg",
        },
        {
            "name": "Look-alikes",
            "href": f"{PREFIX}/runs/{{RUN_ID}}?dag_id={{DAG_ID}}",
            "destination": "dag_run",
            "url_route": "look-alikes",
        },
    ]
