"""The API behind Airflow's login: who may ask is passed on to the warm search, and nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jobs.search.answering import OpenVersion
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from plugins.links import PREFIX
from plugins.pages import door
from plugins.pages.uploads import MAX_BYTES
from tests.support.airflow_app import people
from tests.support.pictures import encoded, picture
from tests.support.served import SECRET, Search, running_search, served_root

pytestmark = pytest.mark.slow
API = f"{PREFIX}/api/v1"
OURS = {"X-Requested-With": "lookalike"}
VERSION = "a" * 16
PHOTO = encoded(picture(900, (400, 300)), "JPEG")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return served_root(tmp_path_factory.mktemp("door"))


@pytest.fixture(scope="module")
def search(root: DataRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    with running_search(root, tmp_path_factory.mktemp("log") / "search.log") as running:
        running.until(VERSION)
        yield running


@pytest.fixture(scope="module")
def everybody(root: DataRoot, search: Search) -> Iterator[dict[str, TestClient]]:
    with pytest.MonkeyPatch.context() as patch, people() as clients:
        patch.setenv("LOOKALIKE_DATA", str(root.root))
        patch.setenv("LOOKALIKE_SEARCH", search.address)
        patch.setenv("LOOKALIKE_SEARCH_SECRET", SECRET)
        yield clients


@pytest.fixture
def user(everybody: dict[str, TestClient]) -> TestClient:
    return everybody["user"]


@pytest.fixture
def id_(root: DataRoot) -> str:
    return str(OpenVersion(open_index(root)).opened.parts[0].ids[0].decode())


def ask(client: TestClient, body: Any, **headers: str) -> Any:
    return client.post(f"{API}/search", json=body, headers=headers or OURS)


def test_a_question_is_passed_on_and_the_answer_back(user: TestClient, search: Search, id_: str) -> None:
    answer = ask(user, {"id": id_, "k": 3})
    assert answer.status_code == 200, answer.text
    straight = search.client.post("/search", json={"id": id_, "k": 3}).json()
    assert {**answer.json(), "milliseconds": None} == {**straight, "milliseconds": None}


def test_a_picture_is_passed_on(user: TestClient) -> None:
    answer = user.post(
        f"{API}/search", files={"picture": ("photo.jpg", PHOTO)}, data={"k": "2"}, headers=OURS
    )
    assert answer.status_code == 200 and len(answer.json()["neighbours"]) == 2


def test_a_script_asks_with_airflows_token(everybody: dict[str, TestClient], id_: str) -> None:
    token = everybody["user"].cookies["_token"]
    anonymous = everybody["anonymous"]
    assert ask(anonymous, {"id": id_}, Authorization=f"Bearer {token}").status_code == 200
    assert ask(anonymous, {"id": id_}, Authorization="Bearer x").status_code in (401, 403)


def test_a_viewer_may_read_but_not_ask(everybody: dict[str, TestClient], id_: str) -> None:
    viewer = everybody["viewer"]
    refused = ask(viewer, {"id": id_})
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    for path in ("versions", "near-duplicates", f"pictures/{id_}", f"pictures/{id_}/neighbours?k=2"):
        answer = viewer.get(f"{API}/{path}")
        assert answer.status_code == 200 and VERSION in answer.text
    assert viewer.get(f"{API}/pictures/{id_}/image").headers["content-type"] == "image/jpeg"
    assert len(viewer.get(f"{API}/pictures/{id_}/neighbours?k=2").json()["neighbours"]) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "search"),
        ("POST", "search/batch"),
        ("GET", "versions"),
        ("GET", "openapi.json"),
        ("GET", "nothing"),
        ("PUT", "search"),
    ],
)
def test_without_a_login_the_answer_is_401(everybody: dict[str, TestClient], method: str, path: str) -> None:
    answer = everybody["anonymous"].request(method, f"{API}/{path}", headers=OURS)
    assert answer.status_code == 401
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Not authenticated",
    }


@pytest.mark.parametrize("headers", [{"X-A": "b"}, {**OURS, "Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_cannot_ask(user: TestClient, id_: str, headers: dict[str, str]) -> None:
    assert ask(user, {"id": id_}, **headers).status_code == 403


@pytest.mark.parametrize(
    "path", ["health", "metrics", "pictures/../metrics", "pictures/%2e%2e", "x", "search/x"]
)
def test_only_the_api_is_reached(user: TestClient, path: str) -> None:
    answer = user.get(f"{API}/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_questions_are_posted(user: TestClient, id_: str) -> None:
    for path in ("search", "search/batch"):
        answer = user.get(f"{API}/{path}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert user.head(f"{API}/versions").status_code == 200
    wrong = user.get(f"{API}/pictures/{id_[:-1]}")
    assert wrong.status_code == 404 and "32 hex digits" in wrong.json()["detail"]


def test_what_the_search_refuses_is_passed_on(user: TestClient) -> None:
    answer = ask(user, {"id": "0" * 32})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"].startswith("Neither the index nor the uploads hold a picture")


def test_the_openapi_file_tells_how_to_ask(user: TestClient) -> None:
    told = user.get(f"{API}/openapi.json").json()
    assert told["servers"] == [{"url": API}]
    assert {"/search", "/search/batch", "/versions", "/near-duplicates"} <= told["paths"].keys()
    assert told["security"] == [{"token": []}]


def test_too_large_a_body_is_cut_off(user: TestClient) -> None:
    answer = user.post(f"{API}/search", content=bytes(MAX_BYTES + door.AROUND + 1), headers=OURS)
    assert answer.status_code == 413


def test_without_the_search_a_sentence_says_so(
    user: TestClient, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LOOKALIKE_SEARCH", f"http://127.0.0.1:{free.getsockname()[1]}")
        answer = ask(user, {"id": id_})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("The search is not running")
    monkeypatch.delenv("LOOKALIKE_SEARCH")
    assert ask(user, {"id": id_}).json()["detail"].startswith("LOOKALIKE_SEARCH is not set")


def test_another_secret_is_said_and_not_passed_on(
    user: TestClient, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_SEARCH_SECRET", "another one")
    answer = ask(user, {"id": id_})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("The search and Airflow have different secrets")


def test_a_search_that_does_not_answer_is_given_up(
    user: TestClient, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "READ_S", 0.3)
    monkeypatch.setattr(door, "_clients", {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LOOKALIKE_SEARCH", f"http://127.0.0.1:{silent.getsockname()[1]}")
        answer = ask(user, {"id": id_})
    assert answer.status_code == 504
    assert answer.json()["detail"] == "The search did not answer in time: ask again later."
