"""The forward pass: OpenVINO's and PyTorch's agree; who computes beside a picture leaves no mark on it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.embedding.backbones import RESNET18
from jobs.embedding.network import load_network
from jobs.embedding.openvino import WEIGHTS, Forward, openvino_forward
from jobs.embedding.torch import torch_forward
from jobs.embedding.weights import find_weights
from tests.support.need import need
from tests.support.pictures import picture

pytestmark = pytest.mark.slow  # the whole network; a toy's forward pass is in test_backbones.py
PICTURES, SIDE = 16, RESNET18.side

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def network() -> torch.nn.Module:
    return load_network(RESNET18, find_weights("random", RESNET18))


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """Eight pictures of noise and eight that are smooth."""
    noise = [picture(seed, (SIDE, SIDE)) for seed in range(PICTURES // 2)]
    smooth = [picture(seed, (5, 7)).resize((SIDE, SIDE)) for seed in range(PICTURES // 2)]
    return np.stack([np.asarray(image) for image in (*noise, *smooth)])


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def precision(request: pytest.FixtureRequest) -> str:
    asked: str = request.param
    need(asked)
    return asked


@pytest.fixture(scope="module")
def named(precision: str) -> dict[int, tuple[Forward, str]]:
    """OpenVINO's forward pass for one thread and for two, each with its name."""
    return {threads: openvino_forward(network, RESNET18, precision, threads, None) for threads in (1, 2)}


@pytest.fixture(scope="module")
def passes(named: dict[int, tuple[Forward, str]]) -> dict[int, Forward]:
    return {threads: forward for threads, (forward, _) in named.items()}


@pytest.fixture(scope="module")
def exact(pixels: Pixels) -> Floats:
    """PyTorch's, in single precision, one picture after the other."""
    forward, _ = torch_forward(network(), RESNET18, "fp32", "cpu")
    return np.concatenate([forward(pixels[row : row + 1]) for row in range(PICTURES)])


def assert_equal_to_the_bit(found: Floats, expected: Floats) -> None:
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def assert_near(found: Floats, expected: Floats, precision: str) -> None:
    """Each vector within 1e-5 of its length, or at bf16 at a cosine of at least 0.999."""
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    lengths = np.linalg.norm(expected, axis=1)
    if precision == "fp32":
        assert (np.linalg.norm(found - expected, axis=1) < 1e-5 * lengths).all()
    else:
        cosines = (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1) / lengths
        assert (cosines >= 0.999).all()
        assert (found != expected).any()  # it is another precision


def test_openvino_computes_what_pytorch_does(
    passes: dict[int, Forward], pixels: Pixels, exact: Floats, precision: str
) -> None:
    assert np.linalg.norm(exact[0] - exact[1]) > 1e-3 * np.linalg.norm(exact[0])
    for forward in passes.values():
        assert_near(forward(pixels), exact, precision)


def test_torch_computes_at_both_precisions(pixels: Pixels, exact: Floats) -> None:
    for precision in ("fp32", "bf16"):
        forward, _ = torch_forward(network(), RESNET18, precision, "cpu")
        assert_near(forward(pixels), exact, precision)


def test_torch_takes_the_processors_numbers_for_what_they_are(pixels: Pixels) -> None:
    """Against the network itself, on pixels normalised in double precision."""
    forward, _ = torch_forward(network(), RESNET18, "fp32", "cpu")
    values = torch.from_numpy(pixels[:4]).permute(0, 3, 1, 2).double() / 255
    mean, std = (
        torch.tensor(output)[:, None, None].double()
        for output in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.inference_mode():
        expected = network().double()((values - mean) / std).float().numpy()
    assert_near(forward(pixels[:4]), expected, "fp32")


def test_neighbours_in_the_batch_and_threads_leave_no_mark(
    passes: dict[int, Forward], pixels: Pixels
) -> None:
    expected = passes[1](pixels)
    for forward in passes.values():
        for size in (1, 3, PICTURES):
            for start in range(0, PICTURES - size + 1, size):
                rows = slice(start, start + size)
                assert_equal_to_the_bit(forward(pixels[rows]), expected[rows])
        assert_equal_to_the_bit(forward(pixels[::-1].copy())[::-1], expected)
        # Among others, and where the same picture is all that there is.
        assert_equal_to_the_bit(forward(pixels[[5] * 3]), expected[[5] * 3])


def test_several_threads_call_it_at_once(passes: dict[int, Forward], pixels: Pixels) -> None:
    expected = passes[1](pixels)

    def embed(number: int) -> None:
        rows = slice(number % 4, number % 4 + (1, 3, 12)[number % 3])
        assert_equal_to_the_bit(passes[2](pixels[rows]), expected[rows])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(embed, range(24))) == [None] * 24


