"""Decode a picture from standard input and keep a copy that a query may name."""

from __future__ import annotations

import argparse
import io
import resource
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from jobs.base.atomic import staged_file
from jobs.base.command import run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.intake.colour import to_srgb
from jobs.intake.decode import BadPictureError, open_picture, profile_of, to_rgb
from jobs.store.root import DataRoot

SIDE = 1_024
"""Larger pictures are made smaller, to about four times what the network sees."""
MEMORY, SECONDS = 3 << 30, 30


def keep_upload(content: bytes, root: DataRoot) -> Path:
    """Write ``content`` as an upright RGB JPEG of at most 1,024 pixels per side, under a new name.

    Nothing else of the file is kept: no name, no EXIF, no colour profile. Raises LookalikeError if the
    picture can't be used.
    """
    try:
        with open_picture(io.BytesIO(content)) as image:
            profile = profile_of(image)
            picture = to_rgb(image)
    except BadPictureError as error:
        raise LookalikeError(f"The picture can't be used: {error}.") from error
    picture.thumbnail((SIDE, SIDE))
    picture = to_srgb(picture, profile)
    target = root.uploads / f"uploaded-{uuid.uuid4().hex[:12]}.jpg"
    with staged_file(target) as staging:
        picture.save(staging, "JPEG", quality=92)
    return target


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.upload < picture", __doc__)

    def step(options: argparse.Namespace) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        print(keep_upload(sys.stdin.buffer.read(), DataRoot.from_env()))

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
