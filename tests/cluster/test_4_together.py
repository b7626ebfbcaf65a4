"""Two index runs asked for at once, and people who ask meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from scripts.airflow_api import until
from tests.cluster.containers import INDEX, QUERY, Containers

ANSWERS = """
import json
from jobs.store.versions import name_index
from jobs.store.root import DataRoot
root = DataRoot.from_env()
for folder in root.queries.iterdir():
    told = json.loads((folder / "neighbours.json").read_text())
    index = name_index(root, told["index"]["version"])
    known = {row["id"] for row in index.captions()}
    found = [told["query"]["id"], *(one["id"] for one in told["neighbours"])]
    print(json.dumps([folder.name, index.version, told["k"], len(found), known >= set(found)]))
"""


def test_every_query_is_answered_from_one_complete_version(
    containers: Containers, show: Callable[[str], None]
) -> None:
    containers.forget()
    assert containers.end(containers.build(limit=200)) == "success"
    versions = [containers.published()["version"]]
    builds = [containers.build(limit=500), containers.build(limit=800)]
    queries: list[str] = []

    def ended() -> bool:
        states = [containers.airflow.state(INDEX, run) for run in builds]
        running = states.count("running")
        assert running <= 1, states
        asked = [containers.airflow.state(QUERY, run) for run in queries]
        if not any(state in ("queued", "running") for state in asked):
            queries.append(containers.airflow.trigger(QUERY, seed=len(queries)))
        return all(state in ("success", "failed") for state in states)

    until(ended, 1800, "both runs")
    assert [containers.airflow.state(INDEX, run) for run in builds] == ["success", "success"]
    for run in queries:
        assert containers.end(run, QUERY) == "success"
    output = containers.python("api-server", ANSWERS)
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    assert len(answers) == len(queries) + 3  # each index run asks too
    for name, _, k, found, known in answers:
        assert found == k + 1 and known, name
    versions.append(containers.published()["version"])
    of = Counter(version for _, version, *_ in answers)
    assert set(versions) <= set(of) and len(of) == 3
    show(f"{len(queries)} queries meanwhile, of versions " + ", ".join(map(str, sorted(of.values()))))
