"""From pictures to vectors: what torchvision's own ResNet-18 says, for any picture and any number of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms
from torchvision.models import ResNet18_Weights, resnet18

from jobs.base.options import GEOMETRY, PRECISION
from jobs.embedding.backbones import RESNET18
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.weights import Weights, find_weights
from jobs.store.embeddings import EmbeddingStore
from tests.support.pictures import encoded, picture

NORMALISED = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)
REFERENCE_TRANSFORMS: dict[str, Any] = {
    "squash": transforms.Compose([transforms.Resize((224, 224)), NORMALISED]),
    "crop": ResNet18_Weights.IMAGENET1K_V1.transforms(),
}
SIZES = [(24, 16), (300, 200), (100, 400), (224, 224)]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return find_weights("random", RESNET18)


@pytest.fixture(scope="module")
def embedder(weights: Weights) -> ImageEmbedder:
    return ImageEmbedder(Model(RESNET18, weights), device="cpu")


def reference(geometry: str, images: list[Image.Image]) -> NDArray[np.float32]:
    """Torchvision's model without its last layer, on torchvision's own transforms, one by one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = torch.nn.Sequential(*list(resnet18(weights=None).children())[:-1]).eval()
    with torch.inference_mode():
        batches = [REFERENCE_TRANSFORMS[geometry](image).unsqueeze(0) for image in images]
        return torch.cat([features(batch).flatten(1) for batch in batches]).numpy()


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32], share: float = 1e-5) -> None:
    """Vector by vector, to a share of its length."""
    distance = np.linalg.norm(found - expected, axis=-1)
    assert (distance < share * np.linalg.norm(expected, axis=-1)).all()


def test_one_picture_is_one_vector_and_several_are_a_matrix(embedder: ImageEmbedder) -> None:
    images = [picture(seed) for seed in range(3)]
    one, three = embedder(images[0]), embedder(images)
    assert (one.shape, three.shape) == ((512,), (3, 512))
    assert one.dtype == three.dtype == np.float32
    assert_close(one, three[0])
    assert np.linalg.norm(three[0] - three[1]) > 1e-3 * np.linalg.norm(three[0])


def test_no_picture_is_a_matrix_without_rows(embedder: ImageEmbedder) -> None:
    none = embedder([])
    assert none.shape == (0, 512)
    assert none.dtype == np.float32


@pytest.mark.parametrize("runtime", ["auto", "torch"])
@pytest.mark.parametrize("geometry", REFERENCE_TRANSFORMS)
def test_vectors_are_those_of_torchvisions_own_network(weights: Weights, geometry: str, runtime: str) -> None:
    """Up to the pixels that are brighter or darker by 1 of 255 than in Pillow's resizing."""
    images = [picture(seed, size) for seed, size in enumerate(SIZES)]
    embedder = ImageEmbedder(Model(RESNET18, weights, geometry), runtime=runtime, device="cpu", threads=1)
    expected = reference(geometry, images)
    found = embedder(images)
    assert_close(found, expected, share=3e-3)
    assert_close(found[-1], expected[-1])  # of 224 x 224, so that nothing was resized


def test_runtime_is_the_requested_one(embedder: ImageEmbedder, weights: Weights) -> None:
    assert embedder.runtime.startswith("OpenVINO ")  # what is fastest on a processor
    by_torch = ImageEmbedder(Model(RESNET18, weights), runtime="torch", device="cpu")
    assert by_torch.runtime.startswith("PyTorch ")
    images = [picture(seed, (224, 224)) for seed in range(3)]
    assert_close(embedder(images), by_torch(images))


def test_a_files_bytes_become_the_pixels_that_are_embedded(embedder: ImageEmbedder) -> None:
    image = picture(3, (300, 200))
    pixels = embedder.pixels(encoded(image, "PNG"))
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(embedder.forward(pixels[None])[0], embedder(image))


def test_a_kept_conversion_embeds_the_same(
    embedder: ImageEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = EmbeddingStore(tmp_path).openvino
    first = ImageEmbedder(embedder.model, device="cpu", kept=kept)
    monkeypatch.setattr("jobs.embedding.network.load_network", None)
    again = ImageEmbedder(embedder.model, device="cpu", kept=kept)
    for other in (first, again):
        np.testing.assert_array_equal(other(picture()), embedder(picture()))


def test_fingerprint_is_of_weights_geometry_and_precision_and_not_of_names(
    tmp_path: Path, weights: Weights
) -> None:
    (tmp_path / "mine.pth").write_bytes(b"what the file holds is looked at when it is loaded")
    (tmp_path / "renamed.pth").write_bytes((tmp_path / "mine.pth").read_bytes())
    (tmp_path / "other.pth").write_bytes(b"other bytes")
    mine, renamed, other = (
        Model(RESNET18, find_weights(str(tmp_path / f"{name}.pth"), RESNET18))
        for name in ("mine", "renamed", "other")
    )
    assert renamed.fingerprint == mine.fingerprint
    assert renamed.description["weights"] == str(tmp_path / "renamed.pth")
    assert GEOMETRY.choices and PRECISION.choices
    models = {
        Model(RESNET18, file, geometry, precision).fingerprint
        for file in (weights, mine.weights, renamed.weights, other.weights)
        for geometry in GEOMETRY.choices
        for precision in PRECISION.choices
    }
    assert len(models) == 3 * len(GEOMETRY.choices) * len(PRECISION.choices)
    assert all(re.fullmatch("[0-9a-f]{16}", fingerprint) for fingerprint in models)
