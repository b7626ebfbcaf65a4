"""ResNet-18's weights: which files are taken, which are refused in one sentence, and what stands in."""

from __future__ import annotations

import hashlib
import pickle
import random
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import resnet18, resnet34

from jobs.base.download import file_sha256
from jobs.base.errors import LookalikeError, UnreachableError
from jobs.embedding.backbones import RESNET18, Backbone, Pretrained
from jobs.embedding.network import load_network
from jobs.embedding.weights import Weights, find_weights, torch_cache
from tests.support.pictures import write_picture
from tests.support.toy import TOY

State = dict[str, Any]


@pytest.fixture(scope="module")
def state() -> State:
    """Of a network that differs from the random one, so that a test sees which was loaded."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn: State = resnet18(weights=None).state_dict()
        return drawn


def saved(tmp_path: Path, state: object, name: str = "weights.pth") -> str:
    torch.save(state, tmp_path / name)
    return str(tmp_path / name)


def loaded(weights: Weights) -> State:
    return load_network(RESNET18, weights).state_dict()


def assert_holds(network: State, state: State) -> None:
    """All tensors of ``state`` but those of the last layer, which is gone."""
    assert network.keys() == {name for name in state if not name.startswith("fc.")}
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.items())


def refusal(path: str | Path, backbone: Backbone = RESNET18) -> str:
    with pytest.raises(LookalikeError) as caught:
        load_network(backbone, find_weights(str(path), backbone))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_random_weights_are_the_same_each_time() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again = find_weights("random", RESNET18), find_weights("random", RESNET18)
    assert (first.name, first.file) == ("random", None)
    assert again == first
    assert_holds(loaded(first), loaded(again))
    assert torch.equal(torch.rand(1), expected)  # nobody else's random numbers change


def test_network_ends_before_its_last_layer_and_is_there_to_be_used_only(
    tmp_path: Path, state: State
) -> None:
    network = load_network(RESNET18, find_weights(saved(tmp_path, state), RESNET18))
    assert network(torch.zeros(2, 3, 224, 224)).shape == (2, 512)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_file_is_found_by_its_path_and_hashed_by_its_bytes(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(saved(tmp_path, state, "mine.pth"))
    found = find_weights(str(file), RESNET18)
    assert found == Weights(str(file), file, hashlib.sha256(file.read_bytes()).hexdigest())
    assert_holds(loaded(found), state)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    # However it was named, the name can be given again from anywhere.
    names = ("mine.pth", "./mine.pth", "~/mine.pth", found.name)
    assert [find_weights(name, RESNET18) for name in names] == [found] * 4
    changed = state | {"bn1.bias": state["bn1.bias"] + 1e-6}
    assert find_weights(saved(tmp_path, changed), RESNET18).sha256 != found.sha256


def test_finding_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"no state dict, as is found out when it is loaded")
    code = f"""
