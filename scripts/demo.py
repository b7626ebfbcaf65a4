"""Run the DAG similarity_index on the drawn sample and show the answer: make demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from jobs.montage import read_answer, table
from jobs.paths import DataRoot

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
SPARK_HOOK = "airflow.task.hooks.airflow.providers.apache.spark"


def main() -> int:
    os.umask(0o077)
    log = Path(os.environ["AIRFLOW_HOME"], "demo.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    with log.open("w", encoding="utf-8") as file:
        print("Preparing Airflow's metadata database ...", flush=True)
        subprocess.run([AIRFLOW, "db", "migrate"], stdout=file, stderr=subprocess.STDOUT, check=True)
        command = [AIRFLOW, "dags", "test", "similarity_index", "--conf", json.dumps({"source": "sample"})]
        environment = {**os.environ, "AIRFLOW__LOGGING__JSON_LOGS": "True"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                file.write(line)
                if shown := _shown(line):
                    print(shown, flush=True)
    folder = _newest_answer(started)
    if run.returncode or folder is None:
        print(f"error: the run failed; its whole log is {log}", file=sys.stderr)
        return 1
    print("\n" + "\n".join(table(read_answer(folder))))
    print(f"\nmontage   {folder / 'montage.png'}\nlog       {log}")
    return 0


def _shown(line: str) -> str | None:
    """What of a line of Airflow's JSON log a person wants to see: tasks, and the steps' own lines."""
    try:
        told = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(told, dict):
        return None
    event, logger = str(told.get("event", "")), str(told.get("logger", ""))
    if event.startswith("[DAG TEST] starting task_id="):
        return f"\n{event.split('task_id=')[1].split()[0]}"
    if event.startswith("::") or event.startswith("Spark-Submit cmd"):
        return None
    if logger.startswith(("jobs.", SPARK_HOOK)):
        return f"  {event}"
    if told.get("level") in ("error", "critical"):
        return f"  {event}: {_last_error(told)}"
    return None


def _last_error(told: dict[str, object]) -> str:
    details = told.get("error_detail") or told.get("exception")
    if isinstance(details, list) and details and isinstance(details[-1], dict):
        return f"{details[-1].get('exc_type')}: {details[-1].get('exc_value')}"
    return str(details or "")


def _newest_answer(since: float) -> Path | None:
    answers = [
        (file.stat().st_mtime, file.parent) for file in DataRoot.from_env().queries.glob("*/montage.png")
    ]
    newest = max(answers, default=(0.0, None))
    return newest[1] if newest[0] >= since else None


if __name__ == "__main__":
    raise SystemExit(main())
