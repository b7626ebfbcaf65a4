"""Set up what the other containers need: Spark's secret, Airflow's database, its first user, the folders.

A second run only sets the secret and the password to what ``.env`` says.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg2

from cluster.database import connect
from jobs.base.atomic import write_text
from jobs.store.root import PROJECT, DataRoot


def main() -> None:
    os.umask(0o077)
    check_worker(os.environ["SPARK_WORKER_MEMORY"], os.environ["SPARK_WORKER_LIMIT"])
    DataRoot.from_env().spark_events.mkdir(parents=True, exist_ok=True)
    configure_spark(
        Path(os.environ["SPARK_CONF_DIR"]), os.environ["SPARK_SECRET"], os.environ["SPARK_WORKER_MEMORY"]
    )
    _enter_database()
    subprocess.run(["airflow", "db", "migrate"], check=True)
    _make_user(os.environ["AIRFLOW_USER"], os.environ["AIRFLOW_PASSWORD"])


def check_worker(executor_memory: str, limit: str) -> None:
    """Refuse a limit that leaves Python, which decodes and embeds beside Spark, less than 1 GiB.

    Both as Spark and Docker write them, ``1g`` or ``2500m``.

    Raises SystemExit with a sentence.
    """
    if bytes_of(limit) - bytes_of(executor_memory) < 2**30:
        raise SystemExit(
            f"error: SPARK_WORKER_LIMIT={limit} leaves less than 1g beside SPARK_WORKER_MEMORY="
            f"{executor_memory} for decoding and embedding: set it to 2g more than that in .env"
        )


def bytes_of(size: str) -> int:
    """Raises SystemExit with a sentence if it is no size."""
    if not (match := re.fullmatch(r"(\d+)([kmgt]?)b?", size.strip().lower())):
        raise SystemExit(f"error: {size!r} in .env is no size: write 2500m or 3g")
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[match[2]]


def configure_spark(folder: Path, secret: str, executor_memory: str) -> None:
    """Write the folder that SPARK_CONF_DIR names, readable by this user only.

    ``executor_memory``: as Spark writes it, ``1g``.
    """
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    # In a file, because otherwise Spark's drivers take the secret only from their command line.
    everywhere, name = PROJECT / "jobs" / "spark" / "conf", "spark-defaults.conf"
    defaults = "".join(
        (place / name).read_text(encoding="utf-8") for place in (everywhere, PROJECT / "cluster")
    )
    own = f"spark.executor.memory {executor_memory}\nspark.authenticate.secret {secret}\n"
    write_text(folder / name, defaults + own)
    logging = everywhere / "log4j2.properties"
    write_text(folder / logging.name, logging.read_text(encoding="utf-8"))


def _enter_database() -> None:
    try:
        connect().close()
    except psycopg2.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        raise SystemExit(
            "error: the volume `database` was made with another POSTGRES_PASSWORD than the one in .env: "
            "restore that password in .env, or set the new one with "
            "`cluster/compose.sh exec postgres psql -U airflow -c '\\password'`; then run `make up` again"
        ) from None


def _make_user(name: str, password: str) -> None:
    # Not by Airflow's command line, where every user of the machine could see the password.
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        if user := security.find_user(name):
            security.reset_password(user.id, password)
        else:
            admin = security.find_role("Admin")
            security.add_user(name, name, "", f"{name}@localhost", admin, password)


if __name__ == "__main__":
    main()
