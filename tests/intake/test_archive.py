"""Zip archives that are whole, broken, lying or malicious."""

from __future__ import annotations

import io
import random
import stat
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobs.base.errors import LookalikeError
from jobs.intake.archive import unpack_zip

LIMITS: dict[str, Any] = {"max_members": 10, "max_bytes": 1_000_000, "check": lambda unpacked: None}


def zipped(
    path: Path,
    members: list[tuple[str | zipfile.ZipInfo, bytes]],
    method: int = zipfile.ZIP_DEFLATED,
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of names that come twice
        for name, content in members:
            archive.writestr(name, content)
    return path


def of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def refused(archive: Path, match: str, **limits: int) -> None:
    """``archive`` is refused with one sentence, and nothing is left of it."""
    target = archive.with_name("unpacked")
    before = set(archive.parent.rglob("*"))
    with pytest.raises(LookalikeError, match=match) as caught:
        unpack_zip(archive, target, **LIMITS | limits)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(archive.parent.rglob("*")) == before


def test_archive_is_unpacked(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip",
        [
            ("./", b""),
            ("cars/", b""),
            ("cars/1.jpg", b"one"),
            ("cars/deep/2.jpg", b""),
            ("win\\", b""),
            ("win\\3.jpg", b"three"),
        ],
    )
    unpack_zip(archive, tmp_path / "unpacked", **LIMITS)
    files = {p.relative_to(tmp_path / "unpacked"): p for p in (tmp_path / "unpacked").rglob("*")}
    assert {str(name): path.read_bytes() for name, path in files.items() if path.is_file()} == {
        "cars/1.jpg": b"one",
        "cars/deep/2.jpg": b"",
        "win/3.jpg": b"three",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "unpacked"]


def test_limits_are_inclusive(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("1", bytes(60)), ("2", bytes(40))])
    unpack_zip(archive, tmp_path / "unpacked", **LIMITS | {"max_members": 2, "max_bytes": 100})
    refused(archive, "2 members, more than the 1 ", max_members=1)
    refused(archive, "more than the 99 bytes", max_bytes=99)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "cars/../../evil",
        "/etc/evil",
        "..\\evil",
        "\\evil",
        "C:evil",
        "c:\\evil",
        "\\\\server\\share\\evil",
        "../",
        ".",
    ],
)
def test_name_outside_is_refused(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "a.zip", [("fine", b""), (name, b"evil")]), "outside the folder")


def test_empty_name_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("Q", b"")])
    archive.write_bytes(archive.read_bytes().replace(b"Q", b"\0"))  # names end at a zero byte
    refused(archive, "member '' would lie outside")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_link_and_device_are_refused(tmp_path: Path, kind: int) -> None:
    refused(zipped(tmp_path / "a.zip", [(of_kind("x", kind), b"/etc/passwd")]), "link or a device")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["a", "a"], "appears twice"),
        (["a/b", "a//b"], "appears twice"),
        (["a/b", "a\\b"], "appears twice"),
        (["a/b", "a"], "appears twice"),
        (["a", "a/"], "appears twice"),
        (["a", "a/b"], "inside another file"),
    ],
)
def test_collision_is_refused(tmp_path: Path, names: list[str], match: str) -> None:
    refused(zipped(tmp_path / "a.zip", [(name, b"") for name in names]), match)


def test_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("secret", b"text")])
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the directory's flag bits
    archive.write_bytes(content)
    refused(archive, "'secret' is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compression_is_refused(tmp_path: Path, method: int) -> None:
    refused(zipped(tmp_path / "a.zip", [("a", b"text")], method), "another method than deflate")


def test_bomb_that_declares_its_size_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("bomb", bytes(10_000_000))])
    assert archive.stat().st_size < 20_000
    refused(archive, "more than the 1,000,000 bytes")


@pytest.mark.parametrize("declared", [10, 20_000_000])
def test_bomb_that_lies_about_its_size_is_refused(tmp_path: Path, declared: int) -> None:
    archive = zipped(tmp_path / "a.zip", [("bomb", bytes(10_000_000))])
    true, lie = struct.pack("<L", 10_000_000), struct.pack("<L", declared)
    content = archive.read_bytes()
    assert content.count(true) == 2  # the member's own header and the directory
    archive.write_bytes(content.replace(true, lie))
    refused(archive, "is corrupt", max_bytes=30_000_000)


def test_corrupt_content_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("a", b"text" * 50)], zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"texttext", b"textTEXT", 1))
    refused(archive, "is corrupt .*CRC")


@pytest.mark.parametrize("content", [b"", b"<html>busy</html>", b"PK\x03\x04 and no more"])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "not a zip archive")


def test_cut_archive_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", [("a", random.Random(0).randbytes(10_000))])
    archive.write_bytes(archive.read_bytes()[:5_000])
    refused(archive, "not a zip archive")


def test_any_flipped_byte_unpacks_or_is_refused(tmp_path: Path) -> None:
    """Damage anywhere ends in a whole folder or in the one error that is meant to be read."""
    dice = random.Random(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cars/é.jpg", b"text" * 20)
        archive.writestr("cars/2.jpg", bytes(100))
    for turn in range(300):
        content = bytearray(buffer.getvalue())
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (tmp_path / "a.zip").write_bytes(content)
        target = tmp_path / f"unpacked-{turn}"
        try:
            unpack_zip(tmp_path / "a.zip", target, **LIMITS)
        except LookalikeError:
            assert not target.exists()


def test_missing_archive_is_reported(tmp_path: Path) -> None:
    refused(tmp_path / "a.zip", "No such file")


def test_too_small_a_disk_is_reported_before_unpacking(tmp_path: Path) -> None:
    exabyte = zipfile.ZipInfo("a")
    exabyte.extra = struct.pack("<HHQ", 1, 8, 10**18)  # Zip64's field for the unpacked size
    archive = zipped(tmp_path / "a.zip", [(exabyte, b"text")])
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = b"\xff" * 4  # the directory's size: see Zip64's field
    archive.write_bytes(content)
    with pytest.raises(LookalikeError, match=r"a.zip needs 1000000000.0 GB, but the disk"):
        unpack_zip(archive, tmp_path / "unpacked", **LIMITS | {"max_members": 1, "max_bytes": 10**18})
    assert list(tmp_path.iterdir()) == [archive]


def test_what_was_not_expected_does_not_take_its_place(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("a.txt", "a")

    def check(unpacked: Path) -> None:
        assert (unpacked / "a.txt").read_text() == "a"
        raise LookalikeError("no b.txt")

    with pytest.raises(LookalikeError, match=r"no b\.txt"):
        unpack_zip(archive, tmp_path / "unpacked", **LIMITS | {"check": check})
    assert list(tmp_path.iterdir()) == [archive]
