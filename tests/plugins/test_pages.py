"""Our pages in Airflow's own application: who sees what, and that nothing from outside is believed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from PIL import Image

from jobs.base.atomic import remove
from jobs.intake.look import content_id
from jobs.montage import draw_montage
from jobs.publish import publish
from jobs.query import answer
from jobs.store.catalog import UNMATCHED_ROWS, csv_of, read_catalog, write_catalog
from jobs.store.reports import scale_of
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, complete_versions, open_index
from plugins.links import PREFIX
from plugins.pages import shelf
from plugins.pages.app import app
from plugins.pages.originals import original
from plugins.pages.uploads import MAX_BYTES
from plugins.pages.uploads import receive as receive_upload
from tests.support.airflow_app import people
from tests.support.pictures import encoded, picture
from tests.support.synthetic import BESIDE, SIDE, make_index, make_root, picture_id, show_index

PICTURES = 70
HOSTILE_FILE = "<img src=x onerror=alert(1)>.jpg"
HOSTILE_LABEL = "\"><script>alert('label')</script>"
RUN = "manual__2026-11-23T02:00:00+00:00"
TWICE = {HOSTILE_FILE: HOSTILE_LABEL, "a copy.jpg": "<i>another</i>"}
OURS = {"X-Requested-With": "lookalike"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, spark: object) -> DataRoot:
    """Two published versions, the later one with a hostile name and a hostile label, and an answer."""
    root, _ = make_root(tmp_path_factory.mktemp("pages"), PICTURES)
    write_whole_version(root, "first")
    rows = read_catalog(root)
    rows[0] |= {"path": f"/pictures/{HOSTILE_FILE}", "label": HOSTILE_LABEL, "class_name": HOSTILE_LABEL}
    bad = {"status": "quarantined", "reason": "empty file", "id": None}
    twice = [(picture_id(0), f"/pictures/{name}", label, True) for name, label in TWICE.items()]
    beside = {
        **BESIDE,
        "duplicates.csv": csv_of(("id", "path", "label", "conflict"), twice),
        "labels.txt": b"split all: 2 classes <b>\n",
    }
    write_catalog([*rows, {**rows[1], **bad, "path": f"/pictures/bad {HOSTILE_FILE}"}], root, beside)
    write_whole_version(root, RUN)
    draw_montage(root, answer(root, RUN, query=picture_id(0)))
    return root


def write_whole_version(root: DataRoot, run: str) -> None:
    make_index(root)
    show_index(root)
    publish(root, run=run)


@pytest.fixture(scope="module")
def everybody(root: DataRoot) -> Iterator[dict[str, TestClient]]:
    with pytest.MonkeyPatch.context() as patch, people() as clients:
        patch.setenv("LOOKALIKE_DATA", str(root.root))
        yield clients


@pytest.fixture
def viewer(everybody: dict[str, TestClient]) -> TestClient:
    return everybody["viewer"]


@pytest.fixture
def user(everybody: dict[str, TestClient]) -> TestClient:
    return everybody["user"]


@pytest.fixture
def index(root: DataRoot) -> Index:
    return open_index(root)


def addresses() -> list[tuple[str, str]]:
    """Method and address of every route that the application has, and of what frameworks add unasked."""
    found = []
    samples = {
        "id_": picture_id(0),
        "version": CURRENT,
        "run": RUN,
        "name": "pages.css",
        "rest": "nothing/here",
        "path": "versions",
    }
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} bypasses what asks for a login"
        address = re.sub(r"{(\w+)(?::\w+)?}", lambda name: samples[name[1]], route.path)
        found += [(method, PREFIX + address) for method in sorted(route.methods)]
    for added in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/static/", "/.env"):
        found.append(("GET", PREFIX + added))
    return found


@pytest.mark.parametrize(("method", "address"), addresses())
def test_without_a_login_every_route_answers_401(
    everybody: dict[str, TestClient], method: str, address: str
) -> None:
    response = everybody["anonymous"].request(method, address, headers=OURS, follow_redirects=False)
    assert response.status_code == 401
    broken = everybody["anonymous"].request(method, address, headers={"Authorization": "Bearer x.y.z"})
    assert broken.status_code in (401, 403)


TELLING = ("/docs", "/redoc", "/openapi.json", "/auth/docs", "/api/v2/version", "/execution/docs")


@pytest.mark.parametrize("address", TELLING)
def test_airflows_version_and_api_docs_need_a_login(everybody: dict[str, TestClient], address: str) -> None:
    assert everybody["anonymous"].get(address).status_code == 401
    broken = everybody["anonymous"].get(address, headers={"Authorization": "Bearer x.y.z"})
    assert broken.status_code in (401, 403)
    assert everybody["viewer"].get(address).status_code in (200, 404)


@pytest.mark.parametrize("address", ["/api/v2/monitor/health", "/"])
def test_the_health_page_and_the_way_to_the_login_need_none(
    everybody: dict[str, TestClient], address: str
) -> None:
    assert everybody["anonymous"].get(address).status_code == 200


@pytest.mark.parametrize(
    "address", ["/", f"/pictures/{picture_id(0)}", "/find", "/runs", f"/runs/{RUN}", "/quarantine"]
)
def test_pages_are_shown_and_nothing_in_them_is_markup(viewer: TestClient, address: str) -> None:
    response = viewer.get(PREFIX + address)
    assert response.status_code == 200
    assert "<h1>" in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    for tag, attributes in tags(response.text):
        names = {name for name, _ in attributes}
        assert "style" not in names and not any(name.startswith("on") for name in names), (tag, attributes)
        assert tag != "style" and (tag != "script" or "src" in names), (tag, attributes)
        assert (tag, ("src", "x")) not in {(tag, attribute) for attribute in attributes}


def tags(page: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Every tag that a browser sees in the page, with its attributes."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, attrs))

    Reader().feed(page)
    return found


def test_a_resized_copy_that_was_removed_is_said_and_not_cached(
    viewer: TestClient, root: DataRoot, index: Index
) -> None:
    copy = resized_file(root, index.manifest()["model"]["resized"], picture_id(5))
    content = copy.read_bytes()
    copy.unlink()
    shown = viewer.get(f"{PREFIX}/versions/current/pictures/{picture_id(5)}.jpg")
    copy.write_bytes(content)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/svg+xml")
    assert "The next run makes it again" in shown.text and "no-cache" in shown.headers["cache-control"]


def test_hostile_names_are_shown_as_what_they_are(viewer: TestClient) -> None:
    page = viewer.get(f"{PREFIX}/pictures/{picture_id(0)}").text
    assert "&lt;script&gt;alert(" in page
    assert "&lt;img src=x" in page
    assert "/pictures/a copy.jpg <strong>labelled &lt;i&gt;another&lt;/i&gt;</strong>" in page
    page = viewer.get(f"{PREFIX}/quarantine").text
    assert "&lt;img src=x" in page and "<li>split all: 2 classes &lt;b&gt;</li>" in page


AIRFLOWS = ("/dags/similarity_index", "/dag_runs")
"""Pages of Airflow's own that ours link to."""


