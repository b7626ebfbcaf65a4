"""Assembling vectors by Spark, from Parquet and from the CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.base.errors import LookalikeError
from jobs.spark.session import spark_session
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from jobs.store.vectors import Vectors, open_vectors
from jobs.vectors import assemble_vectors
from tests.support.synthetic import FINGERPRINT, keep, make_root, picture_id, take

pytestmark = pytest.mark.usefixtures("spark")


def read_vectors(vectors: Vectors) -> dict[str, np.ndarray]:
    with spark_session("test") as spark:
        rows = spark.read.parquet(str(vectors.pictures)).collect()
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
    take(root, rows)
    vectors = assemble_vectors(root, FINGERPRINT)
    assert read_vectors(vectors).keys() == {picture_id(number) for number in range(12) if number != 3}


def test_a_labelled_file_stands_for_its_copies(tmp_path: Path) -> None:
    root, _ = make_root(tmp_path, 3)
    rows = read_catalog(root)
    rows[1].update(label=None, class_name=None)
    rows += [
        {**rows[1], "path": f"/pictures/{name}.jpg", "label": label, "class_name": label}
        for name, label in (("a", None), ("c", "later"), ("b", "first"))
    ]
    take(root, rows)
    vectors = assemble_vectors(root, FINGERPRINT)
    with spark_session("test") as spark:
        taken = spark.read.parquet(str(vectors.pictures)).where(f"id = '{picture_id(1)}'").collect()
    assert [(row["path"], row["label"], row["class_name"]) for row in taken] == [
        ("/pictures/b.jpg", "first", "first")
    ]


def test_equal_input_is_assembled_once_and_again_with_a_new_label(tmp_path: Path) -> None:
    root, _ = make_root(tmp_path, 12)
    first = assemble_vectors(root, FINGERPRINT)
    written = (first.pictures / "_SUCCESS").stat().st_mtime_ns
    assert assemble_vectors(root, FINGERPRINT) == first
    assert (first.pictures / "_SUCCESS").stat().st_mtime_ns == written
    rows = read_catalog(root)
    rows[0]["label"] = "another"
    take(root, rows)
    assert assemble_vectors(root, FINGERPRINT) != first


def spoil_parquet(store: EmbeddingStore, ids: list[str], vectors: np.ndarray) -> None:
    for shard in store.shards():
        shard.unlink()
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(pa.table({"id": ids, "embedding": column}), store.folder / "shard-spoilt.parquet")


def spoil_csv(store: EmbeddingStore, ids: list[str], vectors: np.ndarray) -> None:
    lines = [",".join([id_, *map(repr, row.tolist())]) for id_, row in zip(ids, vectors, strict=True)]
    store.csv.write_text("\n".join(["header", *lines]) + "\n")


@pytest.mark.parametrize("kind", ["nan", "infinite", "zero", "short"])
@pytest.mark.parametrize(("format", "spoil"), [("parquet", spoil_parquet), ("csv", spoil_csv)])
def test_invalid_embeddings_are_one_sentence_and_nothing_is_assembled(
    tmp_path: Path, format: str, spoil: Callable[[EmbeddingStore, list[str], np.ndarray], None], kind: str
) -> None:
    root, vectors = make_root(tmp_path, 12)
    sound = assemble_vectors(root, FINGERPRINT, format)
    ids = [picture_id(number) for number in range(12)]
    spoilt, first, count = vectors.copy(), 4, 2
    if kind == "short":
        spoilt, first, count = vectors[:, :256].copy(), 0, 11
    else:
        spoilt[[4, 9], 7] = {"nan": np.nan, "infinite": np.inf, "zero": 0.0}[kind]
        if kind == "zero":
            spoilt[[4, 9]] = 0.0
    spoil(EmbeddingStore(root.embeddings / FINGERPRINT), ids, spoilt)
    keep(root, 11)
    with pytest.raises(
        LookalikeError, match=rf"{count} embeddings in .* \(picture {picture_id(first)} is the"
    ):
        assemble_vectors(root, FINGERPRINT, format)
    assert [folder.name for folder in root.vectors.iterdir() if folder.is_dir()] == [sound.name]
    assert open_vectors(root) == sound


def test_missing_embeddings_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="run the step embed first"):
        assemble_vectors(DataRoot(tmp_path), FINGERPRINT)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_pictures_without_an_embedding_are_one_sentence_and_nothing_is_assembled(
    tmp_path: Path, format: str
) -> None:
    root, _ = make_root(tmp_path, 12)
    rows = read_catalog(root)
    take(root, [*rows, {**rows[0], "id": picture_id(99), "path": "/pictures/new.jpg"}])
    with pytest.raises(
        LookalikeError, match=r"1 of 13 usable pictures have no embedding .*: run the step embed"
    ):
        assemble_vectors(root, FINGERPRINT, format)
    assert not [folder for folder in root.vectors.iterdir() if folder.is_dir()]


def test_an_embedding_that_is_there_twice_is_one_sentence(tmp_path: Path) -> None:
    root, vectors = make_root(tmp_path, 12)
    EmbeddingStore(root.embeddings / FINGERPRINT).write([picture_id(3)], vectors[3:4])
    with pytest.raises(LookalikeError, match="holds some embeddings twice: delete that folder"):
        assemble_vectors(root, FINGERPRINT)
