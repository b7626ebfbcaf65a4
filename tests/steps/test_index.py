"""Fitting, saving and publishing the index by Spark."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.ml.feature import BucketedRandomProjectionLSHModel

from jobs.base.errors import LookalikeError
from jobs.calibrate import calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.query import answer
from jobs.report import write_report
from jobs.spark.session import spark_session
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, Index, open_index
from jobs.vectors import assemble_vectors
from tests.support.synthetic import FINGERPRINT, keep, make_index, make_root, picture_id

pytestmark = pytest.mark.usefixtures("spark")


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
    with spark_session("test"):
        model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
        assert (model.getBucketLength(), model.getNumHashTables()) == (0.1, 4)
    assert [row["id"] for row in index.captions()] == [picture_id(number) for number in range(30)]
    seventh = {"id": picture_id(7), "path": "/pictures/00007.jpg", "label": "7", "class_name": "Class 7"}
    assert index.captions()[7] == seventh


def test_the_same_input_gives_the_same_version_and_is_built_once(root: DataRoot) -> None:
    first = build_index(root, LshParams())
    built = first.manifest_file.stat().st_mtime_ns
    assert build_index(root, LshParams()) == first
    assert first.manifest_file.stat().st_mtime_ns == built
    other = build_index(root, LshParams(num_hash_tables=1))
    assert other != first
    assert open_index(root, BUILT) == other
    assert open_index(root, first.version) == first


def test_a_build_killed_before_its_end_leaves_the_earlier_index_and_ends_the_same(
    root: DataRoot,
) -> None:
    earlier = build_index(root, LshParams(num_hash_tables=1))
    code = """
import os, signal
from pathlib import Path
import jobs.index
from jobs.index import LshParams, build_index
from jobs.store.root import DataRoot
def killed(index, manifest):
    os.kill(os.getpid(), signal.SIGKILL)
jobs.index.Index.record = killed
build_index(DataRoot.from_env(), LshParams(num_hash_tables=2))
"""
    environment = {**os.environ, "LOOKALIKE_DATA": str(root.root)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert open_index(root, BUILT) == earlier
    half = [folder.name for folder in root.index.iterdir() if folder.name.startswith(".tmp-")]
    assert len(half) == 1
    with pytest.raises(LookalikeError, match="is not an index version"):
        open_index(root, half[0])

    index = build_index(root, LshParams(num_hash_tables=2))
    assert open_index(root, BUILT) == index
    assert not list(root.index.glob(".tmp-*"))
    undisturbed = DataRoot(root.root.with_name("undisturbed"))
    shutil.copytree(root.root, undisturbed.root, ignore=shutil.ignore_patterns("index"))
    twin = build_index(undisturbed, LshParams(num_hash_tables=2))
    assert twin.version == index.version
    found, expected = ({**one.manifest(), "created": None, "files": None} for one in (index, twin))
    assert found == expected
    assert index.captions() == twin.captions()
    for name in ("ids", "codes", "norms", "vectors"):
        file = Path("packed", f"part-00000.{name}.npy")
        assert (index.folder / file).read_bytes() == (twin.folder / file).read_bytes()


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"bucket_length": 0.0}, "bucket_length is 0.0: give a number above 0"),
        ({"bucket_length": float("nan")}, "bucket_length is nan: give a number above 0"),
        ({"bucket_length": float("inf")}, "bucket_length is inf: give a number above 0"),
        ({"num_hash_tables": 0}, "num_hash_tables is 0: give 1 to 512"),
        ({"candidates": 0}, "candidates is 0: give 1 to 1,000,000,000"),
    ],
)
def test_params_out_of_range_are_one_sentence(params: dict[str, float], sentence: str) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        LshParams(**params)  # type: ignore[arg-type]


def test_opening_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    with pytest.raises(LookalikeError, match="no index is published"):
        open_index(root)
    with pytest.raises(LookalikeError, match="is not a complete index"):
        open_index(root, "0" * 16)
    with pytest.raises(LookalikeError, match="is not an index version"):
        open_index(root, "../../etc")
    with pytest.raises(LookalikeError, match="run the step vectors first"):
        build_index(root, LshParams())


def test_a_calibration_of_other_vectors_is_refused(root: DataRoot) -> None:
    keep(root, 20)
    assemble_vectors(root, FINGERPRINT)
    with pytest.raises(LookalikeError, match=r"was not checked on .*: run the step calibrate on them"):
        build_index(root, LshParams())


def test_one_picture_makes_no_index(root: DataRoot) -> None:
    keep(root, 1)
    with pytest.raises(LookalikeError, match="an index needs at least 2 pictures, found 1"):
        make_index(root)


def spoil_manifest(index: Index) -> None:
    index.manifest_file.write_text(index.manifest_file.read_text()[:40])


def lose_manifest(index: Index) -> None:
    index.manifest_file.unlink()


def lose_model(index: Index) -> None:
    shutil.rmtree(index.lsh_model)


def lose_part(index: Index) -> None:
    (index.packed / "part-00000.vectors.npy").unlink()


def cut_part(index: Index) -> None:
    os.truncate(index.packed / "part-00000.vectors.npy", 1000)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (spoil_manifest, "manifest.json is corrupt"),
        (lose_manifest, "is not a complete index"),
        (lose_model, r"model/.* is missing or has another size: delete index version"),
        (lose_part, r"vectors.npy is missing or has another size"),
        (cut_part, r"vectors.npy is missing or has another size"),
    ],
)
def test_a_half_copied_index_is_refused_by_every_reader(
    root: DataRoot, spoil: Callable[[Index], None], sentence: str
) -> None:
    spoil(make_index(root))
    for use in (open_index, lambda of: answer(of, "test"), store_neighbours, write_report, publish):
        with pytest.raises(LookalikeError, match=sentence):
            use(root)
