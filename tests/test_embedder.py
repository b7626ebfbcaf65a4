"""From pictures to vectors: what torchvision's own ResNet-18 says, for any picture and any number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision import transforms
from torchvision.models import ResNet18_Weights, resnet18

from jobs.embedder import GEOMETRIES, ImageEmbedder
from jobs.weights import Weights, load_weights
from tests.pictures import picture

NORMALISED = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)
REFERENCE_TRANSFORMS: dict[str, Any] = {
    "squash": transforms.Compose([transforms.Resize((224, 224)), NORMALISED]),
    "crop": ResNet18_Weights.IMAGENET1K_V1.transforms(),
}
SIZES = [(24, 16), (300, 200), (100, 400), (224, 224), (1, 1), (3000, 20)]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("random")


@pytest.fixture(scope="module")
def embedder(weights: Weights) -> ImageEmbedder:
    return ImageEmbedder(weights, device="cpu")


def reference(weights: Weights, geometry: str, images: list[Image.Image]) -> NDArray[np.float32]:
    """Torchvision's model without its last layer, on torchvision's own transforms, one by one."""
    model = resnet18(weights=None)
    model.load_state_dict(weights.state_dict)
    features = torch.nn.Sequential(*list(model.children())[:-1]).eval()
    with torch.inference_mode():
        batches = [REFERENCE_TRANSFORMS[geometry](image).unsqueeze(0) for image in images]
        return torch.cat([features(batch).flatten(1) for batch in batches]).numpy()


def assert_close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Vector by vector, to 1e-5 of its length."""
    distance = np.linalg.norm(found - expected, axis=-1)
    assert (distance < 1e-5 * np.linalg.norm(expected, axis=-1)).all()


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


@pytest.mark.parametrize("geometry", REFERENCE_TRANSFORMS)
def test_vectors_are_those_of_torchvisions_own_network(weights: Weights, geometry: str) -> None:
    images = [picture(seed, size) for seed, size in enumerate(SIZES[:4])]
    embedder = ImageEmbedder(weights, geometry=geometry, device="cpu")
    assert_close(embedder(images), reference(weights, geometry, images))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_geometry_brings_every_picture_to_224_by_224(geometry: str, size: tuple[int, int]) -> None:
    resized = GEOMETRIES[geometry](picture(0, size))
    assert (resized.size, resized.mode) == ((224, 224), "RGB")


def test_geometries_squash_crop_and_pad() -> None:
    """A picture twice as wide as high: red, green in the middle half, blue."""
    image = Image.new("RGB", (400, 200), "red")
    image.paste((0, 255, 0), (100, 0, 300, 200))
    image.paste((0, 0, 255), (300, 0, 400, 200))
    places = (4, 112), (112, 112), (220, 112), (112, 4)
    red, green, blue, grey = (255, 0, 0), (0, 255, 0), (0, 0, 255), (124, 116, 104)
    expected = {
        "squash": [red, green, blue, green],
        "crop": [green, green, green, green],
        "pad": [red, green, blue, grey],
    }
    for geometry, colours in expected.items():
        resized = GEOMETRIES[geometry](image)
        assert [resized.getpixel(place) for place in places] == colours


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (50_000, 3)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_picture_like_a_thread_does_not_fill_the_memory(
    geometry: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    resize = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *args: Any, **options: Any) -> Image.Image:
        assert size[0] * size[1] < 20_000_000
        return resize(image, size, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert GEOMETRIES[geometry](Image.new("RGB", size, "red")).size == (224, 224)


def test_fingerprint_is_of_weights_and_geometry_and_not_of_names(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights.state_dict, tmp_path / "renamed.pth")
    other_values = weights.state_dict | {"fc.bias": weights.state_dict["fc.bias"] + 1}
    torch.save(other_values, tmp_path / "other.pth")
    original = ImageEmbedder(weights).fingerprint
    renamed = ImageEmbedder(load_weights(str(tmp_path / "renamed.pth")))
    assert renamed.fingerprint == original
    assert renamed.description["weights"] == "renamed.pth"
    different = [ImageEmbedder(weights, geometry=geometry).fingerprint for geometry in ("crop", "pad")]
    different.append(ImageEmbedder(load_weights(str(tmp_path / "other.pth"))).fingerprint)
    assert len({original, *different}) == 4
    assert all(len(fingerprint) == 16 for fingerprint in different)
