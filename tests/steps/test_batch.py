"""Many questions in one Spark job: each has the answer that it has alone, or its reason."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.base.errors import LookalikeError
from jobs.batch import answer_batch
from jobs.search.answering import OpenVersion
from jobs.store.batches import REFUSED, SHEET, TABLE, first_answers, first_refused, read_batch
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from tests.support.pictures import write_picture
from tests.support.served import served_root

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]
COLUMNS = ["query", "rank", "id", "path", "label", "class_name", "distance"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return served_root(tmp_path_factory.mktemp("batch"))


@pytest.fixture(scope="module")
def version(root: DataRoot) -> OpenVersion:
    return OpenVersion(open_index(root))


def ids(version: OpenVersion) -> list[str]:
    with version.gallery() as gallery:
        return [gallery.at(row)["id"] for row in range(len(gallery))]


def alone(version: OpenVersion, id_: str, k: int) -> list[tuple[str | None, float]]:
    asked = version.known(id_)
    assert asked is not None
    return [(near["id"], near["distance"]) for near in version.find(asked, k, "sketch")["neighbours"]]


def test_all_pictures_of_a_class_are_answered_as_each_alone(root: DataRoot, version: OpenVersion) -> None:
    folder = answer_batch(root, "class", class_name="Class 2", k=4)
    table = pq.read_table(folder / TABLE)
    assert table.column_names == COLUMNS
    with (folder / SHEET).open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(table) == 8 * 4
    batch = read_batch(folder)
    assert (batch["asked"], batch["answered"], batch["refused"]) == (8, 8, 0)
    answers = first_answers(folder, 100)
    assert [len(first_answers(folder, most)) for most in (0, 3)] == [0, 3]
    for id_, neighbours in answers:
        assert [(near["id"], near["distance"]) for near in neighbours] == alone(version, id_, 4)
        assert [near["rank"] for near in neighbours] == [1, 2, 3, 4]


def test_a_folder_is_answered_and_what_is_broken_is_listed(
    root: DataRoot, version: OpenVersion, tmp_path: Path
) -> None:
    with version.gallery() as gallery:
        known = gallery.at(5)
    shutil.copy(known["path"], tmp_path / "a copy.png")
    write_picture(tmp_path / "deep" / "new.png", 700, (200, 100))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    folder = answer_batch(root, "folder", questions=str(tmp_path))
    answers = dict(first_answers(folder, 100))
    assert answers.keys() == {f"{tmp_path}/a copy.png", f"{tmp_path}/deep/new.png"}
    found = [(near["id"], near["distance"]) for near in answers[f"{tmp_path}/a copy.png"]]
    assert found == alone(version, known["id"], 5)
    assert {(row["query"], row["reason"]) for row in first_refused(folder, 100)} == {
        (f"{tmp_path}/broken.jpg", "not a picture of a known format"),
        (f"{tmp_path}/gone.jpg", "cannot be read: No such file or directory"),
    }


def test_rows_of_a_csv_are_answered_in_their_order(
    root: DataRoot, version: OpenVersion, tmp_path: Path
) -> None:
    wanted = [*ids(version)[3:1:-1], "nonsense", ids(version)[3]]
    (tmp_path / "ids.csv").write_text("\ufeffnote, ID \n" + "".join(f"x,{id_}\n" for id_ in wanted))
    folder = answer_batch(root, "ids", questions=str(tmp_path / "ids.csv"))
    assert [id_ for id_, _ in first_answers(folder, 100)] == wanted[:2]
    assert first_refused(folder, 9) == [
        {"query": "nonsense", "reason": "the index holds no picture with this id"}
    ]
    write_picture(tmp_path / "new one.png", 701, (200, 100))
    (tmp_path / "paths.csv").write_text(f"path\nnew one.png\n{tmp_path}/gone.png\n\n")
    folder = answer_batch(root, "paths", questions=str(tmp_path / "paths.csv"), k=2)
    assert [id_ for id_, _ in first_answers(folder, 100)] == ["new one.png"]
    assert [row["query"] for row in first_refused(folder, 9)] == [f"{tmp_path}/gone.png"]


def test_where_nothing_can_be_answered_the_reasons_are_there(root: DataRoot, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    folder = answer_batch(root, "nothing", questions=str(tmp_path))
    assert len(pq.read_table(folder / TABLE)) == 0 and (folder / REFUSED).is_file()
    assert read_batch(folder)["refused"] == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "give questions, which is a folder or a CSV file, or class_name, and not both"),
        ({"questions": "x", "class_name": "y"}, "and not both"),
        ({"class_name": "Zeppelin"}, "the index holds no class 'Zeppelin'"),
        ({"questions": "{tmp}/gone"}, "gone can't be read"),
        ({"questions": "{tmp}/empty"}, "no picture file in"),
        ({"questions": "{tmp}/no column.csv"}, "has no column path or id"),
        ({"questions": "{tmp}/no row.csv"}, "has no row: write one per picture"),
        ({"questions": "{tmp}/binary.csv"}, "is no CSV file in UTF-8"),
        ({"class_name": "Class 1", "k": 0}, "k"),
    ],
)
def test_what_can_not_be_a_batch_has_a_sentence(
    root: DataRoot, tmp_path: Path, given: dict[str, object], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no column.csv").write_text("a,b\n1,2\n")
    (tmp_path / "no row.csv").write_text("path\n\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    given = {
        name: value.format(tmp=tmp_path) if isinstance(value, str) else value for name, value in given.items()
    }
    with pytest.raises(LookalikeError, match=sentence):
        answer_batch(root, "wrong", **given)  # type: ignore[arg-type]
    assert not root.query_folder("wrong").exists()
