"""The embedding process: a crash, a kill or a full disk costs little and is reported."""

from __future__ import annotations

import ctypes
import itertools
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

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
from jobs.embedding.worker import _decode as decode_marked
from jobs.intake.folder import folder
from jobs.intake.look import content_id
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from tests.support import crashing
from tests.support.converted import MODEL, root_with_converted_weights
from tests.support.pictures import encoded, picture, write_pictures
from tests.support.toy import WIDE_TOY, toy_model

COUNT = 40
starts_processes = pytest.mark.slow
"""Each imports PyTorch."""


def take_in(tmp_path: Path) -> DataRoot:
    root = root_with_converted_weights(tmp_path / "data")
    build_catalog(folder(tmp_path / "pictures"), root, max_quarantined=0.9)
    return root


def store_of(root: DataRoot, model: Model = MODEL) -> EmbeddingStore:
    return EmbeddingStore(root.embeddings / model.fingerprint)


@starts_processes
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SIGSEGV", "crashes the decoder (SIGSEGV)"),
        ("SIGABRT", "crashes the decoder (SIGABRT)"),
        ("SIGKILL", "takes more memory to decode than there is"),
        ("no end", "takes more than 5 s to decode"),
    ],
)
def test_picture_that_ends_its_process_is_quarantined_and_the_rest_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.setenv("LOOKALIKE_MAX_SECONDS", "5")
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
    assert reasons == {f"hostile{number}.jpg": reason for number in range(2)}
    assert store_of(root).ids() == {content_id(file.read_bytes()) for file in pictures.glob("[0-9]*.jpg")}
    monkeypatch.undo()
    assert embed_catalog(root, MODEL)["embedded"] == 0  # not tried again


@starts_processes
def test_crash_that_no_picture_is_to_blame_for_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", 3)
    root = take_in(tmp_path)
    monkeypatch.setattr("jobs.embedding.process._serve", crashing.serve_and_crash_forward)
    with pytest.raises(LookalikeError, match=r"crashed \(SIGSEGV\), not because of a picture"):
        embed_catalog(root, MODEL)
    assert store_of(root).ids() == set()


@starts_processes
def test_killed_from_outside_is_said_and_what_is_done_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a picture of the second shard is decoded that is far from the first shard's end."""
    write_pictures(tmp_path / "pictures", 699)
    pictures = (encoded(picture(seed), "JPEG") for seed in itertools.count(1_000))
    once = f"SIGKILL at {tmp_path / 'killed'}".encode()
    deadly = (content + crashing.MARK + once for content in pictures)
    last = next(content for content in deadly if content_id(content).startswith("ff"))
    (tmp_path / "pictures" / "last.jpg").write_bytes(last)
    root = take_in(tmp_path)
    monkeypatch.setattr("jobs.embedding.process._serve", crashing.serve)
    with pytest.raises(KilledError, match=r"killed from outside \(SIGKILL\)"):
        embed_catalog(root, MODEL)
    assert len(store_of(root).ids()) == 512
    monkeypatch.undo()
    assert embed_catalog(root, MODEL)["embedded"] == 700 - 512


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that holds 200 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def resize_disk(disk: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)


@starts_processes
@pytest.mark.parametrize(
    ("room", "embedded"), [(100, 0), (1_800, 200)], ids=["no copies", "copies and no CSV"]
)
def test_full_disk_fails_in_a_sentence_and_goes_on_where_there_is_room_again(
    tmp_path: Path, disk: Path, room: int, embedded: int
) -> None:
    """With as many kilobytes of room, for copies of some 800, a shard of 400 and a CSV of 1,100."""
    model = toy_model(WIDE_TOY)
    write_pictures(tmp_path / "pictures", 200)
    root = root_with_converted_weights(disk / "data", model)
    build_catalog(folder(tmp_path / "pictures"), root)
    resize_disk(disk, shutil.disk_usage(disk).used // 1024 + room)
    with pytest.raises(LookalikeError, match=r"can't be written \(.*No space left on device") as caught:
        embed_catalog(root, model)
    assert "run again" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(store_of(root, model).ids()) == embedded
    assert not store_of(root, model).csv.exists()
    resize_disk(disk, 200_000)
    assert embed_catalog(root, model)["embedded"] == 200 - embedded
    assert len(store_of(root, model).ids()) == 200
    assert not list(disk.rglob(".tmp-*"))


@starts_processes
def test_bad_weights_are_told_by_the_one_who_asked(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 1)
    root = take_in(tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"hello")
    weights = find_weights(str(tmp_path / "weights.pth"), MODEL.backbone)
    with pytest.raises(LookalikeError, match="is not a state dict of toy"):
        embed_catalog(root, Model(MODEL.backbone, weights))


@starts_processes
def test_what_nobody_foresaw_is_told_with_its_trace(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 1)
    root = take_in(tmp_path)
    with pytest.raises(RuntimeError, match="KeyError: 'bend'"):
        embed_catalog(root, Model(MODEL.backbone, Weights("random", None, "0" * 64), geometry="bend"))


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


LARGEST = pytest.param((1, 60_000_000), "squash", marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("size", "geometry"),
    [
        *itertools.product([(1, 4_000_000), (4_000_000, 1)], ["squash", "crop", "pad"]),
        LARGEST,
    ],
)
def test_a_long_thin_picture_takes_little_memory(size: tuple[int, int], geometry: str) -> None:
    width, height = size
    levels = np.repeat(np.arange(250, dtype=np.uint8), width * height // 250)
    content = encoded(Image.fromarray(levels.reshape(height, width)), "PNG")
    assert len(content) < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pixels = resized(content, RESNET18, geometry)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000, "KB"
    assert pixels.shape == (224, 224, 3)
    if geometry == "squash":
        along = pixels.mean(axis=(1, 2) if height > width else (0, 2))
        assert np.abs(along - np.linspace(0, 249, 224)).max() < 3


def test_a_picture_that_memory_does_not_suffice_for_is_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")

    file = tmp_path / "a.jpg"
    file.write_bytes(encoded(picture(1), "JPEG"))
    monkeypatch.setattr("jobs.embedding.resize.resize", fail)
    outcome, id_ = Outcome(), content_id(file.read_bytes())
    marks = Marks([RawArray(ctypes.c_char, 33)])
    for _ in range(2):  # the mark is free again
        assert decode_marked(Picture(id_, (str(file),)), MODEL, marks, outcome) is None
    assert outcome.broken[id_] == "cannot be resized: [enforce fail] DefaultCPUAllocator: not enough memory"
