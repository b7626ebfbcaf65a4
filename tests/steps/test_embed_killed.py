"""A killed embed step leaves no process, and run again ends where an undisturbed one does, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import jobs.embedding.process
from jobs.base.logs import Progress
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.model import Model
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import Outcome, Picture, cut
from jobs.intake.folder import folder
from jobs.intake.look import content_id
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot, resized_file
from tests.support.converted import MODEL, root_with_converted_weights
from tests.support.pictures import cut_jpeg, write_pictures

pytestmark = pytest.mark.slow  # a dozen processes that import PyTorch
SOUND, BROKEN_EARLY, BROKEN_LATE = 60, 2, 2
SHARD, DONE_BEFORE = 8, 3
MOMENTS = {"weights": "openvino", "picture": "*.jpg", "shard": "shard-*.parquet"}
"""What is about to be renamed into its place when the kill comes."""


def in_small_shards(
    pictures: Sequence[Picture], root: DataRoot, model: Model, progress: Progress
) -> Iterator[Outcome]:
    """The engine ``local``, with more shards than such a number of pictures would have."""
    with EmbeddingProcess(root, model, runtime="auto", threads=2) as process:
        yield from process.embed(cut(pictures, SHARD), progress.advance)


def serve_and_kill(*arguments: Any) -> None:
    """Embed, and kill at the moment and what the environment names."""
    from jobs.embedding.worker import serve

    wanted = MOMENTS[os.environ["KILLED_AT"]]
    replace = os.replace

    def replace_or_kill(source: Any, target: Any) -> None:
        shards = len(store_of(DataRoot.from_env()).shards())
        if Path(target).match(wanted) and (wanted != MOMENTS["shard"] or shards == DONE_BEFORE):
            setattr(os, "replace", replace)  # noqa: B010
            if os.environ["KILLED"] == "all":
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getppid(), signal.SIGKILL)
        replace(source, target)

    setattr(os, "replace", replace_or_kill)  # noqa: B010
    serve(*arguments)


def run_and_kill() -> None:
    """In a process of its own: the whole step, killed by its embedding process."""
    if os.environ["KILLED_AT"] != "start":
        setattr(jobs.embedding.process, "_serve", serve_and_kill)  # noqa: B010
    embed_catalog(DataRoot.from_env(), MODEL, in_small_shards)


def processes_of(session: int) -> list[psutil.Process]:
    """All that still run in the session that was started with process ``session``."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def run_until_killed(root: DataRoot, moment: str, whom: str) -> tuple[int, float]:
    """Run the step until it is killed; return its status, and for how long any process outlived it."""
    told = {"LOOKALIKE_DATA": str(root.root), "KILLED_AT": moment, "KILLED": whom}
    step = subprocess.Popen(
        [sys.executable, "-c", "from tests.steps.test_embed_killed import run_and_kill; run_and_kill()"],
        cwd=Path(jobs.__file__).parents[1],
        env=os.environ | told,
        start_new_session=True,
    )
    if moment == "start":
        while not any("spawn_main" in " ".join(each.cmdline()) for each in processes_of(step.pid)):
            assert step.poll() is None
            time.sleep(0.01)
        if whom == "all":
            os.killpg(step.pid, signal.SIGKILL)
        else:
            step.kill()
    status = step.wait(120)
    ended = time.monotonic()
    while processes_of(step.pid) and time.monotonic() - ended < 60:
        time.sleep(0.05)
    return status, time.monotonic() - ended


def ids_of(shard: Path) -> list[str]:
    ids: list[str] = pq.read_table(shard)["id"].to_pylist()
    return ids


@dataclass(frozen=True)
class Whole:
    """An undisturbed run."""

    pictures: Path
    root: DataRoot

    @property
    def store(self) -> EmbeddingStore:
        return store_of(self.root)


def store_of(root: DataRoot) -> EmbeddingStore:
    return EmbeddingStore(root.embeddings / MODEL.fingerprint)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    directory = tmp_path_factory.mktemp("killed")
    pictures, root = directory / "pictures", root_with_converted_weights(directory / "whole")
    write_pictures(pictures, SOUND)
    # Pictures are embedded in the order of their ids: break some of the first and some of the last.
    broken = sorted((cut_jpeg(seed) for seed in range(200)), key=content_id)
    for number, content in enumerate([*broken[:BROKEN_EARLY], *broken[-BROKEN_LATE:]]):
        (pictures / f"cut-{number}.jpg").write_bytes(content)
    build_catalog(folder(pictures), root)
    assert embed_catalog(root, MODEL, in_small_shards)["embedded"] == SOUND
    return Whole(pictures, root)


def assert_like(root: DataRoot, whole: Whole) -> None:
    """The same vectors to the bit, shards, CSV, quarantine and resized pictures."""
    (ids, vectors), (expected_ids, expected) = store_of(root).read(), whole.store.read()
    assert ids == expected_ids == sorted(ids)
    assert len(ids) == SOUND
    assert (vectors.view(np.uint32) == expected.view(np.uint32)).all()
    shards, expected_shards = (
        [path.name for path in store.shards()] for store in (store_of(root), whole.store)
    )
    assert shards == expected_shards
    assert store_of(root).csv.read_bytes() == whole.store.csv.read_bytes()
    rows = read_catalog(root)
    assert rows == read_catalog(whole.root)
    assert sum(row["status"] == "quarantined" for row in rows) == BROKEN_EARLY + BROKEN_LATE
    for id_ in ids:
        copy, expected_copy = (resized_file(each, MODEL.resized, id_) for each in (root, whole.root))
        assert copy.read_bytes() == expected_copy.read_bytes()


@pytest.mark.parametrize(
    ("moment", "whom"),
    [
        ("start", "all"),
        ("start", "parent"),
        ("weights", "all"),
        ("picture", "parent"),
        ("shard", "all"),
        ("shard", "parent"),
    ],
)
def test_killed_run_leaves_nothing_running_and_is_taken_up_again(
    tmp_path: Path, whole: Whole, moment: str, whom: str
) -> None:
    """The whole process group is killed, or the step alone: then its child must end by itself."""
    unused = moment == "weights"  # which are converted by the run itself, then
    root = DataRoot(tmp_path / "data") if unused else root_with_converted_weights(tmp_path / "data")
    build_catalog(folder(whole.pictures), root)
    status, outlived = run_until_killed(root, moment, whom)
    assert status == -signal.SIGKILL
    assert outlived < 30

    store = store_of(root)
    done = {path: path.stat().st_mtime_ns for path in store.shards()}
    half_written = list(root.root.rglob(".tmp-*"))
    assert not store.csv.exists()
    if moment == "shard" and whom == "all":
        assert len(done) == DONE_BEFORE
    elif moment == "shard":  # while the step dies, its child may finish what it has in hand
        assert DONE_BEFORE < len(done) <= len(whole.store.shards())
    elif moment != "picture":
        assert not done
    if whom == "all" and moment != "start":
        assert half_written  # the kill was in between
    scratch = root.resized_scratch(MODEL.fingerprint)
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / ".tmp-another.jpg-0123abcd").write_bytes(b"half a JPEG")
    (store.folder / ".tmp-shard-of-other-pictures.parquet-0123abcd").write_bytes(b"half a shard")

    told = embed_catalog(root, MODEL, in_small_shards)
    kept = sum(len(ids_of(path)) for path in done)
    assert kept >= min(SOUND, len(done) * SHARD) - BROKEN_EARLY - BROKEN_LATE
    assert (told["kept"], told["embedded"]) == (kept, SOUND - kept)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert_like(root, whole)
    assert list(root.root.rglob(".tmp-*")) == []
