"""Labels and archives that Hypothesis makes up."""

from __future__ import annotations

import stat
import tempfile
import unicodedata
import warnings
import zipfile
from collections import Counter
from pathlib import Path

from hypothesis import assume, example, given
from hypothesis import strategies as st

from jobs.base.errors import LookalikeError
from jobs.intake.archive import unpack_zip
from jobs.intake.join import Join, join_labels
from jobs.intake.labels import LabelRow

FORMS = ("NFC", "NFD")
# Few parts, so that names meet; some differ only in how an accent is written.
parts = st.sampled_from(["a", "b", "A", "caf\u00e9", "cafe\u0301", "a b"])
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)
files = st.lists(paths, max_size=6, unique=True)
reasons = st.sampled_from([None, None, None, "has no label"])


@st.composite
def spelled(draw: st.DrawFn, path: str) -> str:
    """The same path as other systems write it."""
    path = unicodedata.normalize(draw(st.sampled_from(FORMS)), path)
    path = draw(st.sampled_from(["", "./"])) + path
    return path.replace("/", "\\") if draw(st.booleans()) else path


def numbered(images: list[tuple[str, str, str | None]]) -> list[LabelRow]:
    return [LabelRow(line, *row) for line, row in enumerate(images, start=2)]


rows = st.lists(st.tuples(paths.flatmap(spelled), st.sampled_from("xy"), reasons), max_size=8).map(numbered)


def split(name: str) -> list[str]:
    found = unicodedata.normalize("NFD", name).replace("\\", "/").split("/")
    return found[1:] if found[0] == "." else found


@given(rows, files)
def test_each_row_and_each_file_is_accounted_for_once(rows: list[LabelRow], files: list[str]) -> None:
    """Holds that no row and no file gets lost or is counted twice, in a join of anything."""
    join = join_labels(rows, files)
    assert len(join.labels) + join.duplicate_rows + len(join.unmatched_rows) == len(rows)
    lines = [row.row for row in join.unmatched_rows]
    assert lines == sorted(set(lines)) and set(lines) <= {row.row for row in rows}
    assert all(row.reason for row in join.unmatched_rows)
    assert Counter(join.unmatched_files) + Counter(join.labels.keys()) == Counter(files)


def named_by(row: LabelRow, files: list[str]) -> tuple[int, list[str]]:
    """How loosely a row is read, and the files that it may mean: of that very name, else of that path, else
    of that file name and the longest common ending of folders, at last in any case."""
    if row.image in files:
        return 0, [row.image]
    if found := [file for file in files if split(file) == split(row.image)]:
        return 1, found
    *folders, name = split(row.image)
    for level in (2, 3):
        common: dict[int, list[str]] = {}
        for file in files:
            *others, its_name = split(file)
            length = min(len(folders), len(others))
            ends = [[part.casefold() for part in path[len(path) - length :]] for path in (folders, others)]
            same = its_name == name or (level == 3 and its_name.casefold() == name.casefold())
            if same and ends[0] == ends[1]:
                common.setdefault(length, []).append(file)
        if common:
            return level, common[max(common)]
    return 4, []


@given(rows, files)
@example(numbered([("caf\u00e9", "x", None)]), ["caf\u00e9", "cafe\u0301"])
@example(numbered([("A", "x", None), ("a", "y", None)]), ["a"])
def test_a_label_comes_from_all_rows_that_name_the_file_alone(rows: list[LabelRow], files: list[str]) -> None:
    """Holds that no file is labelled by a row that names none, another one or several, or against others."""
    join = join_labels(rows, files)
    claims: dict[str, dict[int, set[str]]] = {}
    for row in rows:
        level, named = named_by(row, files)
        if len(named) == 1 and not row.reason:
            claims.setdefault(named[0], {}).setdefault(level, set()).add(row.label)
    strictest = {file: levels[min(levels)] for file, levels in claims.items()}
    agreed = {file: labels for file, labels in strictest.items() if len(labels) == 1}
    assert {file: {label} for file, label in join.labels.items()} == agreed


@given(st.data(), rows, files)
def test_how_a_row_spells_a_path_makes_no_difference(
    data: st.DataObject, rows: list[LabelRow], files: list[str]
) -> None:
    """Holds for backslashes, a leading ./ and either way to write accents, while files differ in more."""
    assume(len({unicodedata.normalize("NFC", file) for file in files}) == len(files))
    others = [
        LabelRow(row.row, data.draw(spelled("/".join(split(row.image)))), row.label, row.reason)
        for row in rows
    ]

    def outcome(join: Join) -> object:
        unmatched = [(row.row, row.reason) for row in join.unmatched_rows]
        return join.labels, unmatched, join.unmatched_files, join.duplicate_rows

    assert outcome(join_labels(rows, files)) == outcome(join_labels(others, files))


hostile = st.lists(
    st.sampled_from(
        ["..", ".", "", "a", "b", "C:", "~", "CON", "\u00fc", "\u202e", "\n", ".tmp-lock", "x" * 256]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    min_size=1,
    max_size=4,
).flatmap(lambda parts: st.sampled_from(["/", "\\"]).map(lambda slash: slash.join(parts)))
kinds = st.sampled_from(
    [0, 0, 0, 0, 0, 0, 0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR]
)
members = st.lists(st.tuples(hostile, kinds, st.binary(max_size=8)), max_size=4)


def zipped(archive: Path, members: list[tuple[str, int, bytes]]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as opened:
        warnings.simplefilter("ignore", UserWarning)  # of names that come twice
        for name, kind, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # given at once, it would be tidied
            info.external_attr = (kind | 0o777) << 16
            opened.writestr(info, content)


@given(members)
@example([("a", 0, b"1"), ("b/c", stat.S_IFREG, b"2"), ("d/", stat.S_IFDIR, b"")])
@example([("../a", 0, b"1")])
@example([("a", stat.S_IFLNK, b"/etc"), ("a/b", 0, b"1")])
def test_an_archive_is_unpacked_inside_its_folder_or_refused(members: list[tuple[str, int, bytes]]) -> None:
    """Holds for any names and kinds of members: all are plain files or folders inside, or nothing is left.

    Links, devices and absolute names aren't made harmless but refused with the archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive, target = Path(folder, "a.zip"), Path(folder, "deep", "unpacked")
        target.parent.mkdir()
        zipped(archive, members)
        try:
            unpack_zip(archive, target, max_members=10, max_bytes=1_000, check=lambda unpacked: None)
        except LookalikeError as error:
            assert "\n" not in str(error)
            assert sorted(Path(folder).rglob("*")) == sorted([target.parent, archive])
            return
        assert all(kind in (0, stat.S_IFREG, stat.S_IFDIR) for _, kind, _ in members)
        assert not any(name.startswith(("/", "\\")) for name, _, _ in members)
        found = list(target.rglob("*"))
        assert {*Path(folder).rglob("*")} == {archive, target.parent, target, *found}
        assert all(stat.S_ISREG(path.lstat().st_mode) or stat.S_ISDIR(path.lstat().st_mode) for path in found)
        unpacked = Counter(path.read_bytes() for path in found if path.is_file())
        names = [name.partition("\0")[0] for name, _, _ in members]  # where names end in an archive
        expected = (
            content for name, (_, _, content) in zip(names, members, strict=True) if name[-1] not in "/\\"
        )
        assert unpacked == Counter(expected)
