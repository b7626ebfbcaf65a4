"""What becomes of a picture file, whatever it holds: upright RGB pixels, or a reason why not."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import RESNET18
from jobs.embedding.resize import decode, resized
from jobs.intake.decode import BadPictureError, read_header
from jobs.intake.look import look
from tests.support.pictures import (
    BLUE_FIRST,
    LINEAR_GREY,
    ORIENTATION,
    corrupted,
    cut_jpeg,
    encoded,
    jpeg_that_claims,
    picture,
    png,
)

WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)

UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.swapaxes(stored, 0, 1), 2),
    8: lambda stored: np.rot90(stored, 1),
}
"""EXIF's orientations: from pixels as they are stored to pixels as they are meant to be seen."""


def pixels(content: bytes) -> NDArray[np.uint8]:
    """As (height, width, 3)."""
    decoded = decode(content)
    assert decoded.dtype == torch.uint8
    assert decoded.shape[0] == 3
    turned: NDArray[np.uint8] = decoded.permute(1, 2, 0).numpy()
    return turned


def bmp(bits: int, masks: tuple[int, ...], words: tuple[int, ...], compression: int, down: bool) -> bytes:
    """A BMP of 2 x 2 pixels whose header says where alpha lies; its first row is the top if ``down``."""
    code = {16: "<2H", 32: "<2I"}[bits]
    rows = b"".join(struct.pack(code, *words[row : row + 2]) for row in (0, 2))
    header = struct.pack(
        "<IiiHHIIiiII", 124, 2, -2 if down else 2, 1, bits, compression, len(rows), 0, 0, 0, 0
    )
    header += struct.pack("<4I", *masks) + b"BGRs" + bytes(64)
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + rows


def load(content: bytes) -> Image.Image:
    return Image.fromarray(pixels(content))


def refusal(content: bytes) -> str:
    with pytest.raises(BadPictureError) as caught:
        decode(content)
    return str(caught.value)


def grey_values(content: bytes) -> list[int]:
    """The first row of a picture that must be grey."""
    row = pixels(content)[0]
    assert (row == row[:, :1]).all()
    return [int(value) for value in row[:, 0]]


def test_sound_picture_is_loaded_as_it_is() -> None:
    image = picture()
    assert (pixels(encoded(image, "PNG")) == np.asarray(image)).all()
    header = read_header(io.BytesIO(encoded(image, "PNG")))
    assert (header.width, header.height, header.mode) == (24, 16, "RGB")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"])
def test_every_format_that_is_promised_is_read(format: str) -> None:
    image = Image.new("RGB", (24, 16), (180, 90, 40))
    difference = pixels(encoded(image, format)).astype(int) - np.asarray(image)
    assert abs(difference).max() < 8


def test_truncated_jpeg_passes_the_header_and_is_refused_by_the_pixels() -> None:
    assert read_header(io.BytesIO(cut_jpeg())).width == 64
    assert refusal(cut_jpeg()).startswith("cannot be decoded: ")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_truncated_picture_of_another_format_is_refused(format: str) -> None:
    whole = encoded(picture(0, (64, 64)), format)
    assert load(whole).size == (64, 64)
    assert refusal(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    "content", [b"", b"\xff", bytes(1000), random.Random(0).randbytes(5000), b"hello\n" * 99]
)
def test_a_file_that_is_not_a_picture_is_refused(content: bytes) -> None:
    assert refusal(content) == "not a picture of a known format"
    with pytest.raises(BadPictureError, match=r"^not a picture of a known format$"):
        read_header(io.BytesIO(content))


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_file_that_says_it_is_heic_or_avif_and_is_not_is_called_damaged(brand: bytes) -> None:
    content = b"\0\0\0\x18ftyp" + brand + bytes(99)
    assert refusal(content) == "cannot be decoded: a damaged HEIC or AVIF file"


def test_a_video_named_jpg_is_refused() -> None:
    assert refusal(b"\0\0\0\x18ftypisom" + bytes(99)) == "not a picture of a known format"


