"""What is damaged in the data root is made again by running the steps again, and comes out as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.calibrate import calibrate_vectors
from jobs.gallery import lay_out_gallery
from jobs.index import LshParams, build_index
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.report import write_report
from jobs.store.root import DataRoot
from jobs.store.settings import published_settings
from jobs.vectors import assemble_vectors
from tests.golden.make import CURRENT
from tests.golden.test_current import CALIBRATION, FINGERPRINT, VECTORS, VERSION
from tests.golden.test_damage import READERS
from tests.support.damage import cut_off, delete, scribble


@pytest.mark.parametrize(
    ("damage", "files"),
    [
        (delete, "vectors/*/vectors.json"),
        (delete, "vectors/*/pictures/*.parquet"),
        (scribble, "calibrations/*/choice.json"),
        (cut_off, "calibrations/*/moments.npz"),
        (shutil.rmtree, "calibrations/*/reduction"),
        (delete, "index/*/manifest.json"),
        (cut_off, "index/*/packed/*.codes.npy"),
        (delete, "index/*/captions.parquet"),
        (cut_off, "index/*/neighbours/*.parquet"),
        (delete, "index/*/neighbours/*.parquet"),
        (scribble, "index/*/gallery.db"),
        (cut_off, "index/*/report.json"),
        (delete, "index/*/report.json"),
        (delete, "index/current"),
        (scribble, "index/settings.json"),
    ],
)
def test_steps_make_again_what_is_damaged(
    damage: Callable[[Path], None], files: str, tmp_path: Path, spark: object
) -> None:
    root = DataRoot(Path(shutil.copytree(CURRENT, tmp_path / "data")))
    settings = published_settings(root)
    before = {name: reader(root) for name, reader in READERS.items() if name != "published"}
    (file,) = root.root.glob(files)
    damage(file)
    vectors = assemble_vectors(root, FINGERPRINT)
    calibration = calibrate_vectors(root, vectors=vectors.name)
    index = build_index(root, LshParams(), vectors=vectors.name, calibration=calibration.name)
    store_neighbours(root, index.version)
    lay_out_gallery(root, index.version)
    write_report(root, index.version)
    publish(root, index.version, run="again", settings=settings)
    assert (vectors.name, calibration.name, index.version) == (VECTORS, CALIBRATION, VERSION)
    assert {name: READERS[name](root) for name in before} == before
