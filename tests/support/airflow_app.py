"""Airflow's own web application with our pages in it, and people who may do different things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

ROLES = ("admin", "op", "user", "viewer")


@contextmanager
def people() -> Iterator[dict[str, TestClient]]:
    """Role -> a client logged in with it, and ``anonymous``, on a fresh metadata database."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{role}:{role}" for role in ROLES))
        airflow = str(Path(sys.executable).with_name("airflow"))
        subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True)
        from airflow.api_fastapi.app import create_app

        app = create_app("core")
        passwords = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())
        clients = {"anonymous": TestClient(app)}
        for role in ROLES:
            login = {"username": role, "password": passwords[role]}
            token = clients["anonymous"].post("/auth/token", json=login).json()["access_token"]
            clients[role] = TestClient(app, cookies={"_token": token})
        yield clients
