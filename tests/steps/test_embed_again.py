"""What a later embed step does: only what is new, by another model all of it; the CSV grows at its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.intake.look import content_id
from jobs.store.embeddings import EmbeddingStore, csv_columns
from tests.support.converted import BY_DEFAULT, MODEL
from tests.support.need import need
from tests.support.pictures import write_picture, write_pictures
from tests.support.place import Place, bits, csv_vectors

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("again"))
    write_pictures(place.pictures, 3)
    place.take_in()
    assert place.embed()["embedded"] == 3
    return place


@pytest.fixture
def place(tmp_path: Path, embedded: Place) -> Place:
    """A copy of three pictures and their embeddings."""
    place = Place(tmp_path)
    for source, target in ((embedded.pictures, place.pictures), (embedded.root.root, place.root.root)):
        shutil.copytree(source, target, dirs_exist_ok=True)
    place.take_in()
    return place


def other_weights(folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.save(MODEL.backbone.build().state_dict(), folder / "other.pth")
    return folder / "other.pth"


def test_a_picture_that_was_given_up_is_tried_again_once_it_may_take_longer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(place.pictures / "slow.png", 9)
    place.take_in()
    slow = content_id((place.pictures / "slow.png").read_bytes())
    nothing = np.empty((0, MODEL.backbone.dimension), np.float32)
    place.store.write([], nothing, {slow: "takes more than 60 s to decode"})
    assert place.embed()["embedded"] == 0
    assert place.reasons()["slow.png"] == "takes more than 60 s to decode"
    monkeypatch.setenv("LOOKALIKE_MAX_SECONDS", "61")
    place.take_in()
    assert place.embed()["embedded"] == 1
    monkeypatch.delenv("LOOKALIKE_MAX_SECONDS")
    assert place.embed()["kept"] == 4
    assert not any(place.reasons().values())


def shards_of(place: Place) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in place.store.shards()}


def assert_is_another(place: Place, model: Model) -> None:
    """Embed by ``model`` what was embedded by MODEL: all pictures, elsewhere, and otherwise."""
    before = shards_of(place)
    told = place.embed(model=model)
    assert (told["embedded"], told["kept"]) == (3, 0)
    assert told["fingerprint"] == model.fingerprint != MODEL.fingerprint
    store = EmbeddingStore(place.root.embeddings / model.fingerprint)
    (ids, vectors), (ids_before, vectors_before) = store.read(), place.store.read()
    assert ids == ids_before
    assert (vectors != vectors_before).any(axis=1).all()
    assert store.model().items() >= model.description.items()
    assert shards_of(place) == before
    assert place.embed()["kept"] == 3  # and back again there is nothing to do


def test_other_weights_embed_all_pictures_anew_elsewhere(place: Place, tmp_path: Path) -> None:
    weights = find_weights(str(other_weights(tmp_path)), MODEL.backbone)
    assert_is_another(place, Model(MODEL.backbone, weights))


def test_another_precision_embeds_all_pictures_again_in_its_own_folder(place: Place) -> None:
    need("bf16")
    assert_is_another(place, Model(MODEL.backbone, MODEL.weights, precision="bf16"))


def test_the_model_lists_the_runtimes_of_all_shards(place: Place) -> None:
    by_openvino = f"OpenVINO {version('openvino')}, fp32"
    assert place.store.model() == {
        **MODEL.description,
        "fingerprint": MODEL.fingerprint,
        "runtimes": [by_openvino],
    }
    one = np.ones((1, MODEL.backbone.dimension), np.float32)
    place.store.write(["f" * 32], one, runtime="PyTorch on something else")
    assert place.store.model()["runtimes"] == [by_openvino, "PyTorch on something else"]


AGAIN = """
import sys
from jobs.embed import main
status = main(["--weights", "random", "--max-quarantined", "0.9"])
print(*sys.modules)
raise SystemExit(status)
"""


def test_run_that_finds_nothing_new_imports_nothing_heavy(place: Place) -> None:
    store = EmbeddingStore(place.root.embeddings / BY_DEFAULT.fingerprint)
    store.write(sorted(place.ids()), np.ones((3, BY_DEFAULT.backbone.dimension), np.float32))
    assert store.write_csv()
    told = subprocess.check_output(
        [sys.executable, "-c", AGAIN],
        env=os.environ | {"LOOKALIKE_DATA": str(place.root.root)},
        text=True,
    )
    *log, modules = told.splitlines()
    assert any("0 embedded, 3 kept, 0 quarantined" in line for line in log)
    imported = set(modules.split())
    assert {"jobs.embed", "jobs.embedding.process", "pyarrow.parquet"} <= imported
    assert not {"torch", "torchvision", "openvino", "pandas", "pyspark", "PIL.Image"} & imported


def test_the_csv_grows_at_its_end(place: Place) -> None:
    before = place.store.csv.read_bytes()
    for number in range(2):
        write_picture(place.pictures / f"new{number}.jpg", seed=100 + number)
    place.take_in()
    assert place.embed()["embedded"] == 2
    assert place.store.csv.read_bytes().startswith(before)
    ids, vectors = csv_vectors(place.store.csv)
    assert set(ids) == place.ids()
    assert_holds(place.store, ids, vectors)


def assert_holds(store: EmbeddingStore, ids: list[str], vectors: Floats) -> None:
    """All that the shards hold, each picture once."""
    expected_ids, expected = store.read()
    assert sorted(ids) == expected_ids
    assert (bits(vectors[np.argsort(ids)]) == bits(expected)).all()


def write(store: EmbeddingStore, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ids = [f"{seed:016x}{number:016x}" for number in range(4)]
    store.write(ids, generator.normal(size=(4, MODEL.backbone.dimension)).astype(np.float32))


@pytest.fixture
def grown(tmp_path: Path) -> EmbeddingStore:
    """A store whose CSV was written twice, and a shard that it lacks."""
    store = EmbeddingStore(tmp_path / "store")
    for seed in range(3):
        write(store, seed)
        if seed < 2:
            assert store.write_csv()
    return store


def sidecar(store: EmbeddingStore) -> Path:
    return store.csv.with_suffix(".csv.json")


def cut(store: EmbeddingStore) -> None:
    os.truncate(store.csv, store.csv.stat().st_size - 200)


def lengthen(store: EmbeddingStore) -> None:
    """As a run that was killed between the CSV and its sidecar leaves them."""
    told = sidecar(store).read_bytes()
    assert store.write_csv()
    sidecar(store).write_bytes(told)


def lose_a_shard(store: EmbeddingStore) -> None:
    told = json.loads(sidecar(store).read_text())
    (store.folder / told["shards"][0]).unlink()


DAMAGES: list[Callable[[EmbeddingStore], None]] = [
    cut,
    lengthen,
    lose_a_shard,
    lambda store: store.csv.unlink(),
    lambda store: sidecar(store).unlink(),
    lambda store: os.truncate(store.csv, 0),
]


def test_an_unchanged_csv_is_appended_to(grown: EmbeddingStore) -> None:
    before = grown.csv.read_bytes()
    assert grown.write_csv()
    assert grown.csv.read_bytes().startswith(before)
    assert_holds(grown, *csv_vectors(grown.csv))
    inode = grown.csv.stat().st_ino
    assert not grown.write_csv()
    assert grown.csv.stat().st_ino == inode


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_changed_csv_is_rewritten_as_a_whole(
    grown: EmbeddingStore, damage: Callable[[EmbeddingStore], None]
) -> None:
    damage(grown)
    assert grown.write_csv()
    assert_holds(grown, *csv_vectors(grown.csv))
    header = '"' + '","'.join(csv_columns(MODEL.backbone.dimension)) + '"'
    assert grown.csv.read_text().splitlines().count(header) == 1
    assert not grown.write_csv()
