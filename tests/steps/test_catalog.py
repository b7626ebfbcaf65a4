"""The catalog of a folder of one's own: every picture file is in it, and why it can't be used where so."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pyarrow.parquet as pq
import pytest

from jobs.base.errors import LookalikeError
from jobs.catalog import build_catalog
from jobs.intake.folder import folder
from jobs.intake.listing import scan
from jobs.intake.look import content_id
from jobs.sources import find_source
from jobs.store.catalog import PASSED_OVER, Row, catalog_file, quarantine_file, read_catalog, read_counts
from jobs.store.root import DataRoot
from plugins.inbox import snapshot
from tests.support.pictures import png, write_picture, write_pictures

COLUMNS = [
    ("id", "string", True),
    ("path", "string", False),
    ("split", "string", False),
    ("label", "string", True),
    ("class_name", "string", True),
    ("width", "int32", True),
    ("height", "int32", True),
    ("mode", "string", True),
    ("size_bytes", "int64", False),
    ("stamp", "string", False),
    ("status", "string", False),
    ("reason", "string", True),
]


@dataclass
class Place:
    """A folder of pictures and the data root that its catalog goes to."""

    pictures: Path
    root: DataRoot

    def build(self, *, limit: int | None = None, max_quarantined: float = 0.9) -> dict[str, int]:
        source = folder(self.pictures)
        return build_catalog(source, self.root, limit=limit, max_quarantined=max_quarantined)[1]

    def rows(self) -> dict[str, Row]:
        """By path in the folder."""
        return {os.path.relpath(row["path"], self.pictures): row for row in read_catalog(self.root)}

    def reasons(self) -> dict[str, str | None]:
        rows = self.rows()
        assert all((row["status"] == "ok") == (row["reason"] is None) for row in rows.values())
        return {name: row["reason"] for name, row in rows.items()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "pictures").mkdir()
    return Place(tmp_path / "pictures", DataRoot(tmp_path / "data"))


def test_every_picture_has_its_row(place: Place) -> None:
    paths = write_pictures(place.pictures, 3)
    counts = place.build()
    assert (counts["files"], counts["quarantined"], counts["labelled"]) == (3, 0, 0)
    assert read_counts(place.root) == {"source": "folder", **counts}
    for number, (row, path) in enumerate(zip(read_catalog(place.root), paths, strict=True)):
        assert row == {
            "id": hashlib.sha256(path.read_bytes()).hexdigest()[:32],
            "path": str(path),
            "split": "all",
            "label": None,
            "class_name": None,
            "width": 24,
            "height": 16,
            "mode": "RGB",
            "size_bytes": path.stat().st_size,
            "stamp": scan(place.pictures).pictures[number].stamp,
            "status": "ok",
            "reason": None,
        }


def test_catalog_has_the_schema_that_others_read_it_by(place: Place) -> None:
    write_pictures(place.pictures, 1)
    place.build()
    schema = pq.read_schema(catalog_file(place.root))
    assert [(field.name, str(field.type), field.nullable) for field in schema] == COLUMNS


def test_rows_are_sorted_whatever_the_order_of_the_disk(place: Place) -> None:
    for seed, name in enumerate(["b.jpg", "a/z.jpg", "C.jpg", "a.jpg", "a/b/c.jpg"]):
        write_picture(place.pictures / name, seed)
    place.build()
    paths = [row["path"] for row in read_catalog(place.root)]
    assert paths == sorted(paths)
    assert len(paths) == 5


def test_picture_files_are_known_by_suffix_and_others_are_counted(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobs")
    for seed, name in enumerate(["a.jpg", "b.JPG", "c.Jpeg", "d.jfif"]):
        (place.pictures / name).write_bytes(write_picture(place.pictures / "made.jpg", seed).read_bytes())
    (place.pictures / "made.jpg").unlink()
    for name in ("notes.txt", "raw.cr2", "jpg", "a.jpg.bak"):
        (place.pictures / name).write_text("no picture")
    assert place.build()["files"] == 4
    assert set(place.reasons()) == {"a.jpg", "b.JPG", "c.Jpeg", "d.jfif"}
    told = ("4 picture files", "other files: 3", "RAW pictures: 1 (export them as JPEG from")
    assert all(line in caplog.text for line in told)
    assert (place.root.catalog / PASSED_OVER).read_text().splitlines() == [
        "split,what,count,what to do",
        "all,other files,3,",
        "all,RAW pictures,1,export them as JPEG from the program that develops them",
    ]


def test_hidden_files_and_folders_are_skipped(place: Place) -> None:
    for name in ("seen.jpg", ".hidden.jpg", "._seen.jpg", ".trash/a.jpg", "x/.thumbs/b.jpg"):
        write_picture(place.pictures / name)
    place.build()
    assert list(place.rows()) == ["seen.jpg"]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_file_that_is_not_a_picture_is_quarantined_with_its_reason(place: Place) -> None:
    write_pictures(place.pictures, 2)
    (place.pictures / "text.jpg").write_text("hello")
    (place.pictures / "empty.jpg").touch()
    (place.pictures / "bomb.jpg").write_bytes(png(11_000, 10_000, 8, 2))
    counts = place.build()
    assert counts["quarantined"] == 3
    assert place.reasons() == {
        "000.jpg": None,
        "001.jpg": None,
        "bomb.jpg": "too large: 11000 x 10000 pixels, and at most 100,000,000 are decoded",
        "empty.jpg": "empty file",
        "text.jpg": "not a picture of a known format",
    }


def test_name_that_is_not_utf8_is_quarantined_and_shown(place: Place) -> None:
    write_pictures(place.pictures, 1)
    os.link(place.pictures / "000.jpg", os.fsencode(place.pictures) + b"/caf\xe9.jpg")
    place.build()
    assert place.reasons() == {"000.jpg": None, r"caf\xe9.jpg": "file name is not UTF-8: rename the file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_file_without_permission_is_quarantined_until_it_has_one(place: Place) -> None:
    secret = write_pictures(place.pictures, 2)[0]
    secret.chmod(0)
    place.build()
    assert place.reasons() == {"000.jpg": "cannot be read: Permission denied", "001.jpg": None}
    secret.chmod(0o600)
    place.build()
    assert place.reasons() == {"000.jpg": None, "001.jpg": None}


def test_a_file_that_is_not_regular_is_quarantined_without_waiting(place: Place) -> None:
    write_pictures(place.pictures, 1)
    os.mkfifo(place.pictures / "fifo.jpg")
    (place.pictures / "dangling.jpg").symlink_to("gone.jpg")
    (place.pictures / "folder.jpg").mkdir()
    # Who reads the pipe waits for its end, which comes once the last writer closes it.
    end_of_pipe = Timer(10, os.close, [os.open(place.pictures / "fifo.jpg", os.O_RDWR)])
    end_of_pipe.start()
    place.build()
    assert end_of_pipe.is_alive()
    end_of_pipe.cancel()
    assert place.reasons() == {
        "000.jpg": None,
        "dangling.jpg": "cannot be read: No such file or directory",
        "fifo.jpg": "not a regular file",
    }


def test_link_to_itself_is_quarantined(place: Place) -> None:
    write_pictures(place.pictures, 1)
    (place.pictures / "loop.jpg").symlink_to("loop.jpg")
    place.build()
    assert place.reasons().keys() == {"000.jpg", "loop.jpg"}
    assert place.reasons()["loop.jpg"]


def test_links_are_followed_inside_the_folder_only(place: Place, tmp_path: Path) -> None:
    outside = write_picture(tmp_path / "private" / "secret.jpg", 1)
    write_picture(place.pictures / "a.jpg")
    (place.pictures / "inside.jpg").symlink_to("a.jpg")
    (place.pictures / "outside.jpg").symlink_to(outside)
    (place.pictures / "climbing.jpg").symlink_to("../private/secret.jpg")
    (place.pictures / "folder").symlink_to(outside.parent)
    place.build()
    refused = "a link out of the folder: copy the folder with cp -rL"
    assert place.reasons() == {
        "a.jpg": None,
        "climbing.jpg": refused,
        "inside.jpg": None,
        "outside.jpg": refused,
    }
    rows = place.rows()
    assert rows["inside.jpg"]["id"] == rows["a.jpg"]["id"]
    assert rows["outside.jpg"]["id"] is None


def test_links_to_folders_are_named(place: Place, tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere", 2)
    for name in ("dog", "fox"):
        (place.pictures / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LookalikeError, match=r"links to folders: 2 \(.*cp -rL.*\): dog, fox\): put pictures"):
        place.build()
    write_pictures(place.pictures / "cat", 1)
    assert (place.build()["files"], place.build()["links_to_folders"]) == (1, 2)
    assert "link to a folder: fox" in (place.root.catalog / PASSED_OVER).read_text()


LEFT_ALONE = [
    *("holiday/@eaDir/IMG_1.JPG", "#recycle", "$RECYCLE.BIN/S-1-5-21", "@Recycle", "#snapshot", "__MACOSX/a"),
    *("My.photoslibrary/resources", "Cat Previews.lrdata", "lost+found", "System Volume Information"),
    *("$Recycle.Bin", "@EADIR", "RECYCLER", "old.aplibrary/Masters"),
]


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_copies_and_deleted_pictures_are_passed_over_and_counted(place: Place, name: str) -> None:
    write_pictures(place.pictures / "cat", 2)
    write_pictures(place.pictures / name, 3)
    assert place.build()["files"] == 2
    assert len((place.root.catalog / PASSED_OVER).read_text().splitlines()) == 2
    # Who names such a folder means it.
    _, counts = build_catalog(folder(place.pictures / name), place.root)
    assert counts["files"] == 3


def test_a_folder_that_can_not_be_looked_into_is_quarantined_by_name() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # nobody may not enter pytest's own
        place = Place(Path(name, "pictures"), DataRoot(Path(name, "data")))
        write_pictures(place.pictures / "ours", 5)
        (private := place.pictures / "private").mkdir(mode=0)
        place.root.root.mkdir()
        for path in (Path(name), place.pictures, place.pictures / "ours", place.root.root):
            path.chmod(0o777)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            place.build()
            assert len(place.rows()) == 6
            reason = place.reasons()["private"]
            assert reason == "a folder that can't be looked into (Permission denied): grant read permission"
            digest, _ = snapshot(place.pictures)
        finally:
            os.seteuid(was)
        private.chmod(0o755)
        assert snapshot(place.pictures)[0] != digest


@pytest.mark.parametrize("where", [".", "lookalike"])
def test_what_the_project_made_is_not_taken_in(tmp_path: Path, where: str) -> None:
    pictures = tmp_path / "pictures"
    root = DataRoot(pictures / where)
    write_pictures(pictures / "cat", 2)
    write_picture(root.inbox / "landed.jpg", 50)
    made = (*root.made, root.sources / "sample")
    for number, place in enumerate(made):
        write_picture(place / "ab" / f"{number}.jpg", 100 + number)
    for _ in range(2):
        _, counts = build_catalog(find_source("folder", root, directory=str(pictures)), root)
        assert counts["files"] == 3
    for place in root.made:
        with pytest.raises(LookalikeError, match="holds what Lookalike made itself: give the folder"):
            find_source("folder", root, directory=str(place))


@pytest.mark.parametrize("year", [1900, 1970, 2262, 2300, 2446])
def test_impossible_times_are_taken_in(place: Place, year: int) -> None:
    picture = write_pictures(place.pictures, 3)[0]
    os.utime(picture, ((year - 1970) * 31_556_952,) * 2)
    for _ in range(2):
        assert place.build()["quarantined"] == 0
    snapshot(place.pictures)


def test_folder_given_by_a_link_is_read(place: Place, tmp_path: Path) -> None:
    write_pictures(place.pictures, 2)
    (place.pictures / "inside.jpg").symlink_to("000.jpg")
    (tmp_path / "link").symlink_to(place.pictures)
    _, counts = build_catalog(folder(tmp_path / "link"), place.root)
    assert (counts["files"], counts["quarantined"]) == (3, 0)


def test_huge_file_is_not_read(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.intake.look.MAX_BYTES", 1_000_000)
    write_pictures(place.pictures, 1)
    os.truncate(write_picture(place.pictures / "huge.jpg"), 1_000_001)
    os.truncate(write_picture(place.pictures / "large.jpg"), 1_000_000)
    place.build()
    assert place.reasons() == {"000.jpg": None, "huge.jpg": "larger than 1 MB", "large.jpg": None}
    assert place.rows()["huge.jpg"]["id"] is None


def test_limit_takes_the_same_pictures_each_time(place: Place, tmp_path: Path) -> None:
    write_pictures(place.pictures, 30)
    elsewhere = Place(tmp_path / "moved", DataRoot(tmp_path / "other"))
    shutil.copytree(place.pictures, elsewhere.pictures)
    chosen = {}
    for limit in (5, 6, 20, 30, 99):
        assert place.build(limit=limit)["files"] == min(limit, 30)
        elsewhere.build(limit=limit)
        chosen[limit] = set(place.rows())
        assert set(elsewhere.rows()) == chosen[limit]
    assert chosen[5] < chosen[6] < chosen[20] < chosen[30] == chosen[99]
    assert chosen[5] != set(sorted(chosen[30])[:5])


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_refused(place: Place, limit: int) -> None:
    write_pictures(place.pictures, 3)
    with pytest.raises(LookalikeError) as caught:
        place.build(limit=limit)
    assert "no picture file" not in str(caught.value)


def test_folder_without_pictures_is_refused(place: Place) -> None:
    (place.pictures / "notes.txt").write_text("no picture")
    with pytest.raises(LookalikeError) as caught:
        place.build()
    assert str(caught.value) == (
        f"no picture file in {place.pictures} (passed over other files: 1): put pictures there."
    )


def test_too_many_broken_files_fail_the_run_and_can_be_looked_up(place: Place) -> None:
    write_pictures(place.pictures, 3)
    (place.pictures / "text.jpg").write_text("hello")
    with pytest.raises(LookalikeError) as caught:
        place.build(max_quarantined=0.2)
    assert str(caught.value) == (
        "1 of 4 pictures are quarantined, more than the 20% allowed, 1 of them because: not a picture of a "
        f"known format. See all reasons in {quarantine_file(place.root)}, and fix the files or raise "
        "max_quarantined."
    )
    assert place.reasons()["text.jpg"] == "not a picture of a known format"
    assert place.build(max_quarantined=0.25)["quarantined"] == 1


def test_nothing_but_broken_files_fails_whatever_is_allowed(place: Place) -> None:
    (place.pictures / "text.jpg").write_text("hello")
    with pytest.raises(LookalikeError, match="1 of 1 pictures are quarantined"):
        place.build(max_quarantined=1.0)


def test_second_run_reads_no_picture_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(place.pictures, 2)
    place.build()
    before = place.rows()

    def refuse(path: str) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr("jobs.catalog.look", refuse)
    place.build()
    assert place.rows() == before


def test_what_was_put_aside_is_taken_in_once_the_limit_is_raised(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(place.pictures, 2)
    write_picture(place.pictures / "large.png", 5, (300, 200))
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", "50000")
    place.build()
    assert place.rows()["large.png"]["status"] == "quarantined"
    monkeypatch.setenv("LOOKALIKE_MAX_PIXELS", "60000")
    place.build()
    assert place.rows()["large.png"]["status"] == "ok"


def test_content_that_changes_behind_its_size_and_time_is_noticed(place: Place) -> None:
    """As archives and sync programs leave files: of one size and one time."""
    swapped, rewritten, other = (place.pictures / f"{name}.bmp" for name in "abc")
    for seed, path in enumerate((swapped, other, rewritten)):
        write_picture(path, seed)
        os.utime(path, ns=(1, 1))
    place.build()
    before = {path: content_id(path.read_bytes()) for path in (swapped, other, rewritten)}
    swapped.rename(place.pictures / "aside")
    other.rename(swapped)
    (place.pictures / "aside").rename(other)
    write_picture(rewritten, 9)
    os.utime(rewritten, ns=(1, 1))
    place.build()
    found = {name: row["id"] for name, row in place.rows().items()}
    assert found == {
        "a.bmp": before[other],
        "b.bmp": content_id(rewritten.read_bytes()),
        "c.bmp": before[swapped],
    }
    assert found["b.bmp"] != before[rewritten]


def test_changed_new_and_deleted_files_are_noticed(place: Place) -> None:
    _, changed, deleted = write_pictures(place.pictures, 3)
    place.build()
    before = place.rows()
    write_picture(changed, seed=77, size=(40, 40))
    write_picture(place.pictures / "new.jpg", seed=88)
    deleted.unlink()
    place.build()
    after = place.rows()
    assert list(after) == ["000.jpg", "001.jpg", "new.jpg"]
    assert after["000.jpg"] == before["000.jpg"]
    assert after["001.jpg"]["id"] == hashlib.sha256(changed.read_bytes()).hexdigest()[:32]
    assert after["001.jpg"]["width"] == 40


def test_broken_file_is_read_again_once_it_is_repaired(place: Place) -> None:
    write_pictures(place.pictures, 1)
    (place.pictures / "later.jpg").write_text("half a download")
    place.build()
    assert place.reasons()["later.jpg"]
    write_picture(place.pictures / "later.jpg", seed=5)
    place.build()
    assert place.reasons() == {"000.jpg": None, "later.jpg": None}