def test_every_address_in_the_pages_is_there(viewer: TestClient) -> None:
    seen, waiting = set[str](), [f"{PREFIX}/", f"{PREFIX}/runs", f"{PREFIX}/find", f"{PREFIX}/quarantine"]
    while waiting:
        address = waiting.pop()
        response = viewer.get(address)
        assert response.status_code == 200, address
        if (
            address.partition("?")[0].endswith(("report.html", ".json"))
            or "html" not in response.headers["content-type"]
        ):
            continue
        for link in re.findall(r'(?:href|src)="([^"#]+)"', response.text):
            target = link.replace("&amp;", "&")
            if target.startswith("?"):
                target = address.partition("?")[0] + target
            if target in AIRFLOWS:
                continue
            assert target.startswith(PREFIX)
            if target not in seen and len(seen) < 150:
                seen.add(target)
                waiting.append(target)
    assert len(seen) > 100


def test_a_click_shows_the_stored_neighbours(viewer: TestClient, index: Index) -> None:
    page = viewer.get(f"{PREFIX}/pictures/{picture_id(7)}").text
    nearest = re.findall(rf"{PREFIX}/pictures/([0-9a-f]{{32}})\?", page)
    assert len(nearest) == 10 and picture_id(7) not in nearest
    shot = viewer.get(f"{PREFIX}/versions/{index.version}/pictures/{nearest[0]}.jpg")
    assert shot.headers["content-type"] == "image/jpeg" and "immutable" in shot.headers["cache-control"]
    with Image.open(io.BytesIO(shot.content)) as image:
        assert image.size == (SIDE, SIDE)


