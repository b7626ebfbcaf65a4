"""Fetch one file over HTTP: resumed, retried, limited in size, hash-checked, put in place in one step."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from jobs.base.errors import LookalikeError, UnreachableError
from jobs.base.logs import Progress

log = logging.getLogger(__name__)

RETRY_BASE_S = 2.0
"""The longest wait before the first retry; it doubles from retry to retry."""
RETRY_MAX_S = 20.0
CHUNK_BYTES = 1 << 16
MB = 1_000_000


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    max_bytes: int,
    timeout_s: float = 15,
    patience_s: float = 60,
) -> Path:
    """Fetch ``url`` to ``target`` unless a file with this ``sha256`` (hex) is there already.

    An interrupted download stays in ``<target>.part``; a later call resumes it. Only one
    call at a time may fetch a target. ``timeout_s`` bounds each wait for the server;
    retries end once the file has not grown for ``patience_s`` seconds.

    Raises UnreachableError if the server can't be reached or keeps failing,
    LookalikeError if it refuses the file, or the file is wrong or larger than ``max_bytes``.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return target
    host, file = urlsplit(url).hostname, PurePosixPath(urlsplit(url).path).name
    remedy = f"check the network, or put the file at {target}."
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for attempt in retrying(f"{file} from {host}", part, patience_s):
            with attempt:
                _fetch(url, part, max_bytes, (min(timeout_s, patience_s), timeout_s))
    except requests.RequestException as error:
        if is_transient(error):
            raise UnreachableError(
                f"{host} cannot be reached for {file} ({reason(error)}): {remedy}"
            ) from error
        raise LookalikeError(f"{host} refuses {file} ({reason(error)}): put the file at {target}.") from error
    except OSError as error:
        raise LookalikeError(
            f"{part} cannot be written ({error.strerror}): check the disk and who may write there."
        ) from error
    if (actual := file_sha256(part)) != sha256:
        part.unlink()
        if resumed:  # the part may belong to another file: start over
            return download(
                url,
                target,
                sha256=sha256,
                max_bytes=max_bytes,
                timeout_s=timeout_s,
                patience_s=patience_s,
            )
        raise LookalikeError(
            f"{host} sent {file} with sha256 {actual} instead of {sha256}: "
            f"get the right file elsewhere and put it at {target}."
        )
    os.replace(part, target)
    return target


def retrying(what: str, partial: Path, patience_s: float) -> Retrying:
    """Retry, with back-off, until ``partial`` has not grown for ``patience_s`` seconds."""
    largest, since = _size(partial), time.monotonic()

    def stalled(state: RetryCallState) -> bool:
        nonlocal largest, since
        if (size := _size(partial)) > largest:
            largest, since = size, time.monotonic()
        return time.monotonic() - since + state.upcoming_sleep > patience_s

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.info(f"{what}: {reason(error)}, retrying in {state.upcoming_sleep:.1f} s")

    return Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random_exponential(multiplier=RETRY_BASE_S, max=RETRY_MAX_S),
        stop=stalled,
        before_sleep=say,
        reraise=True,
    )


def is_transient(error: BaseException) -> bool:
    """Whether retrying the request may help."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code == 429 or error.response.status_code >= 500
    cut_off = requests.exceptions.ChunkedEncodingError
    return isinstance(error, requests.ConnectionError | requests.Timeout | cut_off)


def reason(error: BaseException | None) -> str:
    """Name ``error`` without its text, which may quote a signed URL."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    return type(error).__name__


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(url: str, part: Path, max_bytes: int, timeout: tuple[float, float]) -> None:
    """Append to ``part`` what it lacks, in one request."""
    offset = _size(part)
    # If the answer were compressed, ranges and lengths would count compressed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        partial = response.status_code == 206
        ranged = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if offset and (response.status_code == 416 or (partial and not ranged)):
            part.unlink()
            return _fetch(url, part, max_bytes, timeout)
        response.raise_for_status()
        size = offset if partial else 0
        length = response.headers.get("Content-Length", "")
        total = size + int(length) if length.isdigit() else None
        _refuse_over(max_bytes, total or 0, part)
        progress = Progress(((total or max_bytes) - size) // MB, "MB", log)
        with part.open("ab" if size else "wb") as file:
            received = 0
            for chunk in response.iter_content(CHUNK_BYTES):
                received += len(chunk)
                _refuse_over(max_bytes, size + received, part)
                file.write(chunk)
                if grown := received // MB - progress.done:
                    progress.advance(grown)
        if progress.done:
            progress.finish()


def _refuse_over(max_bytes: int, size: int, part: Path) -> None:
    if size > max_bytes:
        part.unlink(missing_ok=True)
        raise LookalikeError(
            f"{part.name.removesuffix('.part')} is larger than the {max_bytes:,} bytes allowed: "
            "check the address it comes from."
        )
