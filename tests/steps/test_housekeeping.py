"""What is cleaned up, and above all what is not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import jobs.housekeeping
from jobs.base.atomic import in_use, write_json, write_text
from jobs.base.errors import LookalikeError
from jobs.calibrate import calibrate_vectors
from jobs.housekeeping import DAY_S, housekeep, main
from jobs.index import LshParams, build_index
from jobs.store.catalog import read_catalog
from jobs.store.root import DataRoot
from jobs.store.vectors import Vectors
from jobs.store.versions import Index, open_index
from jobs.vectors import assemble_vectors
from scripts.dag_run import run_dag
from tests.support.synthetic import FINGERPRINT, make_index, make_root, model_of

NOTHING = dict.fromkeys(
    [
        "versions",
        "catalogs",
        "vectors",
        "calibrations",
        "queries",
        "uploads",
        "event_logs",
        "leftovers",
        "bytes",
    ],
    0,
)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


def aged(path: Path, days: float) -> Path:
    """Let it and all in it be written to so many days ago."""
    at = time.time() - days * DAY_S
    for one in (path, *(path.rglob("*") if not path.is_symlink() else ())):
        os.utime(one, (at, at), follow_symlinks=False)
    return path


def written(file: Path, text: str = "x" * 1000, days: float = 400) -> Path:
    """A file of that age; its folder is as old, unless something else in it was there before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return aged(file, days)


def write_manifest(index: Index, calibration: str) -> None:
    """A manifest that names a calibration, and a catalog of the same name."""
    index.record(
        {
            "version": index.version,
            "created": "2026-01-01T00:00:00+00:00",
            "images": 2,
            "dimension": 512,
            "model": {**model_of(), "runtimes": []},
            "vectors": "0" * 16,
            "calibration": calibration,
            "catalog": calibration,
            "source": {},
            "lsh": {"num_hash_tables": 1, "bucket_length": 1.0, "seed": 0, "reduced_dimension": None},
            "hashes_kept_of": None,
            "spark": "4.2.0",
            "search": "exact",
            "candidates": 2,
            "candidates_fraction": 1.0,
            "bytes_read": 1.0,
            "recall": {"k": 5, "target": 0.95, "measured": 1.0, "lower_bound": 1.0, "queries": 0},
            "files": {},
        }
    )


def version(
    root: DataRoot, digit: str, published: int | None = None, *, days: float = 2, calibration: str = "c"
) -> Path:
    """A version, published on a day of January or never, and unused for so many days."""
    folder = root.index / (digit * 16)
    write_manifest(Index(folder), calibration * 16)
    write_text(folder / "packed" / "part-00000.vectors.npy", "x" * 1000)
    if published:
        Index(folder).record_published({"run": "r", "at": f"2026-01-{published:02d}T00:00:00+00:00"})
    return aged(folder, days)


def point(root: DataRoot, name: str, digit: str) -> None:
    write_text(root.index / name, digit * 16 + "\n")


def answer(root: DataRoot, run: str, path: str = "/pictures/1.jpg", days: float = 0) -> Path:
    folder = root.query_folder(run)
    write_json(folder / "neighbours.json", {"query": {"path": path}})
    write_text(folder / "montage.png", "x")
    return aged(folder, days)


def photo(root: DataRoot, digit: str, days: float = 2) -> Path:
    return written(root.uploads / f"uploaded-{digit * 12}.jpg", days=days)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """All that is there, with times and files' sizes."""
    return {
        str(one.relative_to(folder)): (one.lstat().st_mtime_ns, one.lstat().st_size if one.is_file() else 0)
        for one in folder.rglob("*")
    }


