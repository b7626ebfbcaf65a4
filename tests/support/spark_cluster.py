"""A standalone Spark cluster on this machine: one master and its workers, each a JVM of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyspark

from cluster.init import configure_spark
from jobs.store.root import PROJECT

CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
DEPLOY = "org.apache.spark.deploy"


@dataclass
class Cluster:
    """Where the master listens, and its workers: each leads a process group with its executors."""

    master: str
    workers: list[subprocess.Popen[bytes]]

    def kill(self, worker: int) -> None:
        """SIGKILL a worker and all that it started."""
        os.killpg(self.workers[worker].pid, signal.SIGKILL)
        self.workers[worker].wait()


def secured(folder: Path, secret: str) -> Path:
    """Spark's settings as the containers have them, for processes of this machine."""
    configure_spark(folder, secret, "1g")
    with (folder / "spark-defaults.conf").open("a") as file:
        file.write("spark.driver.host 127.0.0.1\nspark.driver.memory 1g\nspark.eventLog.enabled false\n")
    return folder


@contextmanager
def standalone(
    workers: int, *, cores: int = 1, memory: str = "1g", conf: Path | None = None
) -> Iterator[Cluster]:
    """Start a master and ``workers`` of ``cores`` each on 127.0.0.1; all end with the block.

    ``conf`` is their SPARK_CONF_DIR.
    """
    with tempfile.TemporaryDirectory(prefix="spark-cluster-") as name, ExitStack() as ends:
        folder = Path(name)
        web = ["--host", "127.0.0.1", "--webui-port", "0"]
        _start(folder, "master", ["master.Master", *web, "--port", "0"], conf, ends)
        master = _wait_for(folder / "master.log", r"(spark://127\.0\.0\.1:\d+)")[0]
        started: list[subprocess.Popen[bytes]] = []
        for number in range(workers):
            size = ["--cores", str(cores), "--memory", memory, "--work-dir", str(folder / "work")]
            started.append(
                _start(folder, f"worker{number}", ["worker.Worker", *web, *size, master], conf, ends)
            )
        for number in range(workers):
            _wait_for(folder / f"worker{number}.log", "Successfully registered with master")
        yield Cluster(master, started)


def _start(
    folder: Path, name: str, arguments: list[str], conf: Path | None, ends: ExitStack
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_NO_DAEMONIZE": "1"}
    environment.pop("SPARK_CONF_DIR", None)
    if conf:
        environment["SPARK_CONF_DIR"] = str(conf)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(CLASS), f"{DEPLOY}.{arguments[0]}", *arguments[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    ends.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it was killed within the block
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for(log: Path, pattern: str, timeout_s: float = 60) -> list[str]:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if found := re.findall(pattern, log.read_text(encoding="utf-8", errors="replace")):
            return found
        time.sleep(0.1)
    raise TimeoutError(f"{pattern!r} did not appear within {timeout_s} s:\n{log.read_text(encoding='utf-8')}")
