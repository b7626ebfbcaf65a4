"""Find the look-alikes of many pictures in one Spark job: the DAG ``similarity_batch``.

They are a folder of pictures, the rows of a CSV file, or all pictures of a class of the index.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.base import options
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import Progress, section
from jobs.base.machine import cores
from jobs.base.text import plain
from jobs.embedding.decoders import Decoders
from jobs.embedding.single import SingleEmbedder
from jobs.intake.decode import BadPictureError
from jobs.intake.listing import scan
from jobs.intake.look import content_id, read_picture
from jobs.intake.named import named_path
from jobs.lsh.sketch import Floats
from jobs.search.answering import OpenVersion
from jobs.search.lookup import Asked, outsider
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.batches import SCHEMA, Batch, Refusal, write_batch
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import BUILT, open_index

log = logging.getLogger(__name__)

COLUMNS = ("path", "id")
"""Of a CSV file, the first of them that it has."""
MOST_NAMED = 5
"""Reasons that the log tells."""

Find = Callable[[], Asked]
"""Raises LookalikeError, or BadPictureError with the reason, if the picture can't be asked about."""


def answer_batch(
    root: DataRoot,
    run: str,
    *,
    questions: str | None = None,
    class_name: str | None = None,
    k: int = options.K.default,
    version: str = CURRENT,
) -> Path:
    """Answer every question into ``queries/<run>``; return that folder.

    ``questions`` is a folder or a CSV file; ``class_name`` a class of the index. A picture that can't be used
    is listed with its reason, and the rest goes on.

    Raises LookalikeError if not exactly one of both is given, or there is nothing to ask about.
    """
    options.check_option(options.K, k)
    if (questions is None) == (class_name is None):
        raise LookalikeError("give questions, which is a folder or a CSV file, or class_name, and not both.")
    opened = OpenVersion(open_index(root, version))
    with Decoders(cores()) as decoders:
        embedder = SingleEmbedder(root, opened.manifest["model"], decoders)
        asked, refused = _found(_questions(root, opened, embedder, questions, class_name))
    rows = _answers(opened, asked, k) if asked else SCHEMA.empty_table()
    batch = Batch(
        asked=len(asked) + len(refused),
        answered=len(asked),
        refused=len(refused),
        k=k,
        method="exact" if opened.opened.sketch is None else "sketch",
        version=opened.index.version,
        pictures=opened.manifest["images"],
        recall=opened.manifest["recall"],
    )
    folder = root.query_folder(run)
    write_batch(folder, batch, rows, refused)
    log.info(f"{batch['answered']:,} of {batch['asked']:,} pictures answered: {folder}")
    return folder


def _questions(
    root: DataRoot,
    version: OpenVersion,
    embedder: SingleEmbedder,
    questions: str | None,
    class_name: str | None,
) -> list[tuple[str, Find]]:
    """What each question is called, and how its picture is found."""
    if questions is None:
        rows = version.rows_of(class_name or "").tolist()
        with version.gallery() as gallery:
            ids = [gallery.at(row)["id"] for row in rows]
        return [(id_, partial(_by_id, version, id_)) for id_ in ids]
    place = named_path(questions, root)
    if place.is_dir():
        listing = scan(place, root.apart)
        for kind, count in listing.passed_over.most_common():
            log.info(f"passed over: {count:,} {kind}")
        found: list[tuple[str, Find]] = [
            (file.path, partial(_refuse, file.reason))
            if file.reason
            else (file.path, partial(_by_file, version, embedder, file.path))
            for file in listing.pictures
        ]
        what = f"no picture file in {place}: put pictures there, or name another folder."
    else:
        found = [_of_row(root, version, embedder, place, *row) for row in _rows(place)]
        what = f"{place} has no row: write one per picture."
    if not found:
        raise LookalikeError(what)
    return found


def _of_row(
    root: DataRoot, version: OpenVersion, embedder: SingleEmbedder, sheet: Path, column: str, text: str
) -> tuple[str, Find]:
    if column == "id":
        return text, partial(_by_id, version, text)
    # Paths are relative to the file that names them, as in a labels.csv.
    return text, partial(_by_path, root, version, embedder, str(sheet.parent / text))


