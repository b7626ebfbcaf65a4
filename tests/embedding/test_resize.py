"""The fast way to 224 x 224 pixels ends where Pillow's does: decoded to the bit, resized within 1 of 255."""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision import transforms

from jobs.base.options import GEOMETRY
from jobs.embedding.backbones import RESNET18
from jobs.embedding.resize import decode, from_image, resize
from jobs.intake.decode import BadPictureError, open_picture, to_rgb
from tests.support.pictures import ORIENTATION, corrupted, cut_jpeg, encoded, jpeg_that_claims, picture

SIDE = RESNET18.side
GEOMETRIES = tuple(GEOMETRY.choices or ())
SIZES = [(24, 16), (300, 200), (100, 400), (224, 224), (225, 223), (1, 1), (1, 9), (3000, 20), (1111, 777)]


def photo(seed: int, size: tuple[int, int]) -> Image.Image:
    """Smooth as photos are, with an edge, so that subsampled colours and all frequencies count."""
    small = picture(seed, (max(1, size[0] // 8), max(1, size[1] // 8)))
    image = small.resize(size, Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).line((0, 0, *size), "red", 3)
    return image


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def pixels(content: bytes) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = decode(content).permute(1, 2, 0).numpy()
    return found


def by_pillow(content: bytes) -> NDArray[np.uint8]:
    with open_picture(io.BytesIO(content)) as image:
        return np.asarray(to_rgb(image))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], NDArray[np.uint8]]:
    """``pixels`` that fails where Pillow decodes after all."""

    def refuse(image: Image.Image) -> Image.Image:
        raise AssertionError("decoded by Pillow")

    def decoded(content: bytes) -> NDArray[np.uint8]:
        with monkeypatch.context() as patch:
            patch.setattr("jobs.embedding.resize.to_rgb", refuse)
            return pixels(content)

    return decoded


Decode = Callable[[bytes], NDArray[np.uint8]]
ODD_SIZES = [(1, 1), (1, 9), (17, 1), (2, 3), (8, 8), (33, 65), (50, 37), (1000, 3)]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [10, 75, 100])
def test_jpeg_is_decoded_as_pillow_does_to_the_bit(
    fast: Decode, subsampling: str, progressive: bool, quality: int
) -> None:
    for seed, size in enumerate(ODD_SIZES):
        content = encoded(
            photo(seed, size), "JPEG", subsampling=subsampling, progressive=progressive, quality=quality
        )
        expected = by_pillow(content)
        assert expected.shape == (size[1], size[0], 3)
        np.testing.assert_array_equal(fast(content), expected)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {}),
        ("L", {"progressive": True}),
        ("RGB", {"keep_rgb": True}),
        ("RGB", {"restart_marker_rows": 1}),
        ("RGB", {"optimize": True, "dpi": (300, 300), "comment": b"no pixel"}),
    ],
)
def test_jpeg_of_another_kind_is_decoded_as_pillow_does(
    fast: Decode, mode: str, options: dict[str, Any]
) -> None:
    for seed, size in enumerate(ODD_SIZES):
        content = encoded(photo(seed, size).convert(mode), "JPEG", **options)
        np.testing.assert_array_equal(fast(content), by_pillow(content))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", [*range(10), 65_535])
def test_jpeg_stands_as_pillow_turns_it(fast: Decode, orientation: int, mode: str) -> None:
    """By EXIF's eight orientations; others mean nothing."""
    content = encoded(photo(1, (50, 37)).convert(mode), "JPEG", exif=oriented(orientation))
    found = fast(content)
    assert found.shape[:2] == ((50, 37) if orientation in range(5, 9) else (37, 50))
    np.testing.assert_array_equal(found, by_pillow(content))


def test_unusual_jpegs_are_left_to_pillow(fast: Decode) -> None:
    image = photo(2, (50, 37))
    others = {
        "CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "CMYK-turned": encoded(image.convert("CMYK"), "JPEG", exif=oriented(6)),
        "PNG": encoded(image, "PNG"),
    }
    for content in others.values():
        with pytest.raises(AssertionError, match="decoded by Pillow"):
            fast(content)
        np.testing.assert_array_equal(pixels(content), by_pillow(content))


