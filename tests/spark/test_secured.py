"""A Spark cluster set as the containers set it: it computes as ever, and refuses who has not its secret."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.store.root import PROJECT
from tests.support.spark_cluster import Cluster, secured, standalone

SEARCH = """
import numpy as np, sys
from pathlib import Path
from jobs.search.opened import OpenIndex
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.packed import Part, list_parts, open_parts

vectors = np.random.default_rng(0).normal(size=(300, 512)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
ids = np.array([f"{number:032x}" for number in range(300)])
none = np.zeros((300, 1), np.uint8), np.zeros(300, np.float32), np.zeros(300, np.uint16)
folder = Path(sys.argv[1])
Part(ids.astype("S32"), *none, vectors).save(str(folder / "part-00000"))
list_parts(folder, 512, [{"name": "part-00000", "pictures": 300}])
index = OpenIndex(folder, tuple(open_parts(folder)), sketch=None, candidates=0, k=5)
with spark_session("search") as spark:
    found = search_by_spark(spark, index, vectors, ids.tolist(), 5)
here = index.search(vectors, ids.tolist(), 5)
assert (found[0] == here[0]).all() and (found[1] == here[1]).all()
print("the same")
"""


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return secured(tmp_path_factory.mktemp("conf"), "the-right-one")


@pytest.fixture(scope="module")
def cluster(conf: Path) -> Iterator[Cluster]:
    with standalone(1, conf=conf) as started:
        yield started


REFUSED = "Failed to connect to master"
"""Spark asks twice more, for a minute, which need not be waited for."""


def search(cluster: Cluster, conf: Path, folder: Path) -> str:
    """What a job says that sends megabytes of queries to the workers, until it ends or is refused."""
    script = folder / "search.py"
    script.write_text(SEARCH)
    submit = str(Path(sys.executable).with_name("spark-submit"))
    path = ["--conf", f"spark.executorEnv.PYTHONPATH={PROJECT}"]
    with subprocess.Popen(
        [submit, "--master", cluster.master, *path, str(script), str(folder)],
        env=os.environ | {"SPARK_CONF_DIR": str(conf)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as job:
        assert job.stdout is not None
        output = ""
        for line in job.stdout:
            output += line
            if REFUSED in line:
                os.killpg(job.pid, signal.SIGKILL)
        return output


def test_encrypted_broadcasts_arrive(cluster: Cluster, conf: Path, tmp_path: Path) -> None:
    output = search(cluster, conf, tmp_path)
    assert "the same" in output, output


def test_a_wrong_secret_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    output = search(cluster, secured(tmp_path / "conf", "a-wrong-one"), tmp_path)
    assert "the same" not in output
    assert REFUSED in output, output


def test_a_driver_without_the_secret_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    conf = secured(tmp_path / "conf", "any")
    with (conf / "spark-defaults.conf").open("a") as file:
        file.write("spark.authenticate false\nspark.network.crypto.enabled false\n")
    output = search(cluster, conf, tmp_path)
    assert "the same" not in output
    assert REFUSED in output, output


def test_the_secret_is_read_by_its_owner_alone(conf: Path) -> None:
    assert conf.stat().st_mode & 0o777 == 0o700
