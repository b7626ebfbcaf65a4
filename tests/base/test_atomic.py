"""Nothing half-written is ever seen under its final name."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.base import atomic
from jobs.base.atomic import in_use, remove, staged_directory, staged_file, sweep, write_json, write_text
from jobs.base.errors import LookalikeError

KINDS = pytest.mark.parametrize("kind", ["staged_file", "staged_directory"])


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


@KINDS
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


@contextmanager
def writer(target: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has half-written ``target``; it ends well once it reads a line."""
    code = f"""
from pathlib import Path
from jobs.base.atomic import {kind}
with {kind}(Path({str(target)!r})) as staging:
    (staging if {kind == "staged_file"} else staging / "x").write_text("slow")
    print("begun", flush=True)
    input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout and process.stdout.readline() == "begun\n"
        try:
            yield process
        finally:
            process.kill()


def write(target: Path, kind: str, content: str) -> None:
    if kind == "staged_file":
        write_text(target, content)
    else:
        with staged_directory(target) as staging:
            (staging / "x").write_text(content)


def content_of(target: Path) -> str:
    return (target / "x" if target.is_dir() else target).read_text()


@KINDS
def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_of_a_live_one(
    tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "target"
    with writer(target, kind) as killed, writer(target, kind) as live:
        killed.kill()
        killed.wait()
        assert len(os.listdir(tmp_path)) == 2
        write(target, kind, "quick")
        assert content_of(target) == "quick"
        assert len(os.listdir(tmp_path)) == 2  # the target, and what the live one has written
        live.communicate("go on\n")
        assert live.returncode == 0
    assert content_of(target) == ("slow" if kind == "staged_file" else "quick")
    assert os.listdir(tmp_path) == ["target"]


@KINDS
def test_a_name_with_the_same_beginning_is_another_name(tmp_path: Path, kind: str) -> None:
    for name in ("part-1", "part[1]"):
        with writer(tmp_path / name, kind) as killed:
            killed.kill()
    write(tmp_path / "part", kind, "new")
    assert len(list(tmp_path.glob(".tmp-*"))) == 2
    write(tmp_path / "part[1]", kind, "new")
    assert len(list(tmp_path.glob(".tmp-*"))) == 1


@KINDS
def test_sweeping_removes_what_killed_writers_left_and_nothing_of_a_live_one(
    tmp_path: Path, kind: str
) -> None:
    below = tmp_path / "folder" / "below"
    with writer(below / "killed", kind) as killed, writer(below / "live", kind) as live:
        killed.kill()
        killed.wait()
        write_text(tmp_path / "elsewhere" / ".tmp-mine", "kept")
        write_text(below / ".tmp-file", "of an earlier version")
        (below / ".tmp-link").symlink_to(tmp_path / "elsewhere")
        (below / ".tmp-removed-01234567").mkdir()
        for _ in range(2):  # the first leaves the live one its lock
            sweep(tmp_path / "folder")
        (left,) = below.iterdir()
        assert left.name.startswith(".tmp-live-")
        live.communicate("go on\n")
        assert live.returncode == 0
    assert content_of(below / "live") == "slow"
    assert os.listdir(below) == ["live"] and os.listdir(tmp_path / "elsewhere") == [".tmp-mine"]


@KINDS
@pytest.mark.parametrize("moment", ["made", "opened"])
def test_a_writer_that_is_swept_before_it_holds_its_lock_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str
) -> None:
    holder, name = (atomic, "_lock") if moment == "made" else (fcntl, "flock")
    lock = getattr(holder, name)
    swept: list[str] = []

    def late(*arguments: Any, **options: Any) -> Any:
        if not swept:
            swept.extend(os.listdir(tmp_path))
            monkeypatch.setattr(holder, name, lock)
            sweep(tmp_path)
            assert os.listdir(tmp_path) == []
        return lock(*arguments, **options)

    monkeypatch.setattr(holder, name, late)
    write(tmp_path / "target", kind, "x")
    assert len(swept) == 1
    assert content_of(tmp_path / "target") == "x"
    assert os.listdir(tmp_path) == ["target"]


def test_a_folder_being_removed_can_not_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / ".tmp-target-01234567"
    own.mkdir()
    delete, removed = shutil.rmtree, []

    def late(path: Path, ignore_errors: bool) -> None:
        with pytest.raises(FileNotFoundError):  # a writer that has just made it
            atomic._lock(own, required=True)
        removed.append(path)
        delete(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", late)
    sweep(tmp_path)
    assert len(removed) == 1 and os.listdir(tmp_path) == []


@KINDS
def test_without_locks_writing_works_and_leftovers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def refused(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    target = tmp_path / "target"
    with writer(target, kind) as killed:
        killed.kill()
    before = os.listdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refused)
    write(target, kind, "x")
    sweep(tmp_path)
    assert content_of(target) == "x"
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "target"])


ROUNDS = 30


def race(folder: Path, kind: str, content: str, go: threading.Barrier) -> None:
    go.wait()
    for number in range(ROUNDS):
        name = str(number) if kind == "staged_directory" else "same"
        write(folder / name, kind, content * 10_000)


@KINDS
@pytest.mark.parametrize("whom", ["threads", "processes"])
def test_several_writers_of_one_name_all_end_well(tmp_path: Path, kind: str, whom: str) -> None:
    contents = ("a", "b", "c")
    if whom == "threads":
        go = threading.Barrier(len(contents))
        with ThreadPoolExecutor(len(contents)) as pool:
            list(pool.map(lambda content: race(tmp_path, kind, content, go), contents))
    else:
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(len(contents))
        several = [spawn.Process(target=race, args=(tmp_path, kind, one, ready)) for one in contents]
        for process in several:
            process.start()
        for process in several:
            process.join()
        assert [process.exitcode for process in several] == [0] * len(contents)
    names = {str(number) for number in range(ROUNDS)} if kind == "staged_directory" else {"same"}
    assert set(os.listdir(tmp_path)) == names
    assert {content_of(tmp_path / name) for name in names} <= {content * 10_000 for content in contents}


class Disk:
    """What was synced, with its content at that time, and what was renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Path, object]] = []
        fsync, replace = os.fsync, os.replace

        def noted_fsync(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            content = set(os.listdir(path)) if path.is_dir() else path.read_text()
            self.events.append(("sync", path, content))
            fsync(descriptor)

        def noted_replace(source: Path, target: Path) -> None:
            self.events.append(("rename", source, target))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(os, "replace", noted_replace)

    def around_the_rename(self) -> tuple[Path, dict[Path, object], dict[Path, object]]:
        """What was renamed, and what was synced before and after that."""
        (place,) = [place for place, event in enumerate(self.events) if event[0] == "rename"]
        before, after = self.events[:place], self.events[place + 1 :]
        return (
            self.events[place][1],
            {path: content for _, path, content in before},
            {path: content for _, path, content in after},
        )


def test_a_file_is_on_disk_before_its_name_and_its_name_when_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "target", "old")
    disk = Disk(monkeypatch)
    write_text(tmp_path / "target", "new")
    staging, before, after = disk.around_the_rename()
    assert before == {staging: "new"}
    assert list(after) == [tmp_path]


