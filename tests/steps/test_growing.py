"""Pictures come, go and change their labels; what is hashed stays hashed, by models that stay."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.calibrate import GROWN, calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.lsh.choice import Choice, Prediction
from jobs.query import answer
from jobs.store.calibrations import Calibration, open_calibration
from jobs.store.catalog import read_catalog
from jobs.store.packed import open_parts
from jobs.store.root import DataRoot
from jobs.store.vectors import open_vectors
from jobs.store.versions import BUILT, Index
from jobs.vectors import assemble_vectors
from tests.support.synthetic import FINGERPRINT, keep, make_root, make_searchable, picture_id, take

pytestmark = pytest.mark.usefixtures("spark")
PICTURES = 600


def flat_vectors() -> NDArray[np.float32]:
    """(600, 512) vectors that vary in 30 directions, so that a sample describes all, as with real ones."""
    generator = np.random.default_rng(0)
    ways = generator.normal(size=(30, 512))
    centres = generator.normal(size=(10, 30))
    apart = centres[np.arange(PICTURES) % 10] + 0.5 * generator.normal(size=(PICTURES, 30))
    return (apart @ ways + 0.05 * generator.normal(size=(PICTURES, 512))).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    """Embeddings of all pictures, a catalog of the first 500."""
    root, _ = make_root(tmp_path / "data", PICTURES, vectors=flat_vectors())
    keep(root, 500)
    return root


def catalog_of_all(root: DataRoot, folder: Path) -> None:
    other, _ = make_root(folder, PICTURES)
    take(root, read_catalog(other))


def rows_of(index: Index) -> dict[bytes, tuple[bytes, bytes]]:
    """Id -> codes and vector, as bytes."""
    return {
        id_: (part.codes[row].tobytes(), part.vectors[row].tobytes())
        for part in open_parts(index.packed)
        for row, id_ in enumerate(part.ids.tolist())
    }


def saved(index: Index) -> dict[str, bytes]:
    files = [index.sketch, *index.lsh_model.rglob("*.parquet"), *index.reduction.rglob("*.parquet")]
    return {file.relative_to(index.folder).as_posix(): file.read_bytes() for file in files}


def test_new_pictures_are_hashed_by_the_models_there_are(root: DataRoot, tmp_path: Path) -> None:
    before = make_searchable(root)
    catalog_of_all(root, tmp_path / "other")
    after = make_searchable(root)
    assert after.manifest()["images"] == PICTURES
    assert after.manifest()["hashes_kept_of"] == before.version
    assert after.manifest()["calibration"] == before.manifest()["calibration"]
    # Not fitted again: the very files, though Spark names files at random.
    assert saved(after) == saved(before)
    old, new = rows_of(before), rows_of(after)
    assert len(new) == PICTURES
    assert {id_: new[id_] for id_ in old} == old
    # And the new ones are hashed as they would be in an index built at once.
    (root.index / BUILT).unlink()
    at_once = build_index(root, LshParams(candidates=before.manifest()["candidates"]))
    assert at_once.manifest()["hashes_kept_of"] is None
    assert rows_of(at_once) == new

    reply = json.loads((answer(root, "new", query=picture_id(590)) / "neighbours.json").read_text())
    assert {neighbour["label"] for neighbour in reply["neighbours"]} == {"0"}
    assert any(int(neighbour["id"], 16) >= 500 for neighbour in reply["neighbours"])


def test_a_picture_removed_from_the_catalog_is_no_longer_found(root: DataRoot) -> None:
    before = make_searchable(root)
    reply = json.loads((answer(root, "with", query=picture_id(7)) / "neighbours.json").read_text())
    gone = {neighbour["id"] for neighbour in reply["neighbours"]}
    take(root, [row for row in read_catalog(root) if row["id"] not in gone])
    after = make_searchable(root)
    assert after.manifest()["images"] == 495
    assert after.manifest()["hashes_kept_of"] == before.version
    reply = json.loads((answer(root, "without", query=picture_id(7)) / "neighbours.json").read_text())
    assert not gone & {neighbour["id"] for neighbour in reply["neighbours"]}
    assert len(reply["neighbours"]) == 5


def test_a_new_label_hashes_nothing_and_is_logged(root: DataRoot) -> None:
    before = make_searchable(root)
    rows = read_catalog(root)
    for row in rows:
        row["class_name"] = f"Renamed {row['label']}"
    take(root, rows)
    after = make_searchable(root)
    assert after != before
    assert rows_of(after) == rows_of(before)
    reply = json.loads((answer(root, "renamed", query=picture_id(7)) / "neighbours.json").read_text())
    assert {neighbour["class_name"] for neighbour in reply["neighbours"]} == {"Renamed 7"}


def test_corrupt_hashes_are_not_reused(root: DataRoot) -> None:
    before = make_searchable(root)
    sound = rows_of(before)
    file = before.packed / "part-00000.vectors.npy"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    keep(root, 499)
    after = make_searchable(root)
    assert after.manifest()["hashes_kept_of"] is None
    assert rows_of(after) == {id_: row for id_, row in sound.items() if int(id_, 16) < 499}


def calibrated(root: DataRoot) -> Calibration:
    assemble_vectors(root, FINGERPRINT)
    return calibrate_vectors(root)


def promise(calibration: Calibration, root: DataRoot) -> tuple[Prediction, int]:
    """What it promises for the vectors that were assembled last, and how many pictures those are."""
    check = calibration.check(open_vectors(root).name)
    assert check["prediction"]
    return check["prediction"], check["pictures"]


def choice(calibration: Calibration) -> Choice:
    chosen = calibration.chosen()["choice"]
    assert chosen
    return chosen


def test_a_calibration_is_kept_until_pictures_have_doubled(root: DataRoot, tmp_path: Path) -> None:
    keep(root, 280)
    first = calibrated(root)
    # Candidates to spare, so that only the number of pictures counts.
    file = first.folder / "choice.json"
    content = json.loads(file.read_text())
    content["choice"]["candidates"] += 5
    file.write_text(json.dumps(content))
    assert promise(first, root)[1] == choice(first).pictures == 280
    catalog_of_all(root, tmp_path / "other")
    keep(root, 500)
    kept = calibrated(root)
    assert kept == first
    prediction, pictures = promise(kept, root)
    assert (pictures, prediction.candidates) == (500, choice(first).candidates_for(500))
    catalog_of_all(root, tmp_path / "another")
    assert PICTURES > GROWN * 280
    again = calibrated(root)
    assert again != first
    assert choice(again).pictures == PICTURES


def test_a_calibration_that_misses_its_target_is_made_again(root: DataRoot) -> None:
    first = calibrated(root)
    # As though the pictures had changed so that what was chosen finds too little.
    file = first.folder / "choice.json"
    content = json.loads(file.read_text())
    content["choice"]["candidates"] = 2
    file.write_text(json.dumps(content))
    keep(root, 450)
    again = calibrated(root)
    assert again != first
    assert promise(again, root)[0].lower_bound >= again.chosen()["target"]["target"]
    assert open_calibration(root) == again


def test_another_target_is_another_calibration(root: DataRoot) -> None:
    first = calibrated(root)
    second = calibrate_vectors(root, recall=0.8)
    assert second != first
    assert promise(second, root)[0].candidates < promise(first, root)[0].candidates
