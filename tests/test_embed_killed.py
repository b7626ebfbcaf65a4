"""A killed embed step, run again, ends where an undisturbed one does: the same shards, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import jobs
from jobs.catalog import build_catalog, read_catalog
from jobs.embed import embed_catalog
from jobs.embedder import ImageEmbedder
from jobs.embeddings import EmbeddingStore
from jobs.paths import DataRoot, resized_file
from jobs.scan import content_id
from jobs.sources.folder import folder
from jobs.weights import load_weights
from tests.pictures import cut_jpeg, write_pictures

SOUND, BROKEN_EARLY, BROKEN_LATE = 60, 2, 2
SHARD, BATCH, DONE_BEFORE = 8, 4, 3

KILLED_AT_A_SHARD = f"""
import os, signal, sys
from pathlib import Path
import jobs.embed

def replace(source, target, real=os.replace):
    target = Path(target)
    if target.match("shard-*") and len(list(target.parent.glob("shard-*"))) == {DONE_BEFORE}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)

os.replace = replace
jobs.embed.SHARD, jobs.embed.BATCH = {SHARD}, {BATCH}
sys.exit(jobs.embed.main(["--weights", "random"]))
"""


@dataclass(frozen=True)
class Runs:
    whole: EmbeddingStore
    killed: EmbeddingStore
    status: int
    left_by_kill: dict[str, int]
    """Names of the files in the killed run's folder, and when each was written."""
    told: dict[str, object]
    """By the run after the kill."""
    roots: tuple[DataRoot, DataRoot]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    directory = tmp_path_factory.mktemp("killed")
    pictures = directory / "pictures"
    write_pictures(pictures, SOUND)
    # Pictures are embedded in the order of their ids: break some of the first and some of the last.
    cut = [cut_jpeg(seed) for seed in range(200)]
    cut.sort(key=content_id)
    for number, content in enumerate([*cut[:BROKEN_EARLY], *cut[-BROKEN_LATE:]]):
        (pictures / f"cut-{number}.jpg").write_bytes(content)
    whole, killed = DataRoot(directory / "whole"), DataRoot(directory / "killed-data")
    for root in (whole, killed):
        build_catalog(folder(pictures), root)
    status = subprocess.run(
        [sys.executable, "-c", KILLED_AT_A_SHARD],
        cwd=Path(jobs.__file__).parents[1],
        env=os.environ | {"LOOKALIKE_DATA": str(killed.root)},
        timeout=120,
    ).returncode
    embedder = ImageEmbedder(load_weights("random"))
    folders = [root.embeddings / embedder.fingerprint for root in (whole, killed)]
    left = {path.name: path.stat().st_mtime_ns for path in folders[1].iterdir()}
    last = max(row["id"] for row in read_catalog(killed) if not Path(row["path"]).name.startswith("cut"))
    half = resized_file(killed, "squash", last)
    half.parent.mkdir(parents=True, exist_ok=True)
    half.with_name(f".tmp-{half.name}-0123abcd").write_bytes(b"half a JPEG")
    (folders[1] / ".tmp-shard-of-other-pictures.parquet-0123abcd").write_bytes(b"half a shard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.embed.SHARD", SHARD)
        patch.setattr("jobs.embed.BATCH", BATCH)
        embed_catalog(whole, embedder)
        told = embed_catalog(killed, embedder)
    return Runs(EmbeddingStore(folders[0]), EmbeddingStore(folders[1]), status, left, told, (whole, killed))


def test_kill_came_amid_the_run(runs: Runs) -> None:
    assert runs.status == -signal.SIGKILL
    kinds = [name[:6] for name in runs.left_by_kill]
    assert kinds.count("shard-") == DONE_BEFORE
    assert len(runs.whole.shards()) > DONE_BEFORE + 1
    assert kinds.count(".tmp-s") == 1  # half published: the kill was in between
    assert "embeddings.csv" not in runs.left_by_kill


def test_what_was_done_before_the_kill_is_kept(runs: Runs) -> None:
    shards = {name: time for name, time in runs.left_by_kill.items() if name.startswith("shard-")}
    assert {name: (runs.killed.folder / name).stat().st_mtime_ns for name in shards} == shards
    kept = DONE_BEFORE * SHARD - BROKEN_EARLY
    assert (runs.told["kept"], runs.told["embedded"]) == (kept, SOUND - kept)


def test_vectors_are_those_of_an_undisturbed_run_to_the_bit(runs: Runs) -> None:
    (ids, vectors), (ids_after, vectors_after) = runs.whole.read(), runs.killed.read()
    assert ids_after == ids == sorted(ids)
    assert len(ids) == SOUND
    assert (vectors_after.view(np.uint32) == vectors.view(np.uint32)).all()


def test_shards_and_csv_are_those_of_an_undisturbed_run(runs: Runs) -> None:
    shards, shards_after = ([path.name for path in store.shards()] for store in (runs.whole, runs.killed))
    assert shards_after == shards
    assert runs.killed.csv.read_bytes() == runs.whole.csv.read_bytes()


def test_quarantine_is_that_of_an_undisturbed_run(runs: Runs) -> None:
    whole, killed = (read_catalog(root) for root in runs.roots)
    assert killed == whole
    assert sum(row["status"] == "quarantined" for row in whole) == BROKEN_EARLY + BROKEN_LATE


def test_nothing_half_written_is_left(runs: Runs) -> None:
    root = runs.roots[1]
    assert [path.name for path in root.embeddings.rglob(".tmp-*")] == []
    assert [path.name for path in root.resized.rglob(".tmp-*")] == []
