"""A client for the API of a running Airflow."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")

# Whatever proxy the environment names, it can't reach an Airflow on this machine.
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(check: Callable[[], T], seconds: float, what: str) -> T:
    """Call ``check`` every second until its result is true, and return that; fail after ``seconds``.

    A request that a busy machine did not answer in time is made again.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(TimeoutError):
            if answer := check():
                return answer
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


@dataclass(kw_only=True)
class AirflowApi:
    """An Airflow that runs at ``base``; requests are made as ``user``."""

    base: str
    user: str
    password: str
    token: str = ""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with DIRECTLY.open(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def patiently(self, ask: Callable[[], T], what: str, seconds: float = 180) -> T:
        """Repeat ``ask`` until Airflow answers: it may still be starting."""

        def answer() -> list[T]:
            try:
                return [ask()]
            except (OSError, TypeError):  # not listening yet, or an error instead of an answer
                return []

        return until(answer, seconds, what)[0]

    def log_in(self) -> None:
        login = {"username": self.user, "password": self.password}
        self.token = self.request("POST", "/auth/token", login)[1]["access_token"]

    def dags(self) -> dict[str, bool]:
        """Id -> whether it is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self.request("GET", "/api/v2/dags")[1]["dags"]}

    def trigger(self, dag: str, **conf: Any) -> str:
        body = {"logical_date": None, "conf": conf}
        status, answer = self.request("POST", f"/api/v2/dags/{dag}/dagRuns", body)
        assert status == 200, status
        run: str = answer["dag_run_id"]
        return run

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the earliest first."""
        answer = self.request("GET", f"/api/v2/dags/{dag}/dagRuns?order_by=run_after")[1]
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def tasks(self, dag: str, run: str) -> dict[str, str]:
        """Task id -> state."""
        answer = self.request("GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances")[1]
        return {task["task_id"]: task["state"] for task in answer["task_instances"]}

    def state(self, dag: str, run: str) -> str:
        state: str = self.request("GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run)}")[1]["state"]
        return state

    def end(self, dag: str, run: str, seconds: float = 600) -> str:
        """Wait for the run's end, ``success`` or ``failed``, through restarts of Airflow."""

        def ended() -> str:
            state = self.patiently(lambda: self.state(dag, run), run)
            return state if state in ("success", "failed") else ""

        return until(ended, seconds, f"{dag} {run}")

    def finish(self, dag: str, run: str, seconds: float = 600) -> None:
        """Wait until the run has succeeded."""
        assert self.end(dag, run, seconds) == "success", self.tasks(dag, run)