def test_text_named_jpg_is_refused_and_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.jpg"
    text.write_text("this is no picture")
    empty.touch()
    assert look(str(text)).reason == "not a picture of a known format"
    assert look(str(empty)).reason == "empty file"


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_picture_under_another_formats_name_works(tmp_path: Path, format: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(picture(), format))
    seen = look(str(path))
    assert (seen.reason, seen.width, seen.height) == (None, 24, 16)
    assert load(path.read_bytes()).size == (24, 16)


@pytest.mark.parametrize("format", ["PPM", "ICO", "TGA", "EPS", "PCX", "JPEG2000", "ICNS"])
def test_format_that_is_not_promised_is_refused(format: str) -> None:
    assert refusal(encoded(picture(0, (32, 32)), format)) == "not a picture of a known format"


def test_cmyk_jpeg_keeps_its_colours() -> None:
    content = encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG")
    assert read_header(io.BytesIO(content)).mode == "CMYK"
    assert abs(pixels(content).astype(int) - RED).max() < 8


def test_greyscale_jpeg_and_bilevel_png_become_grey_rgb() -> None:
    grey = Image.fromarray(np.array([[0, 77, 255]], np.uint8))
    assert grey_values(encoded(grey, "PNG")) == [0, 77, 255]
    assert abs(pixels(encoded(Image.new("L", (16, 16), 77), "JPEG")).astype(int) - 77).max() < 3
    assert grey_values(encoded(grey.point(lambda value: 255 * (value > 100)).convert("1"), "PNG")) == [
        0,
        0,
        255,
    ]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(format: str) -> None:
    values = np.array([[0, 255, 256, 1000, 32768, 65535]], np.uint16)
    assert grey_values(encoded(Image.fromarray(values), format)) == [0, 1, 1, 4, 128, 255]


def test_transparent_value_of_16_bit_grey_does_not_whiten_other_greys() -> None:
    rows = b"\0" + struct.pack(">3H", 0, 100 << 8, 0xFFFF)
    content = png(3, 1, 16, 0, rows, extra=(b"tRNS", struct.pack(">H", 100)))
    assert grey_values(content) == [0, 100, 255]


def test_palette_keeps_its_colours() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    assert pixels(encoded(image, "PNG")).tolist() == [[list(RED), list(GREEN), list(BLUE)]]
    assert pixels(encoded(image, "PNG", transparency=1)).tolist() == [[list(RED), list(WHITE), list(BLUE)]]
    half = encoded(image, "PNG", transparency=bytes([255, 0, 128]))
    assert pixels(half).tolist() == [[list(RED), list(WHITE), [127, 127, 255]]]
    assert pixels(encoded(image, "GIF", transparency=2)).tolist() == [[list(RED), list(GREEN), list(WHITE)]]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_transparency_is_put_on_white(format: str) -> None:
    rgba = Image.fromarray(np.array([[[0, 0, 255, 0], [0, 0, 255, 128], [0, 0, 255, 255]]], np.uint8))
    assert pixels(encoded(rgba, format)).tolist() == [[list(WHITE), [127, 127, 255], list(BLUE)]]
    grey = Image.merge("LA", (Image.new("L", (1, 1), 40), Image.new("L", (1, 1), 0)))
    assert pixels(encoded(grey, format)).tolist() == [[list(WHITE)]]


