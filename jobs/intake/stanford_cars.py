"""Stanford Cars (Krause et al., 2013): the pictures from Kaggle, the label CSV from GitHub."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from jobs.base.download import MB, download, is_transient, reason, retrying
from jobs.base.errors import LookalikeError, UnreachableError
from jobs.base.logs import Progress
from jobs.intake.archive import require_space, unpack_zip
from jobs.intake.kaggle_layout import TRAIN_LABELS, missing_part, read_layout
from jobs.intake.source import Source
from jobs.store.reading import is_whole
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)

DIRECTORY_VARIABLE = "LOOKALIKE_CARS_DIR"
DATASET = "jessicali9530/stanford-cars-dataset"
"""16,185 pictures in an archive of 2 GB; the limits below are twice that."""
MAX_BYTES = 4_000_000_000
MAX_MEMBERS = 32_000
LABELS_URL = (
    "https://raw.githubusercontent.com/BotechEngineering/StanfordCarsDatasetCSV/"
    "d73e94e4b74ae31b57861983669fb7294118aea7/cardatasettrain.csv"
)
LABELS_SHA256 = "a4f752addd064f13e3d66276bdc6985591173da7c9a5846e0fba13cf68ea779d"
LABELS_BYTES = 267_849
TIMEOUT_S = 15.0
PATIENCE_S = 60.0
WATCH_EVERY_S = 1.0
BY_HAND = (
    f"download {DATASET} yourself, unpack it, and set {DIRECTORY_VARIABLE} to that folder; "
    f"the labels {TRAIN_LABELS} belong in it."
)


def stanford_cars(root: DataRoot, *, with_test: bool) -> Source:
    """Return the folder named by ``LOOKALIKE_CARS_DIR``, else Kaggle's edition, downloaded once.

    The folder's own ``cardatasettrain.csv`` is used if it has one.

    Raises UnreachableError if Kaggle or GitHub can't be reached, LookalikeError if
    they refuse, the folder has another layout, or the disk is too small.
    """
    folder = root.sources / "stanford_cars"
    if named := os.environ.get(DIRECTORY_VARIABLE):
        directory = Path(named).expanduser().absolute()
        if not directory.is_dir():
            raise LookalikeError(
                f"{DIRECTORY_VARIABLE} names {directory}, which is not a folder: "
                "give the one that holds cars_train, or unset it."
            )
    else:
        directory = folder / "kaggle"
        if not is_whole(directory, lambda: _check_layout(directory)):
            archive = folder / "archive.zip"
            _download_archive(archive)
            try:
                unpack_zip(
                    archive, directory, max_members=MAX_MEMBERS, max_bytes=MAX_BYTES, check=_check_layout
                )
            except LookalikeError:
                archive.unlink()  # else the next run would take it for complete
                raise
            archive.unlink()
    labels = directory / TRAIN_LABELS
    if not labels.is_file():
        labels = download(LABELS_URL, folder / TRAIN_LABELS, sha256=LABELS_SHA256, max_bytes=LABELS_BYTES)
    return read_layout("stanford_cars", directory, labels, with_test)


def _check_layout(unpacked: Path) -> None:
    if missing := missing_part(unpacked, with_test=True):
        raise LookalikeError(f"{DATASET} lacks {missing} as it was downloaded: {BY_HAND}")


class WrongHashError(requests.exceptions.ChunkedEncodingError):
    """The download is not what Kaggle announced; it is deleted and downloaded again."""


class _TimedAdapter(HTTPAdapter):
    """Adds a timeout: Kaggle's client waits for a silent server without limit."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(*args, **kwargs | {"timeout": TIMEOUT_S})


def _download_archive(archive: Path) -> None:
    # ``from None``: the text of requests' errors, which a traceback shows, quotes signed URLs.
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        for attempt in retrying(f"{DATASET} from Kaggle", archive, PATIENCE_S):
            with attempt:
                _fetch_archive(archive)
    except requests.RequestException as error:
        if is_transient(error):
            raise UnreachableError(
                f"Kaggle cannot be reached ({reason(error)}): check the network, or {BY_HAND}"
            ) from None
        raise LookalikeError(
            f"Kaggle refuses {DATASET} ({reason(error)}): set KAGGLE_API_TOKEN, or {BY_HAND}"
        ) from None
    except ValueError as error:
        raise LookalikeError(
            f"Kaggle's answer or your Kaggle credentials cannot be read ({error}): "
            f"repair ~/.kaggle, or {BY_HAND}"
        ) from None
    except OSError as error:
        raise LookalikeError(
            f"{archive} cannot be written ({error.strerror}): check the disk and who may write there."
        ) from error


def _fetch_archive(archive: Path) -> None:
    """Download the rest of ``archive``, in one attempt; kagglehub resumes it and checks its hash."""
    # Imported late: it takes a second and sets up a logger of its own.
    from kagglehub.clients import build_kaggle_client, download_file
    from kagglehub.exceptions import DataCorruptionError, handle_call
    from kagglehub.handle import parse_dataset_handle
    from kagglesdk.datasets.types import dataset_api_service as messages

    handle = parse_dataset_handle(DATASET)
    lookup = messages.ApiGetDatasetRequest()
    wanted = messages.ApiDownloadDatasetRequest()
    lookup.owner_slug = wanted.owner_slug = handle.owner
    lookup.dataset_slug = wanted.dataset_slug = handle.dataset
    with build_kaggle_client() as client:
        for scheme in ("https://", "http://"):
            client.http_client()._session.mount(scheme, _TimedAdapter())
        kaggle = client.datasets.dataset_api_client
        version = handle_call(lambda: kaggle.get_dataset(lookup), handle).current_version_number
        wanted.dataset_version_number = version
        with handle_call(lambda: kaggle.download_dataset(wanted), handle) as response:
            size = int(response.headers.get("Content-Length", 0))
            if not 0 < size <= MAX_BYTES:
                raise LookalikeError(
                    f"Kaggle announces {size:,} bytes for {DATASET}, instead of 1 to {MAX_BYTES:,}: {BY_HAND}"
                )
            # JPEGs don't shrink: unpacked they take as much again.
            lacking = 2 * size - (archive.stat().st_size if archive.exists() else 0)
            require_space(archive.parent, lacking, DATASET)
            log.info(f"{DATASET}, version {version}: {size / MB:,.0f} MB")
            try:
                with _progress(archive, size):
                    download_file(response, str(archive), handle)
            except DataCorruptionError:
                raise WrongHashError("the archive's hash is wrong") from None
    if archive.stat().st_size != size:
        archive.unlink()
        raise WrongHashError("the archive's size is wrong")


@contextmanager
def _progress(file: Path, size: int) -> Iterator[None]:
    """Log how ``file`` grows to ``size`` bytes, instead of kagglehub's progress bar on stderr."""

    def grown() -> int:
        return file.stat().st_size // MB if file.exists() else 0

    start = grown()
    progress = Progress(size // MB - start, "MB", log)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_EVERY_S):
            if (more := grown() - start - progress.done) > 0:
                progress.advance(more)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        done.set()
        watcher.join()
