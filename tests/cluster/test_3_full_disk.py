"""The data volume is full: the run says so, what is published stays, and a rerun goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.containers import INDEX, QUERY, Containers

FULL = """
with open("/data/ballast", "wb") as file:
    try:
        while True:
            file.write(bytes(65536))
            file.flush()
    except OSError:
        file.truncate(file.tell() - {left})
"""


@pytest.fixture
def built(containers: Containers) -> Iterator[Containers]:
    containers.forget()
    assert containers.end(containers.build(limit=300)) == "success"
    yield containers
    containers.shell("api-server", "rm -f /data/ballast")


@pytest.mark.parametrize(
    ("params", "left"),
    [({"limit": 600}, 1_000_000), ({"limit": 300, "lsh_seed": 7}, 200_000)],
    ids=["while embedding", "while Spark writes"],
)
def test_a_full_disk(
    built: Containers, show: Callable[[str], None], params: dict[str, int], left: int
) -> None:
    before = built.published()
    built.python("api-server", FULL.format(left=left))
    run = built.build(**params)
    assert built.end(run) == "failed"
    failed = next(name for name, state in built.states(run).items() if state == "failed")
    folder = f"/opt/airflow/logs/dag_id={INDEX}/run_id={run}/task_id={failed}"
    assert "No space left on device" in built.shell("scheduler", f"cat '{folder}'/*")
    assert built.published() == before
    built.shell("api-server", "rm /data/ballast")
    assert built.end(built.airflow.trigger(QUERY), QUERY) == "success"
    assert built.end(built.build(**params)) == "success"
    facts = built.published()
    assert facts["version"] != before["version"] and facts["embedded"] == facts["embedded once"]
    show(f"{failed} failed, {before['version']} stayed published; then {facts['version']}")