def _rows(sheet: Path) -> list[tuple[str, str]]:
    """The column and the text of each row that has one, each text once."""
    try:
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            if not header.strip():
                raise LookalikeError(f"{sheet} is empty: write a column path or id, and a row per picture.")
            file.seek(0)
            # Programs of half the world write semicolons, or tabs.
            reader = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
            names = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
            column = next((column for column in COLUMNS if column in names), None)
            if column is None:
                raise LookalikeError(
                    f"{sheet} has no column path or id, only {plain(', '.join(names))[:200]}: "
                    "name one of its columns so, in the first line."
                )
            texts = [(row[names[column]] or "").strip() for row in reader]
    except OSError as error:
        raise LookalikeError(
            f"{sheet} can't be read ({error.strerror}): give a folder of pictures or a CSV file."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LookalikeError(f"{sheet} is no CSV file in UTF-8 ({error}): save it as one.") from error
    return [(column, text) for text in dict.fromkeys(texts) if text]


def _refuse(reason: str) -> Asked:
    raise BadPictureError(reason)


def _by_id(version: OpenVersion, id_: str) -> Asked:
    if asked := version.known(id_):
        return asked
    raise BadPictureError("the index holds no picture with this id")


def _by_path(root: DataRoot, version: OpenVersion, embedder: SingleEmbedder, path: str) -> Asked:
    try:
        file = named_path(path, root)
    except LookalikeError as error:
        raise BadPictureError(str(error)) from error
    return _by_file(version, embedder, str(file))


def _by_file(version: OpenVersion, embedder: SingleEmbedder, path: str) -> Asked:
    try:
        content = read_picture(path)
    except OSError as error:
        raise BadPictureError(f"cannot be read: {error.strerror}") from error
    if known := version.known(content_id(content)):
        return known
    return outsider(path, embedder.forward(embedder.pixels(content)[None]))


def _found(questions: Sequence[tuple[str, Find]]) -> tuple[list[tuple[str, Asked]], list[Refusal]]:
    asked, refused = list[tuple[str, Asked]](), list[Refusal]()

    def find(question: tuple[str, Find]) -> Asked | str:
        try:
            return question[1]()
        except BadPictureError as error:
            return str(error)

    progress = Progress(len(questions), "pictures", log)
    with section("pictures"), ThreadPoolExecutor(cores()) as threads:
        for (name, _), found in zip(questions, threads.map(find, questions), strict=True):
            if isinstance(found, str):
                refused.append(Refusal(query=name, reason=found))
                if len(refused) <= MOST_NAMED:
                    log.warning(f"{plain(name)!r} {found}")
            else:
                asked.append((name, found))
            progress.advance()
    progress.finish()
    return asked, refused


def _answers(version: OpenVersion, asked: Sequence[tuple[str, Asked]], k: int) -> pa.Table:
    """A row for each neighbour of each question."""
    vectors: Floats = np.concatenate([each.vector for _, each in asked])
    own = [each.caption["id"] for _, each in asked]
    with section("search"), spark_session("batch") as spark:
        ids, distances = search_by_spark(spark, version.opened, vectors, own, k)
    there = ids != b""
    questions, ranks = np.nonzero(there)
    found = ids[there].astype(str)
    with version.gallery() as gallery:
        captions = gallery.captions(np.unique(found).tolist())
    rows = [captions[id_] for id_ in found.tolist()]
    columns = {
        "query": [asked[number][0] for number in questions.tolist()],
        "rank": ranks + 1,
        **{name: [row[name] for row in rows] for name in ("id", "path", "label", "class_name")},
        "distance": distances[there],
    }
    return pa.table(columns, schema=SCHEMA)


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.batch", __doc__, *options.BATCH_OPTIONS)
    parser.add_argument("--run", default="manual", help="the folder under queries/")
    add_name(parser, "--index-version", "the index version", CURRENT, BUILT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        folder = answer_batch(
            DataRoot.from_env(),
            given.run,
            questions=given.questions,
            class_name=given.class_name,
            k=given.k,
            version=given.index_version,
        )
        return {"batch": str(folder)}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
