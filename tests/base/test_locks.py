"""One process at a time, however its predecessor ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.base.locks import only_one

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from jobs.base.locks import only_one

with only_one(Path(sys.argv[1]), "taken") as lock:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=(lock,))
    print(child.pid, flush=True)
    time.sleep(600)
"""


def test_a_second_one_is_refused_for_as_long_as_a_heir_of_the_first_lives(tmp_path: Path) -> None:
    file = tmp_path / "new" / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        for kill in (None, holder.kill):
            if kill:
                kill()
                holder.wait()
            with pytest.raises(LookalikeError, match=r"^taken$"), only_one(file, "taken"):
                pass
    finally:
        os.kill(child, signal.SIGKILL)
    while True:  # until the kernel has ended it
        try:
            with only_one(file, "taken"):
                break
        except LookalikeError:
            continue
