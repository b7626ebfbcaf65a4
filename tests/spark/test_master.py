"""A Spark master that is away: it is waited for, and named if it stays away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobs.base.errors import UnreachableError
from jobs.spark import master
from jobs.spark.environment import own_environment
from jobs.spark.master import wait_for_master
from tests.support.airflow_server import free_ports

STEP = """
import sys
from jobs.base.command import run_step, step_parser
from jobs.spark import master
from jobs.spark.session import spark_session

def step(given):
    with spark_session("test"):
        return "connected"

master.PATIENCE_S = 1
raise SystemExit(run_step(step_parser("test", None), step, None))
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "EVERY_S", 0.1)


def test_it_is_waited_for() -> None:
    [port] = free_ports(1)

    def start_late() -> None:
        time.sleep(0.5)
        listening.bind(("127.0.0.1", int(port)))
        listening.listen()

    with socket.socket() as listening:
        starter = threading.Thread(target=start_late)
        starter.start()
        before = time.monotonic()
        wait_for_master(f"spark://127.0.0.1:1,127.0.0.1:{port}")
        assert time.monotonic() - before > 0.4
        starter.join()


@pytest.mark.parametrize("url", ["spark://127.0.0.1:1", "spark://127.0.0.1:1,nowhere.invalid:7077"])
def test_it_is_named_if_it_stays_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "PATIENCE_S", 0.3)
    with pytest.raises(
        UnreachableError, match=rf"^the Spark master at {url} can't be reached \(.+\): start it"
    ):
        wait_for_master(url)


@pytest.mark.parametrize("url", ["local[*]", "yarn", "k8s://https://127.0.0.1:1", ""])
def test_what_is_not_standalone_is_not_asked(url: str) -> None:
    wait_for_master(url)


def test_a_step_says_which_master_it_can_not_reach(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(STEP)
    submit = Path(sys.executable).with_name("spark-submit")
    done = subprocess.run(
        [submit, "--master", "spark://127.0.0.1:1", tmp_path / "step.py", f"--result={tmp_path / 'result'}"],
        env=os.environ | own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode != 0
    [error] = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: the Spark master at spark://127.0.0.1:1 can't be reached")
    said = json.loads((tmp_path / "result").read_text())
    assert said == {"error": error.removeprefix("error: "), "kind": "UnreachableError"}
