"""Where a driver keeps its files: killed or not, it leaves none beside its scratch folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.spark.environment import own_environment

pytestmark = pytest.mark.slow

STEP = """
import sys, time
import numpy as np
from jobs.spark.session import spark_session
with spark_session("scratch") as spark:
    spark.range(1000, numPartitions=4).repartition(3).toPandas()
    print("ready", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_driver_leaves_no_file_beside_its_scratch_folder(tmp_path: Path, killed: bool) -> None:
    scratch, elsewhere = tmp_path / "it's `a` scratch ü", tmp_path / "elsewhere"
    scratch.mkdir()
    elsewhere.mkdir()
    (tmp_path / "step.py").write_text(STEP)
    submit = Path(sys.executable).with_name("spark-submit")
    process = subprocess.Popen(
        [submit, "--master", "local[2]", tmp_path / "step.py", "100" if killed else "0"],
        env=os.environ | {"TMPDIR": str(elsewhere)} | own_environment(scratch),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert "ready\n" in iter(process.stdout.readline, "")
    assert any(entry.name.startswith("blockmgr-") for entry in scratch.iterdir())
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert [*elsewhere.iterdir()] == []
    assert bool([*scratch.iterdir()]) == killed
