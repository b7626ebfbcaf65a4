"""A standalone Spark master that is away for a while."""

from __future__ import annotations

import logging
import re
import socket
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from jobs.base.errors import UnreachableError

log = logging.getLogger(__name__)

PATIENCE_S = 600.0
EVERY_S = 10.0
LOST = re.compile(
    "All masters are unresponsive|Master removed our application|_taskScheduler|SparkContext was shut down"
)
"""What Spark says in its stack traces when it has given a master up, or the master has dropped a job."""


def wait_for_master(url: str) -> None:
    """Wait until a master of ``url`` (``spark://host:port,host:port``) accepts connections.

    Spark itself gives up after a minute, with a stack trace that doesn't say so. Other kinds of URLs are not
    looked at. Raises UnreachableError after ``PATIENCE_S`` seconds.
    """
    if not url.startswith("spark://"):
        return
    retrying = Retrying(
        retry=retry_if_exception_type(OSError),
        wait=wait_fixed(EVERY_S),
        stop=stop_after_delay(PATIENCE_S),
        before_sleep=lambda state: log.info(
            f"the Spark master at {url} can't be reached ({_reason(state)}): waiting for it"
        ),
        retry_error_callback=lambda state: _give_up(url, state),
    )
    retrying(_connect, url)


def unreachable(url: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"the Spark master at {url} can't be reached ({reason}): start it, or check the network and the "
        "Airflow connection to Spark; what is done so far is kept."
    )


def _connect(url: str) -> None:
    """Raises OSError if none of the masters accepts a connection."""
    failed = OSError("it has no address")
    for address in url.removeprefix("spark://").split(","):
        parts = urlsplit(f"//{address}")
        try:
            socket.create_connection((parts.hostname or "", parts.port or 7077), timeout=EVERY_S).close()
        except OSError as error:
            failed = error
        else:
            return
    raise failed


def _reason(state: RetryCallState) -> str:
    assert state.outcome
    error = state.outcome.exception()
    return str(getattr(error, "strerror", None) or error)


def _give_up(url: str, state: RetryCallState) -> None:
    raise unreachable(url, _reason(state))
