"""Whatever happens to a file of the data root: a sentence that says what to do, or the answer of before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jobs.base.errors import LookalikeError
from jobs.housekeeping import housekeep
from jobs.publish import publish
from jobs.search.opened import open_for_search
from jobs.store.answers import read_answer
from jobs.store.calibrations import open_calibration
from jobs.store.catalog import read_catalog, read_counts, read_duplicates
from jobs.store.embeddings import EmbeddingStore
from jobs.store.gallery import Gallery, open_gallery
from jobs.store.neighbours import read_neighbours
from jobs.store.reports import check_report
from jobs.store.root import DataRoot
from jobs.store.settings import published_settings
from jobs.store.vectors import open_vectors
from jobs.store.versions import Index, open_index
from tests.golden.make import CURRENT, RUN
from tests.golden.test_current import FINGERPRINT, VECTORS, VERSION
from tests.support.damage import DAMAGES, delete, point_nowhere, scribble_inside


def search(root: DataRoot) -> object:
    opened = open_for_search(open_index(root))
    queries = np.concatenate([part.vectors[:3] for part in opened.parts])
    return opened.search(queries, [None] * len(queries), 5)[0].tolist()


def browse(root: DataRoot) -> object:
    def look(gallery: Gallery) -> object:
        page = gallery.page(0, True, 1, 100)
        return [(row["path"], gallery.neighbours(row), gallery.alike(row, 3)) for row in page.pictures]

    with open_gallery(Index(root.index / VERSION)) as gallery:
        return look(gallery), gallery.classes(), gallery.named("x")


def neighbours(root: DataRoot) -> object:
    index = open_index(root)
    rows, distances = read_neighbours(index, np.array([row["id"] for row in index.captions()], "S32"))
    return rows.tolist(), distances.tolist()


def embeddings(root: DataRoot) -> object:
    store = EmbeddingStore(root.embeddings / FINGERPRINT)
    found = store.model(), store.broken(), store.read()[0]
    store.write_csv()
    return found, store.csv.stat().st_size


def vectors(root: DataRoot) -> object:
    found = open_vectors(root)
    found.check()
    return found.description()


def calibration(root: DataRoot) -> object:
    found = open_calibration(root)
    found.check_whole()
    return found.chosen(), found.check(VECTORS)


READERS: dict[str, Callable[[DataRoot], object]] = {
    "catalog": read_catalog,
    "counts": read_counts,
    "duplicates": lambda root: read_duplicates(root, "current"),
    "embeddings": embeddings,
    "vectors": vectors,
    "calibration": calibration,
    "index": lambda root: open_index(root).verify(content=True),
    "published": lambda root: open_index(root).published(),
    "search": search,
    "gallery": browse,
    "neighbours": neighbours,
    "report": lambda root: check_report(open_index(root)),
    "answer": lambda root: read_answer(root.query_folder(RUN)),
    "settings": published_settings,
    "publish": lambda root: publish(root).version,
    "housekeeping": lambda root: housekeep(root, dry_run=True),
}

FILES = sorted(
    file.relative_to(CURRENT).as_posix()
    for file in CURRENT.rglob("*")
    if file.is_file() and not file.is_relative_to(CURRENT / "resized") and not file.name.endswith(".crc")
)


MAY_BE_ABSENT = ("published.json", "settings.json", "shard-*.parquet")
"""Each is one of many, or says something only if it is there."""


def copy(to: Path) -> DataRoot:
    """A data root to damage, without the resized copies, which are many."""
    if not to.exists():
        shutil.copytree(CURRENT, to, ignore=shutil.ignore_patterns("resized"))
    return DataRoot(to)


@pytest.mark.slow  # five hundred data roots
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_a_sentence_or_makes_no_difference(file: str, tmp_path: Path) -> None:
    answers = {name: reader(copy(tmp_path / "whole")) for name, reader in READERS.items()}
    for damage in DAMAGES:
        if damage in (delete, point_nowhere) and any(Path(file).match(one) for one in MAY_BE_ABSENT):
            continue
        root = copy(tmp_path / damage.__name__)
        damage(root.root / file)
        for name, reader in READERS.items():
            told = f"{name} after {damage.__name__} of {file}"
            try:
                answer = reader(root)
            except LookalikeError as error:
                sentence = str(error)
                assert sentence.endswith(".") and "\n" not in sentence and ": " in sentence, told
                assert len(sentence) < 700, told
            else:
                if damage is not scribble_inside:  # only ``publish`` compares every byte
                    assert answer == answers[name], told