def test_a_transparent_webp_is_put_on_white() -> None:
    assert (pixels(encoded(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), "WEBP", lossless=True)) == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_counts_by_its_first_frame(format: str) -> None:
    red, blue = (Image.new("RGB", (16, 16), color) for color in (RED, BLUE))
    content = encoded(red, format, save_all=True, append_images=[blue, blue])
    with Image.open(io.BytesIO(content)) as animation:
        assert getattr(animation, "n_frames", 1) > 1
    assert abs(pixels(content).astype(int) - RED).max() < 12


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_rotated_photo_stands_upright(format: str, orientation: int) -> None:
    """Six blocks of their own colour, 2 rows of 3, lie where the camera's note puts them."""
    colours = np.array([[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (200, 200, 0)]], np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    stored = Image.fromarray(colours.repeat(16, axis=0).repeat(16, axis=1))
    seen = pixels(encoded(stored, format, exif=exif, **lossless))[8::16, 8::16]
    expected = UPRIGHT[orientation](colours)
    assert seen.shape == expected.shape
    assert abs(seen.astype(int) - expected).max() < 40


@pytest.mark.parametrize(
    "exif", [b"", b"garbage", b"II*\0", b"II*\0\x08\0\0\0\x05\0\x12\x01", b"MM\0*\xff\xff\xff\xff"]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_photo_with_broken_exif_is_used_as_stored(exif: bytes) -> None:
    plain, payload = encoded(picture(), "JPEG"), b"Exif\0\0" + exif
    content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + plain[2:]
    assert (pixels(content) == pixels(plain)).all()


def test_photo_with_a_colour_profile_works() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = encoded(Image.new("RGB", (16, 16), (180, 90, 40)), "JPEG", icc_profile=profile)
    assert profile in content
    assert abs(pixels(content).astype(int) - (180, 90, 40)).max() < 4


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        (np.array([0, 100, 255], np.int32), [0, 100, 255]),
        (np.array([0, 2048, 4095], np.uint16), [0, 128, 255]),
        (np.array([0, 16384, 32767], np.int32), [0, 128, 255]),
        (np.array([291, 500, 694], np.uint16), [73, 125, 173]),
        (np.array([0, 2**30, 2**31 - 1], np.int32), [0, 128, 255]),
        (np.array([-32768, 0, 32767], np.int32), [0, 128, 255]),
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([0, 100, 255], np.float32), [0, 100, 255]),
        (np.array([-3, 0, 3], np.float32), [0, 128, 255]),
        (np.array([0, 4000, 8000], np.float32), [0, 128, 255]),
        (np.array([0, 0.001, 0.002], np.float32), [0, 128, 255]),
        (np.array([np.nan, 0.5, np.inf], np.float32), [0, 128, 255]),
        (np.array([7, 7, 7], np.uint16), [7, 7, 7]),
        (np.array([0, 0, 0], np.float32), [0, 0, 0]),
        (np.array([-5, -5, -5], np.int32), [0, 0, 0]),
    ],
)
def test_grey_of_many_bits_and_floats_is_scaled_by_what_it_holds(
    values: NDArray[np.generic], greys: list[int]
) -> None:
    found = grey_values(encoded(Image.fromarray(values[None]), "TIFF"))
    assert np.abs(np.array(found) - greys).max() <= 1


def tiff(values: NDArray[np.generic], format: int, photometric: int) -> bytes:
    """One row as a TIFF; sample format 1 is unsigned, 2 signed, 3 a float, and photometric 0 a negative."""
    data = values.tobytes() + b"\0" * (values.nbytes % 2)
    tags = {256: values.size, 257: 1, 258: 8 * values.itemsize, 259: 1, 262: photometric, 273: 8, 277: 1}
    tags |= {278: 1, 279: values.nbytes, 339: format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data
    return start + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("values", "format", "photometric", "greys"),
    [
        (np.array([0, 1000, 65535], np.uint16), 1, 1, [0, 4, 255]),
        (np.array([0, 1000, 65535], np.uint16), 1, 0, [255, 251, 0]),
        (np.array([0, 1024, 4095], np.uint16), 1, 0, [255, 191, 0]),
        (np.array([0, 0.25, 1], np.float32), 3, 0, [255, 191, 0]),
        (np.array([0, 64, 255], np.uint8), 1, 0, [255, 191, 0]),
        (np.array([0, 2**31, 2**32 - 1], np.uint32), 1, 1, [0, 128, 255]),
        (np.array([-(2**31), 0, 2**31 - 1], np.int32), 2, 1, [0, 128, 255]),
        (np.array([-128, 0, 127], np.int8), 2, 1, [0, 128, 255]),
        (np.array([-32768, 0, 32767], np.int16), 2, 1, [0, 128, 255]),
    ],
)
def test_a_tiff_is_read_as_it_says_negative_signed_or_unsigned(
    values: NDArray[np.generic], format: int, photometric: int, greys: list[int]
) -> None:
    found = grey_values(tiff(values, format, photometric))
    assert np.abs(np.array(found) - greys).max() <= 1


