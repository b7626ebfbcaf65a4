"""Two runs whose tasks interleave: each goes on with its own things, and so does a task that is replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.calibrate import calibrate_vectors
from jobs.changes import find_changes
from jobs.gallery import lay_out_gallery
from jobs.index import LshParams, build_index
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.query import answer
from jobs.report import write_report
from jobs.store.answers import read_answer
from jobs.store.catalog import read_catalog
from jobs.store.gallery import open_gallery
from jobs.store.root import DataRoot
from jobs.store.versions import Index, open_index
from jobs.vectors import assemble_vectors
from tests.support.synthetic import FINGERPRINT, make_root, picture_id, take

pytestmark = pytest.mark.usefixtures("spark")
PICTURES = 260


class Run:
    """The tasks of one DAG run: each is given what the earlier ones returned."""

    def __init__(self, root: DataRoot, first: int, end: int) -> None:
        self.root = root
        self.ids = [picture_id(number) for number in range(first, end)]

    def catalog(self) -> None:
        rows = [row for row in self.everything if row["id"] in set(self.ids)]
        self.catalog_name = take(self.root, rows)

    def vectors(self) -> None:
        self.vectors_name = assemble_vectors(self.root, FINGERPRINT, catalog=self.catalog_name).name

    def calibrate(self) -> None:
        self.calibration = calibrate_vectors(self.root, vectors=self.vectors_name).name

    def index(self) -> None:
        index = build_index(self.root, LshParams(), vectors=self.vectors_name, calibration=self.calibration)
        self.version = index.version

    def neighbours(self) -> None:
        store_neighbours(self.root, self.version)

    def gallery(self) -> None:
        lay_out_gallery(self.root, self.version)

    def report(self) -> None:
        write_report(self.root, self.version)

    def publish(self) -> None:
        publish(self.root, self.version)

    TASKS = (catalog, vectors, calibrate, index, neighbours, gallery, report, publish)

    @property
    def made(self) -> Index:
        return open_index(self.root, self.version)

    everything: list[dict[str, object]]


def runs_over(folder: Path) -> tuple[Run, Run]:
    """Two runs over one data root, of the first pictures and of the last."""
    root, _ = make_root(folder, PICTURES)
    first, second = Run(root, 0, 230), Run(root, 20, PICTURES)
    first.everything = second.everything = read_catalog(root)
    return first, second


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs that ended, the second one last."""
    first, second = runs_over(tmp_path_factory.mktemp("finished"))
    for run in (first, second):
        for task in Run.TASKS:
            task(run)
    return first, second


def test_two_runs_that_interleave_end_as_if_one_came_after_the_other(
    finished: tuple[Run, Run], tmp_path: Path
) -> None:
    together = runs_over(tmp_path)
    for task in Run.TASKS:
        for run in together:
            task(run)
    for run, expected in zip(together, finished, strict=True):
        assert (run.vectors_name, run.calibration, run.version) == (
            expected.vectors_name,
            expected.calibration,
            expected.version,
        )
        assert [row["id"] for row in run.made.captions()] == run.ids
        assert run.made.manifest()["recall"] == expected.made.manifest()["recall"]
        with open_gallery(run.made) as gallery, open_gallery(expected.made) as other:
            picture = other.picture(run.ids[40])
            assert picture and gallery.picture(run.ids[40]) == picture
            assert gallery.neighbours(picture) == other.neighbours(picture)
    assert open_index(together[0].root) == together[1].made  # published last


@pytest.mark.parametrize("task", Run.TASKS, ids=lambda task: task.__name__)
def test_a_replayed_task_works_on_the_data_of_its_own_run(finished: tuple[Run, Run], task: object) -> None:
    first, second = finished
    before = first.vectors_name, first.calibration, first.version
    task(first)  # type: ignore[operator]
    assert (first.vectors_name, first.calibration, first.version) == before
    assert [row["id"] for row in first.made.captions()] == first.ids
    assert second.made.manifest()["images"] == len(second.ids)


def test_changes_and_query_use_the_names_they_are_given(finished: tuple[Run, Run]) -> None:
    first, second = finished
    second.index()
    assert not find_changes(second.root, FINGERPRINT, catalog=second.catalog_name).anything
    assert find_changes(first.root, FINGERPRINT, catalog=first.catalog_name).gone == 30
    folder = answer(first.root, "told", query=first.ids[3], version=first.version)
    assert read_answer(folder)["index"]["version"] == first.version


def test_a_catalog_that_was_cleaned_up_is_one_sentence(finished: tuple[Run, Run]) -> None:
    with pytest.raises(Exception, match="is missing: run the step catalog again"):
        assemble_vectors(finished[0].root, FINGERPRINT, catalog="0" * 16)
