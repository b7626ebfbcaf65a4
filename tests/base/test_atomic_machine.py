"""In any order of writing, killing, removing and sweeping, targets are whole and only leftovers go."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from jobs.base import atomic
from jobs.base.atomic import remove, staged_directory, staged_file, sweep

# Some begin alike, one looks like a pattern, some lie in folders that have to be made.
FILES = ("file", "file-0", "file[0]", "deep/er/file")
FOLDERS = ("folder", "folder-0", "deep/folder")
names = st.sampled_from(FILES + FOLDERS)
contents = st.text("xyz", min_size=1, max_size=3)

Live = tuple[str, str, AbstractContextManager[Path], Path]


def fill(staging: Path, name: str, content: str) -> None:
    """Write a file or, as a folder, several that belong together."""
    if name in FILES:
        staging.write_text(content)
        return
    for file in (staging / "a", staging / "below" / "b"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def content_of(target: Path, name: str) -> str:
    if name in FILES:
        return target.read_text()
    files = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert files == ["a", "below/b"]
    (content,) = {(target / file).read_text() for file in files}
    return content


class Writers(RuleBasedStateMachine):
    live_writers: Bundle[Live] = Bundle("live_writers")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.whole: dict[str, str] = {}
        """Target -> the content it must have."""
        self.dead: dict[Path, str] = {}
        """What killed writers and removals left -> the target."""
        self.live: dict[Path, AbstractContextManager[Path]] = {}
        """What live writers are filling."""

    def teardown(self) -> None:
        for writer in self.live.values():
            writer.__exit__(None, None, None)
        shutil.rmtree(self.root)

    def a_writer_came(self, name: str) -> None:
        self.dead = {left: of for left, of in self.dead.items() if of != name}

    @rule(target=live_writers, name=names, content=contents)
    def begin(self, name: str, content: str) -> Live:
        kind = staged_file if name in FILES else staged_directory
        writer = kind(self.root / name)
        staging = writer.__enter__()
        fill(staging, name, content)
        self.live[staging.parent] = writer
        self.a_writer_came(name)
        return name, content, writer, staging.parent

    @rule(writer=consumes(live_writers))
    def finish(self, writer: Live) -> None:
        name, content, context, own = writer
        context.__exit__(None, None, None)
        del self.live[own]
        if name in FILES:
            self.whole[name] = content
        else:
            self.whole.setdefault(name, content)

    @rule(writer=consumes(live_writers))
    def fail(self, writer: Live) -> None:
        _, _, context, own = writer
        assert not context.__exit__(ValueError, ValueError(), None)
        del self.live[own]

    @rule(name=names, content=contents)
    def killed(self, name: str, content: str) -> None:
        own, lock = atomic._claim(self.root / name)
        fill(own / Path(name).name, name, content)
        lock.close()  # as the kernel does
        self.a_writer_came(name)
        self.dead[own] = name

    @rule(name=names)
    def remove(self, name: str) -> None:
        remove(self.root / name)
        self.whole.pop(name, None)

    @rule(name=names)
    def killed_removal(self, name: str) -> None:
        if name in self.whole:
            left = atomic._beside(self.root / name)
            os.rename(self.root / name, left)
            self.dead[left] = name
            del self.whole[name]

    @rule()
    def sweep(self) -> None:
        sweep(self.root)
        self.dead.clear()

    @invariant()
    def targets_are_whole_and_nothing_else_is_visible(self) -> None:
        assert {name: content_of(self.root / name, name) for name in self.whole} == self.whole
        inside = {self.root / name for name in self.whole} | {*self.live, *self.dead}
        found = set()
        for place, folders, files in os.walk(self.root):
            entries = {Path(place, name) for name in (*folders, *files)}
            found |= entries & inside
            folders[:] = [name for name in folders if Path(place, name) not in inside]
            assert entries - inside <= {self.root / "deep", self.root / "deep" / "er"}
        assert found == inside


TestWriters = Writers.TestCase
TestWriters.settings = settings(max_examples=60, stateful_step_count=30)
