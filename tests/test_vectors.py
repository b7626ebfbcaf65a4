"""Assembling vectors by Spark, from Parquet and from the CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.catalog import read_catalog, write_catalog
from jobs.errors import LookalikeError
from jobs.paths import DataRoot
from jobs.session import spark_session
from jobs.vectors import assemble_vectors
from tests.synthetic import FINGERPRINT, make_root, picture_id


def read_vectors(folder: Path) -> dict[str, np.ndarray]:
    with spark_session("test") as spark:
        rows = spark.read.parquet(str(folder / "pictures")).collect()
    return {row["id"]: row["vector"].toArray() for row in rows}


def test_parquet_and_csv_give_the_same_vectors_of_length_one(tmp_path: Path) -> None:
    found = {}
    for format in ("parquet", "csv"):
        root, embeddings = make_root(tmp_path / format, 20)
        found[format] = read_vectors(assemble_vectors(root, FINGERPRINT, format))
    assert found["parquet"].keys() == found["csv"].keys() == {picture_id(number) for number in range(20)}
    for id_, vector in found["parquet"].items():
        np.testing.assert_array_equal(vector, found["csv"][id_])
        expected = embeddings[int(id_, 16)].astype(float)
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-12)


def test_only_usable_pictures_are_taken_one_row_a_content(tmp_path: Path) -> None:
    root, _ = make_root(tmp_path, 12)
    rows = read_catalog(root)
    rows[3].update(status="quarantined", reason="broken")
    rows.append({**rows[0], "path": "/pictures/copy.jpg"})
    write_catalog(rows, root)
    folder = assemble_vectors(root, FINGERPRINT)
    assert read_vectors(folder).keys() == {picture_id(number) for number in range(12) if number != 3}


def test_the_same_input_is_assembled_once_and_a_new_label_anew(tmp_path: Path) -> None:
    root, _ = make_root(tmp_path, 12)
    first = assemble_vectors(root, FINGERPRINT)
    written = (first / "pictures" / "_SUCCESS").stat().st_mtime_ns
    assert assemble_vectors(root, FINGERPRINT) == first
    assert (first / "pictures" / "_SUCCESS").stat().st_mtime_ns == written
    rows = read_catalog(root)
    rows[0]["label"] = "another"
    write_catalog(rows, root)
    assert assemble_vectors(root, FINGERPRINT) != first


def test_missing_embeddings_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="run the step embed first"):
        assemble_vectors(DataRoot(tmp_path), FINGERPRINT)
