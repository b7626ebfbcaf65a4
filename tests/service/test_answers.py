"""The warm search as a process of its own: what it answers, and that whatever is asked has a sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from jobs.find import main as find
from jobs.intake.look import content_id
from jobs.search.answering import OpenVersion
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from tests.support.pictures import cut_jpeg, encoded, jpeg_that_claims, picture, png
from tests.support.served import SECRET, Search, running_search, served_root

pytestmark = pytest.mark.slow
VERSION = "a" * 16
PHOTO = encoded(picture(900, (400, 300)), "JPEG")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return served_root(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def version(root: DataRoot) -> OpenVersion:
    return OpenVersion(open_index(root))


@pytest.fixture(scope="module")
def search(root: DataRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    with running_search(root, tmp_path_factory.mktemp("log") / "search.log") as running:
        running.until(VERSION)
        yield running


@pytest.fixture
def client(search: Search) -> httpx.Client:
    return search.client


def some_id(root: DataRoot) -> str:
    return str(OpenVersion(open_index(root)).opened.parts[0].ids[0].decode())


def send(client: httpx.Client, content: bytes = PHOTO, **fields: str) -> httpx.Response:
    return client.post("/search", files={"picture": ("photo.jpg", content)}, data=fields)


def without_times(answer: Any) -> Any:
    return {name: value for name, value in answer.items() if name != "milliseconds"}


@pytest.mark.parametrize("method", ["sketch", "exact"])
def test_a_picture_of_the_index_is_answered_as_by_an_opened_version(
    client: httpx.Client, version: OpenVersion, root: DataRoot, method: str
) -> None:
    id_ = some_id(root)
    answer = client.post("/search", json={"id": id_, "k": 7, "method": method})
    assert answer.status_code == 200, answer.text
    asked = version.known(id_)
    assert asked is not None
    assert without_times(answer.json()) == json.loads(
        json.dumps(without_times(version.find(asked, 7, method)))
    )
    assert {"look_up", "search", "captions", "all"} <= answer.json()["milliseconds"].keys()


def test_a_photo_has_the_same_answer_by_every_way(
    client: httpx.Client, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    answer = send(client, k="4").json()
    assert answer["query"] == {"id": None, "path": "photo.jpg", "label": None, "class_name": None}
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    monkeypatch.setenv("LOOKALIKE_DATA", str(root.root))
    assert find([str(tmp_path / "photo.jpg"), "--k=4", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    root.uploads.mkdir(exist_ok=True)
    (root.uploads / content_id(PHOTO)).write_bytes(PHOTO)
    uploaded = client.post("/search", json={"id": content_id(PHOTO), "k": 4}).json()
    for other in (printed, uploaded):
        assert other.keys() == answer.keys()
        assert other["recall"] == answer["recall"]
        assert [near["id"] for near in other["neighbours"]] == [near["id"] for near in answer["neighbours"]]
        np.testing.assert_allclose(
            [near["distance"] for near in other["neighbours"]],
            [near["distance"] for near in answer["neighbours"]],
            atol=1e-6,
        )


def test_a_file_of_the_index_is_known_by_its_bytes(client: httpx.Client, version: OpenVersion) -> None:
    with version.gallery() as gallery:
        row = gallery.at(3)
    answer = send(client, Path(row["path"]).read_bytes()).json()
    assert answer["query"]["id"] == row["id"]
    assert row["id"] not in {near["id"] for near in answer["neighbours"]}
    assert "embed" not in answer["milliseconds"]


def test_one_class_alone_is_searched(client: httpx.Client) -> None:
    answer = send(client, k="20", class_name="Class 1").json()
    assert {near["class_name"] for near in answer["neighbours"]} == {"Class 1"}
    assert answer["note"] == "Class 'Class 1' holds 8 other pictures, fewer than the 20 requested."


def test_a_vector_is_searched_whatever_its_length_is(client: httpx.Client, version: OpenVersion) -> None:
    vector = version.opened.parts[0].vectors[2]
    answer = client.post("/search", json={"vector": (1e6 * vector).tolist(), "k": 1}).json()
    assert answer["neighbours"][0]["id"] == version.opened.parts[0].ids[2].decode()
    assert answer["neighbours"][0]["distance"] == pytest.approx(0, abs=1e-3)


def test_a_batch_is_answered_in_its_order_and_what_is_wrong_in_its_place(
    client: httpx.Client, root: DataRoot
) -> None:
    questions = [{"id": some_id(root)}, {"id": "0" * 32}, {"vector": [1.0]}, {"vector": [1.0] * 512}]
    answers = client.post("/search/batch", json={"questions": questions, "k": 2}).json()["answers"]
    assert [answer.get("status", 200) for answer in answers] == [200, 404, 422, 200]
    assert len(answers[0]["neighbours"]) == 2
    files = [("picture", ("one.jpg", PHOTO)), ("picture", ("two.jpg", b"no picture"))]
    answers = client.post("/search/batch", files=files, data={"k": "3"}).json()["answers"]
    assert len(answers[0]["neighbours"]) == 3
    assert answers[1]["detail"] == "The picture can't be used: not a picture of a known format."


def test_what_else_can_be_read(client: httpx.Client, version: OpenVersion, root: DataRoot) -> None:
    id_ = some_id(root)
    known = client.get(f"/pictures/{id_}").json()
    assert (known["id"], known["copies"], known["version"]) == (id_, [], VERSION)
    stored = client.get(f"/pictures/{id_}/neighbours", params={"k": 3}).json()
    asked = version.known(id_)
    assert asked is not None
    exact = version.find(asked, 3, "exact")
    assert [near["id"] for near in stored["neighbours"]] == [near["id"] for near in exact["neighbours"]]
    assert stored["method"] == "stored"
    (listed,) = client.get("/versions").json()["versions"]
    assert (listed["version"], listed["current"], listed["pictures"]) == (VERSION, True, 24)
    assert client.get("/near-duplicates").json() == {"groups": [], "next": None, "version": VERSION}
    image = client.get(f"/pictures/{id_}/image")
    assert image.headers["content-type"] == "image/jpeg" and image.content[:2] == b"\xff\xd8"


def test_an_upload_is_shown_as_the_network_sees_it(client: httpx.Client, root: DataRoot) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = encoded(picture(901, (400, 100)), "JPEG", exif=turned)
    root.uploads.mkdir(exist_ok=True)
    (root.uploads / content_id(photo)).write_bytes(photo)
    image = client.get(f"/pictures/{content_id(photo)}/image")
    assert image.status_code == 200 and image.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a picture of a known format"),
        (b"<svg onload=alert(1)>", "not a picture of a known format"),
        (cut_jpeg(), "cannot be decoded: "),
        (png(30_000, 4_000, 8, 2), "too large: 30000 x 4000 pixels, and at most "),
        (jpeg_that_claims(65_000, 65_000), "too large: "),
    ],
)
def test_a_bad_picture_has_a_sentence(client: httpx.Client, content: bytes, sentence: str) -> None:
    answer = send(client, content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"The picture can't be used: {sentence}")


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"id": "0" * 32}, 404, "Neither the index nor the uploads hold a picture with id 000"),
        ({"id": "../../etc/passwd"}, 422, "id should be 32 hex digits"),
        ({"id": "0" * 32, "vector": [1.0]}, 422, "The request should have an id or a vector, and not both."),
        ({}, 422, "The request should have an id or a vector, and not both."),
        ({"vector": [1.0, 2.0]}, 422, "The vector has 2 values, and those of this index 512."),
        ({"vector": [0.0] * 512}, 422, "The vector has no direction: its values are all 0, or too large."),
        ({"vector": [1e300] * 512}, 422, "The vector has no direction: its values are all 0, or too large."),
        ({"vector": ["a"] * 512}, 422, "vector.0 should be a valid number"),
        ({"id": "0" * 32, "k": 0}, 422, "k should be greater than or equal to 1"),
        ({"id": "0" * 32, "k": 10**9}, 422, "k should be less than or equal to 100"),
        ({"id": "0" * 32, "method": "stock"}, 422, "method should be 'sketch' or 'exact'"),
        ({"id": "0" * 32, "K": 5}, 422, "K is not known: leave it out."),
        ({"vector": [1.0] * 512, "class_name": "Zeppelin"}, 404, "The index holds no class 'Zeppelin'"),
    ],
)
def test_a_bad_question_has_a_sentence(
    client: httpx.Client, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = client.post("/search", json=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"vector": [NaN]}', b"\xff\xfe", b"[" * 100_000]
)
@pytest.mark.parametrize("path", ["/search", "/search/batch"])
def test_what_is_no_question_has_a_sentence(client: httpx.Client, path: str, content: bytes) -> None:
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["detail"]


def test_only_the_first_of_many_faults_are_told(client: httpx.Client) -> None:
    answer = client.post("/search", json={"vector": ["a"] * 512})
    assert answer.json()["detail"].endswith(" (and 509 more).") and len(answer.json()["detail"]) < 300


def test_batches_are_bounded_and_leave_room_for_others(client: httpx.Client, root: DataRoot) -> None:
    questions = [{"id": some_id(root)}] * 1_000
    many = client.post("/search/batch", json={"questions": questions, "k": 21})
    assert many.status_code == 422
    assert many.json()["detail"].startswith("1,000 questions for 21 neighbours each are more than 20,000")
    asked = {"questions": questions, "k": 20}
    with ThreadPoolExecutor(6) as threads:
        batches = [threads.submit(client.post, "/search/batch", json=asked, timeout=120) for _ in range(6)]
        slowest = 0.0
        while not all(batch.done() for batch in batches):
            started = time.monotonic()
            assert client.post("/search", json={"id": some_id(root)}).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
    answers = [batch.result() for batch in batches]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) + sum(answer.status_code == 200 for answer in answers) == 6
    assert refused and all(answer.headers["retry-after"] == "5" for answer in refused)
    # Alone it takes milliseconds, a batch seconds; the machine may be busy with other tests.
    assert slowest < 5


@pytest.mark.parametrize(
    "form", [b"", b"--x\r\n", b'--x\r\nContent-Disposition: form-data; name="picture"\r\n\r\na\r\n--x--\r\n']
)
def test_a_form_without_a_picture_has_a_sentence(client: httpx.Client, form: bytes) -> None:
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data"):
        answer = client.post("/search", content=form, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422) and answer.json()["detail"]


def test_nobody_without_the_secret_is_answered(search: Search) -> None:
    for path in ("/health", "/metrics", "/openapi.json", "/versions", "/nothing"):
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": SECRET}):
            answer = httpx.get(search.address + path, headers=headers)
            assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")


def test_health_and_metrics(search: Search) -> None:
    assert search.client.get("/health").json() == {"version": VERSION, "pictures": 24, "problem": None}
    told = search.client.get("/metrics").text
    assert (
        "lookalike_pictures 24.0" in told
        and f'lookalike_version_info{{model="ResNet-18",version="{VERSION}"}}' in told
    )
    assert 'lookalike_stage_seconds_count{stage="search"}' in told
    assert 'lookalike_answers_total{route="/search",status="200"}' in told
