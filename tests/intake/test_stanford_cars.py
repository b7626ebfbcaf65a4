"""The Stanford Cars source, with a server on this machine in the place of Kaggle and GitHub."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kagglehub import clients
from kagglesdk import kaggle_env
from scipy.io import savemat

from jobs.base import download
from jobs.base.errors import LookalikeError, UnreachableError
from jobs.intake import stanford_cars as module
from jobs.intake.labels import read_class_names, read_labels
from jobs.intake.stanford_cars import stanford_cars
from jobs.store.root import PROJECT, DataRoot
from tests.support.local_server import LocalServer, Reply

LOOKUP = "/api/v1/datasets.DatasetApiService/GetDataset"
DOWNLOAD = "/api/v1/datasets.DatasetApiService/DownloadDataset"
STORAGE = "/storage/archive.zip"
LABELS = b"x1,y1,x2,y2,Class,image\n1,2,3,4,2,00001.jpg\n"
CARS = PROJECT.parent / "shared" / "cars"


def class_names() -> bytes:
    file = io.BytesIO()
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], dtype=object)
    savemat(file, {"class_names": names})
    return file.getvalue()


# Kaggle's editions in small: 3 MB, so that kagglehub takes them in several chunks.
PICTURES = {
    "cars_train/cars_train/00001.jpg": random.Random(1).randbytes(1_500_000),
    "cars_test/cars_test/00001.jpg": random.Random(2).randbytes(1_500_000),
}
EDITION = PICTURES | {"car_devkit/devkit/cars_meta.mat": class_names()}
WITHOUT_DEV_KIT = PICTURES | {"cars_annos.mat": class_names()}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def stored(body: bytes, **options: bool | int | None) -> Reply:
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = {"Accept-Ranges": "bytes", "x-goog-hash": f"crc32c=AAAAAA==,md5={md5}"}
    return Reply(body, headers=headers, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, no proxies, quick retries."""
    for name in [name for name in os.environ if name.startswith(("KAGGLE", "LOOKALIKE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "RETRY_BASE_S", 0.01)
    # For its User-Agent kagglehub inspects the call stack, which under pytest takes most of a second.
    monkeypatch.setattr(clients, "search_lib_in_call_stack", lambda name: None)
    monkeypatch.setattr(module, "LABELS_SHA256", hashlib.sha256(LABELS).hexdigest())


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kagglehub and the labels ask ``url`` instead of the internet."""
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, url)
    monkeypatch.setattr(module, "LABELS_URL", f"{url}/cardatasettrain.csv")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Kaggle with version 7 of the data set, and GitHub with the labels."""
    with LocalServer() as server:
        version = json.dumps({"currentVersionNumber": 7}).encode()
        server.reply(LOOKUP, Reply(version, headers={"Content-Type": "application/json"}))
        signed = f"{server.url}{STORAGE}?X-Goog-Signature=secret"
        server.reply(DOWNLOAD, Reply(status=302, headers={"Location": signed}))
        server.reply("/cardatasettrain.csv", Reply(LABELS))
        point_to(server.url, monkeypatch)
        yield server


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


def files_in(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_kaggles_edition_is_downloaded_once(
    server: LocalServer,
    root: DataRoot,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("INFO")
    server.reply(STORAGE, stored(zipped(EDITION)))
    source = stanford_cars(root, with_test=True)
    folder = root.sources / "stanford_cars"
    assert files_in(folder / "kaggle") == EDITION
    assert sorted(path.name for path in folder.iterdir()) == ["cardatasettrain.csv", "kaggle"]
    train, test = source.splits
    assert train.pictures == str(folder / "kaggle/cars_train/cars_train")
    assert train.labels is not None
    assert [row.label for row in read_labels(Path(train.labels))] == ["2"]
    assert (test.pictures, test.labels, test.label_rule) == (
        str(folder / "kaggle/cars_test/cars_test"),
        None,
        "none",
    )
    asked = [(asked.method, asked.path) for asked in server.asked]
    assert asked == [
        ("POST", LOOKUP),
        ("POST", DOWNLOAD),
        ("GET", STORAGE),
        ("GET", "/cardatasettrain.csv"),
    ]
    wanted = json.loads(server.asked[1].body)
    assert (wanted["ownerSlug"], wanted["datasetSlug"], wanted["datasetVersionNumber"]) == (
        "jessicali9530",
        "stanford-cars-dataset",
        7,
    )
    assert "version 7: 3 MB" in caplog.text
    output = capfd.readouterr()
    assert "B/s" not in output.err  # kagglehub's progress bar
    assert "secret" not in caplog.text + output.out + output.err

    server.asked.clear()
    assert stanford_cars(root, with_test=True) == source
    assert server.asked == []


def test_cut_download_is_resumed(server: LocalServer, root: DataRoot) -> None:
    body = zipped(EDITION)
    server.reply(STORAGE, stored(body, cut_after=2_500_000), stored(body))
    stanford_cars(root, with_test=True)
    assert files_in(root.sources / "stanford_cars" / "kaggle") == EDITION
    asked = [asked.range for asked in server.asked if asked.path == STORAGE]
    assert asked == [None, None, "bytes=2097152-"]


def test_later_call_resumes_what_an_earlier_one_left(
    server: LocalServer, root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    body = zipped(EDITION)
    server.reply(STORAGE, stored(body, cut_after=2_500_000), Reply(status=503))
    with pytest.raises(UnreachableError, match="status 503"):
        stanford_cars(root, with_test=True)
    assert (root.sources / "stanford_cars" / "archive.zip").stat().st_size == 2_097_152
    server.reply(STORAGE, stored(body))
    stanford_cars(root, with_test=True)
    assert server.asked[-2].range == "bytes=2097152-"
    assert files_in(root.sources / "stanford_cars" / "kaggle") == EDITION


def test_archive_left_complete_is_unpacked(server: LocalServer, root: DataRoot) -> None:
    archive = root.sources / "stanford_cars" / "archive.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(zipped(EDITION))
    server.reply(STORAGE, stored(zipped(EDITION)))
    stanford_cars(root, with_test=True)
    assert files_in(root.sources / "stanford_cars" / "kaggle") == EDITION
    assert not archive.exists()


def test_failure_while_resuming_ends_well(server: LocalServer, root: DataRoot) -> None:
    """kagglehub appends the error's page; the hash finds it out."""
    body = zipped(EDITION)
    busy = Reply(b"try later", status=503)
    server.reply(STORAGE, stored(body, cut_after=2_500_000), stored(body), busy, stored(body))
    stanford_cars(root, with_test=True)
    assert files_in(root.sources / "stanford_cars" / "kaggle") == EDITION


def test_wrong_hash_is_given_up(server: LocalServer, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    headers = stored(b"another").headers
    server.reply(STORAGE, Reply(zipped(EDITION), headers=headers))
    with pytest.raises(UnreachableError, match="WrongHash"):
        stanford_cars(root, with_test=True)
    assert list((root.sources / "stanford_cars").iterdir()) == []


def test_corrupt_archive_is_reported_and_deleted(server: LocalServer, root: DataRoot) -> None:
    server.reply(STORAGE, Reply(b"<html>welcome to the hotel</html>"))
    with pytest.raises(LookalikeError, match="not a zip archive"):
        stanford_cars(root, with_test=True)
    assert list((root.sources / "stanford_cars").iterdir()) == []


OTHER_LAYOUTS: list[dict[str, bytes]] = [
    {},
    {name.replace("cars_train/", "train/"): content for name, content in EDITION.items()},
    {f"cars/{name}": content for name, content in EDITION.items()},
    PICTURES,
]


@pytest.mark.parametrize("files", OTHER_LAYOUTS, ids=["empty", "renamed", "in a folder", "no class names"])
def test_archive_of_another_layout_is_refused_and_downloaded_again(
    server: LocalServer, root: DataRoot, files: dict[str, bytes]
) -> None:
    server.reply(STORAGE, stored(zipped(files)))
    with pytest.raises(LookalikeError, match=r"lacks .* as it was downloaded: download"):
        stanford_cars(root, with_test=False)
    assert not list((root.sources / "stanford_cars").iterdir())
    server.reply(STORAGE, stored(zipped(EDITION)))
    assert stanford_cars(root, with_test=False).name == "stanford_cars"


def test_download_that_has_lost_a_part_is_downloaded_again(server: LocalServer, root: DataRoot) -> None:
    server.reply(STORAGE, stored(zipped(EDITION)))
    stanford_cars(root, with_test=False)
    shutil.rmtree(root.sources / "stanford_cars" / "kaggle" / "cars_train")
    stanford_cars(root, with_test=False)
    assert files_in(root.sources / "stanford_cars" / "kaggle") == EDITION


def test_version_without_dev_kit_has_class_names(server: LocalServer, root: DataRoot) -> None:
    server.reply(STORAGE, stored(zipped(WITHOUT_DEV_KIT)))
    source = stanford_cars(root, with_test=True)
    assert source.class_names is not None
    assert read_class_names(Path(source.class_names))["2"] == "Acura RL Sedan 2012"
    assert stanford_cars(root, with_test=True) == source


def test_busy_kaggle_is_asked_again(server: LocalServer, root: DataRoot) -> None:
    server.reply(STORAGE, Reply(status=503), Reply(status=429), stored(zipped(EDITION)))
    stanford_cars(root, with_test=True)
    assert [asked.path for asked in server.asked].count(STORAGE) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusal_is_not_retried(server: LocalServer, root: DataRoot, status: int) -> None:
    server.reply(LOOKUP, Reply(status=status))
    with pytest.raises(LookalikeError, match=rf"status {status}\): set KAGGLE_API_TOKEN") as caught:
        stanford_cars(root, with_test=True)
    assert not isinstance(caught.value, UnreachableError)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("length", ["4000000001", "0"])
def test_announced_size_is_limited(server: LocalServer, root: DataRoot, length: str) -> None:
    server.reply(STORAGE, Reply(headers={"Content-Length": length}, declared=False))
    with pytest.raises(LookalikeError, match="instead of 1 to 4,000,000,000"):
        stanford_cars(root, with_test=True)


def test_too_small_a_disk_is_reported_before_downloading(
    server: LocalServer, root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10**18)
    server.reply(STORAGE, Reply(headers={"Content-Length": str(10**18)}, declared=False))
    with pytest.raises(LookalikeError, match=r"needs 2000000000\.0 GB"):
        stanford_cars(root, with_test=True)


def test_unreadable_answers_are_reported(
    server: LocalServer, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply(LOOKUP, Reply(b"<html>welcome to the hotel</html>"))
    with pytest.raises(LookalikeError, match="Kaggle's answer"):
        stanford_cars(root, with_test=True)
    credentials = tmp_path / "home" / ".kaggle" / "kaggle.json"
    credentials.parent.mkdir(parents=True)
    credentials.write_text('{"username": "me", "key": secret')
    with pytest.raises(LookalikeError, match="credentials cannot be read") as caught:
        stanford_cars(root, with_test=True)
    assert "secret" not in str(caught.value)


def test_unreachable_kaggle_is_one_line(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        point_to(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)
        with pytest.raises(UnreachableError) as caught:
            stanford_cars(root, with_test=True)
    assert str(caught.value) == (
        "Kaggle cannot be reached (ConnectionError): check the network, or download "
        "jessicali9530/stanford-cars-dataset yourself, unpack it, and set LOOKALIKE_CARS_DIR to "
        "that folder; the labels cardatasettrain.csv belong in it."
    )


def test_silent_kaggle_is_found_out(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            stanford_cars(root, with_test=True)


def test_growing_archive_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr("jobs.base.logs.PROGRESS_EVERY_S", 0.0)
    caplog.set_level("INFO")
    archive = tmp_path / "archive.zip"
    archive.write_bytes(bytes(1_000_000))  # of an earlier try
    with module._progress(archive, 5_000_000):
        archive.write_bytes(bytes(3_000_000))
        deadline = time.monotonic() + 2
        while "2/4 MB" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "2/4 MB" in caplog.text


def little_folder(directory: Path, *, with_labels: bool) -> Path:
    for name, content in EDITION.items():
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_bytes(content)
    if with_labels:
        (directory / "cardatasettrain.csv").write_bytes(LABELS)
    return directory


def test_own_folder_is_taken_as_it_is(
    server: LocalServer, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = little_folder(tmp_path / "mine", with_labels=True)
    monkeypatch.setenv("LOOKALIKE_CARS_DIR", str(folder))
    source = stanford_cars(root, with_test=False)
    (train,) = source.splits
    assert train.pictures == str(folder / "cars_train" / "cars_train")
    assert train.labels == str(folder / "cardatasettrain.csv")
    assert server.asked == []
    assert not root.root.exists()


def test_own_folder_without_labels_has_them_downloaded(
    server: LocalServer, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = little_folder(tmp_path / "mine", with_labels=False)
    before = files_in(folder)
    monkeypatch.setenv("LOOKALIKE_CARS_DIR", str(folder))
    source = stanford_cars(root, with_test=False)
    labels = root.sources / "stanford_cars" / "cardatasettrain.csv"
    assert source.splits[0].labels == str(labels)
    assert labels.read_bytes() == LABELS
    assert [asked.path for asked in server.asked] == ["/cardatasettrain.csv"]
    assert files_in(folder) == before


def test_own_folder_that_is_missing_is_reported(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_CARS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(LookalikeError, match=r"LOOKALIKE_CARS_DIR names .*nowhere"):
        stanford_cars(root, with_test=False)


def test_real_pictures(server: LocalServer, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    if not CARS.is_dir():
        pytest.skip(f"{CARS}, a part of the real data set, is not on this machine")
    monkeypatch.undo()  # the real hash of the labels
    monkeypatch.setenv("LOOKALIKE_CARS_DIR", str(CARS))
    source = stanford_cars(root, with_test=False)
    (train,) = source.splits
    assert train.labels is not None
    assert hashlib.sha256(Path(train.labels).read_bytes()).hexdigest() == module.LABELS_SHA256
    assert Path(train.labels).stat().st_size == module.LABELS_BYTES
    assert len(list(Path(train.pictures).glob("*.jpg"))) == 2_940
    assert source.class_names is not None
    assert len(read_class_names(Path(source.class_names))) == 196
    assert server.asked == []
    with pytest.raises(LookalikeError, match=r"lacks cars_test/cars_test: give a folder"):
        stanford_cars(root, with_test=True)
