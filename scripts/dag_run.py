"""Run a DAG with Airflow's own task runner, without scheduler or web server, and follow it."""

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

from jobs.store.root import DataRoot, the_only_airflow

AIRFLOW = (sys.executable, "-m", "airflow")
SPARK_HOOK = "airflow.task.hooks.airflow.providers.apache.spark"
NOISE = ("::", "Spark-Submit cmd", "WARNING: Using incubator modules")
"""Beginnings of lines that need no action: Spark without a native BLAS computes in Java."""


@dataclass
class DagRun:
    """The outcome of a run."""

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

    ``home`` becomes Airflow's home, with a metadata database of its own: a scheduler with the
    same database would run the tasks, too.

    Raises LookalikeError if another Airflow works on the same data root.
    """
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__LOGGING__JSON_LOGS": "True"}
    run = DagRun()
    started: dict[str, datetime] = {}
    with (
        the_only_airflow(DataRoot.from_env()) as lock,
        (home / "run.log").open("w", encoding="utf-8") as file,
    ):
        migrate = [*AIRFLOW, "db", "migrate"]
        subprocess.run(migrate, stdout=file, stderr=subprocess.STDOUT, env=environment, check=True)
        with subprocess.Popen(
            [*AIRFLOW, "dags", "test", dag_id, "--conf", json.dumps(conf)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            pass_fds=(lock,),
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if record := _log_record(line):
                    _follow(record, run, started)
                    if shown := _shown(record):
                        show(shown)
    run.succeeded = process.returncode == 0
    return run


def _log_record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "event" in record else None


def _follow(record: dict[str, Any], run: DagRun, started: dict[str, datetime]) -> None:
    event = str(record["event"])
    if event.startswith("[DAG TEST] starting task_id="):
        started[_task(event)] = datetime.fromisoformat(record["timestamp"])
    elif event.startswith("[DAG TEST] end task"):
        ended = datetime.fromisoformat(record["timestamp"])
        run.seconds[_task(event)] = (ended - started[_task(event)]).total_seconds()
    elif event.startswith("DagRun Finished"):
        run.run_id = event.split("run_id=")[1].split(",")[0]


def _task(event: str) -> str:
    return event.split("task_id=")[1].split()[0]


def _shown(record: dict[str, Any]) -> str | None:
    """The part of a log record that a person wants to see: tasks, the steps' own lines, and errors."""
    event, logger = str(record["event"]), str(record.get("logger", ""))
    if event.startswith("[DAG TEST] starting task_id="):
        return f"\n{_task(event)}"
    if event.startswith(NOISE):
        return None
    if logger.startswith(("jobs.", SPARK_HOOK)):
        return f"  {event}"
    if record.get("level") in ("error", "critical"):
        details = record.get("exception")
        if isinstance(details, list) and details:
            return f"  {details[-1].get('exc_type')}: {str(details[-1].get('exc_value')).splitlines()[0]}"
        return f"  {event}"
    return None
