"""Pictures from outside are decoded in processes that one of them may end, at the cost of its own answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from jobs.embedding import decoders as module
from jobs.embedding.backbones import RESNET18
from jobs.embedding.decoders import Decoders
from jobs.embedding.resize import resized
from jobs.intake.decode import BadPictureError
from jobs.intake.given_up import MEMORY
from tests.support import crashing
from tests.support.pictures import encoded, picture

pytestmark = pytest.mark.slow
"""The first one imports PyTorch."""

SOUND = encoded(picture(), "JPEG")


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setattr(module, "serve", crashing.serve_decoder)
    with Decoders(2) as running:
        yield running


def pixels(decoders: Decoders, content: bytes = SOUND, geometry: str = "squash") -> np.ndarray:
    return decoders.pixels(content, RESNET18, geometry)


@pytest.mark.parametrize("geometry", ["squash", "crop", "pad"])
def test_pixels_are_those_of_this_process(decoders: Decoders, geometry: str) -> None:
    assert np.array_equal(pixels(decoders, geometry=geometry), resized(SOUND, RESNET18, geometry))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SOUND + crashing.MARK + b"SIGSEGV", r"^crashes the decoder \(SIGSEGV\)$"),
        (SOUND + crashing.MARK + b"SIGABRT", r"^crashes the decoder \(SIGABRT\)$"),
        (SOUND + crashing.MARK + b"SIGKILL", "^takes more memory to decode than there is$"),
        (b"not a picture", "^not a picture of a known format$"),
        (b"", "^not a picture of a known format$"),
        (SOUND[:500], "^cannot be decoded"),
    ],
)
def test_a_bad_picture_has_its_reason_and_the_next_one_is_decoded(
    decoders: Decoders, content: bytes, reason: str
) -> None:
    with pytest.raises(BadPictureError, match=reason):
        pixels(decoders, content)
    assert pixels(decoders).shape == (224, 224, 3)


def test_a_picture_without_end_is_given_up(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_MAX_SECONDS", "1")
    with pytest.raises(BadPictureError, match=r"^takes more than 1 s to decode$"):
        pixels(decoders, SOUND + crashing.MARK + b"no end")
    assert pixels(decoders).shape == (224, 224, 3)


def test_a_picture_is_not_blamed_for_a_process_that_was_killed(decoders: Decoders, tmp_path: str) -> None:
    once = f"SIGKILL at {tmp_path}/once".encode()
    assert pixels(decoders, SOUND + crashing.MARK + once).shape == (224, 224, 3)


def test_several_threads_decode_at_once_and_one_crash_is_one_picture(decoders: Decoders) -> None:
    bad = SOUND + crashing.MARK + b"SIGSEGV"

    def ask(content: bytes) -> bool:
        try:
            return bool(pixels(decoders, content).any())
        except BadPictureError:
            return False

    contents = [bad if number % 4 == 0 else SOUND for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, contents)) == [content is SOUND for content in contents]


def test_a_process_has_no_more_memory_than_one_picture_may_take(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "serve", crashing.serve_decoder)
    decoders.warm_up()
    children = psutil.Process().children(recursive=True)
    limits = [child.rlimit(psutil.RLIMIT_DATA)[0] for child in children]
    deadline = time.monotonic() + 30
    while limits.count(MEMORY) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        limits = [child.rlimit(psutil.RLIMIT_DATA)[0] for child in children]
    assert limits.count(MEMORY) == 2


def test_processes_end_with_the_block() -> None:
    before = set(psutil.Process().children(recursive=True))
    with Decoders(2) as running:
        assert pixels(running).any()
        decoding = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in decoding if process.is_running() and serves(process)]


def serves(process: psutil.Process) -> bool:
    """Whether it is a decoder, and not one of Python's own helpers, which stay for the next ones."""
    parent = process.parent()
    return parent is not None and parent != psutil.Process()
