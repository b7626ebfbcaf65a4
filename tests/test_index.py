"""Fitting, saving and publishing the index by Spark."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.feature import BucketedRandomProjectionLSHModel

from jobs.calibrate import calibrate_vectors
from jobs.catalog import read_catalog, write_catalog
from jobs.errors import LookalikeError
from jobs.index import LshParams, build_index
from jobs.manifest import open_index
from jobs.paths import DataRoot
from jobs.session import spark_session
from jobs.vectors import assemble_vectors
from tests.synthetic import FINGERPRINT, make_root


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with vectors and their calibration but no index; tests take copies."""
    folder = tmp_path_factory.mktemp("assembled") / "data"
    root, _ = make_root(folder, 30)
    assemble_vectors(root, FINGERPRINT)
    calibrate_vectors(root)
    return folder


@pytest.fixture
def root(assembled: Path, tmp_path: Path) -> DataRoot:
    return DataRoot(Path(shutil.copytree(assembled, tmp_path / "data")))


def test_the_index_holds_model_hashes_and_manifest(root: DataRoot) -> None:
    index = build_index(root, LshParams(bucket_length=0.1, num_hash_tables=4))
    manifest = index.manifest()
    assert (manifest["images"], manifest["dimension"]) == (30, 512)
    lsh = {"bucket_length": 0.1, "num_hash_tables": 4, "seed": 42, "reduced_dimension": None}
    assert (manifest["lsh"], manifest["search"]) == (lsh, "exact")
    assert manifest["model"]["fingerprint"] == FINGERPRINT
    with spark_session("test") as spark:
        model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
        assert (model.getBucketLength(), model.getNumHashTables()) == (0.1, 4)
        rows = spark.read.parquet(str(index.pictures)).collect()
        planes = spark.read.parquet(str(index.lsh_model / "data")).first()
        assert planes is not None
        # The saved hashes are those of the formula: floor(r . x / bucket length).
        projections = np.array(planes["randUnitVectors"].toArray())
    vectors = np.array([row["vector"].toArray() for row in rows])
    hashes = np.array([[entry[0] for entry in row["hashes"]] for row in rows])
    np.testing.assert_array_equal(hashes, np.floor(vectors @ projections.T / 0.1))


def test_the_same_input_gives_the_same_version_and_is_built_once(root: DataRoot) -> None:
    first = build_index(root, LshParams())
    built = first.manifest_file.stat().st_mtime_ns
    assert build_index(root, LshParams()) == first
    assert first.manifest_file.stat().st_mtime_ns == built
    other = build_index(root, LshParams(num_hash_tables=1))
    assert other != first
    assert open_index(root) == other
    assert open_index(root, first.version) == first


def test_a_build_killed_before_publishing_leaves_the_published_index_and_ends_the_same(
    root: DataRoot,
) -> None:
    published = build_index(root, LshParams(num_hash_tables=1))
    code = """
import os, signal
from pathlib import Path
import jobs.index
from jobs.index import LshParams, build_index
from jobs.paths import DataRoot
write = jobs.index.write_json
def killed(target, value):
    os.kill(os.getpid(), signal.SIGKILL)
jobs.index.write_json = killed
build_index(DataRoot.from_env(), LshParams(num_hash_tables=2))
"""
    environment = {**os.environ, "LOOKALIKE_DATA": str(root.root)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert open_index(root) == published
    half = [folder.name for folder in root.index.iterdir() if folder.name.startswith(".tmp-")]
    assert len(half) == 1
    with pytest.raises(LookalikeError, match="no index version"):
        open_index(root, half[0])

    index = build_index(root, LshParams(num_hash_tables=2))
    assert open_index(root) == index
    assert not list(root.index.glob(".tmp-*"))
    undisturbed = DataRoot(root.root.with_name("undisturbed"))
    shutil.copytree(root.root, undisturbed.root, ignore=shutil.ignore_patterns("index"))
    twin = build_index(undisturbed, LshParams(num_hash_tables=2))
    assert twin.version == index.version
    told, expected = index.manifest(), twin.manifest()
    assert {**told, "created": None} == {**expected, "created": None}
    with spark_session("test") as spark:
        rows = [
            sorted(spark.read.parquet(str(one.pictures)).select("id", "path", "hashes").collect())
            for one in (index, twin)
        ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"bucket_length": 0.0}, "bucket length 0.0 must be above 0"),
        ({"bucket_length": float("nan")}, "bucket length nan must be above 0"),
        ({"bucket_length": float("inf")}, "bucket length inf must be above 0"),
        ({"num_hash_tables": 0}, "0 hash tables are too few"),
        ({"refined": 0}, "0 refined candidates are too few"),
    ],
)
def test_senseless_params_are_one_sentence(params: dict[str, float], sentence: str) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        LshParams(**params)  # type: ignore[arg-type]


def test_opening_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    with pytest.raises(LookalikeError, match="no index is published"):
        open_index(root)
    with pytest.raises(LookalikeError, match="no complete index"):
        open_index(root, "0" * 16)
    with pytest.raises(LookalikeError, match="is no index version"):
        open_index(root, "../../etc")
    with pytest.raises(LookalikeError, match="run the step vectors first"):
        build_index(root, LshParams())


def test_a_calibration_of_other_vectors_is_refused(root: DataRoot) -> None:
    rows = read_catalog(root)
    write_catalog(rows[:20], root)
    assemble_vectors(root, FINGERPRINT)
    with pytest.raises(LookalikeError, match="is of other vectors: run the step calibrate again"):
        build_index(root, LshParams())


def test_a_half_copied_index_is_refused(root: DataRoot) -> None:
    index = build_index(root, LshParams())
    index.manifest_file.write_text(json.dumps(index.manifest())[:40])
    with pytest.raises(LookalikeError, match="manifest"):
        open_index(root)