def test_a_class_is_asked_for_by_its_name(viewer: TestClient, index: Index) -> None:
    page = viewer.get(f"{PREFIX}/", params={"class": "Class 3"}).text
    assert page.count('<a class="tile') == 7 and f"version={index.version}" in page
    assert "version=current" not in page and '<option value="Class 3" selected>' in page
    gone = viewer.get(f"{PREFIX}/", params={"class": "Zeppelin"})
    assert gone.status_code == 404 and "holds no class &#39;Zeppelin&#39;: choose another." in gone.text
    none = viewer.get(f"{PREFIX}/", params={"class": " "})
    assert none.status_code == 404 and "holds no picture without a label" in none.text


def test_random_weights_are_said_wherever_pictures_are_shown(
    viewer: TestClient, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "random weights"
    pages = ("/", f"/pictures/{picture_id(3)}", "/find")
    assert all(told in viewer.get(PREFIX + page).text for page in pages)
    manifest = index.manifest()
    learned: Any = {**manifest, "model": {**manifest["model"], "weights": "imagenet"}}
    monkeypatch.setattr(shelf, "manifest", lambda _: learned)
    assert not any(told in viewer.get(PREFIX + page).text for page in pages)


def test_an_earlier_version_is_said_to_be_one(viewer: TestClient, root: DataRoot, index: Index) -> None:
    (other,) = [one for one in complete_versions(root) if one != index]
    for page in ("/", f"/pictures/{picture_id(3)}"):
        told = viewer.get(PREFIX + page, params={"version": other.version}).text
        assert "is not the" in told and f"version={other.version}" in told
        assert "is not the" not in viewer.get(PREFIX + page).text


def test_what_could_not_be_used_belongs_to_a_version(viewer: TestClient, root: DataRoot) -> None:
    bad = "bad &lt;img src=x onerror=alert(1)&gt;.jpg"
    for version in complete_versions(root):
        page = viewer.get(f"{PREFIX}/quarantine", params={"version": version.version}).text
        assert (bad in page) == (version == open_index(root))
        assert ("A later run looked at other files" in page) == (version != open_index(root))
    assert bad in viewer.get(f"{PREFIX}/quarantine?last=1").text


def test_rows_of_labels_without_a_picture_are_shown(viewer: TestClient, root: DataRoot, index: Index) -> None:
    file = root.catalog / index.manifest()["catalog"] / UNMATCHED_ROWS
    before = file.read_bytes() if file.exists() else None
    file.write_bytes(
        csv_of(("split", "row", "image", "label", "reason"), [("all", 7, "<b>", "x", "no file")])
    )
    page = viewer.get(f"{PREFIX}/quarantine").text
    file.write_bytes(before) if before is not None else file.unlink()
    assert "Labels without a picture" in page and "&lt;b&gt;" in page


def test_the_original_is_shown_as_it_lies_there(viewer: TestClient, index: Index) -> None:
    # The synthetic pictures have no files: the resized copy is shown.
    address = f"{PREFIX}/versions/{index.version}/pictures/{picture_id(3)}/original"
    assert viewer.get(address).headers["content-type"] == "image/jpeg"
    assert viewer.get(address.replace(picture_id(3), "f" * 32)).status_code == 404


@pytest.mark.parametrize(("kind", "shown"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("TIFF", None)])
def test_only_the_very_file_and_what_browsers_show_is_an_original(
    tmp_path: Path, kind: str, shown: str | None
) -> None:
    file, content = tmp_path / "a", encoded(picture(1, (30, 20)), kind)
    file.write_bytes(content)
    found = original(str(file), content_id(content))
    assert found == ((content, shown) if shown else None)
    file.write_bytes(b"<script>" + content)
    assert original(str(file), content_id(content)) is None
    assert original(str(file), content_id(file.read_bytes())) is None
    assert original("/dev/zero", "0" * 32) is None and original(f"{tmp_path}/none", "0" * 32) is None


def test_nothing_close_is_said(viewer: TestClient, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    page = f"{PREFIX}/pictures/{picture_id(3)}"
    scale = scale_of(index)
    assert scale and scale["neighbour"] < scale["random"]
    told = viewer.get(page).text
    assert "two random pictures at" in told and "Nothing close" not in told
    monkeypatch.setattr("plugins.pages.app.scale_of", lambda _: {"neighbour": 0.0, "random": 1e-6})
    assert "Nothing close" in viewer.get(page).text


def test_where_the_login_has_ended_a_browser_is_led_to_it(everybody: dict[str, TestClient]) -> None:
    shown = everybody["anonymous"].get(f"{PREFIX}/runs", headers={"Accept": "text/html"})
    assert shown.status_code == 401 and 'href="/api/v2/auth/login"' in shown.text
    assert "script-src 'sha256-" in shown.headers["content-security-policy"]


def test_the_slash_at_the_end_may_be_left_out(viewer: TestClient) -> None:
    answer = viewer.get(f"{PREFIX}?version=x", follow_redirects=False)
    assert answer.is_redirect and answer.headers["location"].endswith(f"{PREFIX}/?version=x")


def test_a_run_shows_its_montage_and_neighbours(viewer: TestClient) -> None:
    page = viewer.get(f"{PREFIX}/runs/{RUN}?dag_id=similarity_index").text
    assert "montage.png" in page and page.count('class="badge"') == 5
    response = viewer.get(f"{PREFIX}/runs/{RUN}/neighbours.json").json()
    assert response["query"]["id"] == picture_id(0)
    assert viewer.get(f"{PREFIX}/runs/{RUN}/montage.png").content.startswith(b"\x89PNG")


def test_a_running_run_and_a_run_of_another_dag(viewer: TestClient) -> None:
    assert f'data-run="{RUN}x"' in viewer.get(f"{PREFIX}/runs/{RUN}x?dag_id=similarity_query").text
    other = viewer.get(f"{PREFIX}/runs/{RUN}?dag_id=somebody_elses").text
    assert "Not a run of Lookalike" in other and "montage" not in other.lower()


@pytest.mark.parametrize(
    "address",
    [
        "/runs/..%2F..%2Fcatalog/neighbours.json",
        "/runs/%2e%2e/neighbours.json",
        f"/runs/{RUN}/..%2F..%2F..%2Fcatalog%2Fcatalog.parquet",
        f"/runs/{RUN}/catalog.parquet",
        "/versions/..%2F..%2Fcatalog/report.html",
        "/versions/0000/report.html",
        "/versions/current/pictures/..%2F..%2Fquery.jpg",
        "/versions/current/pictures/" + "f" * 32 + ".jpg",
        "/static/..%2Fapp.py",
        "/static/app.py",
        f"/pictures/{'f' * 32}",
        "/pictures/..%2Fcatalog",
        "/?version=..%2Fcatalog",
        "/nonsense",
    ],
)
def test_what_is_not_ours_to_show_is_not_found(viewer: TestClient, address: str) -> None:
    assert viewer.get(PREFIX + address).status_code == 404


def test_the_report_may_not_run_scripts(viewer: TestClient) -> None:
    response = viewer.get(f"{PREFIX}/versions/current/report.html")
    assert response.status_code == 200
    assert "script-src" not in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]


def upload(client: TestClient, content: bytes, **headers: str) -> Any:
    return client.post(f"{PREFIX}/uploads", content=content, headers={**OURS, **headers})


def test_an_upload_is_kept_by_its_content(user: TestClient, root: DataRoot) -> None:
    sent = encoded(picture(5, (3000, 1000)), "JPEG")
    response = upload(user, sent)
    assert (response.status_code, response.json()) == (200, {"id": content_id(sent)}), response.text
    kept = root.uploads / content_id(sent)
    assert kept.read_bytes() == sent
    os.utime(kept, (1, 1))
    assert upload(user, sent).status_code == 200
    assert kept.stat().st_mtime > 1  # it counts as new, and is kept for another day
    os.utime(kept, (1, 1))
    assert user.get(f"{PREFIX}/find?picture={content_id(sent)}").status_code == 200
    assert kept.stat().st_mtime > 1


def test_an_empty_upload_gets_a_sentence(user: TestClient, root: DataRoot) -> None:
    before = set(root.uploads.glob("*"))
    response = upload(user, b"")
    assert (response.status_code, response.json()["detail"]) == (400, "The file is empty.")
    assert set(root.uploads.glob("*")) == before


def test_a_slow_upload_is_given_up(user: TestClient, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.pages.uploads.PATIENCE_S", 0.2)
    before = set(root.uploads.glob("*"))

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(HTTPException) as raised:
        asyncio.run(receive_upload(Request({"type": "http"}, receive), root))
    assert raised.value.status_code == 408
    assert set(root.uploads.glob("*")) == before


def test_a_client_that_goes_away_leaves_nothing(root: DataRoot) -> None:
    before = set(root.uploads.glob("*"))
    chunk = {"type": "http.request", "body": b"x", "more_body": True}
    messages: list[dict[str, object]] = [chunk, {"type": "http.disconnect"}]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    with pytest.raises(HTTPException) as raised:
        asyncio.run(receive_upload(Request({"type": "http"}, receive), root))
    assert raised.value.status_code == 400
    assert set(root.uploads.glob("*")) == before


def test_a_full_disk_refuses_uploads(
    user: TestClient, root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.pages.uploads.FREE_BYTES", 10**18)
    response = upload(user, b"a new one")
    assert response.status_code == 507
    assert response.json()["detail"] == "The disk is nearly full: free some space and send the file again."


def test_an_upload_above_the_size_limit_is_cut_off(user: TestClient) -> None:
    response = upload(user, b"\xff\xd8" + bytes(MAX_BYTES))
    assert (response.status_code, response.json()["detail"]) == (
        413,
        "That is larger than 100 MB: send less.",
    )


def test_a_viewer_can_neither_upload_nor_restore_a_version(
    everybody: dict[str, TestClient], index: Index, root: DataRoot
) -> None:
    assert upload(everybody["viewer"], encoded(picture(), "PNG")).status_code == 403
    assert "data-drop" not in everybody["viewer"].get(f"{PREFIX}/find").text
    assert "data-drop" in everybody["user"].get(f"{PREFIX}/find").text
    assert "data-restore" not in everybody["viewer"].get(f"{PREFIX}/runs").text
    assert "data-restore" in everybody["user"].get(f"{PREFIX}/runs").text
    response = everybody["viewer"].post(f"{PREFIX}/versions/{index.version}/current", headers=OURS)
    assert response.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Requested-With": "lookalike", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_another_site_can_neither_upload_nor_restore_a_version(
    everybody: dict[str, TestClient], index: Index, root: DataRoot, headers: dict[str, str]
) -> None:
    admin = everybody["admin"]
    content = encoded(picture(), "PNG")
    before = set(root.uploads.glob("*"))
    assert admin.post(f"{PREFIX}/uploads", content=content, headers=headers).status_code == 403
    form = admin.post(f"{PREFIX}/uploads", files={"file": ("a.png", content)}, headers=headers)
    assert form.status_code == 403
    assert admin.post(f"{PREFIX}/versions/{index.version}/current", headers=headers).status_code == 403
    assert set(root.uploads.glob("*")) == before
    asked = admin.options(f"{PREFIX}/uploads", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in asked.headers


def test_an_earlier_version_is_restored(
    everybody: dict[str, TestClient], root: DataRoot, index: Index
) -> None:
    page = everybody["admin"].get(f"{PREFIX}/runs").text
    (earlier,) = re.findall(r'data-restore="(\w+)"', page)
    assert earlier != index.version and page.count('class="current"') == 1
    response = everybody["admin"].post(f"{PREFIX}/versions/{earlier}/current", headers=OURS)
    assert response.json() == {"version": earlier}
    assert open_index(root).version == earlier
    assert json.loads(open_index(root).published_file.read_text())["run"] == "first"
    publish(root, index.version)


def test_a_corrupt_version_is_not_restored(
    everybody: dict[str, TestClient], root: DataRoot, index: Index
) -> None:
    (other,) = {folder for folder in root.index.iterdir() if folder.is_dir()} - {index.folder}
    captions = Index(other).captions_file
    whole = captions.read_bytes()
    captions.write_bytes(whole[:-1] + b"!")
    try:
        response = everybody["op"].post(f"{PREFIX}/versions/{other.name}/current", headers=OURS)
    finally:
        captions.write_bytes(whole)
    assert response.status_code == 400
    assert "is corrupt" in response.json()["detail"]
    assert open_index(root) == index


def test_a_version_that_is_cleaned_up_meanwhile_is_not_found(
    everybody: dict[str, TestClient], root: DataRoot, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, gone = everybody["admin"], Index(root.index / ("d" * 16))
    shutil.copytree(index.folder, gone.folder)
    shutil.copytree(root.query_folder(RUN), root.query_folder("outlives"))
    answer_file = root.query_folder("outlives") / "neighbours.json"
    for file in (answer_file, gone.manifest_file):
        file.write_text(file.read_text().replace(index.version, gone.version))
    whole = admin.get(f"{PREFIX}/runs/outlives").text
    assert gone.version in admin.get(f"{PREFIX}/runs").text
    assert f"versions/{gone.version}/" in whole and "has been removed since" not in whole

    def late(one: Index) -> Any:
        if one == gone:
            remove(gone.folder)
        return one.manifest()

    monkeypatch.setattr(shelf, "manifest", late)
    page = admin.get(f"{PREFIX}/runs")
    assert page.status_code == 200 and index.version in page.text and gone.version not in page.text
    picture = f"pictures/{picture_id(1)}"
    asked = f"?version={gone.version}"
    for address in (asked, picture + asked, f"versions/{gone.version}/report.html"):
        assert admin.get(f"{PREFIX}/{address}").status_code == 404, address
    assert admin.get(f"{PREFIX}/versions/{gone.version}/{picture}.jpg").status_code == 404
    put_back = admin.post(f"{PREFIX}/versions/{gone.version}/current", headers=OURS)
    assert put_back.status_code == 400 and "is not a complete index" in put_back.json()["detail"]
    outlives = admin.get(f"{PREFIX}/runs/outlives").text
    assert f"versions/{gone.version}/" not in outlives and "has been removed since" in outlives
    assert "montage.png" in outlives
    answer_file.unlink()
    assert 'data-run="outlives"' in admin.get(f"{PREFIX}/runs/outlives").text
    assert open_index(root) == index
    remove(root.query_folder("outlives"))


def test_before_there_is_an_index_pages_lead_to_the_first(
    everybody: dict[str, TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_DATA", str(tmp_path))
    viewer = everybody["viewer"]
    for address in ("/", "/find"):
        response = everybody["user"].get(PREFIX + address)
        assert response.status_code == 404 and "No pictures yet" in response.text
        assert 'href="/dags/similarity_index"' in response.text and "data-build" in response.text
        assert "data-build" not in viewer.get(PREFIX + address).text
    assert "There is none yet" in viewer.get(f"{PREFIX}/runs").text
    assert "Nothing is quarantined" in viewer.get(f"{PREFIX}/quarantine").text


def test_the_server_imports_nothing_that_only_steps_need() -> None:
    code = """
import sys, plugins.lookalike
print({name.split(".")[0] for name in sys.modules} & {"torch", "pyspark", "scipy", "numba", "matplotlib"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


RIGHTS = {
    "read one DAG's runs": {("GET", "RUN", "similarity_index")},
    "read the other's": {("GET", "RUN", "similarity_query")},
    "read both": {("GET", "RUN", "similarity_index"), ("GET", "RUN", "similarity_query")},
}
TRIGGER = {("POST", "RUN", "similarity_query")}
TRIGGER_INDEX = {("POST", "RUN", "similarity_index")}
EDIT_INDEX = {("PUT", None, "similarity_index")}


@pytest.mark.parametrize(
    ("rights", "looks", "uploads", "puts_back"),
    [
        (set(), 403, 403, 403),
        (RIGHTS["read one DAG's runs"], 403, 403, 403),
        (RIGHTS["read the other's"], 403, 403, 403),
        (RIGHTS["read both"], 200, 403, 403),
        (RIGHTS["read both"] | TRIGGER, 200, 400, 403),
        (RIGHTS["read both"] | TRIGGER_INDEX, 200, 403, 403),
        (RIGHTS["read both"] | EDIT_INDEX, 200, 403, 200),
        (RIGHTS["read one DAG's runs"] | TRIGGER | EDIT_INDEX, 403, 403, 403),
    ],
)
def test_rights_on_each_dag_alone_decide(
    everybody: dict[str, TestClient],
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    rights: set[tuple[str, str | None, str]],
    looks: int,
    uploads: int,
    puts_back: int,
) -> None:
    """Airflow's simple roles can't tell DAGs apart; other auth managers do."""

    def decide(
        self: object,
        *,
        method: str,
        user: object,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        entity = access_entity.name if access_entity else None
        return bool(details and details.id and (method, entity, details.id) in rights)

    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", decide)
    client = everybody["admin"]
    for address in ("/", "/runs", "/quarantine", "/find", "/static/pages.css"):
        assert client.get(PREFIX + address).status_code == looks, address
    assert upload(client, b"").status_code == uploads  # 400: let in, and the file is empty
    put_back = client.post(f"{PREFIX}/versions/{index.version}/current", headers=OURS)
    assert put_back.status_code == puts_back
