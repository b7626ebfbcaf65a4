"""The same DAG with one worker and with two."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.containers import Containers


def test_one_worker_and_two(containers: Containers, show: Callable[[str], None]) -> None:
    took = {}
    published = {}
    for workers in (1, 2):
        containers.compose(
            *("up", "--detach", "--no-recreate", "--scale", f"spark-worker={workers}", "spark-worker")
        )
        assert len(containers.containers("spark-worker")) == workers
        containers.forget()
        run = containers.build()
        assert containers.end(run) == "success"
        took[workers], published[workers] = containers.seconds(run), containers.published()
    assert published[1] == published[2]
    for task in took[1]:
        show(f"{task}: {took[1][task]:.0f} s with one worker, {took[2][task]:.0f} s with two")
