"""What make airflow starts, on ports of its own, and what tests and benchmarks ask of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from jobs.paths import PROJECT

T = TypeVar("T")


def until(found: Callable[[], T], seconds: float, what: str) -> T:
    """Ask every second until ``found`` is true; fail after a time that only something broken takes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


@dataclass
class Server:
    """An Airflow that runs; ``request`` and what is built on it are asked as ``user``."""

    base: str
    address: str
    user: str
    password: str
    log: Path
    token: str = ""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def log_in(self) -> None:
        login = {"username": self.user, "password": self.password}
        self.token = self.request("POST", "/auth/token", login)[1]["access_token"]

    def dags(self) -> dict[str, bool]:
        """Id -> whether it is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self.request("GET", "/api/v2/dags")[1]["dags"]}

    def trigger(self, dag: str, **conf: Any) -> str:
        body = {"logical_date": None, "conf": conf}
        status, told = self.request("POST", f"/api/v2/dags/{dag}/dagRuns", body)
        assert status == 200, status
        run: str = told["dag_run_id"]
        return run

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the earliest first."""
        told = self.request("GET", f"/api/v2/dags/{dag}/dagRuns?order_by=run_after")[1]
        runs: list[dict[str, Any]] = told["dag_runs"]
        return runs

    def tasks(self, dag: str, run: str) -> dict[str, str]:
        """Task id -> state."""
        told = self.request("GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances")[1]
        return {task["task_id"]: task["state"] for task in told["task_instances"]}

    def finish(self, dag: str, run: str, seconds: float = 600) -> None:
        """Wait until the run has succeeded."""

        def ended() -> str:
            state: str = next(one["state"] for one in self.runs(dag) if one["dag_run_id"] == run)
            return state if state in ("success", "failed") else ""

        assert until(ended, seconds, f"{dag} {run}") == "success", self.tasks(dag, run)


@contextmanager
def running_airflow(home: Path, **environment: str) -> Iterator[Server]:
    """Start it with ``home`` as Airflow's folder, logged in; stop it and see its port free again."""
    with ExitStack() as taken:
        ports = [taken.enter_context(socket.socket()) for _ in range(3)]
        for port in ports:
            port.bind(("127.0.0.1", 0))
        ui, logs, triggers = (str(port.getsockname()[1]) for port in ports)
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.airflow_ui"],
        cwd=PROJECT,
        env=os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__PORT": ui,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": logs,
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": triggers,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # As make calls it: the virtual environment is not on the path.
            "PATH": os.defpath,
            "PYTHONUNBUFFERED": "1",
        }
        | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    log = home / "standalone.log"
    try:
        assert process.stdout is not None
        said: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if len(words) == 2:
                said[words[0]] = words[1]
            if "password" in said:
                break
        assert said.keys() == {"address", "user", "password"}, log.read_text()[-3000:]
        server = Server(f"http://127.0.0.1:{ui}", **said, log=log)
        server.log_in()
        # The DAG files are read a moment after the server is up.
        until(lambda: len(server.dags()) == 2, 90, "the DAGs")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", int(ui))) != 0