@pytest.mark.parametrize("values", [[np.nan, np.nan], [np.nan, -np.inf]])
def test_floats_of_which_none_is_a_number_are_no_picture(values: list[float]) -> None:
    content = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert refusal(content) == "cannot be decoded: no pixel is a finite number"


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_deep_grey_stands_upright_too(orientation: int) -> None:
    stored = np.array([[0, 100, 200], [50, 150, 255]], np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    seen = pixels(encoded(Image.fromarray(stored.astype(np.uint16) * 257), "PNG", exif=exif))
    assert (seen[..., 0] == UPRIGHT[orientation](stored)).all()


def profiled(image: Image.Image, format: str, profile: bytes, geometry: str = "squash") -> list[int]:
    """The colour in the middle of what is embedded of a picture of one colour."""
    square = resized(encoded(image, format, icc_profile=profile), RESNET18, geometry)
    return [int(value) for value in square[112, 112]]


@pytest.mark.parametrize("geometry", ["squash", "crop", "pad"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colours_are_what_the_profile_says(format: str, geometry: str) -> None:
    image = Image.new("RGB", (32, 16), (255, 0, 0))
    red, green, blue = profiled(image, format, BLUE_FIRST, geometry)
    assert red < 20 and green < 20 and blue > 235


def test_padding_has_its_own_colour_whatever_the_profile() -> None:
    content = encoded(Image.new("RGB", (32, 16)), "PNG", icc_profile=BLUE_FIRST)
    assert resized(content, RESNET18, "pad")[0, 0].tolist() == [124, 116, 104]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_grey_is_what_its_profile_says(format: str) -> None:
    half = profiled(Image.new("L", (16, 16), 128), format, LINEAR_GREY)
    assert half == [188] * 3


@pytest.mark.parametrize(
    "profile", [b"", b"garbage", BLUE_FIRST[:200], BLUE_FIRST[:16] + b"CMYK" + BLUE_FIRST[20:], LINEAR_GREY]
)
def test_profiles_that_do_not_fit_are_passed_over(profile: bytes) -> None:
    assert profiled(Image.new("RGB", (16, 16), (200, 100, 50)), "PNG", profile) == [200, 100, 50]


def test_what_lies_outside_a_small_first_frame_is_white() -> None:
    # A canvas of 4 x 4 whose ground is the palette's blue, and a red frame of 2 x 2 in it.
    one = Image.new("P", (2, 2), 1)
    one.putpalette([*BLUE, *RED])
    small = encoded(one, "GIF")
    descriptor = small.index(b",\0\0\0\0")
    content = bytearray(small)
    content[6:10] = struct.pack("<HH", 4, 4)
    content[descriptor + 1 : descriptor + 5] = struct.pack("<HH", 1, 1)
    found = pixels(bytes(content))
    assert (found[1:3, 1:3] == RED).all()
    assert (found[0] == WHITE).all() and (found[:, 3] == WHITE).all()


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("compression", [0, 3])
@pytest.mark.parametrize(
    ("bits", "masks", "pixels_of"),
    [
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFFFF0000, 0x00FF0000, 0x80FF0000, 0xFF0000FF)),
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000), (0xFC00, 0x7C00, 0x7C00, 0x801F)),
    ],
)
def test_transparent_pixels_of_a_bmp_are_white(
    bits: int, masks: tuple[int, ...], pixels_of: tuple[int, ...], compression: int, down: bool
) -> None:
    found = pixels(bmp(bits, masks, pixels_of, compression, down))
    half = [255, 127, 127] if bits == 32 else [255, 255, 255]
    first, second = [list(RED), list(WHITE)], [half, list(BLUE)]
    assert found.tolist() == ([first, second] if down else [second, first])