def test_what_killed_steps_left_in_the_temporary_folder_goes(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, young, used = (
        tmp_path / f".tmp-lookalike-{pid}-{name}"
        for pid, name in ((ended.pid, "a"), (ended.pid, "b"), (os.getpid(), "c"))
    )
    for folder, days in ((old, 1.01), (young, 0.99), (used, 400)):
        aged(written(folder / "blockmgr-1" / "shuffle").parent.parent, days)
    other = written(tmp_path / "blockmgr-2" / "shuffle")
    assert housekeep(root, dry_run=True) == housekeep(root) == {**NOTHING, "leftovers": 1, "bytes": 1000}
    assert not old.exists() and young.exists() and used.exists() and other.exists()


def test_an_empty_data_root_stays_so(root: DataRoot) -> None:
    assert housekeep(root) == NOTHING
    assert not root.root.exists()


def test_of_versions_stay_current_built_and_those_published_last(
    root: DataRoot, caplog: pytest.LogCaptureFixture
) -> None:
    version(root, "1", published=1)  # put back
    version(root, "2", published=2)
    version(root, "3", published=9, days=300)  # published late, unlike its folder's time
    version(root, "4", published=4)
    version(root, "5", published=5, days=1.5)
    version(root, "6")  # missed its recall
    version(root, "7")
    point(root, "current", "1")
    point(root, "built", "7")
    for note in ("notes.txt", "settings.json", "0123456789abcdef0"):
        written(root.index / note)
    before = tree(root.index)
    with caplog.at_level("INFO"):
        counts = housekeep(root, keep_versions=2)
    stay = ["1" * 16, "3" * 16, "5" * 16, "7" * 16]
    assert names(root.index) == sorted(
        [*stay, "current", "built", "notes.txt", "settings.json", "0123456789abcdef0"]
    )
    gone = before.keys() - tree(root.index).keys()
    assert (counts["versions"], counts["bytes"]) == (3, sum(before[name][1] for name in gone))
    assert f"removed index/{'2' * 16}: superseded, 0.0 MB" in caplog.text
    assert f"removed index/{'6' * 16}: never published, 0.0 MB" in caplog.text
    assert caplog.messages[-1] == "removed 3 versions, 0.0 MB"


@pytest.mark.parametrize("published", [None, 1])
def test_a_version_goes_after_a_day_without_use_and_not_before(root: DataRoot, published: int | None) -> None:
    version(root, "e", published=2)
    lonely = version(root, "f", published, days=0.99)
    housekeep(root, keep_versions=1)
    assert lonely.is_dir()
    aged(lonely, 1.01)
    housekeep(root, keep_versions=1)
    assert names(root.index) == ["e" * 16]


def taken_up(root: DataRoot) -> None:
    in_use(root.index / ("f" * 16))


@pytest.mark.parametrize(
    "happens",
    [taken_up, lambda root: point(root, "current", "f"), lambda root: point(root, "built", "f")],
    ids=["taken up", "put back", "built again"],
)
def test_a_version_that_is_needed_again_meanwhile_stays(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, happens: Callable[[DataRoot], None]
) -> None:
    """Right before it is removed, when all else is decided."""
    version(root, "f")
    look = jobs.housekeeping._look

    def late(path: Path) -> tuple[float, int]:
        happens(root)
        return look(path)

    monkeypatch.setattr(jobs.housekeeping, "_look", late)
    assert housekeep(root)["versions"] == 0
    assert (root.index / ("f" * 16)).is_dir()


def test_without_any_pointer_what_was_published_last_stays(root: DataRoot) -> None:
    version(root, "1", published=1)
    version(root, "2", published=2)
    housekeep(root, keep_versions=1)
    assert names(root.index) == ["2" * 16]


def test_a_broken_pointer_keeps_every_version(root: DataRoot) -> None:
    version(root, "1")
    write_text(root.index / "current", "oops")
    photo(root, "a")
    with pytest.raises(LookalikeError, match="'oops', which is not a name"):
        housekeep(root)
    assert names(root.index) == ["1" * 16, "current"]
    assert names(root.uploads) == []  # the rest was done


@pytest.mark.parametrize("kind", ["catalog", "vectors", "calibrations"])
@pytest.mark.parametrize("rubbish", ["", "oops", "../index"])
def test_a_rubbish_pointer_lets_nothing_of_its_kind_go(root: DataRoot, kind: str, rubbish: str) -> None:
    aged(written(root.root / kind / ("1" * 16) / "x").parent, 400)
    write_text(root.root / kind / "current", rubbish)
    with pytest.raises(LookalikeError, match="is not a name"):
        housekeep(root)
    assert names(root.root / kind) == ["1" * 16, "current"]


def test_a_linked_version_is_never_removed(root: DataRoot, tmp_path: Path) -> None:
    target = version(DataRoot(tmp_path / "elsewhere"), "1")
    root.index.mkdir(parents=True)
    link = root.index / target.name
    link.symlink_to(target)
    aged(link, 400)
    assert housekeep(root) == NOTHING
    assert link.is_dir()


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, spark: object) -> DataRoot:
    root, _ = make_root(tmp_path_factory.mktemp("indexed"), 12)
    make_index(root)
    return root


