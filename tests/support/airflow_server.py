"""What make airflow starts, on ports of its own, for tests and benchmarks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.store.root import PROJECT
from scripts.airflow_api import AirflowApi, until
from tests.support.dags import TASKS


@dataclass(kw_only=True)
class Server(AirflowApi):
    """One that this process started: the address that was printed, and its log."""

    address: str
    log: Path


def free_ports(count: int) -> list[str]:
    """Free ports of 127.0.0.1."""
    with ExitStack() as taken:
        ports = [taken.enter_context(socket.socket()) for _ in range(count)]
        for port in ports:
            port.bind(("127.0.0.1", 0))
        return [str(port.getsockname()[1]) for port in ports]


@contextmanager
def running_airflow(home: Path, **environment: str) -> Iterator[Server]:
    """Start it with ``home`` as Airflow's folder, logged in; stop it and see its port free again."""
    ui, logs, triggers = free_ports(3)
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
        login: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if len(words) == 2:
                login[words[0]] = words[1]
            if "password" in login:
                break
        assert login.keys() == {"address", "user", "password"}, log.read_text()[-3000:]
        server = Server(base=f"http://127.0.0.1:{ui}", **login, log=log)
        server.log_in()
        # The DAG files are read a moment after the server is up.
        until(lambda: len(server.dags()) == len(TASKS), 90, "the DAGs")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", int(ui))) != 0
