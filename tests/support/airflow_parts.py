"""Airflow's parts as processes of their own, each started again when it ends, as containers are."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from jobs.store.root import PROJECT
from scripts.airflow_api import AirflowApi, until
from scripts.dag_run import AIRFLOW
from tests.support.airflow_server import free_ports
from tests.support.dags import TASKS

NAMES = ("api-server", "scheduler", "dag-processor")


@dataclass
class Parts:
    """The processes that run now, by name."""

    home: Path
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    over: bool = False

    def keep(self, name: str) -> None:
        """Run ``airflow <name>`` until all is over."""
        with (self.home / f"{name}.log").open("ab") as log:
            while not self.over:
                process = self.running[name] = subprocess.Popen(
                    [*AIRFLOW, name], cwd=PROJECT, env=self.environment, stdout=log, stderr=log
                )
                process.wait()
                time.sleep(1)

    def kill(self, name: str) -> None:
        """SIGKILL it and all that it started."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.running[name].pid)
            for process in (*parent.children(recursive=True), parent):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)


@contextmanager
def parts(home: Path, database: str, **environment: str) -> Iterator[tuple[AirflowApi, Parts]]:
    """Start them on ``database``, logged in; all end with the block."""
    home.mkdir()
    password = secrets.token_urlsafe()
    (home / "passwords.json").write_text(json.dumps({"admin": password}), encoding="utf-8")
    ui, logs = free_ports(2)
    base = f"http://127.0.0.1:{ui}"
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        # A scheduler that was silent for so long is dead, and its tasks are taken up again.
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": ui,
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(48),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(66),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": logs,
    }
    kept = Parts(home, os.environ | settings | environment)
    migrate = [*AIRFLOW, "db", "migrate"]
    subprocess.run(migrate, env=kept.environment, check=True, capture_output=True, cwd=PROJECT)
    threads = [threading.Thread(target=kept.keep, args=(name,), daemon=True) for name in NAMES]
    for thread in threads:
        thread.start()
    airflow = AirflowApi(base=base, user="admin", password=password)
    try:
        airflow.patiently(airflow.log_in, "the login")
        until(lambda: len(airflow.dags()) == len(TASKS), 180, "the DAGs")
        yield airflow, kept
    finally:
        kept.over = True
        for name in NAMES:
            kept.kill(name)
        for thread in threads:
            thread.join(60)
