"""Start Airflow with its UI on this machine only and print how to log in: make airflow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.store.root import DataRoot, the_only_airflow
from scripts.airflow_api import DIRECTLY
from scripts.warm_search import warm_search

HOST, PORT = "127.0.0.1", os.environ.get("AIRFLOW__API__PORT", "8080")
ADDRESS = f"http://{HOST}:{PORT}"
PATIENCE_S = 180


def main() -> int:
    # Airflow writes the password to a file, which no other user of the machine may read.
    os.umask(0o077)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if _is_up():
            raise LookalikeError(f"something is already running on {ADDRESS}: stop it first.")
        with the_only_airflow(DataRoot.from_env()) as lock:
            return _serve(Path(os.environ["AIRFLOW_HOME"]), DataRoot.from_env().inbox, lock)
    except LookalikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _serve(home: Path, inbox: Path, lock: int) -> int:
    """Run Airflow until it ends or is stopped; it holds ``lock`` even if this process is killed."""
    for folder in (home, inbox):
        folder.mkdir(parents=True, exist_ok=True)
    log = home / "standalone.log"
    # Standalone starts its parts as "airflow ...". Where pip puts that, it fails if its path has quotes.
    command = home / "bin" / "airflow"
    command.parent.mkdir(exist_ok=True)
    command.write_text('#!/bin/sh\nexec "$LOOKALIKE_PYTHON" -m airflow "$@"\n')
    command.chmod(0o700)
    past_proxy = ",".join([*filter(None, map(os.environ.get, ("no_proxy", "NO_PROXY"))), HOST, "localhost"])
    environment = {
        **os.environ,
        # What forms may name, beside the data root and the inbox.
        "LOOKALIKE_ROOTS": os.environ.get("LOOKALIKE_ROOTS", str(Path.home())),
        # Tasks report to the server on this machine, which no proxy reaches.
        "no_proxy": past_proxy,
        "NO_PROXY": past_proxy,
        "LOOKALIKE_PYTHON": sys.executable,
        "PATH": os.pathsep.join([str(command.parent), os.environ.get("PATH", "")]),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": PORT,
        "AIRFLOW__API__BASE_URL": ADDRESS,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{ADDRESS}/execution/",
        # The server handles forty requests at once; with the default of 15 connections to the
        # database, fifty people on Airflow's own list of DAGs block it.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "50",
    }
    print(f"Starting Airflow (its log: {log}) ...", flush=True)
    with (
        log.open("w", encoding="utf-8") as file,
        warm_search(home / "search.log", environment) as told,
    ):
        # In a session of its own, so that Ctrl-C reaches it once, from here.
        airflow = subprocess.Popen(
            [command, "standalone"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environment, **told},
            start_new_session=True,
            pass_fds=(lock,),
        )
        try:
            if not _wait(airflow):
                raise LookalikeError(f"Airflow did not start: see {log}.")
            passwords = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())
            print(f"\n  address   {ADDRESS}/dags/similarity_index\n  user      admin")
            print(f"  password  {passwords['admin']}")
            print(f"\nPictures that land in {inbox} are indexed automatically.\nCtrl-C stops it.", flush=True)
            return airflow.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(airflow)


def _stop(airflow: subprocess.Popen[bytes]) -> None:
    """Standalone stops its four parts on SIGINT; processes that outlive it are stopped as a group."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        airflow.send_signal(signal.SIGINT)
        airflow.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(airflow.pid, signal.SIGTERM)
    # The server may outlive standalone by seconds and block the port for the next one.
    until = time.monotonic() + 20
    while _is_taken() and time.monotonic() < until:
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(airflow.pid, signal.SIGKILL)
    airflow.wait()


def _is_taken() -> bool:
    """Whether something listens on the address, even if it can't answer."""
    with socket.socket() as port:
        return port.connect_ex((HOST, int(PORT))) == 0


def _wait(airflow: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and airflow.poll() is None:
        if _is_up():
            return True
        time.sleep(1)
    return False


def _is_up() -> bool:
    try:
        with DIRECTLY.open(f"{ADDRESS}/api/v2/monitor/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


if __name__ == "__main__":
    raise SystemExit(main())