def test_a_folder_is_on_disk_before_its_name_and_its_name_when_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    with staged_directory(tmp_path / "target") as staging:
        (staging / "a").mkdir()
        (staging / "a" / "empty").mkdir()
        (staging / "a" / "x").write_text("deep")
        (staging / "y").write_text("flat")
    renamed, before, after = disk.around_the_rename()
    assert renamed == staging
    assert before == {
        staging: {"a", "y"},
        staging / "a": {"empty", "x"},
        staging / "a" / "empty": set(),
        staging / "a" / "x": "deep",
        staging / "y": "flat",
    }
    assert list(after) == [tmp_path] and "target" in str(after[tmp_path])


@KINDS
def test_folders_that_had_to_be_made_are_on_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    disk = Disk(monkeypatch)
    write(tmp_path / "new" / "newer" / "target", kind, "x")
    synced = [(path, content) for event, path, content in disk.events if event == "sync"]
    assert synced[:2] == [(tmp_path, {"new"}), (tmp_path / "new", {"newer"})]


def test_a_file_that_can_be_made_again_costs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with staged_file(tmp_path / "new" / "target", scratch=tmp_path / "scratch") as staging:
        staging.write_text("x")
        assert staging.parent == tmp_path / "scratch"
    assert [event for event, *_ in disk.events] == ["rename"]
    assert content_of(tmp_path / "new" / "target") == "x"
    assert os.listdir(tmp_path / "scratch") == []


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


def test_a_removed_target_is_absent_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_link_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "folder" / "file", "x")
    for target in ("folder", "folder/file", "nothing"):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / target)
        remove(link)
        assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["file"]


def test_a_partial_removal_is_reported_and_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "version"
    target.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        with pytest.raises(LookalikeError, match=r"/\.tmp-version-\w+ can't be removed \(part of it"):
            remove(target)
    (left,) = tmp_path.iterdir()
    remove(left)
    assert os.listdir(tmp_path) == []


def test_json_keeps_letters_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"name": "Škoda \N{AUTOMOBILE}"})
    assert "Škoda \N{AUTOMOBILE}" in (tmp_path / "x.json").read_text(encoding="utf-8")