def test_what_a_run_takes_up_again_is_marked_as_used(indexed: DataRoot, root: DataRoot) -> None:
    shutil.copytree(indexed.root, root.root)
    index = open_index(root)
    vectors = root.vectors / index.manifest()["vectors"]
    calibration = root.calibrations / index.manifest()["calibration"]
    catalog = root.catalog / index.manifest()["catalog"]
    steps: list[tuple[Path, Callable[[], object]]] = [
        (catalog, lambda: read_catalog(root)),
        (catalog, lambda: assemble_vectors(root, FINGERPRINT)),
        (vectors, lambda: assemble_vectors(root, FINGERPRINT)),
        (vectors, lambda: calibrate_vectors(root)),
        (calibration, lambda: calibrate_vectors(root)),
        (vectors, lambda: build_index(root, LshParams())),
        (calibration, lambda: build_index(root, LshParams())),
        (index.folder, lambda: build_index(root, LshParams())),
        (index.folder, lambda: open_index(root, index.version)),
    ]
    for folder, step in steps:
        aged(folder, 2)
        step()
        assert time.time() - folder.stat().st_mtime < 60, folder
    # As if other pictures had been indexed since: nothing names these, but they were used just now.
    for folder in (root.catalog, root.vectors, root.calibrations, root.index):
        (folder / "current").unlink()
    (root.index / "built").unlink()
    assert housekeep(root) == NOTHING
    aged(root.root, 2)
    counts = housekeep(root)
    assert [counts[kind] for kind in ("versions", "catalogs", "vectors", "calibrations")] == [1, 1, 1, 1]
    assert names(root.vectors) == names(root.calibrations) == names(root.index) == []
    assert "catalog.parquet" in names(root.catalog) and catalog.name not in names(root.catalog)


def test_vectors_stay_while_current_or_used(root: DataRoot) -> None:
    version(root, "1", published=1)
    for digit, days in (("a", 400), ("b", 1.01), ("c", 0.99)):
        written(root.vectors / (digit * 16) / "vectors.json")
        aged(root.vectors / (digit * 16), days)
    written(root.vectors / "notes" / "x")
    write_text(root.vectors / "current", "a" * 16)
    assert housekeep(root)["vectors"] == 1
    assert names(root.vectors) == ["a" * 16, "c" * 16, "current", "notes"]


