"""Backbones are told apart by nothing but what they tell of themselves: toys beside ResNet-18."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from jobs.base.errors import LookalikeError
from jobs.base.options import GEOMETRY
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.backbones import BACKBONES, DEFAULT, RESNET18, Backbone, backbone_named
from jobs.embedding.copies import save_copy
from jobs.embedding.decoders import Decoders
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.network import load_network
from jobs.embedding.resize import from_image, resize
from jobs.embedding.single import SingleEmbedder
from jobs.embedding.weights import Weights, find_weights
from jobs.intake.folder import folder
from jobs.intake.look import content_id
from jobs.store.embeddings import EmbeddingStore, csv_columns
from jobs.store.root import DataRoot, resized_file
from tests.support.pictures import cut_jpeg, encoded, picture, write_pictures
from tests.support.place import bits, csv_vectors, embed_inside
from tests.support.toy import TOY, WIDE_TOY, register_toy, toy_model

GEOMETRIES = tuple(GEOMETRY.choices or ())
PICTURES = 5
NOTHING = Weights("random", None, "0" * 64)

Floats = NDArray[np.float32]


of_each = pytest.mark.parametrize("backbone", [TOY, RESNET18], ids=["toy", "resnet18"])
of_each_with_its_network = pytest.mark.parametrize(
    "backbone", [TOY, pytest.param(RESNET18, marks=pytest.mark.slow)], ids=["toy", "resnet18"]
)


@of_each
@pytest.mark.parametrize("size", [(24, 16), (32, 32), (300, 200), (100, 400), (1, 9)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pictures_of_every_size_end_at_the_backbones(
    backbone: Backbone, geometry: str, size: tuple[int, int]
) -> None:
    resized = resize(from_image(picture(0, size)), backbone, geometry)
    assert (resized.dtype, tuple(resized.shape)) == (torch.uint8, (3, backbone.side, backbone.side))


def test_crop_keeps_the_backbones_share_of_the_centre() -> None:
    """A square of as many pixels as the shorter side is scaled to: what is cut off is its rim."""
    for backbone in (TOY, RESNET18):
        image = picture(0, (backbone.crop, backbone.crop))
        rim = (backbone.crop - backbone.side) // 2
        centre = np.asarray(image)[rim : rim + backbone.side, rim : rim + backbone.side]
        found = resize(from_image(image), backbone, "crop").permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(found, centre)


def test_pad_is_the_backbones_mean() -> None:
    wide = from_image(Image.new("RGB", (200, 100), "red"))
    for backbone, mean in ((TOY, [64, 128, 191]), (RESNET18, [124, 116, 104])):
        assert resize(wide, backbone, "pad")[:, 0, 0].tolist() == mean


@of_each_with_its_network
def test_embeddings_have_the_backbones_dimension_and_are_the_same_by_both_runtimes(
    backbone: Backbone,
) -> None:
    model = Model(backbone, find_weights("random", backbone))
    images = [picture(seed, (40, 60)) for seed in range(3)]
    found = []
    for runtime in ("openvino", "torch"):
        embedder = ImageEmbedder(model, runtime=runtime, device="cpu", threads=1)
        one, three, none = embedder(images[0]), embedder(images), embedder([])
        assert (one.shape, three.shape, none.shape) == (
            (backbone.dimension,),
            (3, backbone.dimension),
            (0, backbone.dimension),
        )
        assert one.dtype == three.dtype == np.float32
        assert embedder.pixels(encoded(images[0], "PNG")).shape == (backbone.side, backbone.side, 3)
        found.append(three)
    by_openvino, by_torch = found
    assert cosines(by_openvino, by_torch).min() >= 0.9999
    lengths = np.linalg.norm(by_torch, axis=1)
    assert (np.linalg.norm(by_openvino - by_torch, axis=1) < 1e-5 * lengths).all()
    assert np.linalg.norm(by_torch[0] - by_torch[1]) > 1e-3 * lengths[0]


def cosines(left: Floats, right: Floats) -> Floats:
    each: Floats = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return each


@of_each_with_its_network
def test_network_takes_pixels_normalised_as_the_backbone_says(backbone: Backbone) -> None:
    """Against the network itself, with the mean and deviation written out."""
    mean, std = {
        "toy": ((0.25, 0.5, 0.75), (0.5, 0.25, 0.125)),
        "resnet18": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    }[backbone.name]
    model = Model(backbone, find_weights("random", backbone))
    pixels = np.array(picture(0, (backbone.side, backbone.side)))
    values = torch.from_numpy(pixels).permute(2, 0, 1).double() / 255
    normal = (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.inference_mode():
        expected = load_network(backbone, model.weights).double()(normal[None]).float().numpy()
    for runtime in ("openvino", "torch"):
        embedder = ImageEmbedder(model, runtime=runtime, device="cpu", threads=1)
        distance = np.linalg.norm(embedder.forward(pixels[None]) - expected)
        assert distance < 1e-5 * np.linalg.norm(expected)


@of_each_with_its_network
def test_weights_are_of_one_backbone(tmp_path: Path, backbone: Backbone) -> None:
    network, other = backbone.build(), (WIDE_TOY if backbone is TOY else TOY)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    weights = find_weights(str(tmp_path / "weights.pth"), backbone)
    kept = load_network(backbone, weights).state_dict()
    assert kept.keys() == {name for name in network.state_dict() if not name.startswith(f"{backbone.head}.")}
    with pytest.raises(LookalikeError, match=f"is not a state dict of {other.name}: "):
        load_network(other, weights)


def test_folders_of_resized_copies_are_named_by_all_that_their_pixels_depend_on() -> None:
    names = {geometry: Model(RESNET18, NOTHING, geometry).resized for geometry in GEOMETRIES}
    assert names == {
        "squash": "squash-224-bilinear-q90-d2",
        "crop": "crop-224-of-256-bilinear-q90-d2",
        "pad": "pad-224-on-7c7468-bilinear-q90-d2",
    }


@pytest.mark.parametrize(
    ("change", "renamed"),
    [
        ({"side": 192}, {"squash", "crop", "pad"}),
        ({"crop": 300}, {"crop"}),
        ({"mean": (0.5, 0.456, 0.406)}, {"pad"}),
        ({"std": (0.5, 0.5, 0.5)}, set()),
        ({"name": "another", "dimension": 64, "layer": "pool"}, set()),
    ],
    ids=lambda value: "-".join(sorted(value)) or "nothing",
)
def test_copies_are_shared_where_their_pixels_are_the_same_and_only_there(
    change: dict[str, object], renamed: set[str]
) -> None:
    other = replace(RESNET18, **change)  # type: ignore[arg-type]
    ours, theirs = (
        {geometry: Model(each, NOTHING, geometry).resized for geometry in GEOMETRIES}
        for each in (RESNET18, other)
    )
    assert {geometry for geometry in GEOMETRIES if ours[geometry] != theirs[geometry]} == renamed
    assert len({*ours.values(), *theirs.values()}) == len(GEOMETRIES) + len(renamed)


def test_precision_and_weights_leave_the_copies_as_they_are() -> None:
    first, other = (
        Model(RESNET18, NOTHING),
        Model(RESNET18, Weights("imagenet", None, "1" * 64), precision="bf16"),
    )
    assert first.resized == other.resized
    assert first.fingerprint != other.fingerprint


def test_fingerprint_is_what_it_was() -> None:
    """Embeddings are found again: no key and no value changes but with what it stands for."""
    told = {
        "architecture": "resnet18",
        "layer": "avgpool",
        "weights_sha256": "0" * 64,
        "decoding": 2,
        "geometry": "squash",
        "resize": "bilinear, antialiased, 8 bits",
        "precision": "fp32",
        "dimension": 512,
    }
    expected = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    assert Model(RESNET18, NOTHING, "squash", "fp32").fingerprint == expected == "c279c3d92840657c"
    assert Model(RESNET18, NOTHING).fingerprint == expected  # by default


@pytest.mark.parametrize("change", [{"name": "another"}, {"layer": "pool"}, {"dimension": 64}])
def test_fingerprint_is_of_the_backbone(change: dict[str, object]) -> None:
    other = replace(RESNET18, **change)  # type: ignore[arg-type]
    assert Model(other, NOTHING).fingerprint != Model(RESNET18, NOTHING).fingerprint


def test_description_names_the_model_for_people() -> None:
    told = toy_model().description
    assert told["architecture"] == "toy"
    assert (told["title"], told["licence"]) == ("Toy", "none")
    assert (told["side"], told["dimension"], told["layer"]) == (32, 8, "pool")
    assert told["resized"] == "squash-32-bilinear-q90-d2"
    assert told["fingerprint"] == toy_model().fingerprint


def test_backbones_are_found_by_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backbone_named("resnet18") is RESNET18 is DEFAULT
    assert all(backbone.name == name for name, backbone in BACKBONES.items())
    with pytest.raises(LookalikeError) as caught:
        backbone_named("toy")
    assert str(caught.value) == "backbone 'toy' is unknown: choose one of resnet18."
    register_toy(monkeypatch)
    assert backbone_named("toy") is TOY


def test_two_backbones_share_a_root_and_leave_each_others_work_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pictures, embedded by one, by the other, and by neither again."""
    for backbone in (WIDE_TOY, TOY):
        register_toy(monkeypatch, backbone)
    pictures, root = tmp_path / "pictures", DataRoot(tmp_path / "data")
    files = write_pictures(pictures, PICTURES)
    (pictures / "cut.jpg").write_bytes(cut_jpeg())
    ids = sorted(content_id(file.read_bytes()) for file in files)
    catalog, _ = build_catalog(folder(pictures), root)
    models, without = (toy_model(WIDE_TOY), toy_model()), set[str]()
    before: dict[Path, tuple[bytes, int]] = {}
    for model in models:
        told = embed_catalog(root, model, embed_inside, catalog=catalog)
        without.add(told["catalog"])
        assert (told["embedded"], told["kept"], told["quarantined"]) == (PICTURES, 0, 1)
        assert before.items() <= made(root).items()
        before = made(root)
    assert len(without) == 1  # the same pictures are left, whoever found the broken one
    assert without != {catalog}
    again = [embed_catalog(root, model, embed_inside, catalog=catalog) for model in models]
    assert [told["embedded"] for told in again] == [0, 0]
    assert made(root) == before
    assert {path.name for path in root.resized.iterdir()} == {model.resized for model in models}
    for model in models:
        backbone, store = model.backbone, store_of(root, model)
        found, vectors = store.read()
        assert (found, vectors.shape) == (ids, (PICTURES, backbone.dimension))
        assert list(store.broken()) == [content_id(cut_jpeg())]
        in_csv, values = csv_vectors(store.csv, backbone.dimension)
        assert (bits(values[np.argsort(in_csv)]) == bits(vectors)).all()
        assert len(csv_columns(backbone.dimension)) == 1 + backbone.dimension
        assert store.model().items() >= model.description.items()
        for id_ in ids:
            with Image.open(resized_file(root, model.resized, id_)) as copy:
                assert copy.size == (backbone.side, backbone.side)
        assert len(list((root.resized / model.resized).rglob("*.jpg"))) == PICTURES
        assert_is_embedded_alike(root, model, files, tmp_path / "query.jpg")


