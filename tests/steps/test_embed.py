"""The step embed: each picture once, each broken one with its reason, and a CSV equal to the Parquet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.base.errors import LookalikeError
from jobs.embed import engine_of
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.resize import resized
from jobs.intake.look import content_id
from jobs.store.catalog import catalog_folder, quarantine_file, read_beside, read_catalog, read_counts
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import resized_file
from tests.support.converted import MODEL
from tests.support.pictures import cut_jpeg, encoded, picture, write_picture, write_pictures
from tests.support.place import Place, bits, csv_vectors

COUNT = 40


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, Any]]:
    """Forty pictures, all embedded by the engine that is the default; to be read only."""
    place = Place(tmp_path_factory.mktemp("embedded"))
    write_pictures(place.pictures, COUNT)
    place.take_in()
    return place, place.embed(engine=engine_of("local"))


def csv_vectors_by_python(file: Path) -> tuple[list[str], NDArray[np.float32]]:
    """As a program without any library would read them."""
    rows = [line.replace('"', "").split(",") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows], np.float32)


def test_every_picture_is_embedded(embedded: tuple[Place, dict[str, Any]]) -> None:
    place, result = embedded
    assert result == {
        "catalog": catalog_folder(place.root).name,
        "fingerprint": MODEL.fingerprint,
        "weights": "random",
        "embedded": COUNT,
        "kept": 0,
        "quarantined": 0,
    }
    ids, vectors = place.store.read()
    assert ids == sorted(place.ids())
    assert vectors.shape == (COUNT, MODEL.backbone.dimension)
    path = place.pictures / "007.jpg"
    embedder = ImageEmbedder(MODEL)
    (expected,) = embedder.forward(embedder.pixels(path.read_bytes())[None])
    found = vectors[ids.index(content_id(path.read_bytes()))]
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_every_picture_has_its_resized_copy(embedded: tuple[Place, dict[str, Any]]) -> None:
    place, _ = embedded
    side = MODEL.backbone.side
    for path in place.pictures.iterdir():
        file = resized_file(place.root, MODEL.resized, content_id(path.read_bytes()))
        with Image.open(file) as copy:
            assert (copy.format, copy.size, copy.mode) == ("JPEG", (side, side), "RGB")
            pixels = resized(path.read_bytes(), MODEL.backbone, "squash")
            assert np.abs(np.asarray(copy, int) - pixels).mean() < 8
    assert len(list(place.root.resized.rglob("*.*"))) == COUNT


def test_parquet_has_the_schema_that_others_read_it_by(embedded: tuple[Place, dict[str, Any]]) -> None:
    shards = embedded[0].store.shards()
    assert shards
    for shard in shards:
        schema = pq.read_schema(shard)
        assert schema.names == ["id", "embedding"]
        assert schema.field("id").type == pa.string()
        assert schema.field("embedding").type == pa.list_(pa.float32(), MODEL.backbone.dimension)
        assert not any(field.nullable for field in schema)


@pytest.mark.parametrize("read", [csv_vectors, csv_vectors_by_python])
def test_csv_reads_back_as_the_parquet_to_the_bit(embedded: tuple[Place, dict[str, Any]], read: Any) -> None:
    store = embedded[0].store
    ids, vectors = store.read()
    csv_ids, csv_values = read(store.csv)
    order = np.argsort(csv_ids)
    assert [csv_ids[row] for row in order] == ids
    assert (bits(csv_values[order]) == bits(vectors)).all()


@pytest.mark.parametrize("read", [csv_vectors, csv_vectors_by_python])
def test_csv_keeps_every_float_to_the_bit(tmp_path: Path, read: Any) -> None:
    """Random bit patterns, the smallest, the largest, zero with a sign."""
    shape = 1_280, MODEL.backbone.dimension
    patterns = np.random.default_rng(0).integers(0, 2**32, shape, np.uint32).view(np.float32)
    values = np.where(np.isfinite(patterns), patterns, np.float32(0.1))
    values[0, :6] = 1e-45, -0.0, np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1 / 3, 16_777_217
    store = EmbeddingStore(tmp_path / "store")
    store.write([f"{number:032x}" for number in range(len(values))], values)
    assert store.write_csv()
    _, found = read(store.csv)
    assert (bits(found) == bits(values)).all()


def files(place: Place) -> dict[Path, tuple[int, int]]:
    root = place.root
    made = [path for part in (root.embeddings, root.resized, root.catalog) for path in part.rglob("*.*")]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in made}


def test_second_run_embeds_nothing_and_rewrites_nothing(embedded: tuple[Place, dict[str, Any]]) -> None:
    place, _ = embedded
    before = files(place)
    result = place.embed()
    assert (result["embedded"], result["kept"]) == (0, COUNT)
    assert {path.name for path, state in files(place).items() if before.get(path) != state} == set()
    assert len(before) > COUNT


@pytest.mark.parametrize("lost", ["all", "one"])
def test_resized_copies_that_were_removed_are_made_again_and_nothing_is_embedded(
    place: Place, lost: str
) -> None:
    write_pictures(place.pictures, 5)
    place.take_in()
    place.embed()
    write_pictures(place.pictures, 6)
    copies = {file: file.read_bytes() for file in place.root.resized.rglob("*.jpg")}
    shards = {file: file.stat().st_ino for file in place.store.shards()}
    if lost == "all":
        shutil.rmtree(place.root.resized)
    else:
        next(iter(copies)).unlink()
    place.take_in()
    assert place.embed()["embedded"] == 1
    assert {file: file.read_bytes() for file in copies} == copies
    assert shards.items() <= {file: file.stat().st_ino for file in place.store.shards()}.items()
    ids, _ = place.store.read()
    assert ids == sorted(place.ids()) and len(ids) == 6


def test_one_new_picture_embeds_one(place: Place) -> None:
    write_pictures(place.pictures, 3)
    place.take_in()
    place.embed()
    before = place.store.read()
    write_picture(place.pictures / "new.jpg", seed=99)
    place.take_in()
    result = place.embed()
    assert (result["embedded"], result["kept"]) == (1, 3)
    ids, vectors = place.store.read()
    assert set(ids) == place.ids()
    assert (bits(vectors[[ids.index(id_) for id_ in before[0]]]) == bits(before[1])).all()
    assert set(csv_vectors(place.store.csv)[0]) == set(ids)


def test_same_bytes_are_embedded_once(place: Place) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_picture(place.pictures / name)
    place.take_in()
    assert place.embed()["embedded"] == 1
    assert place.store.ids() == place.ids()


def test_another_geometry_is_another_set_of_embeddings(place: Place) -> None:
    write_pictures(place.pictures, 2)
    place.take_in()
    first = place.embed()
    crop = Model(MODEL.backbone, MODEL.weights, "crop")
    cropped = place.embed(model=crop)
    assert first["fingerprint"] != cropped["fingerprint"]
    assert cropped["embedded"] == 2
    for id_ in place.ids():
        assert (
            resized_file(place.root, MODEL.resized, id_).read_bytes()
            != resized_file(place.root, crop.resized, id_).read_bytes()
        )
    assert EmbeddingStore(place.root.embeddings / cropped["fingerprint"]).model()["geometry"] == "crop"


def test_picture_with_broken_pixels_is_quarantined_for_good(place: Place) -> None:
    write_pictures(place.pictures, 2)
    cut = place.pictures / "cut.jpg"
    cut.write_bytes(cut_jpeg())
    place.take_in()
    assert place.reasons()["cut.jpg"] is None  # its header is sound
    result = place.embed()
    assert (result["embedded"], result["quarantined"]) == (2, 1)
    reasons = place.reasons()
    assert str(reasons["cut.jpg"]).startswith("cannot be decoded: ")
    assert (reasons["000.jpg"], reasons["001.jpg"]) == (None, None)
    place.take_in()
    assert place.reasons() == reasons  # the catalog remembers what can't be decoded
    assert place.embed()["embedded"] == 0


def test_a_new_broken_picture_changes_nothing_else(place: Place) -> None:
    """A run that finds nothing to embed but a broken picture."""
    write_pictures(place.pictures, 2)
    place.take_in()
    place.embed()
    ids, vectors = place.store.read()
    (place.pictures / "cut.jpg").write_bytes(cut_jpeg())
    place.take_in()
    result = place.embed()
    assert (result["embedded"], result["kept"], result["quarantined"]) == (0, 2, 1)
    assert str(place.reasons()["cut.jpg"]).startswith("cannot be decoded: ")
    for ids_after, vectors_after in (place.store.read(), csv_vectors(place.store.csv)):
        order = np.argsort(ids_after)
        assert [ids_after[row] for row in order] == ids
        assert (bits(vectors_after[order]) == bits(vectors)).all()


def test_picture_changed_after_the_catalog_waits_for_the_next_run(place: Place) -> None:
    """Even if neither size nor time shows the change."""
    write_pictures(place.pictures, 2)
    changing = place.pictures / "changing.jpg"
    first, second = (encoded(picture(seed), "JPEG").ljust(9_000, b"\0") for seed in (5, 6))
    changing.write_bytes(first)
    stat = changing.stat()
    place.take_in()
    changing.write_bytes(second)
    os.utime(changing, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert place.embed()["embedded"] == 2
    assert place.reasons()["changing.jpg"] == "changed while it was taken in: run again"
    assert content_id(second) not in place.store.ids()
    place.take_in()
    assert place.reasons()["changing.jpg"] is None
    assert place.embed()["embedded"] == 1
    assert place.store.ids() == place.ids()


def test_picture_deleted_after_the_catalog_may_come_back(place: Place) -> None:
    write_pictures(place.pictures, 3)
    away = place.pictures / "002.jpg"
    place.take_in()
    away.rename(place.root.root / "away")
    assert place.embed()["embedded"] == 2
    assert place.reasons()["002.jpg"] == "cannot be read: No such file or directory"
    (place.root.root / "away").rename(away)
    place.take_in()
    assert place.reasons()["002.jpg"] is None
    assert place.embed()["embedded"] == 1


@pytest.mark.parametrize("gone", ["a.jpg", "b.jpg"])
def test_one_of_two_equal_files_is_enough(place: Place, gone: str) -> None:
    write_pictures(place.pictures, 2)
    for name in ("a.jpg", "b.jpg"):
        write_picture(place.pictures / name, seed=50)
    place.take_in()
    (place.pictures / gone).unlink()
    assert place.embed()["embedded"] == 3
    assert place.store.ids() == place.ids()
    assert [name for name, reason in place.reasons().items() if reason] in ([], [gone])


def test_too_many_broken_pictures_fail_the_run_and_keep_what_is_done(place: Place) -> None:
    write_pictures(place.pictures, 3)
    (place.pictures / "cut.jpg").write_bytes(cut_jpeg())
    place.take_in()
    with pytest.raises(
        LookalikeError, match="1 of 4 pictures are quarantined, more than the 20% allowed"
    ) as caught:
        place.embed(max_quarantined=0.2)
    assert str(quarantine_file(place.root)) in str(caught.value)
    assert place.reasons()["cut.jpg"]
    result = place.embed(max_quarantined=0.25)
    assert (result["embedded"], result["kept"]) == (0, 3)
    assert place.store.csv.is_file()


def test_nothing_but_broken_pictures_fails_whatever_is_allowed(place: Place) -> None:
    (place.pictures / "cut.jpg").write_bytes(cut_jpeg())
    place.take_in()
    with pytest.raises(LookalikeError, match="1 of 1 pictures are quarantined"):
        place.embed(max_quarantined=1.0)


def test_the_given_catalog_is_embedded_whatever_other_runs_do(place: Place) -> None:
    write_pictures(place.pictures, 2)
    mine, ids = place.take_in(), place.ids()
    write_picture(place.pictures / "later.jpg", seed=99)
    theirs = place.take_in()
    result = place.embed(catalog=mine)
    assert (result["catalog"], result["embedded"]) == (mine, 2)
    assert place.store.ids() == ids
    assert catalog_folder(place.root).name == theirs != mine
    result = place.embed(catalog=theirs)
    assert (result["catalog"], result["embedded"], result["kept"]) == (theirs, 1, 2)


def test_broken_picture_is_quarantined_in_another_catalog(place: Place) -> None:
    """A run that works on a named catalog finds it unchanged."""
    write_pictures(place.pictures, 2)
    (place.pictures / "cut.jpg").write_bytes(cut_jpeg())
    before = place.take_in()
    rows, beside = read_catalog(place.root, before), read_beside(place.root, before)
    after = place.embed(catalog=before)["catalog"]
    assert after != before
    assert read_catalog(place.root, before) == rows
    assert read_counts(place.root, before)["quarantined"] == 0
    assert read_counts(place.root, after) == {**read_counts(place.root, before), "quarantined": 1}
    unchanged = beside.keys() - {"counts.json"}
    assert {name: read_beside(place.root, after)[name] for name in unchanged} == {
        name: beside[name] for name in unchanged
    }
    assert [row["path"] for row in read_catalog(place.root, after)] == [row["path"] for row in rows]
    quarantined = [row for row in read_catalog(place.root, after) if row["status"] == "quarantined"]
    assert [Path(row["path"]).name for row in quarantined] == ["cut.jpg"]
    assert place.embed(catalog=before)["catalog"] == after  # a run that is repeated goes on with the same


def test_missing_catalog_is_reported(place: Place) -> None:
    with pytest.raises(LookalikeError, match="run the step catalog first"):
        place.embed()
    with pytest.raises(LookalikeError, match=r"0{16} is missing: run the step catalog again"):
        place.embed(catalog="0" * 16)
