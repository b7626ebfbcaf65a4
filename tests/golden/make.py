"""Make tests/golden/current again: python -m tests.golden.make.

A whole data root, small: 230 drawn pictures through every step, embedded by the toy backbone. It is made
again when a format gets another number; the test beside it says which names that changes.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.base.options import INDEX_OPTIONS
from jobs.calibrate import calibrate_vectors
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.model import Model
from jobs.embedding.weights import Weights
from jobs.gallery import lay_out_gallery
from jobs.index import LshParams, build_index
from jobs.intake.folder import folder
from jobs.montage import draw_montage
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.query import answer
from jobs.report import write_report
from jobs.spark.session import spark_session
from jobs.store.root import DataRoot
from jobs.vectors import assemble_vectors
from tests.support.toy import TOY

CURRENT = Path(__file__).parent / "current"
PICTURES, CLASSES = 230, 5
RUN = "golden"
MODEL = Model(TOY, Weights("random", None, "0" * 64))
"""Of weights that no version of PyTorch changes the name of."""


def draw_pictures(folder: Path) -> None:
    """A colour per class, and a little noise: ``<class>/<number>.png``; one of them is broken."""
    generator = np.random.default_rng(0)
    colours = generator.integers(40, 216, (CLASSES, 3))
    for number in range(PICTURES):
        noise = generator.integers(-40, 40, (6, 8, 3))
        pixels = np.clip(colours[number % CLASSES] + noise, 0, 255).astype(np.uint8)
        file = folder / f"class {number % CLASSES}" / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((24, 18), Image.Resampling.BICUBIC).save(file)
    (folder / "class 0" / "broken.png").write_bytes(b"no picture")


def make(target: Path) -> None:
    # The catalog holds absolute paths: always the same ones.
    home = Path(tempfile.gettempdir(), "lookalike-golden")
    shutil.rmtree(home, ignore_errors=True)
    draw_pictures(home / "pictures")
    root = DataRoot(home / "data")
    with spark_session("golden"):
        catalog, _ = build_catalog(folder(home / "pictures"), root)
        embedded = embed_catalog(root, MODEL, catalog=catalog)
        vectors = assemble_vectors(root, embedded["fingerprint"], catalog=embedded["catalog"])
        calibration = calibrate_vectors(root, vectors=vectors.name)
        index = build_index(root, LshParams(), vectors=vectors.name, calibration=calibration.name)
        store_neighbours(root, index.version)
        lay_out_gallery(root, index.version)
        write_report(root, index.version)
        publish(
            root,
            index.version,
            run=RUN,
            settings={"params": {option.name: option.default for option in INDEX_OPTIONS}},
        )
        draw_montage(root, answer(root, RUN, overlap=True))
    shutil.rmtree(root.embeddings / embedded["fingerprint"] / "openvino")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root.root, target)
    shutil.rmtree(home)
    print(embedded["fingerprint"], vectors.name, calibration.name, index.version)


if __name__ == "__main__":
    make(CURRENT)
