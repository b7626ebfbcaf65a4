"""Run the DAG similarity_index on the cluster with the drawn sample and show the answer: make demo-cluster.

It runs in a container of its own and uses Airflow's API, as a person would.
"""

from __future__ import annotations

import os
import sys
import time

from jobs.drawing.table import table
from jobs.store.answers import read_answer
from jobs.store.root import DataRoot
from scripts.airflow_api import AirflowApi

DAG = "similarity_index"
ADDRESS = "http://api-server:8080"


def main() -> int:
    server = AirflowApi(
        base=ADDRESS, user=os.environ["AIRFLOW_USER"], password=os.environ["AIRFLOW_PASSWORD"]
    )
    server.log_in()
    run = server.trigger(DAG, source="sample", engine="spark")
    print(f"Running the DAG {DAG} on the drawn sample, embedding on the Spark cluster ...", flush=True)
    shown: dict[str, str] = {}
    while True:
        for task, state in server.tasks(DAG, run).items():
            if state in ("success", "failed", "up_for_retry") and shown.get(task) != state:
                shown[task] = state
                print(f"  {task:12} {state}", flush=True)
        state = server.state(DAG, run)
        if state in ("success", "failed"):
            break
        time.sleep(2)
    if state == "failed":
        print(f"error: the run {run} failed: see its tasks' logs in the UI.", file=sys.stderr)
        return 1
    answer = DataRoot.from_env().query_folder(run)
    print("\n" + "\n".join(table(read_answer(answer))))
    print(f"\nanswer    {answer}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