import sys
from jobs.embedding.backbones import RESNET18
from jobs.embedding.weights import find_weights
find_weights("random", RESNET18), find_weights({str(tmp_path / "weights.pth")!r}, RESNET18)
print(*sys.modules)
"""
    modules = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "jobs.embedding.weights" in modules
    assert not {"torch", "torchvision", "numpy"} & set(modules)


@pytest.mark.parametrize("content", [b"", b"other"])
def test_file_that_changes_between_finding_and_loading_is_refused(
    tmp_path: Path, state: State, content: bytes
) -> None:
    found = find_weights(saved(tmp_path, state), RESNET18)
    assert found.file
    whole = found.file.read_bytes()
    found.file.write_bytes(content)
    with pytest.raises(LookalikeError, match=f"^weights {found.file} changed since the run began: run again"):
        load_network(RESNET18, found)
    found.file.unlink()
    with pytest.raises(LookalikeError, match=f"^weights {found.file} can't be read .No such file"):
        load_network(RESNET18, found)
    found.file.write_bytes(whole)  # what counts is bytes, not times
    assert_holds(loaded(found), state)


def test_file_of_an_older_torch_is_loaded(tmp_path: Path, state: State) -> None:
    path = tmp_path / "old.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_holds(loaded(find_weights(str(path), RESNET18)), state)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.nn.Parameter])
def test_state_dict_saved_in_another_way_is_loaded(tmp_path: Path, state: State, kind: Any) -> None:
    """In half precision, or with the parameters themselves."""

    def other(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor
        return torch.nn.Parameter(tensor) if kind is torch.nn.Parameter else tensor.to(kind)

    path = saved(tmp_path, {name: other(tensor) for name, tensor in state.items()})
    weight = loaded(find_weights(path, RESNET18))["layer4.1.conv2.weight"]
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, state["layer4.1.conv2.weight"], rtol=1e-2, atol=1e-4)


def test_values_that_are_not_finite_are_refused(tmp_path: Path, state: State) -> None:
    spoilt = state["layer2.0.conv1.weight"].clone()
    spoilt[3, 2, 1, 0] = float("nan")
    path = saved(tmp_path, state | {"layer2.0.conv1.weight": spoilt})
    assert "hold values that are not finite" in refusal(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "can't be read (No such file or directory)" in refusal(tmp_path / "gone.pth")


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "are not a file of at most 4 GB" in refusal(tmp_path)


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
def test_a_file_that_is_not_a_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "is not a state dict of resnet18" in refusal(path)


def test_picture_is_refused(tmp_path: Path) -> None:
    assert "is not a state dict" in refusal(write_picture(tmp_path / "a.jpg"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("new_format", [True, False])
def test_corrupt_file_is_refused(tmp_path: Path, new_format: bool) -> None:
    path, chance = tmp_path / "weights.pth", random.Random(0)
    torch.save({"fc.bias": torch.ones(3)}, path, _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    for _ in range(40):
        content = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(min(len(content), chance.randrange(1, 6))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        refusal(path, TOY)


def test_file_whose_parts_do_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    before, key, after = path.read_bytes().rpartition(re.findall(rb"\d{9,}", path.read_bytes())[-1])
    path.write_bytes(before + b"1" * len(key) + after)
    assert "is not a state dict of resnet18" in refusal(path)


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


@pytest.mark.slow
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
        assert "is not a state dict of resnet18" in refusal(saved(tmp_path, other, name))


@pytest.mark.parametrize(
    ("environment", "parent"),
    [
        ({}, "/home/somebody/.cache/torch"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/torch"),
        ({"TORCH_HOME": "/torch"}, "/torch"),
        ({"TORCH_HOME": "~/torch"}, "/home/somebody/torch"),
        ({"TORCH_HOME": "/torch", "XDG_CACHE_HOME": "/cache"}, "/torch"),
    ],
)
def test_cache_is_torchs_own(
    environment: dict[str, str], parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/somebody", **environment}.items():
        monkeypatch.setenv(name, value)
    assert torch_cache() == Path(torch.hub.get_dir()) / "checkpoints" == Path(parent) / "hub" / "checkpoints"


@dataclass(frozen=True)
class Offline:
    """ResNet-18 whose ImageNet weights lie behind a closed port."""

    backbone: Backbone
    cached: Path
    """Where torch would keep them."""

    def keep(self, state: State) -> None:
        self.cached.parent.mkdir(parents=True)
        torch.save(state, self.cached)

    def find(self, *, random_if_unreachable: bool = False) -> Weights:
        return find_weights(
            "imagenet", self.backbone, random_if_unreachable=random_if_unreachable, patience_s=0.1
        )


def published(backbone: Backbone) -> Pretrained:
    assert backbone.imagenet is not None
    return backbone.imagenet


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offline]:
    monkeypatch.setattr("jobs.base.download.RETRY_BASE_S", 0.01)
    monkeypatch.setattr("jobs.embedding.weights.torch_cache", lambda: tmp_path / "checkpoints")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    name = Path(published(RESNET18).url).name
    assert name == "resnet18-f37072fd.pth"  # as torch calls it, so that its copy is found
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/{name}"
        there = replace(published(RESNET18), url=url)
        yield Offline(replace(RESNET18, imagenet=there), tmp_path / "checkpoints" / name)


def test_unreachable_imagenet_weights_are_reported_with_what_to_do(offline: Offline) -> None:
    with pytest.raises(UnreachableError) as caught:
        offline.find()
    assert "127.0.0.1 cannot be reached for resnet18-f37072fd.pth" in str(caught.value)
    assert f"put the file at {offline.cached}" in str(caught.value)


def test_random_weights_replace_imagenets_with_a_warning_if_allowed(
    offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    found = offline.find(random_if_unreachable=True)
    assert found == find_weights("random", RESNET18)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert "the sample uses random weights" in warned[0]
    assert str(offline.cached) in warned[0]


def test_imagenet_weights_that_torch_keeps_need_no_network(offline: Offline, state: State) -> None:
    offline.keep(state)
    kept = replace(published(offline.backbone), sha256=file_sha256(offline.cached))
    found = replace(offline, backbone=replace(offline.backbone, imagenet=kept)).find()
    assert found == Weights("imagenet", offline.cached, file_sha256(offline.cached))
    assert_holds(loaded(found), state)


def test_file_of_the_right_name_and_other_content_is_not_taken_for_imagenets(
    offline: Offline, state: State
) -> None:
    offline.keep(state)
    with pytest.raises(UnreachableError):
        offline.find()


def test_backbone_without_imagenet_weights_says_what_to_give() -> None:
    with pytest.raises(LookalikeError) as caught:
        find_weights("imagenet", replace(RESNET18, name="another", imagenet=None))
    assert str(caught.value) == "another has no ImageNet weights: give random or the path of a state dict."