def test_the_first_of_several_pictures_in_a_jpeg_is_decoded_fast(fast: Decode) -> None:
    content = encoded(photo(2, (50, 37)), "MPO", save_all=True, append_images=[photo(3, (50, 37))])
    np.testing.assert_array_equal(fast(content), by_pillow(content))


def outcome(decode: Decode, content: bytes) -> NDArray[np.uint8] | str:
    try:
        return decode(content)
    except BadPictureError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_corrupt_jpeg_is_decoded_or_refused_as_by_pillow(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pixels, or the same reason why not."""
    monkeypatch.setattr("jobs.intake.decode.MAX_PIXELS", 1_000_000)  # quick, whatever size a header claims
    chance, image = random.Random(seed), photo(seed, (64, 45))
    whole = [
        encoded(image, "JPEG", exif=oriented(6)),
        encoded(image, "JPEG", progressive=True),
        encoded(image, "JPEG", subsampling="4:4:4", restart_marker_rows=1),
        encoded(image.convert("L"), "JPEG"),
        encoded(image.convert("CMYK"), "JPEG"),
    ]
    seen = Counter[str]()
    for _ in range(500):
        content = corrupted(chance.choice(whole), chance)
        found, expected = outcome(pixels, content), outcome(by_pillow, content)
        if isinstance(expected, str):
            assert found == expected
            seen["refused"] += 1
        else:
            assert isinstance(found, np.ndarray), found
            np.testing.assert_array_equal(found, expected)
            seen["taken"] += 1
    assert min(seen.values()) > 50 and len(seen) == 2


@pytest.mark.parametrize(
    "content",
    [
        cut_jpeg(),
        encoded(photo(0, (64, 64)), "JPEG", progressive=True)[:-40],
        jpeg_that_claims(60_000, 60_000),
        jpeg_that_claims(0, 16),
    ],
    ids=["half", "progressive", "bomb", "no-width"],
)
def test_jpeg_that_pillow_refuses_is_refused_for_the_same_reason(content: bytes) -> None:
    expected = outcome(by_pillow, content)
    assert isinstance(expected, str)
    assert outcome(pixels, content) == expected


def test_decoding_leaves_the_bytes_alone_and_gives_pixels_of_its_own() -> None:
    content = encoded(photo(0, (64, 45)), "JPEG")
    before = bytes(bytearray(content))
    first = decode(content)
    kept = first.clone()
    decode(content).zero_()
    assert content == before
    assert torch.equal(first, kept)


def _padded_by_pillow(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    size = [max(1, round(side * scale)) for side in (image.height, image.width)]
    padded = Image.new("RGB", (SIDE, SIDE), (124, 116, 104))
    padded.paste(transforms.Resize(size)(image), ((SIDE - size[1]) // 2, (SIDE - size[0]) // 2))
    return padded


BY_PILLOW: dict[str, Callable[[Image.Image], Image.Image]] = {
    "squash": transforms.Resize((SIDE, SIDE)),
    "crop": transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIDE)]),
    "pad": _padded_by_pillow,
}


@pytest.mark.parametrize("size", [size for size in SIZES if size != (3000, 20)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("draw", [photo, picture], ids=["photo", "noise"])
def test_resized_is_what_torchvision_makes_of_pillows_picture(
    draw: Callable[[int, tuple[int, int]], Image.Image], geometry: str, size: tuple[int, int]
) -> None:
    image = draw(3, size)
    expected = np.asarray(BY_PILLOW[geometry](image), int)
    found = resize(from_image(image), RESNET18, geometry)
    assert (found.dtype, tuple(found.shape)) == (torch.uint8, (3, SIDE, SIDE))
    difference = found.permute(1, 2, 0).numpy() - expected
    assert abs(difference).max() <= 1
    assert abs(difference.mean()) < 0.01  # neither brighter nor darker


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_pixels_are_resized_alike_however_they_lie_in_memory(geometry: str) -> None:
    """Turned pictures and Pillow's are strided otherwise than libjpeg's."""
    turned = decode(encoded(photo(1, (300, 200)), "JPEG", exif=oriented(6)))
    assert not turned.is_contiguous()
    assert torch.equal(resize(turned, RESNET18, geometry), resize(turned.contiguous(), RESNET18, geometry))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_geometry_brings_every_picture_to_224_by_224(geometry: str, size: tuple[int, int]) -> None:
    resized = resize(from_image(picture(0, size)), RESNET18, geometry)
    assert (resized.dtype, tuple(resized.shape)) == (torch.uint8, (3, SIDE, SIDE))


def test_geometries_squash_crop_and_pad() -> None:
    """A picture twice as wide as high: red, green in the middle half, blue."""
    image = Image.new("RGB", (400, 200), "red")
    image.paste((0, 255, 0), (100, 0, 300, 200))
    image.paste((0, 0, 255), (300, 0, 400, 200))
    places = (4, 112), (112, 112), (220, 112), (112, 4)
    red, green, blue, grey = [255, 0, 0], [0, 255, 0], [0, 0, 255], [124, 116, 104]
    expected = {
        "squash": [red, green, blue, green],
        "crop": [green, green, green, green],
        "pad": [red, green, blue, grey],
    }
    assert expected.keys() == set(GEOMETRIES)
    for geometry, colours in expected.items():
        resized = resize(from_image(image), RESNET18, geometry)
        assert [resized[:, y, x].tolist() for x, y in places] == colours


class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the most values that any tensor held which an operation made."""

    most = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        made = function(*arguments, **(options or {}))
        if isinstance(made, torch.Tensor):
            self.most = max(self.most, made.numel())
        return made


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (50_000, 3)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_long_thin_picture_does_not_fill_the_memory(geometry: str, size: tuple[int, int]) -> None:
    thread = from_image(Image.new("RGB", size, "red"))
    with Watched() as watched:  # type: ignore[no-untyped-call]
        resized = resize(thread, RESNET18, geometry)
    assert 3 * SIDE * SIDE <= watched.most < 20_000_000
    assert resized[:, (SIDE - 1) // 2, (SIDE - 1) // 2].tolist() == [255, 0, 0]


def test_real_pictures_end_where_pillows_do(cars: Path) -> None:
    files = sorted((cars / "cars_train" / "cars_train").glob("*.jpg"))[::60] + sorted(cars.glob("oddities/*"))
    assert len(files) > 100
    for file in files:
        content = file.read_bytes()
        expected = by_pillow(content)
        np.testing.assert_array_equal(pixels(content), expected)
        resized = resize(decode(content), RESNET18, "squash").permute(1, 2, 0).numpy()
        difference = abs(resized - np.asarray(BY_PILLOW["squash"](Image.fromarray(expected)), int))
        assert difference.max() <= 1


def exif_of(*entries: tuple[int, int, int, bytes], after: bytes = b"") -> bytes:
    """An EXIF block of one directory: tag, type, count, and value or its place of each entry."""
    rows = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + rows + bytes(4) + after


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "exif",
    [
        exif_of((0x0100, 2, 4, b"640\0"), (ORIENTATION, 3, 1, b"\6\0\0\0")),
        exif_of((ORIENTATION, 5, 1, struct.pack("<I", 26)), after=struct.pack("<II", 6, 1)),
    ],
    ids=["another tag is malformed", "a fraction"],
)
def test_odd_exif_is_turned_all_the_same(format: str, exif: bytes) -> None:
    image = photo(1, (50, 37))
    found = pixels(encoded(image, format, exif=exif))
    expected = pixels(encoded(image, format)).swapaxes(0, 1)[:, ::-1]
    assert (found == expected).all()
