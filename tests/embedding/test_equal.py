"""What is fast is equal: embeddings and neighbours of real pictures are those of torchvision's own way."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torchvision import transforms
from torchvision.models import ResNet18_Weights, resnet18

from jobs.embedding.backbones import RESNET18
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.resize import resized
from jobs.embedding.weights import find_weights
from tests.support.need import need

pytestmark = pytest.mark.slow  # the whole network, twice
PICTURES, CROPPED = 500, 60
NEIGHBOURS = 5

Floats = NDArray[np.float32]
Transform = Callable[[Image.Image], torch.Tensor]

SQUASH: Transform = transforms.Compose(
    [
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
CROP: Transform = ResNet18_Weights.IMAGENET1K_V1.transforms()


@pytest.fixture(scope="module")
def files(cars: Path) -> list[Path]:
    """Spread evenly over all classes, the last ones of a few sizes and kinds."""
    found = sorted((cars / "cars_train" / "cars_train").glob("*.jpg"))
    oddities = sorted((cars / "oddities").glob("*.jpg"))
    wanted = PICTURES - len(oddities)
    return [found[round(place)] for place in np.linspace(0, len(found) - 1, wanted)] + oddities


def reference(files: Sequence[Path], weights: Path, transform: Transform) -> Floats:
    """Torchvision's transforms and its network in single precision, on upright pictures of Pillow in sRGB."""
    network = resnet18(weights=None)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.fc = torch.nn.Identity()
    network.eval().to(memory_format=torch.channels_last)
    found = []
    with torch.inference_mode():
        for start in range(0, len(files), 50):
            batch = torch.stack([transform(upright(file)) for file in files[start : start + 50]])
            found.append(network(batch.to(memory_format=torch.channels_last)).numpy())
    return np.concatenate(found)


def upright(file: Path) -> Image.Image:
    with Image.open(file) as image:
        turned = image.getexif().get(0x0112) == 6
        rgb = image.convert("RGB")
        if profile := image.info.get("icc_profile"):
            described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, described, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            assert converted is not None
            rgb = converted
    return rgb.transpose(Image.Transpose.ROTATE_270) if turned else rgb


@pytest.fixture(scope="module")
def expected(files: list[Path], imagenet_weights: Path) -> Floats:
    return reference(files, imagenet_weights, SQUASH)


def embed(pixels: Sequence[NDArray[np.uint8]], embedder: ImageEmbedder) -> Floats:
    """In the batches that a run embeds."""
    starts = range(0, len(pixels), embedder.batch)
    batches = [np.stack(pixels[start : start + embedder.batch]) for start in starts]
    return np.concatenate([embedder.forward(batch) for batch in batches])


def embedder_of(weights: Path, geometry: str = "squash", precision: str = "fp32") -> ImageEmbedder:
    return ImageEmbedder(
        Model(RESNET18, find_weights(str(weights), RESNET18), geometry, precision), device="cpu", threads=1
    )


@pytest.fixture(scope="module")
def pixels(files: list[Path]) -> list[NDArray[np.uint8]]:
    """224 x 224, made in the project's own way."""
    return [resized(file.read_bytes(), RESNET18, "squash") for file in files]


def unit(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def cosines(found: Floats, expected: Floats) -> Floats:
    each: Floats = (unit(found) * unit(expected)).sum(axis=1)
    return each


def overlap(found: Floats, expected: Floats) -> float:
    """The mean share of a picture's nearest neighbours, by cosine among these pictures, that both have."""
    ours, theirs = (nearest(unit(each)) for each in (found, expected))
    return float((ours[:, :, None] == theirs[:, None]).any(axis=2).mean())


def nearest(vectors: Floats) -> NDArray[np.int64]:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]


def least(files: Sequence[Path]) -> Floats:
    """The least cosine: lower where a profile is applied, which is done after resizing, here before."""
    profiled = np.array(["icc_profile" in Image.open(file).info for file in files])
    return np.where(profiled, 0.999, 0.9999)


def test_embeddings_and_neighbours_are_torchvisions(
    files: list[Path], pixels: list[NDArray[np.uint8]], imagenet_weights: Path, expected: Floats
) -> None:
    found = embed(pixels, embedder_of(imagenet_weights))
    assert found.shape == expected.shape == (PICTURES, 512)
    assert (cosines(found, expected) >= least(files)).all()
    assert overlap(found, expected) >= 0.99


def test_bf16_is_near(pixels: list[NDArray[np.uint8]], imagenet_weights: Path, expected: Floats) -> None:
    need("bf16")
    found = embed(pixels, embedder_of(imagenet_weights, precision="bf16"))
    assert cosines(found, expected).min() >= 0.999
    assert overlap(found, expected) >= 0.95


def test_crop_is_that_of_torchvisions_preset(files: list[Path], imagenet_weights: Path) -> None:
    some = files[:: PICTURES // CROPPED]
    embedder = embedder_of(imagenet_weights, "crop")
    found = embed([embedder.pixels(file.read_bytes()) for file in some], embedder)
    assert (cosines(found, reference(some, imagenet_weights, CROP)) >= least(some)).all()


def test_measures_tell_what_is_not_equal(expected: Floats) -> None:
    """Another picture's embedding, and the neighbours of slightly changed embeddings."""
    assert cosines(np.roll(expected, 1, axis=0), expected).mean() < 0.95
    noise = np.random.default_rng(0).normal(size=expected.shape).astype(np.float32)
    assert overlap(expected + 0.2 * noise, expected) < 0.95 < overlap(expected, expected)
