"""Run a command as the only Airflow of the data root: ``python -m cluster.alone airflow scheduler``."""

from __future__ import annotations

import os
import sys

from jobs.base.errors import LookalikeError
from jobs.store.root import DataRoot, the_only_airflow

if __name__ == "__main__":
    try:
        with the_only_airflow(DataRoot.from_env()) as lock:
            os.set_inheritable(lock, True)
            os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the compose file names it
    except LookalikeError as error:
        raise SystemExit(f"error: {error}") from None
