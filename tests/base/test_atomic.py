"""Nothing half-written is ever seen under its final name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.base.atomic import in_use, remove, staged_directory, staged_file, write_json, write_text
from jobs.base.errors import LookalikeError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), staged_file(target) as staging:
        staging.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["file"]


def test_a_directory_that_is_there_stays(tmp_path: Path) -> None:
    target = tmp_path / "version"
    for content in ("first", "second"):
        with staged_directory(target) as staging:
            (staging / "x").write_text(content)
    assert (target / "x").read_text() == "first"
    assert os.listdir(tmp_path) == ["version"]


def test_a_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staged_directory(tmp_path / "version") as staging:
        (staging / "x").write_text("half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["staged_file", "staged_directory"])
def test_sigkill_leaves_the_old_state_and_the_next_writer_cleans_up(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "staged_file":
        write_text(target, "old")
    code = f"""
import os, signal
from pathlib import Path
from jobs.base.atomic import {kind}
with {kind}(Path({str(target)!r})) as staging:
    (staging if {kind == "staged_file"} else staging / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (target.read_text() if target.exists() else None) == ("old" if kind == "staged_file" else None)
    assert len(list(tmp_path.glob(".tmp-target-*"))) == 1
    if kind == "staged_file":
        write_text(target, "new")
    else:
        with staged_directory(target) as staging:
            (staging / "x").write_text("new")
    assert os.listdir(tmp_path) == ["target"]


def test_several_may_write_the_same_at_once_where_they_say_so(tmp_path: Path) -> None:
    with (
        staged_file(tmp_path / "file", shared=True) as one,
        staged_file(tmp_path / "file", shared=True) as two,
    ):
        one.write_text("same")
        two.write_text("same")
    target = tmp_path / "folder"
    with staged_directory(target, shared=True) as one, staged_directory(target, shared=True) as two:
        (one / "x").write_text("same")
        (two / "x").write_text("same")
    assert (tmp_path / "file").read_text() == (target / "x").read_text() == "same"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_is_taken_for_what_is_there_counts_as_used(tmp_path: Path) -> None:
    target = tmp_path / "version"
    assert not in_use(target)
    for use in (lambda: in_use(target), lambda: write_again(target)):
        write_again(target)
        os.utime(target, (1, 1))
        use()
        assert target.stat().st_mtime > 1


def write_again(target: Path) -> None:
    with staged_directory(target) as staging:
        (staging / "x").write_text("same")


def test_what_is_removed_is_absent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / ("long" * 62)
    (target / "deep").mkdir(parents=True)
    delete, seen = shutil.rmtree, []

    def late(path: Path, ignore_errors: bool) -> None:
        seen.append(target.exists())
        delete(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", late)
    remove(target)
    remove(target)  # gone already
    assert seen == [False] and os.listdir(tmp_path) == []


def test_a_link_is_removed_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "folder" / "file", "x")
    for target in ("folder", "folder/file", "nothing"):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / target)
        remove(link)
        assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["file"]


def test_what_stays_in_part_is_told_and_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "version"
    target.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        with pytest.raises(LookalikeError, match=r"/\.tmp-version-\w+ can't be removed \(not all of it"):
            remove(target)
    (left,) = tmp_path.iterdir()
    remove(left)
    assert os.listdir(tmp_path) == []


def test_json_keeps_letters_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "Škoda \N{AUTOMOBILE}"})
    assert "Škoda \N{AUTOMOBILE}" in (tmp_path / "x.json").read_text(encoding="utf-8")
