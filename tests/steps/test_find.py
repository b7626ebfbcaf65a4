"""The command that answers without Airflow and Spark: as a table, as JSON or by a montage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.find import main
from jobs.search.answering import OpenVersion
from jobs.store.root import PROJECT, DataRoot
from jobs.store.versions import open_index
from tests.support.pictures import write_picture
from tests.support.served import served_root

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return served_root(tmp_path_factory.mktemp("find"))


@pytest.fixture(autouse=True)
def data_root(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_DATA", str(root.root))


def known(root: DataRoot) -> dict[str, Any]:
    with OpenVersion(open_index(root)).gallery() as gallery:
        return gallery.at(4)


def test_a_table_names_the_neighbours(root: DataRoot, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([known(root)["id"], "--k=3"]) == 0
    head, titles, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith(f"query     {known(root)['class_name']}  (")
    assert titles.split() == ["rank", "distance", "class", "file"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]


def test_several_pictures_have_a_line_of_json_each_and_a_bad_one_a_sentence(
    root: DataRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write_picture(tmp_path / "-new one.png", 950, (200, 100))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    given = [str(new), str(tmp_path / "broken.jpg"), known(root)["path"]]
    assert main(["--json", "--k=2", "--class=Class 0", "--", *given]) == 2
    said = capsys.readouterr()
    first, second = map(json.loads, said.out.splitlines())
    assert (first["query"]["path"], second["query"]["id"]) == (str(new), known(root)["id"])
    assert {near["class_name"] for near in first["neighbours"] + second["neighbours"]} == {"Class 0"}
    assert f"error: {str(tmp_path / 'broken.jpg')!r} can't be used as a query: not a picture" in said.err
    assert "error: 1 of 3 pictures have no answer: see above." in said.err


def test_a_montage_of_each_picture(root: DataRoot, tmp_path: Path) -> None:
    new = write_picture(tmp_path / "new.png", 951, (200, 100))
    assert main([str(new), known(root)["id"], f"--montage={tmp_path}/out.png"]) == 0
    for name in ("out.png", "out-2.png"):
        with Image.open(tmp_path / name) as montage:
            assert montage.width > 1_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.jpg"], "nowhere.jpg' is neither in the index nor a file that can be read"),
        (["0" * 32], "the index holds no picture with id 000"),
        (["{known}", "--class=Zeppelin"], "the index holds no class 'Zeppelin'"),
        (["{known}", "--k=0"], "k is 0"),
        (["{known}", "--method=stock"], "invalid choice"),
        ([], "required: picture"),
        (["{known}", "--montage=/dev/null/out.png"], "/dev/null"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    root: DataRoot, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main([argument.format(known=known(root)["id"]) for argument in arguments]) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert sentence in said


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("photo.png", "is a picture that you ask about"),
        ("text.txt", "does not end in .png"),
        ("device.png", "is not a file that can be replaced"),
    ],
)
def test_a_montage_replaces_nothing_that_is_none(
    root: DataRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    photo = write_picture(tmp_path / "photo.png", 953, (90, 60))
    before = photo.read_bytes()
    os.mkfifo(tmp_path / "device.png")
    assert main([str(photo), "--montage", str(tmp_path / name)]) == 2
    assert sentence in capsys.readouterr().err
    assert photo.read_bytes() == before and not (tmp_path / "text.txt").exists()


@pytest.mark.parametrize(("target", "status"), [("| head -c 1 >/dev/null", 0), ("> /dev/full", 2)])
def test_where_nobody_reads_it_ends_in_peace(root: DataRoot, target: str, status: int) -> None:
    id_ = known(root)["id"]
    command = f'set -o pipefail; "{sys.executable}" -m jobs.find {id_} {id_} {id_} --json {target}'
    told = subprocess.run(["bash", "-c", command], cwd=PROJECT, capture_output=True, text=True)
    assert told.returncode == status and "Traceback" not in told.stderr
    assert ("can't be written" in told.stderr) == (status != 0)


def test_make_takes_a_name_with_spaces_and_quotes(root: DataRoot, tmp_path: Path) -> None:
    odd = write_picture(tmp_path / 'it\'s "mine" $(1).png', 952, (200, 100))
    # MAKE...: the tests may themselves be run by make, which then speaks of its folders.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(
        ["make", "find", f"PICTURE={odd}", f"PYTHON={sys.executable}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) == 7


def test_neither_spark_nor_airflow_is_imported() -> None:
    code = "import sys, jobs.find; print({'pyspark', 'airflow'} & sys.modules.keys())"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert told.stdout == "set()\n"
