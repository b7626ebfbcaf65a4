"""The containers of docker-compose.yaml, under a project name and a port of their own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.store.root import PROJECT
from scripts.airflow_api import AirflowApi

COMPOSE = str(PROJECT / "cluster" / "compose.sh")
INDEX, QUERY = "similarity_index", "similarity_query"
TOLD = Path(__file__).with_name("told.py").read_text(encoding="utf-8")


@dataclass
class Containers:
    """What tests do to them, and ask of them; ``environment`` overrules ``.env``."""

    environment: dict[str, str]
    airflow: AirflowApi

    def make(self, target: str) -> str:
        return self._run(["make", target])

    def compose(self, *arguments: str, stdin: str = "") -> str:
        return self._run([COMPOSE, *arguments], stdin)

    def _run(self, command: list[str], stdin: str = "") -> str:
        told = subprocess.run(
            command,
            cwd=PROJECT,
            env=os.environ | self.environment,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert told.returncode == 0, f"{command}:\n{told.stdout[-5000:]}"
        return told.stdout

    def shell(self, service: str, command: str) -> str:
        return self.compose("exec", "-T", service, "bash", "-c", command)

    def python(self, service: str, script: str) -> str:
        return self.compose("exec", "-T", service, "python", "-", stdin=script)

    def crash(self, service: str) -> None:
        """SIGKILL everything in one container of the service; Docker starts it anew."""
        container = self.containers(service)[0]
        subprocess.run(["docker", "exec", container, "bash", "-c", "kill -9 -1"], check=False)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def published(self) -> dict[str, Any]:
        """What ``told.py`` finds in the data root."""
        said = self.python("api-server", TOLD)
        told: dict[str, Any] = json.loads(said.splitlines()[-1])
        return told

    def forget(self) -> None:
        """Remove all that was made of pictures."""
        made = "resized embeddings vectors calibrations index queries catalog spark-events"
        self.shell("api-server", f"cd /data && rm -rf {made} && mkdir spark-events")

    def build(self, **params: Any) -> str:
        """Ask for an index of the test's pictures, embedded on the cluster; returns the run."""
        asked = {"source": "folder", "folder": "/pictures", "weights": "random", "engine": "spark"}
        return self.airflow.patiently(lambda: self.airflow.trigger(INDEX, **asked | params), "a run")

    def states(self, run: str, dag: str = INDEX) -> dict[str, str]:
        return self.airflow.patiently(lambda: self.airflow.tasks(dag, run), f"the tasks of {run}")

    def end(self, run: str, dag: str = INDEX) -> str:
        return self.airflow.end(dag, run, 1800)

    def seconds(self, run: str, dag: str = INDEX) -> dict[str, float]:
        """Task id -> how long it took."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances"
        told = self.airflow.request("GET", path)[1]["task_instances"]
        return {task["task_id"]: task["duration"] for task in told}
