"""Unpack an untrusted zip archive."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from jobs.base.atomic import staged_directory
from jobs.base.errors import LookalikeError

CHUNK_BYTES = 1 << 20
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack_zip(
    archive: Path, target: Path, *, max_members: int, max_bytes: int, check: Callable[[Path], None]
) -> None:
    """Unpack ``archive`` to the folder ``target``, which is complete or absent.

    The archive's declared sizes must be within ``max_members`` and ``max_bytes``
    (unpacked); the bytes written must be, too. ``check`` gets the unpacked folder before it becomes
    ``target``, and raises LookalikeError if it isn't what was expected.

    Raises LookalikeError if a limit is exceeded, a member is anything but a plain file
    or folder inside ``target``, the archive is corrupt or the disk too small.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            declared = sum(member.file_size for member in members)
            if len(members) > max_members:
                raise LookalikeError(
                    f"{archive} has {len(members):,} members, more than the {max_members:,} allowed: "
                    "check where it comes from."
                )
            _refuse_over(max_bytes, declared, archive)
            places = _places(archive, members)
            target.parent.mkdir(parents=True, exist_ok=True)
            require_space(target.parent, declared, f"unpacking {archive.name}")
            with staged_directory(target) as staging:
                written = 0
                for member, place in zip(members, places, strict=True):
                    written += _write(opened, member, staging / place, max_bytes - written)
                check(staging)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise LookalikeError(
            f"{archive} is corrupt or not a zip archive ({error}): delete it and download it again."
        ) from error
    except OSError as error:
        raise LookalikeError(
            f"{archive} cannot be unpacked to {target} ({error.strerror}): "
            "check the disk and who may write there."
        ) from error


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise LookalikeError if ``folder``'s disk has fewer than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise LookalikeError(
            f"{what} needs {needed / 1e9:.1f} GB, but the disk of {folder} has {free / 1e9:.1f} GB "
            "free: delete something, or set LOOKALIKE_DATA to a folder on a larger disk."
        )


def _places(archive: Path, members: list[zipfile.ZipInfo]) -> list[Path]:
    """Where each member goes, relative to the target."""
    places: list[Path] = []
    files: set[Path] = set()
    folders: set[Path] = set()
    for member in members:
        # Windows' rules treat both slashes as separators and recognise drive letters.
        name = PureWindowsPath(member.filename)
        place = Path(*name.parts)
        kind = stat.S_IFMT(member.external_attr >> 16)
        is_folder = _is_folder(member)
        if name.anchor or ".." in name.parts or not (name.parts or is_folder):
            fault = "would lie outside the folder"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            fault = "is a link or a device"
        elif member.flag_bits & 0x1:
            fault = "is encrypted"
        elif member.compress_type not in COMPRESSIONS:
            fault = "is compressed by another method than deflate"
        elif place in files or (place in folders and not is_folder):
            fault = "appears twice"
        elif not files.isdisjoint(place.parents):
            fault = "lies inside another file"
        else:
            (folders if is_folder else files).add(place)
            folders.update(place.parents)
            places.append(place)
            continue
        raise LookalikeError(
            f"{archive} is refused because its member {member.filename!r} {fault}: "
            "check where the archive comes from."
        )
    return places


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(("/", "\\"))


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, room: int) -> int:
    """Unpack one member and return its bytes, at most ``room``."""
    if _is_folder(member):
        place.mkdir(parents=True, exist_ok=True)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, place.open("xb") as sink:
        while chunk := source.read(CHUNK_BYTES):
            written += len(chunk)
            _refuse_over(room, written, Path(opened.filename or ""))
            sink.write(chunk)
    if written != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} ends early")
    return written


def _refuse_over(max_bytes: int, size: int, archive: Path) -> None:
    if size > max_bytes:
        raise LookalikeError(
            f"{archive} unpacks to more than the {max_bytes:,} bytes allowed: check where it comes from."
        )
