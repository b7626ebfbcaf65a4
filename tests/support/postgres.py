"""A PostgreSQL server of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.airflow_server import free_ports

USER = "postgres" if os.getuid() == 0 else None
"""The server refuses to run as root."""


@dataclass(frozen=True)
class Postgres:
    """A server on 127.0.0.1 with a database ``airflow``; its files are in ``folder``."""

    programs: Path
    folder: Path
    port: str

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/airflow"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        subprocess.run(command, user=USER, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def control(self, *what: str) -> None:
        """What ``pg_ctl`` does, ``start``, ``stop``, ``restart``; it waits until that is done."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self.run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, *what)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; it ends with the block."""
    # Debian keeps its programs off the path.
    places = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    programs = next((Path(place).resolve().parent for place in places if place), None)
    if programs is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    (port,) = free_ports(1)
    # Not in a folder of pytest's, which its user could not enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        server = Postgres(programs, Path(name), port)
        if USER:
            shutil.chown(name, USER)
        server.run("initdb", "-D", "data", "-U", "airflow", "--auth=trust", "--no-sync")
        server.control("start")
        try:
            server.run("createdb", "-h", "127.0.0.1", "-p", port, "-U", "airflow", "airflow")
            yield server
        finally:
            server.control("stop", "-m", "immediate")
