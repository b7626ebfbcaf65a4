"""ResNet-18's weights: which files are taken, which are refused in one sentence, and what stands in."""

from __future__ import annotations

import pickle
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import resnet18, resnet34

from jobs.download import file_sha256
from jobs.errors import LookalikeError, UnreachableError
from jobs.weights import Weights, load_weights
from tests.pictures import write_picture

State = dict[str, Any]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load_weights("random")


@pytest.fixture(scope="module")
def state(weights: Weights) -> State:
    return weights.state_dict


def saved(tmp_path: Path, state: object, name: str = "weights.pth") -> str:
    torch.save(state, tmp_path / name)
    return str(tmp_path / name)


def refusal(path: str | Path) -> str:
    with pytest.raises(LookalikeError) as caught:
        load_weights(str(path))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_random_weights_are_the_same_each_time(weights: Weights) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = load_weights("random")
    assert torch.equal(torch.rand(1), expected)  # nobody else's random numbers change
    assert (again.name, again.sha256) == ("random", weights.sha256)
    assert all(torch.equal(again.state_dict[name], tensor) for name, tensor in weights.state_dict.items())


def test_file_is_loaded_under_its_name_and_hashed_by_its_values(tmp_path: Path, weights: Weights) -> None:
    loaded = load_weights(saved(tmp_path, weights.state_dict, "mine.pth"))
    assert (loaded.name, loaded.sha256) == ("mine.pth", weights.sha256)
    assert all(torch.equal(loaded.state_dict[name], tensor) for name, tensor in weights.state_dict.items())
    changed = weights.state_dict | {"bn1.bias": weights.state_dict["bn1.bias"] + 1e-6}
    assert load_weights(saved(tmp_path, changed)).sha256 != weights.sha256


def test_file_of_an_older_torch_is_loaded(tmp_path: Path, weights: Weights) -> None:
    path = tmp_path / "old.pth"
    torch.save(weights.state_dict, path, _use_new_zipfile_serialization=False)
    assert load_weights(str(path)).sha256 == weights.sha256


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.nn.Parameter])
def test_state_dict_saved_in_another_way_is_loaded(tmp_path: Path, state: State, kind: Any) -> None:
    """In half precision, or with the parameters themselves."""

    def other(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        return torch.nn.Parameter(tensor) if kind is torch.nn.Parameter else tensor.to(kind)

    loaded = load_weights(saved(tmp_path, {name: other(tensor) for name, tensor in state.items()}))
    torch.testing.assert_close(
        loaded.state_dict["fc.weight"].detach().float(), state["fc.weight"], rtol=1e-2, atol=1e-4
    )


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "can't be read (No such file or directory)" in refusal(tmp_path / "gone.pth")


def test_folder_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello world",
        b"just a text\n" * 100,
        b"<html>not found</html>",
        b"PK\x03\x04",
        b"\x80\x02X",
        bytes(500),
    ],
)
def test_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "is not a state dict of torchvision's resnet18" in refusal(path)


def test_picture_is_refused(tmp_path: Path) -> None:
    assert "is not a state dict" in refusal(write_picture(tmp_path / "a.jpg"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("new_format", [True, False])
def test_damaged_file_is_refused(tmp_path: Path, new_format: bool) -> None:
    path, chance = tmp_path / "weights.pth", random.Random(0)
    torch.save({"fc.bias": torch.ones(3)}, path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    for _ in range(40):
        content = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(min(len(content), chance.randrange(1, 6))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        refusal(path)


def test_file_whose_parts_do_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    before, key, after = path.read_bytes().rpartition(re.findall(rb"\d{9,}", path.read_bytes())[-1])
    path.write_bytes(before + b"1" * len(key) + after)
    assert "is not a state dict of torchvision's resnet18" in refusal(path)


class Code:
    """Unpickled, it would create a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, state: State, save: Any) -> None:
    proof, path = tmp_path / "ran", tmp_path / "weights.pth"
    save(state | {"fc.bias": Code(proof)}, path)
    assert "is not a state dict" in refusal(path)
    assert not proof.exists()
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())  # noqa: S301
    assert proof.exists()  # it would have


def test_state_dict_of_another_network_is_refused(tmp_path: Path, state: State) -> None:
    others: dict[str, object] = {
        "resnet34": resnet34(weights=None).state_dict(),
        "ten-classes": resnet18(weights=None, num_classes=10).state_dict(),
        "lacks-a-key": {name: tensor for name, tensor in state.items() if name != "layer4.1.bn2.weight"},
        "has-a-key-more": state | {"extra": torch.ones(1)},
        "of-a-wrapper": {f"module.{name}": tensor for name, tensor in state.items()},
        "checkpoint": {"state_dict": state, "epoch": 3},
        "tensor": torch.ones(3),
        "list": [1, 2, 3],
        "empty": {},
    }
    for name, other in others.items():
        assert "is not a state dict of torchvision's resnet18" in refusal(saved(tmp_path, other, name))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """ImageNet's weights lie behind a closed port; yields where torch would keep them."""
    monkeypatch.setattr("jobs.download.RETRY_BASE_S", 0.01)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/resnet18-f37072fd.pth"
        monkeypatch.setattr("jobs.weights.IMAGENET_URL", url)
        yield tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"


def test_unreachable_imagenet_weights_are_said_with_a_way_out(offline: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        load_weights("imagenet", patience_s=0.1)
    assert "127.0.0.1 cannot be reached for resnet18-f37072fd.pth" in str(caught.value)
    assert f"put the file at {offline}" in str(caught.value)


def test_random_weights_stand_in_with_a_warning_where_that_is_wished(
    offline: Path, weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_weights("imagenet", random_if_unreachable=True, patience_s=0.1)
    assert (loaded.name, loaded.sha256) == ("random", weights.sha256)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert "random weights stand in" in warned[0]
    assert str(offline) in warned[0]


def test_imagenet_weights_that_torch_keeps_need_no_network(
    offline: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline.parent.mkdir(parents=True)
    torch.save(weights.state_dict, offline)
    monkeypatch.setattr("jobs.weights.IMAGENET_SHA256", file_sha256(offline))
    loaded = load_weights("imagenet", patience_s=0.1)
    assert (loaded.name, loaded.sha256) == ("imagenet", weights.sha256)


def test_file_of_the_right_name_and_other_content_is_not_taken_for_imagenets(
    offline: Path, state: State
) -> None:
    offline.parent.mkdir(parents=True)
    torch.save(state, offline)
    with pytest.raises(UnreachableError):
        load_weights("imagenet", patience_s=0.1)