def test_first_inference_is_done_before_threads_can_meet_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's Python part prepares itself by it, and two threads that do so at once hang now and then."""
    import openvino as ov

    infer, seen = ov.InferRequest.infer, list[tuple[int, ...]]()

    def watched(request: ov.InferRequest, inputs: Pixels) -> object:
        seen.append(inputs.shape)
        return infer(request, inputs)

    monkeypatch.setattr(ov.InferRequest, "infer", watched)
    forward, _ = openvino_forward(network, RESNET18, "fp32", 2, None)
    assert len(seen) == 1
    forward(np.zeros((3, SIDE, SIDE, 3), np.uint8))
    assert seen[1:] == [(3, SIDE, SIDE, 3)]


def test_what_a_call_returned_stays_as_it_was(passes: dict[int, Forward], pixels: Pixels) -> None:
    first = passes[1](pixels[:2])
    kept = first.copy()
    passes[1](pixels[2:4])
    assert_equal_to_the_bit(first, kept)


def test_a_kept_conversion_needs_no_weights_and_computes_the_same(
    tmp_path: Path, passes: dict[int, Forward], pixels: Pixels, precision: str
) -> None:
    def no_network() -> torch.nn.Module:
        raise AssertionError("the weights were loaded again")

    folder = tmp_path / "store" / "openvino"
    for load in (network, no_network):
        forward, _ = openvino_forward(load, RESNET18, precision, 1, folder)
        assert_equal_to_the_bit(forward(pixels[:3]), passes[1](pixels[:3]))
        assert [path.name for path in folder.parent.iterdir()] == ["openvino"]


def test_a_corrupt_conversion_is_made_again(
    tmp_path: Path, passes: dict[int, Forward], pixels: Pixels, precision: str
) -> None:
    folder = tmp_path / "openvino"
    openvino_forward(network, RESNET18, precision, 1, folder)
    whole = (folder / WEIGHTS).read_bytes()
    for damaged in (whole[:1000], whole[:-1000] + bytes(1000)):
        (folder / WEIGHTS).write_bytes(damaged)
        forward, _ = openvino_forward(network, RESNET18, precision, 1, folder)
        assert_equal_to_the_bit(forward(pixels[:1]), passes[1](pixels[:1]))
        assert (folder / WEIGHTS).read_bytes() == whole


def test_runtimes_are_named_with_version_and_precision(
    named: dict[int, tuple[Forward, str]], precision: str
) -> None:
    expected = f"OpenVINO {version('openvino')}, {precision}"
    assert {name for _, name in named.values()} == {expected}
    _, by_torch = torch_forward(network(), RESNET18, precision, "cpu")
    autocast = {"fp32": "", "bf16": " autocast"}[precision]
    assert by_torch == f"PyTorch {torch.__version__} on cpu, {precision}{autocast}"


REFUSED = """
from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import RESNET18
from jobs.embedding.openvino import openvino_forward
try:
    openvino_forward(lambda: 1 / 0, RESNET18, "bf16", 1, None)
except LookalikeError as error:
    print(error)
"""


def test_bf16_is_refused_where_the_processor_lacks_it() -> None:
    """As OpenVINO sees an older processor; before any weights are loaded."""
    old = os.environ | {"OV_CPU_MAX_ISA": "AVX2"}
    output = subprocess.check_output([sys.executable, "-c", REFUSED], env=old, text=True)
    assert output == "precision is bf16, which this processor does not compute: choose fp32.\n"


BUILT = """
import numpy as np
from jobs.embedding.backbones import RESNET18
from jobs.embedding.network import load_network
from jobs.embedding.openvino import openvino_forward
from jobs.embedding.weights import find_weights

weights = find_weights("random", RESNET18)
forward, _ = openvino_forward(lambda: load_network(RESNET18, weights), RESNET18, "fp32", 1, None)
print(forward(np.zeros((1, 224, 224, 3), np.uint8)).shape)
"""


def test_openvino_sends_no_telemetry(tmp_path: Path) -> None:
    """Its telemetry would leave a folder in the home, and send what it finds to Google Analytics."""
    homed = os.environ | {"HOME": str(tmp_path)}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        homed.pop(name, None)
    assert subprocess.check_output([sys.executable, "-c", BUILT], env=homed, text=True) == "(1, 512)\n"
    assert list(tmp_path.rglob("*")) == []
