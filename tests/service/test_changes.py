"""The warm search while versions change, processes are killed and things it needs are gone."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from jobs.search.answering import OpenVersion
from jobs.store.gallery import open_gallery
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import Index, point_to_index
from service.__main__ import SECRET as SECRET_NAME
from service.warm import LOOK_EVERY_S
from tests.support.pictures import encoded, picture
from tests.support.served import SECRET, Search, publish_version, running_search, served_root

pytestmark = pytest.mark.slow
FIRST, SECOND = "a" * 16, "b" * 16
PHOTO = encoded(picture(900, (400, 300)), "JPEG")


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    folder = tmp_path_factory.mktemp("changes")
    root = served_root(folder)
    publish_version(root, folder / "others", SECOND, 30, first=100)
    return root


@pytest.fixture
def root(two_versions: DataRoot, tmp_path: Path) -> DataRoot:
    root = DataRoot(Path(shutil.copytree(two_versions.root, tmp_path / "data")))
    point_to_index(root, CURRENT, Index(root.index / FIRST))
    return root


@pytest.fixture
def search(root: DataRoot, tmp_path: Path) -> Iterator[Search]:
    with running_search(root, tmp_path / "search.log") as running:
        running.until(FIRST)
        yield running


def photo(client: httpx.Client) -> httpx.Response:
    return client.post("/search", files={"picture": ("photo.jpg", PHOTO)})


def ids_of(index: Index) -> set[str]:
    with open_gallery(index) as gallery:
        return {gallery.at(row)["id"] for row in range(len(gallery))}


def test_changes_of_version_under_load_neither_refuse_nor_mix(root: DataRoot, search: Search) -> None:
    versions = {name: Index(root.index / name) for name in (FIRST, SECOND)}
    members = {name: ids_of(index) for name, index in versions.items()}
    vector = OpenVersion(versions[FIRST]).opened.parts[0].vectors[0].tolist()
    ends, told, wrong = threading.Event(), set[str](), list[str]()

    def load() -> None:
        with httpx.Client(headers=search.client.headers, base_url=search.address, timeout=30) as client:
            while not ends.is_set():
                answer = client.post("/search", json={"vector": vector, "k": 10})
                said = answer.json()
                told.add(said.get("version", "none"))
                found = {near["id"] for near in said.get("neighbours", [])}
                if answer.status_code != 200 or len(found) != 10 or not found <= members[said["version"]]:
                    wrong.append(answer.text)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for name in (SECOND, FIRST, SECOND, FIRST, SECOND):
        point_to_index(root, CURRENT, versions[name])
        search.until(name)
    ends.set()
    for thread in threads:
        thread.join()
    assert (told, wrong) == ({FIRST, SECOND}, [])


def test_a_version_that_is_removed_answers_until_another_one_is_published(
    root: DataRoot, search: Search
) -> None:
    before = photo(search.client).json()
    shutil.rmtree(root.index / FIRST)
    assert photo(search.client).json()["neighbours"] == before["neighbours"]
    point_to_index(root, CURRENT, Index(root.index / SECOND))
    search.until(SECOND)
    assert photo(search.client).json()["version"] == SECOND


def test_a_version_that_cannot_be_opened_leaves_the_one_before_it(root: DataRoot, search: Search) -> None:
    (root.index / SECOND / "sketch.npz").write_bytes(b"damaged")
    point_to_index(root, CURRENT, Index(root.index / SECOND))
    search.until(FIRST, problem="is corrupt")
    assert photo(search.client).status_code == 200
    # It is tried again in a minute, not at every look: opening a version marks it as used.
    os.utime(root.index / SECOND, (1, 1))
    time.sleep(3 * LOOK_EVERY_S)
    assert (root.index / SECOND).stat().st_mtime == 1
    point_to_index(root, CURRENT, Index(root.index / FIRST))
    time.sleep(6 * LOOK_EVERY_S)
    assert search.client.get("/health").json()["problem"] is None


def test_without_an_index_the_sentence_says_what_to_do_and_one_that_appears_is_served(
    root: DataRoot, tmp_path: Path
) -> None:
    (root.index / CURRENT).unlink()
    with running_search(root, tmp_path / "search.log") as search:
        search.until(None, problem="no index is published")
        answer = photo(search.client)
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("No index is published in ")
        assert search.client.get("/health").status_code == 503
        point_to_index(root, CURRENT, Index(root.index / FIRST))
        search.until(FIRST)
        assert photo(search.client).status_code == 200


def test_without_the_weights_pictures_of_the_index_are_found_all_the_same(
    root: DataRoot, tmp_path: Path
) -> None:
    index = Index(root.index / FIRST)
    manifest = index.manifest()
    index.record({**manifest, "model": {**manifest["model"], "weights": f"{tmp_path}/gone.pth"}})
    with running_search(root, tmp_path / "search.log") as search:
        search.until(FIRST, problem="gone.pth can't be read")
        answer = photo(search.client)
        assert answer.status_code == 503 and "gone.pth can't be read" in answer.json()["detail"]
        known = sorted(ids_of(index))[0]
        assert search.client.post("/search", json={"id": known}).status_code == 200


def test_what_is_being_answered_is_answered_before_it_ends(search: Search) -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(photo(search.client).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    search.stop()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4


def test_it_is_killed_and_started_again(search: Search) -> None:
    decoding = psutil.Process(search.process.pid).children(recursive=True)
    search.process.kill()
    search.process.wait()
    _, alive = psutil.wait_procs(decoding, timeout=20)
    assert not alive
    search.start()
    search.until(FIRST)
    assert photo(search.client).status_code == 200


def test_a_killed_decoder_costs_nothing(search: Search) -> None:
    for child in psutil.Process(search.process.pid).children(recursive=True):
        parent = child.parent()
        if parent and parent.pid != search.process.pid:
            child.kill()
    assert photo(search.client).status_code == 200


def test_without_a_secret_it_does_not_start(root: DataRoot, tmp_path: Path) -> None:
    with running_search(root, tmp_path / "search.log", **{SECRET_NAME: "short"}) as search:
        assert search.process.wait(60) == 2
    assert f"{SECRET_NAME} is not set to 16 letters or more" in search.log.read_text()
    assert SECRET not in search.log.read_text()
