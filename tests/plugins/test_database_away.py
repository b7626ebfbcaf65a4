"""What a login is answered while Airflow's database is away."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow import settings
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from plugins.database_away import SENTENCE, DatabaseAway
from tests.support.airflow_server import free_ports

airflow = FastAPI()
airflow.add_middleware(DatabaseAway)


@airflow.post("/auth/token")
def refuse() -> JSONResponse:
    return JSONResponse({"detail": "Invalid credentials"}, 401)


@airflow.get("/auth/login/")
def break_down() -> JSONResponse:
    return JSONResponse({"detail": "Ooops!"}, 500)


@airflow.get("/api/v2/dags")
def ask() -> None:
    assert settings.engine is not None
    with settings.engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM nowhere"))


@airflow.get("/api/v2/me")
def who() -> JSONResponse:
    return JSONResponse({"detail": "Not authenticated"}, 401)


ANSWERED = {"/auth/login/": 500, "/api/v2/dags": 500, "/api/v2/me": 401}


@pytest.fixture
def client() -> TestClient:
    return TestClient(airflow, raise_server_exceptions=False)


def test_a_wrong_password_stays_one(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "engine", create_engine(f"sqlite:///{tmp_path / 'airflow.db'}"))
    assert client.post("/auth/token").json() == {"detail": "Invalid credentials"}
    assert {path: client.get(path).status_code for path in ANSWERED} == ANSWERED


def test_a_database_that_is_away_is_named(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    away = create_engine(f"postgresql+psycopg2://airflow:x@127.0.0.1:{port}/airflow")
    monkeypatch.setattr(settings, "engine", away)
    refused = client.post("/auth/token")
    assert (refused.status_code, refused.json()) == (503, {"detail": SENTENCE})
    assert refused.headers["Retry-After"]
    page = client.get("/auth/login/", headers={"Accept": "text/html"})
    assert (page.status_code, page.text) == (503, SENTENCE)
    assert {path: client.get(path).status_code for path in ANSWERED} == ANSWERED | {
        "/auth/login/": 503,
        "/api/v2/dags": 503,
    }
