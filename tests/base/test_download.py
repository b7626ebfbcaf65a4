"""Downloads from a real server on this machine, with everything that goes wrong on a network."""

from __future__ import annotations

import hashlib
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.base import download as module
from jobs.base.download import download
from jobs.base.errors import LookalikeError, UnreachableError
from tests.support.local_server import LocalServer, Reply

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setattr(module, "RETRY_BASE_S", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with LocalServer() as server:
        yield server


def fetch(url: str, target: Path, **options: float) -> Path:
    limits = {"max_bytes": len(BODY)} | options
    return download(url, target, sha256=SHA256, **limits)  # type: ignore[arg-type]


def ranges(server: LocalServer) -> list[str | None]:
    return [asked.range for asked in server.asked]


def test_file_arrives_once(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights.pth"
    url = server.reply("/weights.pth", Reply(BODY))
    assert fetch(url, target) == target
    assert target.read_bytes() == BODY
    assert fetch(url, target) == target
    assert len(server.asked) == 1
    assert list(target.parent.iterdir()) == [target]


def test_wrong_file_in_place_is_replaced(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    target.write_bytes(b"an older edition")
    fetch(server.reply("/weights.pth", Reply(BODY)), target)
    assert target.read_bytes() == BODY


def test_cut_connection_is_resumed(server: LocalServer, tmp_path: Path) -> None:
    url = server.reply("/weights.pth", Reply(BODY, cut_after=200_000), Reply(BODY))
    assert fetch(url, tmp_path / "weights.pth").read_bytes() == BODY
    first, second = ranges(server)
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 200_000


def test_later_call_resumes_what_an_earlier_one_left(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    url = server.reply("/weights.pth", Reply(BODY, cut_after=200_000), Reply(status=503))
    with pytest.raises(UnreachableError):
        fetch(url, target, patience_s=0.1)
    part = tmp_path / "weights.pth.part"
    kept = part.stat().st_size
    assert BODY.startswith(part.read_bytes())
    server.reply("/weights.pth", Reply(BODY))
    fetch(url, target)
    assert ranges(server)[-1] == f"bytes={kept}-"
    assert target.read_bytes() == BODY
    assert not part.exists()


@pytest.mark.parametrize("ranges_served", [True, False])
@pytest.mark.parametrize("left", [BODY[:1000], b"x" * 1000, BODY, BODY + b"x"])
def test_part_of_any_kind_ends_well(
    server: LocalServer, tmp_path: Path, left: bytes, ranges_served: bool
) -> None:
    """A right beginning, another file's, all of it (416), too much (416)."""
    (tmp_path / "weights.pth.part").write_bytes(left)
    url = server.reply("/weights.pth", Reply(BODY, ranges=ranges_served))
    assert fetch(url, tmp_path / "weights.pth").read_bytes() == BODY
    assert ranges(server)[0] == f"bytes={len(left)}-"


def test_answer_of_another_range_starts_over(server: LocalServer, tmp_path: Path) -> None:
    cut = Reply(BODY, cut_after=200_000)
    other = Reply(BODY[:10], status=206, headers={"Content-Range": "bytes 0-9/300000"})
    url = server.reply("/weights.pth", cut, other, Reply(BODY))
    assert fetch(url, tmp_path / "weights.pth").read_bytes() == BODY
    assert [asked is None for asked in ranges(server)] == [True, False, True]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_server_is_asked_again(server: LocalServer, tmp_path: Path, status: int) -> None:
    busy = Reply(status=status)
    fetch(server.reply("/weights.pth", busy, busy, Reply(BODY)), tmp_path / "weights.pth")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_refusal_is_not_retried(server: LocalServer, tmp_path: Path, status: int) -> None:
    url = server.reply("/weights.pth", Reply(status=status))
    with pytest.raises(LookalikeError, match=rf"127.0.0.1 .* weights.pth \(status {status}\)") as e:
        fetch(url, tmp_path / "weights.pth")
    assert not isinstance(e.value, UnreachableError)
    assert len(server.asked) == 1


def test_server_that_stays_busy_is_unreachable(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    url = server.reply("/weights.pth", Reply(status=503)) + "?signature=secret"
    with pytest.raises(UnreachableError) as caught:
        fetch(url, target, patience_s=0.5)
    assert str(caught.value) == (
        "127.0.0.1 cannot be reached for weights.pth (status 503): "
        f"check the network, or put the file at {target}."
    )
    assert len(server.asked) > 1


def test_server_that_always_cuts_and_ignores_ranges_is_given_up(server: LocalServer, tmp_path: Path) -> None:
    url = server.reply("/weights.pth", Reply(BODY, ranges=False, cut_after=200_000))
    with pytest.raises(UnreachableError):
        fetch(url, tmp_path / "weights.pth", patience_s=0.3)


def test_closed_port_is_found_out_fast(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_S", 0.01)
    caplog.set_level("INFO")
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.pth?signature=secret"
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="ConnectionError"):
            fetch(url, tmp_path / "weights.pth", patience_s=0.5)
    assert time.monotonic() - started < 2
    assert "retrying" in caplog.text
    assert "secret" not in caplog.text


def test_silent_server_is_found_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth"
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            fetch(url, tmp_path / "weights.pth", timeout_s=0.1, patience_s=0.1)


def test_wrong_hash_leaves_nothing(server: LocalServer, tmp_path: Path) -> None:
    url = server.reply("/weights.pth", Reply(b"something else"))
    with pytest.raises(LookalikeError, match="sha256") as caught:
        fetch(url, tmp_path / "weights.pth")
    assert not isinstance(caught.value, UnreachableError)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_leaves_nothing(server: LocalServer, tmp_path: Path, declared: bool) -> None:
    url = server.reply("/weights.pth", Reply(BODY + b"x", declared=declared))
    with pytest.raises(LookalikeError, match="larger than the 300,000 bytes"):
        fetch(url, tmp_path / "weights.pth")
    assert list(tmp_path.iterdir()) == []


def test_declared_size_is_refused_before_the_body(server: LocalServer, tmp_path: Path) -> None:
    huge = Reply(headers={"Content-Length": "1000000000000"}, declared=False)
    with pytest.raises(LookalikeError, match="larger than"):
        fetch(server.reply("/weights.pth", huge), tmp_path / "weights.pth")
    assert len(server.asked) == 1


def test_undeclared_size_arrives(server: LocalServer, tmp_path: Path) -> None:
    url = server.reply("/weights.pth", Reply(BODY, declared=False))
    assert fetch(url, tmp_path / "weights.pth").read_bytes() == BODY


def test_redirect_is_followed_over_http_only(server: LocalServer, tmp_path: Path) -> None:
    there = server.reply("/there", Reply(BODY))
    url = server.reply("/weights.pth", Reply(status=302, headers={"Location": there}))
    assert fetch(url, tmp_path / "weights.pth").read_bytes() == BODY
    local = tmp_path / "local"
    local.write_bytes(BODY)
    server.reply("/weights.pth", Reply(status=302, headers={"Location": local.as_uri()}))
    with pytest.raises(LookalikeError, match="InvalidSchema"):
        fetch(url, tmp_path / "other.pth")


def test_progress_is_logged_in_megabytes(
    server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("jobs.base.logs.PROGRESS_EVERY_S", 0.0)
    caplog.set_level("INFO")
    body = bytes(3_500_000)
    url = server.reply("/weights.pth", Reply(body))
    sha256 = hashlib.sha256(body).hexdigest()
    download(url, tmp_path / "weights.pth", sha256=sha256, max_bytes=len(body))
    assert "1/3 MB" in caplog.text
    assert "3 MB in 0:0" in caplog.text


def test_unwritable_target_is_reported(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LookalikeError, match="cannot be written"):
        fetch(server.reply("/weights.pth", Reply(BODY)), tmp_path / "file" / "weights.pth")
