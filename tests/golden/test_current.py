"""A data root of this release's formats: it is read, its names are pinned, another format is one sentence.

Whoever changes a format or what goes into a name makes the root again (python -m tests.golden.make), raises
the number and says so in CHANGELOG.md: people's versions are rebuilt, and, if the fingerprint changes, all
their pictures are embedded again.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.base.errors import LookalikeError
from jobs.base.options import INDEX_OPTIONS
from jobs.calibrate import calibrate_vectors
from jobs.changes import find_changes
from jobs.index import LshParams, build_index
from jobs.search.lookup import look_up
from jobs.search.opened import open_for_search
from jobs.store.answers import read_answer
from jobs.store.calibrations import open_calibration
from jobs.store.catalog import read_catalog, read_counts
from jobs.store.embeddings import EmbeddingStore
from jobs.store.gallery import open_gallery
from jobs.store.packed import load_sketch
from jobs.store.root import DataRoot, resized_file
from jobs.store.settings import published_settings
from jobs.store.vectors import open_vectors
from jobs.store.versions import open_index
from jobs.vectors import assemble_vectors
from tests.golden.make import CURRENT, MODEL, PICTURES, RUN

FINGERPRINT = "61537b733d2e7f25"
VECTORS, CALIBRATION, VERSION = "242603c3d37c073e", "8a3bbd3ab362a087", "af3a3ec7c62ff1ad"


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(Path(shutil.copytree(CURRENT, tmp_path / "data")))


def test_the_same_input_has_the_same_names(root: DataRoot) -> None:
    """All is there already: a step that starts to compute gave another name."""
    catalog = read_catalog(root)
    assert MODEL.fingerprint == FINGERPRINT
    assert EmbeddingStore(root.embeddings / FINGERPRINT).ids() == {
        row["id"] for row in catalog if row["status"] == "ok"
    }
    vectors = assemble_vectors(root, FINGERPRINT)
    calibration = calibrate_vectors(root, vectors=vectors.name)
    index = build_index(root, LshParams(), vectors=vectors.name, calibration=calibration.name)
    assert (vectors.name, calibration.name, index.version) == (VECTORS, CALIBRATION, VERSION)
    assert not find_changes(root, FINGERPRINT).anything


def test_everything_is_read(root: DataRoot) -> None:
    index = open_index(root)
    index.verify(content=True)
    manifest = index.manifest()
    assert manifest["images"] == PICTURES == len(open_for_search(index)) == len(index.captions())
    assert manifest["model"] == {**MODEL.description, "runtimes": manifest["model"]["runtimes"]}
    assert open_vectors(root).description()["pictures"] == PICTURES
    calibration = open_calibration(root)
    assert calibration.chosen()["choice"] and calibration.check(VECTORS)["prediction"]
    assert calibration.moments().components.shape == (8, 8)
    assert read_counts(root)["quarantined"] == 1
    settings = published_settings(root)
    assert (
        settings and settings["params"].items() <= {each.name: each.default for each in INDEX_OPTIONS}.items()
    )
    published = index.published()
    assert published and published["run"] == RUN
    for row in read_catalog(root):
        is_usable = row["status"] == "ok"
        assert resized_file(root, manifest["model"]["resized"], str(row["id"])).is_file() == is_usable


def test_a_search_gives_the_answer_that_was_given(root: DataRoot) -> None:
    index = open_index(root)
    answered = read_answer(root.query_folder(RUN))
    assert (answered["method"], answered["index"]["version"]) == ("sketch", VERSION)
    opened = open_for_search(index)

    def refuse(content: bytes) -> np.ndarray:
        raise AssertionError

    with open_gallery(index) as gallery:
        asked = look_up(opened, gallery, "random", root, seed=0, embed=refuse)
        assert asked.caption == answered["query"]
        for named in (asked.caption["id"], asked.caption["path"], Path(asked.caption["path"]).name):
            assert look_up(opened, gallery, str(named), root, seed=1, embed=refuse).caption == asked.caption
    ids, distances = opened.search(asked.vector, [asked.caption["id"]], answered["k"])
    assert ids[0].astype(str).tolist() == [neighbour["id"] for neighbour in answered["neighbours"]]
    np.testing.assert_allclose(
        distances[0], [neighbour["distance"] for neighbour in answered["neighbours"]], rtol=1e-6
    )


def of_json(file: Path) -> None:
    content = json.loads(file.read_text())
    content["format"] += 1
    file.write_text(json.dumps(content))


def of_parquet(file: Path) -> None:
    table = pq.read_table(file)
    number = int(table.schema.metadata[b"format"]) + 1
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"format": str(number)}), file)


def of_arrays(file: Path) -> None:
    with np.load(file) as arrays:
        held = {name: arrays[name] for name in arrays}
    np.savez(file, **{**held, "format": held["format"] + 1})


def of_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        number = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {number + 1}")


def enter_gallery(root: DataRoot) -> None:
    with open_gallery(open_index(root)):
        pass


WRITTEN: dict[str, tuple[Callable[[Path], None], Callable[[DataRoot], Any]]] = {
    "catalog/*/catalog.parquet": (of_parquet, read_catalog),
    "embeddings/*/model.json": (of_json, lambda root: EmbeddingStore(root.embeddings / FINGERPRINT).model()),
    "embeddings/*/shard-*.parquet": (
        of_parquet,
        lambda root: EmbeddingStore(root.embeddings / FINGERPRINT).broken(),
    ),
    "vectors/*/vectors.json": (of_json, lambda root: open_vectors(root).description()),
    "calibrations/*/choice.json": (of_json, lambda root: open_calibration(root).chosen()),
    "calibrations/*/checks/*.json": (of_json, lambda root: open_calibration(root).check(VECTORS)),
    "calibrations/*/moments.npz": (of_arrays, lambda root: open_calibration(root).moments()),
    "index/*/manifest.json": (of_json, open_index),
    "index/*/published.json": (of_json, lambda root: open_index(root).published()),
    "index/*/packed/packed.json": (of_json, lambda root: open_for_search(open_index(root))),
    "index/*/sketch.npz": (of_arrays, lambda root: load_sketch(open_index(root).sketch)),
    "index/*/gallery.db": (of_database, enter_gallery),
    "index/settings.json": (of_json, published_settings),
    "queries/*/neighbours.json": (of_json, lambda root: read_answer(root.query_folder(RUN))),
}


@pytest.mark.parametrize("pattern", WRITTEN)
def test_another_format_is_one_sentence_and_never_guessed_at(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    raise_number, read = WRITTEN[pattern]
    read(root)
    for file in root.root.glob(pattern):
        raise_number(file)
    # A changed file of a version is found before it is opened.
    monkeypatch.setattr("jobs.store.versions.Index.verify", lambda self, **_: self.manifest())
    with pytest.raises(LookalikeError, match=r"has format \d, but this release reads format \d: .*\.$"):
        read(root)


def test_whatever_is_written_down_has_a_number(root: DataRoot) -> None:
    """All but pointers, CSVs, pictures, pages, and what Spark and NumPy name themselves."""
    unnumbered = set()
    for file in root.root.rglob("*"):
        name = file.relative_to(root.root).as_posix()
        if file.suffix not in (".json", ".npz", ".db") or any(file.match(pattern) for pattern in WRITTEN):
            continue
        unnumbered.add(name.replace(VERSION, "*").replace(FINGERPRINT, "*"))
    counts = {name for name in unnumbered if name.endswith("counts.json")}
    assert unnumbered - counts == {"embeddings/*/embeddings.csv.json", "index/*/report.json"}
    assert json.loads((root.index / VERSION / "report.json").read_text())["format"] == 2