@pytest.mark.parametrize("kind", ["catalog", "calibrations"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_catalogs_and_calibrations_stay_while_current_or_used_or_referred_to(
    root: DataRoot, dry_run: bool, kind: str
) -> None:
    version(root, "1", published=1, calibration="a")
    version(root, "2", published=2, calibration="b")
    version(root, "3", calibration="c", days=0)  # not published yet
    for digit, days in (("a", 2.0), ("b", 400), ("c", 400), ("d", 400), ("e", 0.99), ("f", 1.01)):
        written(root.root / kind / (digit * 16) / "choice.json")
        aged(root.root / kind / (digit * 16), days)
    write_text(root.root / kind / "current", "d" * 16 + "\n")
    counts = housekeep(root, keep_versions=1, dry_run=dry_run)
    assert (counts["versions"], counts["catalogs"] + counts["calibrations"]) == (1, 2)
    if not dry_run:
        stay = [digit * 16 for digit in "bcde"]
        assert names(root.root / kind) == sorted([*stay, "current"])


def test_a_catalog_stays_while_vectors_that_stay_were_assembled_from_it(root: DataRoot) -> None:
    for digit, days in (("a", 0.5), ("b", 3)):
        Vectors(root.vectors / (digit * 16)).describe(
            {"fingerprint": FINGERPRINT, "catalog": digit * 16, "pictures": 2, "dimension": 512}
        )
        aged(root.vectors / (digit * 16), days)
        aged(written(root.catalog / (digit * 16) / "catalog.parquet").parent, 3)
    counts = housekeep(root)
    assert (counts["vectors"], counts["catalogs"]) == (1, 1)
    assert names(root.catalog) == ["a" * 16]


def test_answers_go_once_nothing_in_them_is_young(root: DataRoot, tmp_path: Path) -> None:
    answer(root, "old", days=31)
    answer(root, "young", days=29)
    drawn_again = answer(root, "drawn-again", days=31)
    aged(drawn_again / "montage.png", 1)
    written(root.queries / "README")
    aged(written(root.queries / "my notes" / "x").parent, 400)
    elsewhere = answer(DataRoot(tmp_path / "elsewhere"), "linked", days=1)
    (root.queries / "linked").symlink_to(elsewhere)
    aged(root.queries / "linked", 31)
    assert housekeep(root)["queries"] == 2
    assert names(root.queries) == ["README", "drawn-again", "my notes", "young"]
    assert names(elsewhere) == ["montage.png", "neighbours.json"]
    housekeep(root, keep_days=28)
    assert names(root.queries) == ["README", "drawn-again", "my notes"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_photos_go_with_the_last_answer_that_names_them(
    root: DataRoot, tmp_path: Path, dry_run: bool
) -> None:
    named, fresh, forgotten, unnamed = (photo(root, digit, 400) for digit in "abcd")
    answer(root, "kept", str(named), days=29)
    answer(root, "earlier", str(named), days=31)
    answer(root, "old", str(forgotten), days=31)
    root.query_folder("under-way").mkdir()
    aged(fresh, 0.99)
    outside = written(tmp_path / "outside.jpg")
    link = root.uploads / f"uploaded-{'e' * 12}.jpg"
    link.symlink_to(outside)
    aged(link, 2)
    mine = written(root.uploads / "mine.jpg")
    counts = housekeep(root, dry_run=dry_run)
    assert (counts["queries"], counts["uploads"]) == (2, 3)
    if not dry_run:
        assert names(root.uploads) == sorted(file.name for file in (named, fresh, mine))
    assert outside.is_file() and unnamed.exists() == dry_run


def test_while_an_answer_can_not_be_read_photos_stay(root: DataRoot) -> None:
    kept = photo(root, "a")
    written(root.queries / "spoilt" / "neighbours.json", "{", days=1)
    answer(root, "old", days=31)
    sentence = r"spoilt/neighbours\.json is corrupt .*: delete the folder of that answer; until then all"
    with pytest.raises(LookalikeError, match=sentence):
        housekeep(root)
    assert kept.exists() and names(root.queries) == ["spoilt"]


def test_event_logs_go_by_age_finished_or_not(root: DataRoot) -> None:
    logs = (
        "app-20260101-0001",
        "app-20260101-0002.inprogress",
        "local-17.zstd",
        "eventlog_v2_app-3/events_1",
    )
    for days, where in ((31, "old"), (29, "young")):
        for log in logs:
            folder, _, file = log.partition("/")
            written(
                root.spark_events / f"{folder}-{where}" / file
                if file
                else root.spark_events / f"{log}-{where}"
            )
        for one in root.spark_events.glob(f"*-{where}"):
            aged(one, days)
    written(root.spark_events / "README")
    aged(root.spark_events / "eventlog_v2_app-3-young", 400)
    written(root.spark_events / "eventlog_v2_app-3-young" / "events_2", days=1)
    assert housekeep(root)["event_logs"] == 4
    assert names(root.spark_events) == sorted([*(f"{log.partition('/')[0]}-young" for log in logs), "README"])


def test_what_killed_steps_left_goes_after_a_day(root: DataRoot, tmp_path: Path) -> None:
    places = [
        root.catalog,
        root.embeddings / FINGERPRINT,
        root.vectors,
        root.calibrations,
        root.index,
        root.index / ("1" * 16),
        root.uploads,
        root.queries / "run",
        root.sources / "stanford_cars",
        root.spark_events,
        root.resized,
    ]
    version(root, "1", published=1)
    elsewhere = written(tmp_path / "elsewhere" / "file").parent
    for place in places:
        written(place / ".tmp-file-old", days=1.01)
        written(place / ".tmp-file-young", days=0.99)
        written(place / "no.tmp-x")
        (place / ".tmp-link-old").symlink_to(elsewhere)
        for name in (".tmp-folder-old", ".tmp-folder-alive"):
            written(place / name / "deep" / "x")
            written(place / name / "deep" / ".tmp-x")
            aged(place / name, 2)
        aged(place / ".tmp-link-old", 2)
        aged(place / ".tmp-folder-alive" / "deep" / "x", 0.99)
    assert housekeep(root)["leftovers"] == 3 * len(places)
    for place in places:
        left = [name for name in names(place) if "tmp-" in name]
        assert left == [".tmp-file-young", ".tmp-folder-alive", "no.tmp-x"], place
        assert names(place / ".tmp-folder-alive" / "deep") == [".tmp-x", "x"]
    assert names(elsewhere) == ["file"]


def test_what_is_costly_or_not_ours_is_never_touched(root: DataRoot, tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere" / ".tmp-mine").parent
    root.root.mkdir()
    root.inbox.symlink_to(elsewhere)
    (root.sources).mkdir()
    (root.sources / "linked").symlink_to(elsewhere)
    for file in (
        root.catalog / "catalog.parquet",
        root.embeddings / ("0" * 16) / "shard-0.parquet",
        root.embeddings / ("1" * 16) / "openvino" / "resnet18.xml",
        root.resized / "squash" / "00" / f"{'0' * 32}.jpg",
        root.resized / "squash" / "00" / ".tmp-not-looked-at",
        root.sources / "stanford_cars" / "kaggle" / "1.jpg",
        root.sources / "stanford_cars" / "archive.zip.part",
        root.root / ".tmp-mine",
        root.root / "mine" / ".tmp-mine",
    ):
        written(file)
    aged(root.root, 4000)
    before = tree(tmp_path)
    assert housekeep(root, keep_versions=1, keep_days=1) == NOTHING
    assert tree(tmp_path) == before


def full_house(root: DataRoot) -> None:
    """Something of each kind that goes."""
    version(root, "1", published=1, calibration="a")
    version(root, "2", published=2, calibration="b")
    for folder in (root.catalog, root.vectors, root.calibrations):
        written(folder / ("a" * 16) / "x")
    answer(root, "old", str(photo(root, "a")), days=31)
    written(root.spark_events / "app-1")
    written(root.index / ".tmp-x" / "y")
    for folder in (root.catalog, root.vectors, root.calibrations, root.index / ".tmp-x"):
        aged(folder, 3)


def test_a_dry_run_logs_what_would_be_removed_and_changes_nothing(
    root: DataRoot, caplog: pytest.LogCaptureFixture
) -> None:
    full_house(root)
    before = tree(root.root)
    with caplog.at_level("INFO"):
        counts = housekeep(root, keep_versions=1, dry_run=True)
    assert tree(root.root) == before
    assert (
        f"would remove index/{'1' * 16}: superseded, 0.0 MB" in caplog.text and "removed" not in caplog.text
    )
    assert housekeep(root, keep_versions=1) == counts
    assert counts == {**dict.fromkeys(NOTHING, 1), "bytes": counts["bytes"]}
    freed = sum(size for _, size in before.values()) - sum(size for _, size in tree(root.root).values())
    assert counts["bytes"] == freed > 0


def test_housekeeping_killed_halfway_is_finished_by_the_next_run(root: DataRoot) -> None:
    version(root, "1", published=1)
    version(root, "2", published=2)
    code = f"""
import os, shutil, signal
from pathlib import Path
from jobs.housekeeping import housekeep
from jobs.store.root import DataRoot
shutil.rmtree = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL)
housekeep(DataRoot(Path({str(root.root)!r})), keep_versions=1)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    left, whole = names(root.index)
    assert left.startswith(f".tmp-{'1' * 16}-") and whole == "2" * 16  # absent at once
    assert (root.index / left / "manifest.json").is_file()
    assert housekeep(root, keep_versions=1)["leftovers"] == 1
    assert names(root.index) == ["2" * 16]


def test_an_entry_that_can_not_be_removed_is_named_and_the_rest_goes(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_house(root)
    (file,) = root.uploads.iterdir()
    version(root, "0")
    rename = os.rename

    def refusing(source: Path, target: Path) -> None:  # root may do everything
        if source in (file, root.index / ("0" * 16)):
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    sentence = rf"{'0' * 16} can't be removed \(Permission denied\): grant .* The log lists 1 more"
    with pytest.raises(LookalikeError, match=sentence):
        housekeep(root, keep_versions=1)
    assert file.exists()
    assert names(root.index) == ["0" * 16, "2" * 16]
    assert names(root.vectors) == names(root.queries) == names(root.spark_events) == []


def test_housekeeping_is_a_command_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full_house(DataRoot(data))
    assert main(["--keep-versions=1", "--keep-days=32"]) == 0
    assert names(data / "index") == ["2" * 16]
    assert names(data / "queries") == ["old"]
    assert main(["--keep-versions=0"]) == main(["--keep-days=0"]) == 2
    assert "error: keep_versions is 0: give 1 to 10,000." in capsys.readouterr().err


@pytest.mark.slow
def test_airflow_runs_housekeeping_with_the_params_of_its_form(data: Path, tmp_path: Path) -> None:
    full_house(DataRoot(data))
    lines: list[str] = []
    run = run_dag("housekeeping", {"keep_versions": 1, "keep_days": 32}, tmp_path / "airflow", lines.append)
    assert run.succeeded, (tmp_path / "airflow" / "run.log").read_text()[-8000:]
    assert list(run.seconds) == ["housekeeping"]
    assert names(data / "index") == ["2" * 16]
    assert names(data / "queries") == ["old"]
    assert any("superseded" in line for line in lines)
