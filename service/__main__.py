"""Answer questions about the published index: the warm search that Airflow's pages and API ask."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from threading import Thread

import uvicorn

from jobs.base.command import run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.machine import cores
from jobs.store.root import DataRoot
from service.app import make_app

SECRET = "LOOKALIKE_SEARCH_SECRET"  # noqa: S105 - its name
SHORTEST = 16
DRAIN_S = 20
"""How long requests that are being answered may take after SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m service", __doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8090, help="the port to listen on")
    parser.add_argument("--threads", type=int, default=cores(), help="questions that are worked on at once")
    parser.add_argument(
        "--fd", type=int, help="a socket that listens already, instead of host and port; ends with its parent"
    )

    def step(given: argparse.Namespace) -> None:
        secret = os.environ.get(SECRET, "")
        if len(secret) < SHORTEST:
            raise LookalikeError(
                f"{SECRET} is not set to {SHORTEST} letters or more: set it, in Airflow as well."
            )
        if given.fd is not None:
            Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        listening = socket.socket(fileno=given.fd) if given.fd is not None else _bound(given.host, given.port)
        config = uvicorn.Config(
            make_app(DataRoot.from_env(), secret, max(1, given.threads)),
            log_level="warning",
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=64_000,
            # Longer than the door keeps a connection, so that none closes as a question is sent.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S,
        )
        with listening:
            uvicorn.Server(config).run(sockets=[listening])

    return run_step(parser, step, argv)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise LookalikeError(
            f"{host}:{port} can't be listened on ({error.strerror}): give another --port."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
