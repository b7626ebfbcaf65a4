"""What the DAGs share: the Spark step, when to retry, links from tasks to their results."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import (
    BaseOperatorLink,
    Context,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    task,
)

from dags.params import QUERY_PARAMS
from jobs.base.errors import KilledError, UnreachableError
from jobs.store.root import CURRENT
from plugins.links import MontageLink

Task = TypeVar("Task")

JOBS = Path(__file__).resolve().parent.parent / "jobs"

BUILD = "spark_default"
"""The Airflow connection to the Spark that builds indexes."""
# With a connection of their own, queries don't queue behind a cluster that builds an index.
QUERY = "spark_query" if "AIRFLOW_CONN_SPARK_QUERY" in os.environ else BUILD
"""The Airflow connection to the Spark that runs queries."""

RETRY_IF_IT_MAY_HELP = ExceptionRetryPolicy(
    rules=[
        RetryRule(UnreachableError, RetryAction.RETRY, timedelta(minutes=5)),
        RetryRule(KilledError, RetryAction.RETRY, timedelta(minutes=1)),
        RetryRule(Exception, RetryAction.FAIL, reason="the same input would fail again"),
    ]
)
"""Retry if the network or memory may recover. A killed task raises nothing, and Airflow retries it."""


class SparkStep(SparkSubmitOperator):
    """Runs a step by spark-submit and returns its result, as a Python task does."""

    def execute(self, context: Context) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            self.application_args = [*(self.application_args or []), f"--result={result}"]
            super().execute(context)
            return json.loads(result.read_text(encoding="utf-8"))


def _submission(step: str, arguments: Sequence[str]) -> dict[str, Any]:
    """How spark-submit runs ``jobs/<step>.py`` with the Python and the code of this process."""
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


def spark_submit(step: str, *arguments: str) -> Any:
    """Run ``jobs/<step>.py`` by spark-submit inside a task, log its output and return its result."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        hook = SparkSubmitHook(conn_id=BUILD, **_submission(step, [*arguments, f"--result={result}"]))
        try:
            hook.submit(str(JOBS / f"{step}.py"))
        finally:
            hook.on_kill()  # in case the task ends before its job
        return json.loads(result.read_text(encoding="utf-8"))


def result_of(task_id: str, name: str) -> str:
    """The template of a value that an earlier task returned, by name."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}')['{name}'] }}}}"


def spark_step(step: str, *arguments: str, connection: str = BUILD, retries: int = 1) -> SparkStep:
    """The task that runs ``jobs/<step>.py`` by spark-submit."""
    return SparkStep(
        task_id=step,
        conn_id=connection,
        application=str(JOBS / f"{step}.py"),
        **_submission(step, arguments),
        # An executor may be replaced, or memory free again, in a minute.
        retries=retries,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=6),
    )


def linked(task: Task, link: BaseOperatorLink) -> Task:
    """The same task with a button that leads to its result."""
    operator: Any = getattr(task, "operator", task)  # a decorated task wraps its operator
    operator.operator_extra_links = (link,)
    return task


def query_and_montage(index_version: str = CURRENT) -> SparkStep:
    """The task ``query``, which is returned, and ``montage`` after it; both write into ``queries/<run>``.

    ``index_version`` is a version, or the template of one.
    """
    arguments = [f"--{name}={{{{ params.{name} }}}}" for name in QUERY_PARAMS]

    @task(task_id="montage", execution_timeout=timedelta(minutes=10))
    def montage() -> dict[str, Any]:
        """Draw the query and its neighbours."""
        from jobs.montage import draw_montage
        from jobs.store.root import DataRoot

        root = DataRoot.from_env()
        drawn = draw_montage(root, root.query_folder(get_current_context()["run_id"]))
        return {"montage": str(drawn), "neighbours": str(drawn.with_name("neighbours.json"))}

    # No retry: if the query can't be answered, it would fail again.
    query = spark_step(
        "query",
        "--run={{ run_id }}",
        f"--index-version={index_version}",
        *arguments,
        connection=QUERY,
        retries=0,
    )
    query >> linked(montage(), MontageLink())
    return linked(query, MontageLink())
