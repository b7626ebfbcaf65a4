"""The embedding process: a crash, a kill or a full disk costs little and is reported."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.base.errors import KilledError, LookalikeError
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.backbones import RESNET18, Backbone
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.resize import resized
from jobs.embedding.shards import Outcome, Picture
from jobs.embedding.weights import Weights, find_weights
from jobs.embedding.worker import Marks, Worker
from jobs.intake.folder import folder
from jobs.intake.look import content_id
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from tests.support import crashing
from tests.support.converted import MODEL, root_with_converted_weights
from tests.support.pictures import encoded, picture, write_pictures

COUNT = 40


def take_in(tmp_path: Path) -> DataRoot:
    root = root_with_converted_weights(tmp_path / "data")
    build_catalog(folder(tmp_path / "pictures"), root, max_quarantined=0.9)
    return root


def store_of(root: DataRoot) -> EmbeddingStore:
    return EmbeddingStore(root.embeddings / MODEL.fingerprint)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_picture_that_crashes_the_decoder_is_quarantined_and_the_rest_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pictures = tmp_path / "pictures"
    write_pictures(pictures, COUNT)
    hostile = [encoded(picture(seed), "JPEG") + crashing.MARK + name.encode() for seed in (100, 101)]
    for number, content in enumerate(hostile):
        (pictures / f"hostile{number}.jpg").write_bytes(content)
    root = take_in(tmp_path)
    monkeypatch.setattr("jobs.embedding.process._serve", crashing.serve)
    result = embed_catalog(root, MODEL)
    assert (result["embedded"], result["quarantined"]) == (COUNT, 2)
    reasons = {Path(row["path"]).name: row["reason"] for row in read_catalog(root) if row["reason"]}
    assert reasons == {f"hostile{number}.jpg": f"crashes the decoder ({name})" for number in range(2)}
    assert store_of(root).ids() == {content_id(file.read_bytes()) for file in pictures.glob("[0-9]*.jpg")}
    monkeypatch.undo()
    assert embed_catalog(root, MODEL)["embedded"] == 0  # not tried again


def test_a_crash_not_because_of_a_picture_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", 3)
    root = take_in(tmp_path)
    monkeypatch.setattr("jobs.embedding.process._serve", crashing.serve_and_crash_forward)
    with pytest.raises(LookalikeError, match=r"crashed \(SIGSEGV\), not because of a picture"):
        embed_catalog(root, MODEL)
    assert store_of(root).ids() == set()


def child_of(process: int) -> int:
    """The embedding process of ``process``."""
    for file in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{file}/cmdline").read_bytes():
            return int(file)
    raise LookupError


def test_a_kill_from_outside_is_reported_and_finished_shards_are_kept(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 700)
    root = take_in(tmp_path)

    def kill() -> None:
        while not store_of(root).shards():
            time.sleep(0.02)
        os.kill(child_of(os.getpid()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(KilledError, match=r"killed from outside \(SIGKILL\)"):
        embed_catalog(root, MODEL)
    killer.join()
    assert len(store_of(root).ids()) == 512
    assert embed_catalog(root, MODEL)["embedded"] == 700 - 512


@pytest.fixture(params=["45m", "46m"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system that holds the converted weights and little more: no copies, or copies and no CSV."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", disk], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk_fails_in_a_sentence_and_goes_on_where_there_is_room_again(
    tmp_path: Path, small_disk: Path
) -> None:
    write_pictures(tmp_path / "pictures", 200)
    root = root_with_converted_weights(small_disk / "data")
    build_catalog(folder(tmp_path / "pictures"), root)
    with pytest.raises(LookalikeError, match=r"can't be written \(.*No space left on device") as caught:
        embed_catalog(root, MODEL)
    assert "run again" in str(caught.value)
    assert "\n" not in str(caught.value)
    kept = len(store_of(root).ids())
    assert not store_of(root).csv.exists()
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    assert embed_catalog(root, MODEL)["embedded"] == 200 - kept
    assert len(store_of(root).ids()) == 200
    assert not list(small_disk.rglob(".tmp-*"))


def test_bad_weights_are_reported_by_the_process_that_asked_for_them(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 1)
    root = take_in(tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"hello")
    weights = find_weights(str(tmp_path / "weights.pth"), RESNET18)
    with pytest.raises(LookalikeError, match="is not a state dict of resnet18"):
        embed_catalog(root, Model(RESNET18, weights))


def test_an_unexpected_error_is_reported_with_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", 1)
    root = take_in(tmp_path)
    with pytest.raises(RuntimeError, match="KeyError: 'bend'"):
        embed_catalog(root, Model(RESNET18, Weights("random", None, "0" * 64), geometry="bend"))


def test_pictures_are_read_a_few_batches_ahead_and_not_a_whole_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_pictures(tmp_path / "pictures", COUNT)
    decoded = []

    def counted(content: bytes, backbone: Backbone, geometry: str) -> NDArray[np.uint8]:
        decoded.append(geometry)
        return resized(content, backbone, geometry)

    monkeypatch.setattr("jobs.embedding.worker.resized", counted)
    embedder = ImageEmbedder(MODEL, threads=1)
    embedder.batch = 2
    worker = Worker(DataRoot(tmp_path / "data"), embedder, Marks([RawArray(ctypes.c_char, 33)]))
    answers = worker.embed([[Picture(content_id(file.read_bytes()), (str(file),)) for file in files]], {})
    assert next(answers) == 2
    time.sleep(1)  # idle threads would go on meanwhile
    assert 2 <= len(decoded) <= 2 * (1 + 2 * embedder.threads)
    assert [answer for answer in answers if isinstance(answer, Outcome)] == [Outcome(embedded=COUNT)]
    assert len(decoded) == COUNT
