"""Both engines give the same result: this machine, and a Spark cluster that loses a worker meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from pyspark.sql import SparkSession

from jobs.catalog import build_catalog
from jobs.embed import embed_catalog, engine_of
from jobs.embedding.model import Model
from jobs.embedding.shards import Picture, cut
from jobs.intake.folder import folder
from jobs.store.catalog import catalog_file, read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import PROJECT, DataRoot, resized_file
from tests.support.converted import BY_DEFAULT, root_with_converted_weights
from tests.support.pictures import cut_jpeg, write_picture, write_pictures
from tests.support.spark_cluster import Cluster, secured, standalone
from tests.support.toy import toy_model

FIRST, LATER = 70, 330


def take_in(pictures: Path, root: DataRoot) -> EmbeddingStore:
    build_catalog(folder(pictures), root, max_quarantined=0.9)
    return EmbeddingStore(root.embeddings / BY_DEFAULT.fingerprint)


def submit(cluster: Cluster, root: DataRoot, conf: Path) -> subprocess.Popen[str]:
    """The step as the DAG starts it."""
    submit = str(Path(sys.executable).with_name("spark-submit"))
    cluster_options = ["--master", cluster.master, "--conf", f"spark.executorEnv.PYTHONPATH={PROJECT}"]
    step = [str(PROJECT / "jobs" / "embed.py"), "--engine=spark", "--weights=random", "--max-quarantined=0.9"]
    return subprocess.Popen(
        [submit, *cluster_options, *step],
        env=os.environ | {"LOOKALIKE_DATA": str(root.root), "SPARK_CONF_DIR": str(conf)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_equal(found: DataRoot, expected: DataRoot, model: Model = BY_DEFAULT) -> None:
    """The same embeddings to the bit, copies, reasons."""
    stores = [EmbeddingStore(root.embeddings / model.fingerprint) for root in (found, expected)]
    (ids, vectors), (expected_ids, expected_vectors) = (store.read() for store in stores)
    assert ids == expected_ids
    assert (vectors.view(np.uint32) == expected_vectors.view(np.uint32)).all()
    assert stores[0].broken() == stores[1].broken()
    assert [row["reason"] for row in read_catalog(found)] == [row["reason"] for row in read_catalog(expected)]
    for id_ in ids:
        copies = [resized_file(root, model.resized, id_).read_bytes() for root in (found, expected)]
        assert copies[0] == copies[1]
    assert not list(found.root.rglob(".tmp-*"))


def embedding_processes(root: DataRoot) -> list[psutil.Process]:
    """Python processes of Spark's workers and what they started that still run for ``root``."""
    marked = []
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if "multiprocessing" in command or "pyspark.daemon" in command:
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                of_cluster = process.environ().get("LOOKALIKE_CLUSTER") == str(root.root)
                if of_cluster and process.ppid() != os.getpid():
                    marked.append(process)
    return marked


@pytest.mark.timeout(600)
def test_a_cluster_embeds_as_one_machine_does_and_a_lost_worker_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, root, alone = (
        tmp_path / "pictures",
        DataRoot(tmp_path / "data"),
        root_with_converted_weights(tmp_path / "alone", BY_DEFAULT),
    )
    monkeypatch.setenv("LOOKALIKE_CLUSTER", str(root.root))  # the cluster's processes inherit it
    write_pictures(pictures, FIRST)
    write_picture(pictures / "again.jpg", seed=0)
    (pictures / "cut.jpg").write_bytes(cut_jpeg())
    write_picture(pictures / "gone.jpg", seed=FIRST)
    conf = secured(tmp_path / "conf", "known-to-all-of-them")
    with standalone(2, conf=conf) as cluster:
        for each in (alone, root):
            take_in(pictures, each)
        (pictures / "gone.jpg").rename(tmp_path / "gone.jpg")
        embed_catalog(alone, BY_DEFAULT, max_quarantined=0.9)
        told, _ = (run := submit(cluster, root, conf)).communicate()
        assert run.returncode == 0, told
        assert f"{FIRST:,} embedded, 0 kept, 2 quarantined" in told
        assert_equal(root, alone)

        (tmp_path / "gone.jpg").rename(pictures / "gone.jpg")
        write_pictures(pictures, LATER)
        store = take_in(pictures, root)
        before = set(store.shards())
        run = submit(cluster, root, conf)
        while len(set(store.shards()) - before) < 3:
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.05)
        cluster.kill(0)
        output, _ = run.communicate()
        assert run.returncode == 0, output
        assert "Lost executor" in output or "Lost task" in output, output
        assert f"{LATER - FIRST:,} embedded, {FIRST:,} kept, 1 quarantined" in output
        take_in(pictures, alone)
        embed_catalog(alone, BY_DEFAULT, max_quarantined=0.9)
        assert_equal(root, alone)
        assert catalog_file(root).is_file()
    for _ in range(100):
        if not embedding_processes(root):
            break
        time.sleep(0.1)
    assert embedding_processes(root) == []


def test_any_backbone_is_embedded_by_spark_as_here(tmp_path: Path, spark: SparkSession) -> None:
    """Workers are sent it, and need not know its name."""
    model = toy_model()
    write_pictures(tmp_path / "pictures", 40)
    (tmp_path / "pictures" / "cut.jpg").write_bytes(cut_jpeg())
    roots = {name: DataRoot(tmp_path / name) for name in ("local", "spark")}
    for name, root in roots.items():
        build_catalog(folder(tmp_path / "pictures"), root)
        told = embed_catalog(root, model, engine_of(name, "openvino", 1))
        assert (told["embedded"], told["quarantined"]) == (40, 1)
    assert_equal(roots["spark"], roots["local"], model)


def test_shards_hold_each_picture_once_in_order() -> None:
    pictures = [Picture(f"{number:032x}", ()) for number in range(70)]
    shards = cut(pictures, 32)
    assert [len(shard) for shard in shards] == [32, 32, 6]
    assert [picture for shard in shards for picture in shard] == pictures
