"""Find the look-alikes of pictures in the published index here and now, without Airflow and Spark.

A picture is a file, or the id, path or file name of one in the index.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.base import options
from jobs.base.atomic import staged_file
from jobs.base.command import add_name, add_option, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.drawing.montage import draw_montage
from jobs.drawing.table import table
from jobs.embedding.copies import copy_of, open_copy
from jobs.embedding.decoders import Decoders
from jobs.embedding.single import SingleEmbedder
from jobs.lsh.sketch import Floats
from jobs.search.answering import Found, OpenVersion, Stages
from jobs.search.lookup import look_up
from jobs.store.answers import Caption
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import BUILT, open_index


class Finder:
    """Answers for one version of the index, whose network is loaded for the first picture that needs it."""

    def __init__(self, root: DataRoot, version: OpenVersion, decoders: Decoders) -> None:
        self.root, self.version = root, version
        self._decoders = decoders
        self._embedder = SingleEmbedder(root, version.manifest["model"], decoders)
        self._pixels: NDArray[np.uint8] | None = None

    def find(self, picture: str, k: int, method: str, class_name: str | None = None) -> Found:
        """Raises LookalikeError if there is no such picture or class, or it can't be used."""
        stages, self._pixels = Stages(), None

        def embed(content: bytes) -> Floats:
            self._decoders.warm_up()  # while this process loads the network
            self._embedder.load()
            with stages("decode"):
                self._pixels = self._embedder.pixels(content)
            with stages("embed"):
                return self._embedder.forward(self._pixels[None])

        with self.version.gallery() as gallery:
            asked = look_up(self.version.opened, gallery, picture, self.root, seed=0, embed=embed)
        return self.version.find(asked, k, method, class_name, stages)

    def montage(self, found: Found) -> Image.Image:
        """The answer to the last picture, drawn. Raises LookalikeError if a copy can't be read."""
        answer = self.version.recorded(found)

        def picture_of(picture: Caption) -> Image.Image:
            if picture["id"] is None:
                assert self._pixels is not None  # it was embedded
                return Image.fromarray(self._pixels)
            file = copy_of(self.root, answer["model"], picture["id"], picture["path"])
            return open_copy(file, "delete it and run the DAG similarity_index")

        return draw_montage(answer, picture_of)


def numbered(file: Path, number: int) -> Path:
    """``out.png`` -> ``out.png`` for the first picture, then ``out-2.png``, ``out-3.png``."""
    return file if number == 1 else file.with_stem(f"{file.stem}-{number}")


def _check_montages(montage: Path, pictures: Sequence[str]) -> None:
    """Raises LookalikeError if a montage would be written over something that is none."""
    if montage.suffix.lower() != ".png":
        raise LookalikeError(f"{montage} does not end in .png, which a montage is: give another --montage.")
    asked = {Path(picture).resolve() for picture in pictures}
    for number in range(1, len(pictures) + 1):
        file = numbered(montage, number)
        if file.resolve() in asked:
            raise LookalikeError(f"{file} is a picture that you ask about: give another --montage.")
        if file.exists() and not file.is_file():
            raise LookalikeError(f"{file} is not a file that can be replaced: give another --montage.")


def _say(text: str) -> None:
    """Print at once. Raises LookalikeError if that can't be written."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever reads has read enough, as head does; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise LookalikeError(f"the answer can't be written ({error.strerror}): free some space.") from error


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.find", __doc__)
    parser.add_argument("pictures", nargs="+", metavar="picture", help="a file, an id, a path or a file name")
    add_option(parser, options.K)
    parser.add_argument("--method", choices=("sketch", "exact"), default="sketch", help=options.METHOD.help)
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="search this class alone")
    parser.add_argument("--json", action="store_true", help="print the API's answer, a line per picture")
    parser.add_argument("--montage", type=Path, metavar="FILE", help="draw the neighbours as a PNG")
    add_name(parser, "--index-version", "the index version", CURRENT, BUILT)

    def step(given: argparse.Namespace) -> None:
        root, failed = DataRoot.from_env(), 0
        if given.montage:
            _check_montages(given.montage, given.pictures)
        with Decoders() as decoders:
            finder = Finder(root, OpenVersion(open_index(root, given.index_version)), decoders)
            for number, picture in enumerate(given.pictures, start=1):
                try:
                    found = finder.find(picture, given.k, given.method, given.class_name)
                except LookalikeError as error:
                    if len(given.pictures) == 1:
                        raise
                    failed += 1
                    print(f"error: {error}", file=sys.stderr)
                    continue
                _say(
                    json.dumps(found, ensure_ascii=False)
                    if given.json
                    else "\n".join(table(finder.version.recorded(found)))
                )
                if given.montage:
                    file = numbered(given.montage, number)
                    drawn = finder.montage(found)
                    try:
                        with staged_file(file) as staging:
                            drawn.save(staging, "PNG")
                    except OSError as error:
                        raise LookalikeError(
                            f"{file} can't be written ({error.strerror}): give another --montage."
                        ) from error
                    print(f"montage   {file}", file=sys.stderr if given.json else sys.stdout)
        if failed:
            raise LookalikeError(f"{failed} of {len(given.pictures)} pictures have no answer: see above.")

    return run_step(parser, step, argv, log_to=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
