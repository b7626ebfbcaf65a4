"""What Spark is started with, whatever the shell's environment says."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from jobs.store.root import PROJECT


def own_environment(scratch: Path | None = None) -> dict[str, str]:
    """Variables that make spark-submit use the Spark that PySpark brings, this Python, this code and its
    settings. ``SPARK_CONF_DIR`` may be set to other settings: containers do.

    ``scratch``: where the driver keeps what it needs for as long as it runs; Java's own folder by default.
    """
    pyspark = find_spec("pyspark")
    assert pyspark and pyspark.origin  # a pinned requirement
    return {
        "SPARK_HOME": str(Path(pyspark.origin).parent),
        "SPARK_CONF_DIR": os.environ.get("SPARK_CONF_DIR", str(PROJECT / "jobs" / "spark" / "conf")),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": str(PROJECT),
        "SPARK_SUBMIT_OPTS": shlex.quote(f"-Djava.io.tmpdir={scratch}") if scratch else "",
        # In a locale without UTF-8, Java opens no path that isn't ASCII.
        "LC_ALL": "C.UTF-8",
    }