def store_of(root: DataRoot, model: Model) -> EmbeddingStore:
    return EmbeddingStore(root.embeddings / model.fingerprint)


def made(root: DataRoot) -> dict[Path, tuple[bytes, int]]:
    """All that a step embed leaves of embeddings and copies."""
    files = [file for part in (root.embeddings, root.resized) for file in part.rglob("*") if file.is_file()]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files if file.suffix != ".bin"}


def assert_is_embedded_alike(root: DataRoot, model: Model, files: list[Path], copy: Path) -> None:
    """A query's picture, by the backbone that the store names, is what the store has of the same bytes."""
    store = store_of(root, model)
    ids, vectors = store.read()
    content = files[0].read_bytes()
    with Decoders() as decoders:
        embedder = SingleEmbedder(root, store.model(), decoders)
        pixels = embedder.pixels(content)
        found = embedder.forward(pixels[None])
    save_copy(pixels, copy)
    expected = vectors[ids.index(content_id(content))]
    assert np.linalg.norm(found[0] - expected) < 1e-5 * np.linalg.norm(expected)
    assert copy.read_bytes() == resized_file(root, model.resized, content_id(content)).read_bytes()


def test_an_index_of_an_unknown_backbone_is_reported(tmp_path: Path) -> None:
    described = {**toy_model().description, "runtimes": ["OpenVINO"]}
    with pytest.raises(LookalikeError, match=r"^backbone 'toy' is unknown: choose one of resnet18\.$"):
        SingleEmbedder(DataRoot(tmp_path), described, Decoders())  # type: ignore[arg-type]
