"""Run a DAG through Airflow's own task runner, without scheduler or web server, and follow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.store.root import DataRoot

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
SPARK_HOOK = "airflow.task.hooks.airflow.providers.apache.spark"


@dataclass
class DagRun:
    """What became of a run."""

    run_id: str = ""
    succeeded: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    """Task id -> seconds, in the order in which the tasks ran."""

    @property
    def answer(self) -> Path:
        """The folder under ``queries/`` that the run's query wrote to."""
        return DataRoot.from_env().query_folder(self.run_id)


def run_dag(dag_id: str, conf: dict[str, Any], home: Path, show: Callable[[str], None]) -> DagRun:
    """Run ``dag_id`` with the params ``conf``; keep the whole log in ``home/run.log``, ``show`` what matters.

    ``home`` becomes Airflow's, with a metadata database of its own: a scheduler that looked
    into the same one would run the tasks too.
    """
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__LOGGING__JSON_LOGS": "True"}
    run = DagRun()
    started: dict[str, datetime] = {}
    with (home / "run.log").open("w", encoding="utf-8") as file:
        migrate = [AIRFLOW, "db", "migrate"]
        subprocess.run(migrate, stdout=file, stderr=subprocess.STDOUT, env=environment, check=True)
        with subprocess.Popen(
            [AIRFLOW, "dags", "test", dag_id, "--conf", json.dumps(conf)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if told := _told(line):
                    _follow(told, run, started)
                    if shown := _shown(told):
                        show(shown)
    run.succeeded = process.returncode == 0
    return run


def _told(line: str) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except json.JSONDecodeError:
        return None
    return told if isinstance(told, dict) and "event" in told else None


def _follow(told: dict[str, Any], run: DagRun, started: dict[str, datetime]) -> None:
    event = str(told["event"])
    if event.startswith("[DAG TEST] starting task_id="):
        started[_task(event)] = datetime.fromisoformat(told["timestamp"])
    elif event.startswith("[DAG TEST] end task"):
        ended = datetime.fromisoformat(told["timestamp"])
        run.seconds[_task(event)] = (ended - started[_task(event)]).total_seconds()
    elif event.startswith("DagRun Finished"):
        run.run_id = event.split("run_id=")[1].split(",")[0]


def _task(event: str) -> str:
    return event.split("task_id=")[1].split()[0]


def _shown(told: dict[str, Any]) -> str | None:
    """What of an event a person wants to see: the tasks, and what the steps themselves say."""
    event, logger = str(told["event"]), str(told.get("logger", ""))
    if event.startswith("[DAG TEST] starting task_id="):
        return f"\n{_task(event)}"
    if event.startswith(("::", "Spark-Submit cmd", "WARNING: Using incubator modules")):
        return None
    if logger.startswith(("jobs.", SPARK_HOOK)):
        return f"  {event}"
    if told.get("level") in ("error", "critical"):
        details = told.get("exception")
        if isinstance(details, list) and details:
            return f"  {details[-1].get('exc_type')}: {str(details[-1].get('exc_value')).splitlines()[0]}"
        return f"  {event}"
    return None
