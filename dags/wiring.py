"""What the DAGs share: the Spark step, when to try again, links from tasks to what they made."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import (
    BaseOperatorLink,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

from dags.params import QUERY_PARAMS
from jobs.base.errors import KilledError, UnreachableError
from plugins.links import MontageLink

Task = TypeVar("Task")

JOBS = Path(__file__).resolve().parent.parent / "jobs"

BUILD = "spark_default"
"""The Airflow connection to the Spark that builds indexes."""
# A query is answered at once: it does not queue for a cluster that builds an index, where it need not.
QUERY = "spark_query" if "AIRFLOW_CONN_SPARK_QUERY" in os.environ else BUILD
"""The connection to the Spark that queries run in, where it is another one."""

ONLY_WHERE_IT_HELPS = ExceptionRetryPolicy(
    rules=[
        RetryRule(UnreachableError, RetryAction.RETRY, timedelta(minutes=5)),
        RetryRule(KilledError, RetryAction.RETRY, timedelta(minutes=1)),
        RetryRule(Exception, RetryAction.FAIL, reason="the same input would fail again"),
    ]
)
"""A network or memory may come back, and a killed task raises nothing and is tried again; the rest is not."""


def _submission(step: str, arguments: Sequence[str]) -> dict[str, Any]:
    """How spark-submit runs ``jobs/<step>.py`` with the Python and the code that run this."""
    return {
        "application_args": list(arguments),
        "name": f"lookalike-{step}",
        "conf": {"spark.executorEnv.PYTHONPATH": str(JOBS.parent)},
        "spark_binary": str(Path(sys.executable).with_name("spark-submit")),
        "env_vars": {
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "PYTHONPATH": str(JOBS.parent),
            "SPARK_CONF_DIR": os.environ.get("SPARK_CONF_DIR", str(JOBS / "spark" / "conf")),
        },
    }


def spark_submit(step: str, *arguments: str) -> None:
    """Run ``jobs/<step>.py`` by spark-submit from within a task; its log becomes the task's."""
    hook = SparkSubmitHook(conn_id=BUILD, **_submission(step, arguments))
    try:
        hook.submit(str(JOBS / f"{step}.py"))
    finally:
        hook.on_kill()  # where the task is ended before its job


def spark_step(step: str, *arguments: str, connection: str = BUILD, retries: int = 1) -> SparkSubmitOperator:
    """The task that runs ``jobs/<step>.py`` by spark-submit."""
    return SparkSubmitOperator(
        task_id=step,
        conn_id=connection,
        application=str(JOBS / f"{step}.py"),
        **_submission(step, arguments),
        # A lost executor or a full machine may be better in a minute.
        retries=retries,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=6),
    )


def linked(task: Task, link: BaseOperatorLink) -> Task:
    """The same task with a button that leads to what it made."""
    operator: Any = getattr(task, "operator", task)  # of a decorated task
    operator.operator_extra_links = (link,)
    return task


def query_and_montage() -> SparkSubmitOperator:
    """The tasks ``query``, returned, and ``montage`` after it: answer into ``queries/<run>`` and draw it."""
    arguments = [f"--{name}={{{{ params.{name} }}}}" for name in QUERY_PARAMS]

    @task(task_id="montage", execution_timeout=timedelta(minutes=10))
    def montage() -> dict[str, Any]:
        """Draw the query and its neighbours."""
        from jobs.montage import draw_montage
        from jobs.store.root import DataRoot

        root = DataRoot.from_env()
        drawn = draw_montage(root, root.query_folder(get_current_context()["run_id"]))
        return {"montage": str(drawn), "neighbours": str(drawn.with_name("neighbours.json"))}

    # No retry: what fails here is the question, and it would fail again.
    query = spark_step("query", "--run={{ run_id }}", *arguments, connection=QUERY, retries=0)
    query >> linked(montage(), MontageLink())
    return linked(query, MontageLink())
