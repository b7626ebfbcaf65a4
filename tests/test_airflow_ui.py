"""What make airflow starts: reachable from this machine alone, with a password, and gone afterwards."""

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
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT


def request(url: str, body: dict[str, Any] | None = None, token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


@pytest.mark.timeout(300)
def test_airflow_comes_up_tells_how_to_log_in_and_goes_down(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # As make calls it: the virtual environment is not on the path.
        "PATH": os.defpath,
        "PYTHONUNBUFFERED": "1",
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "scripts.airflow_ui"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        said: dict[str, str] = {}
        for line in started.stdout:
            words = line.split()
            if len(words) == 2:
                said[words[0]] = words[1]
            if "password" in said:
                break
        assert said.keys() == {"address", "user", "password"}, (tmp_path / "standalone.log").read_text()[
            -3000:
        ]
        base = f"http://127.0.0.1:{port}"
        assert said["address"].startswith(base)
        assert request(f"{base}/api/v2/dags")[0] == 401
        login = {"username": said["user"], "password": said["password"]}
        _, granted = request(f"{base}/auth/token", login)
        paused: dict[str, bool] = {}
        until = time.monotonic() + 90
        # The DAG files are read a moment after the server is up.
        while len(paused) < 2 and time.monotonic() < until:
            status, told = request(f"{base}/api/v2/dags", token=granted["access_token"])
            assert status == 200
            paused = {dag["dag_id"]: dag["is_paused"] for dag in told["dags"]}
            time.sleep(1)
        assert paused == {"similarity_index": False, "similarity_query": False}
        passwords = next(tmp_path.glob("*passwords*"))
        assert passwords.stat().st_mode & 0o077 == 0
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(60)
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0