def test_alpha_of_a_bmp_that_nobody_filled_in_is_passed_over() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    found = pixels(bmp(32, masks, (0xFF0000, 0xFF00, 0xFF, 0xFFFFFF), 3, True))
    assert found.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_of_a_png_are_passed_over_whatever_their_size(kind: bytes) -> None:
    text = {
        b"tEXt": b"a\0" + b"x" * 3_000_000,
        b"zTXt": b"a\0\0" + zlib.compress(bytes(200_000_000)),
        b"iTXt": b"a\0\1\0\0\0" + zlib.compress(bytes(200_000_000)),
    }[kind]
    assert grey_values(png(2, 1, 8, 0, b"\0\x10\x80", extra=(kind, text))) == [16, 128]


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_what_phones_make_is_decoded_upright(format: str) -> None:
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (0, 0, 32, 32))
    exif = image.getexif()
    exif[ORIENTATION] = 6
    found = pixels(encoded(image, format, exif=exif.tobytes()))
    assert found.shape == (64, 32, 3)
    assert np.abs(found[8, 16].astype(int) - BLUE).max() < 30
    assert np.abs(found[56, 16].astype(int) - RED).max() < 30


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("above", "size"), [(60_000, (300, 200)), (20_000, (150, 100)), (4_000, (75, 50))])
def test_large_jpegs_are_decoded_at_a_smaller_scale(
    mode: str, above: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded(picture(0, (75, 50)).resize((300, 200)).convert(mode), "JPEG")
    whole = load(content)
    monkeypatch.setattr("jobs.intake.decode.SCALED_ABOVE", above)
    assert decoded_size(content) == size
    assert header_size(content) == (300, 200)
    difference = np.asarray(load(content)).astype(int) - np.asarray(whole.resize(size, Image.Resampling.BOX))
    assert np.abs(difference).mean() < 12


@pytest.mark.parametrize(("limit", "taken"), [("384", True), ("383", False)])
def test_how_large_a_picture_may_be_is_a_setting(
    limit: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", limit)
    content = encoded(picture(), "PNG")
    if taken:
        assert decoded_size(content) == (24, 16)
    else:
        assert refusal(content).startswith("too large: 24 x 16 pixels")
    assert decoded_size(encoded(picture(0, (24, 39)), "JPEG")) == (24, 39)  # is decoded at a smaller scale
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", "many")
    with pytest.raises(LookalikeError, match="LOOKALIKE_MAX_PIXELS is 'many': set it to a whole number"):
        decode(content)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "content",
    [
        png(50_000, 50_000, 8, 2),
        png(2**31 - 1, 2**31 - 1, 8, 2),
        png(11_000, 10_000, 8, 2),
        jpeg_that_claims(60_000, 60_000),
        jpeg_that_claims(17_000, 16_000),
    ],
    ids=["png", "png-extreme", "png-just-over", "jpeg", "jpeg-just-over"],
)
def test_decompression_bomb_is_refused_by_its_header(content: bytes) -> None:
    assert refusal(content).startswith("too large: ")
    with pytest.raises(BadPictureError, match=r"^too large: "):
        read_header(io.BytesIO(content))


@pytest.mark.parametrize(
    "error",
    [
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        EOFError,
        OverflowError,
        MemoryError,
        RuntimeError,
        RuntimeError,
        struct.error,
        zlib.error,
    ],
)
def test_whatever_a_decoder_raises_becomes_a_reason_for_people(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: Image.Image) -> None:
        raise error("broken\ndata " + "stream " * 100)

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    reason = refusal(encoded(picture(), "PNG"))
    assert reason in (
        "cannot be decoded: the file is cut off, damaged or of a rare kind",
        "cannot be decoded: it takes more memory than there is",
    )


def header_size(content: bytes) -> tuple[int, int]:
    header = read_header(io.BytesIO(content))
    return header.width, header.height


def decoded_size(content: bytes) -> tuple[int, int]:
    return load(content).size


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF"])
def test_corrupt_file_is_a_picture_or_has_a_reason(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a disk or a download did to a file, no other error than BadPictureError comes out."""
    monkeypatch.setattr("jobs.intake.decode.MAX_PIXELS", 1_000_000)  # quick, whatever size a header claims
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {} if format in ("GIF", "BMP") else {"exif": exif}
    whole = [
        encoded(picture(), format, **options),
        encoded(picture(1).convert("P" if format != "JPEG" else "CMYK"), format),
        encoded(picture(2), format, **({"compression": "tiff_lzw"} if format == "TIFF" else {})),
    ]
    chance, outcomes = random.Random(format), []
    for _ in range(600):
        content = corrupted(chance.choice(whole), chance)
        for size in (header_size, decoded_size):
            try:
                assert min(size(content)) > 0
                outcomes.append("picture")
            except BadPictureError as error:
                assert 0 < len(str(error)) < 150
                assert "\n" not in str(error)
                outcomes.append("reason")
    assert set(outcomes) == {"picture", "reason"}
