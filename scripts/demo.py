"""Run the DAG similarity_index on the drawn sample and show the answer: make demo."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.drawing.table import table
from jobs.store.answers import read_answer
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from scripts.dag_run import run_dag


def main() -> int:
    os.umask(0o077)
    home = Path(os.environ["AIRFLOW_HOME"], "demo")
    print("Running the DAG similarity_index on the drawn sample (a minute or two) ...", flush=True)
    try:
        run = run_dag("similarity_index", {"source": "sample"}, home, lambda line: print(line, flush=True))
    except LookalikeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not run.succeeded:
        print(f"error: the run failed; its full log is {home / 'run.log'}", file=sys.stderr)
        return 1
    print("\n" + "\n".join(table(read_answer(run.answer))))
    print(f"\nmontage   {run.answer / 'montage.png'}")
    print(f"report    {open_index(DataRoot.from_env()).report_file}")
    print(f"log       {home / 'run.log'}")
    print("\nAnother picture, at once: make find PICTURE=photo.jpg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
