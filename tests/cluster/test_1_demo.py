"""From nothing to a montage on the cluster, both workers at work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image

from jobs.store.root import PROJECT
from scripts.airflow_api import until
from tests.cluster.containers import Containers
from tests.support.pictures import encoded, picture

EVENTS = """
import json, io, pathlib, zstandard
for file in sorted(pathlib.Path("/data/spark-events").iterdir()):
    with zstandard.open(file, "rt") as lines:
        for event in map(json.loads, lines):
            if event["Event"] == "SparkListenerApplicationStart":
                name = event["App Name"]
            if event["Event"] == "SparkListenerExecutorAdded":
                print(json.dumps([name, "executor", event["Executor Info"]["Host"]]))
            if event["Event"] == "SparkListenerTaskEnd" and event["Task End Reason"]["Reason"] == "Success":
                print(json.dumps([name, "task", event["Task Info"]["Host"]]))
"""


def test_the_demo_runs_on_both_workers(containers: Containers, show: Callable[[str], None]) -> None:
    output = containers.make("demo-cluster")
    montage = PROJECT / "cluster-montage.png"
    with Image.open(montage) as image:
        assert image.width > 1000
    assert str(montage) in output and "rank" in output
    events = [
        json.loads(line)
        for line in containers.python("scheduler", EVENTS).splitlines()
        if line.startswith("[")
    ]
    executors = {(name, host) for name, kind, host in events if kind == "executor" and host != "scheduler"}
    tasks = Counter((name, host) for name, kind, host in events if kind == "task")
    # Shorter steps may have ended before the second executor was up.
    for step in ("embed", "index"):
        assert len({host for name, host in executors if name.endswith(step)}) == 2, (step, executors)
        assert len([host for name, host in tasks if name.endswith(step)]) == 2, (step, tasks)
    show("; ".join(f"{name} on {host}: {count} tasks" for (name, host), count in sorted(tasks.items())))


def test_the_search_answers_at_once(containers: Containers, show: Callable[[str], None]) -> None:
    """It sees the data root read-only; the photo is not in the index, so that its weights are needed, too."""
    photo = encoded(picture(900, (400, 300)), "JPEG")
    api = httpx.Client(
        base_url=f"{containers.airflow.base}/lookalike/api/v1",
        headers={"Authorization": f"Bearer {containers.airflow.token}"},
        timeout=60,
        trust_env=False,
    )

    def answer() -> Any:
        asked = api.post("/search", files={"picture": ("photo.jpg", photo)})
        return asked.json() if asked.status_code == 200 else None

    found = until(answer, 60, "an answer to a photo")
    (current,) = [row for row in api.get("/versions").json()["versions"] if row["current"]]
    assert (len(found["neighbours"]), found["version"]) == (5, current["version"])
    show(f"{found['milliseconds']['all']} ms for a photo")
    assert "closed" in containers.shell(
        "scheduler", "(exec 3<>/dev/tcp/search/8090) 2>&1 && echo open || echo closed"
    )
