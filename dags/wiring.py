"""What the DAGs share: the Spark step, when to retry, links from tasks to their results."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
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
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from dags.params import QUERY_PARAMS
from jobs.base.errors import KilledError, LookalikeError, UnreachableError
from jobs.base.scratch import scratch
from jobs.spark.environment import own_environment
from jobs.store.root import CURRENT
from plugins.links import MontageLink

Task = TypeVar("Task")

log = logging.getLogger(__name__)

JOBS = Path(__file__).resolve().parent.parent / "jobs"
RESULT = "result.json"

BUILD = "spark_default"
"""The Airflow connection to the Spark that builds indexes."""
# With a connection of their own, queries don't queue behind a cluster that builds an index.
QUERY = "spark_query" if "AIRFLOW_CONN_SPARK_QUERY" in os.environ else BUILD
"""The Airflow connection to the Spark that runs queries."""

RETRY_IF_IT_MAY_HELP = ExceptionRetryPolicy(
    rules=[
        RetryRule(UnreachableError, RetryAction.RETRY, timedelta(minutes=5)),
        RetryRule(KilledError, RetryAction.RETRY, timedelta(minutes=1)),
        # spark-submit failed without a sentence: an executor may be replaced in a minute.
        RetryRule(AirflowException, RetryAction.RETRY, timedelta(minutes=1)),
        RetryRule(Exception, RetryAction.FAIL, reason="the same input would fail again"),
    ]
)
"""Retry if network, memory or cluster may recover. A killed task raises nothing, and Airflow retries it."""


def refuse_unknown_params(context: Context) -> None:
    """Raise LookalikeError for what the run was given that is no param of its DAG.

    Airflow would ignore it, and the run would go on with the default of the param that was meant.
    """
    known = context["dag"].params.keys()
    for name in (context["dag_run"].conf or {}).keys() - known:
        near = get_close_matches(name, known, 1)
        raise LookalikeError(
            f"{name!r} is not a param of {context['dag'].dag_id}: "
            + (f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}.")
        )


def say_why(context: Context) -> None:
    """End a failed task's log with its one sentence, below the traceback that Airflow prints."""
    error = context.get("exception")
    if isinstance(error, LookalikeError):
        log.error(f"error: {error}")


DEFAULTS = {"retries": 0, "on_failure_callback": say_why, "on_retry_callback": say_why}
"""Of all tasks."""


@contextmanager
def submission_folder() -> Iterator[Path]:
    """A folder for what Spark keeps while it runs a step, and for ``result.json``.

    In that file the step leaves its result or, if it fails, its error.

    Raises the step's own error instead of Airflow's, which says only that spark-submit failed.
    """
    with scratch() as folder:
        result = folder / RESULT
        try:
            yield folder
        except AirflowException:
            if not result.exists():
                raise
            failed = json.loads(result.read_text(encoding="utf-8"))
            kinds = {kind.__name__: kind for kind in (UnreachableError, KilledError)}
            raise kinds.get(failed["kind"], LookalikeError)(failed["error"]) from None


class SparkStep(SparkSubmitOperator):
    """Runs a step by spark-submit and returns its result, as a Python task does."""

    def execute(self, context: Context) -> Any:
        refuse_unknown_params(context)
        with submission_folder() as folder:
            self.application_args = [*(self.application_args or []), f"--result={folder / RESULT}"]
            self.env_vars = own_environment(folder)
            super().execute(context)
            return json.loads((folder / RESULT).read_text(encoding="utf-8"))


class AskedStep(SparkStep):
    """Skipped in a run that the inbox or the clock started: nobody asks there."""

    def execute(self, context: Context) -> Any:
        if context["dag_run"].run_type != "manual":
            raise AirflowSkipException("Nobody asked about a picture: no person started this run.")
        return super().execute(context)


def _submission(step: str, arguments: Sequence[str]) -> dict[str, Any]:
    """How spark-submit runs ``jobs/<step>.py`` with the Python and the code of this process."""
    return {
        "application_args": list(arguments),
        "name": f"lookalike-{step}",
        "conf": {"spark.executorEnv.PYTHONPATH": str(JOBS.parent)},
        "spark_binary": str(Path(sys.executable).with_name("spark-submit")),
    }


def spark_submit(step: str, *arguments: str) -> Any:
    """Run ``jobs/<step>.py`` by spark-submit inside a task, log its output and return its result."""
    with submission_folder() as folder:
        result = folder / RESULT
        hook = SparkSubmitHook(
            conn_id=BUILD,
            env_vars=own_environment(folder),
            **_submission(step, [*arguments, f"--result={result}"]),
        )
        try:
            hook.submit(str(JOBS / f"{step}.py"))
        finally:
            hook.on_kill()  # in case the task ends before its job
        return json.loads(result.read_text(encoding="utf-8"))


def result_of(task_id: str, name: str) -> str:
    """The template of a value that an earlier task returned, by name."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}')['{name}'] }}}}"


def spark_step(
    step: str,
    does: str,
    *arguments: str,
    connection: str = BUILD,
    retries: int = 2,
    kind: type[SparkStep] = SparkStep,
) -> SparkStep:
    """The task that runs ``jobs/<step>.py`` by spark-submit; ``does`` is its doc in Airflow."""
    return kind(
        task_id=step,
        doc_md=does,
        conn_id=connection,
        application=str(JOBS / f"{step}.py"),
        **_submission(step, arguments),
        retries=retries,
        retry_policy=RETRY_IF_IT_MAY_HELP,
        execution_timeout=timedelta(hours=6),
    )


def linked(task: Task, link: BaseOperatorLink) -> Task:
    """The same task with a button that leads to its result."""
    operator: Any = getattr(task, "operator", task)  # a decorated task wraps its operator
    operator.operator_extra_links = (link,)
    return task


def query_and_montage(index_version: str = CURRENT, *, asked: bool = False) -> SparkStep:
    """The task ``query``, which is returned, and ``montage`` after it; both write into ``queries/<run>``.

    ``index_version`` is a version, or the template of one. With ``asked`` only runs that a person started
    answer.
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
        "Find the nearest neighbours of one picture.",
        "--run={{ run_id }}",
        f"--index-version={index_version}",
        *arguments,
        connection=QUERY,
        retries=0,
        kind=AskedStep if asked else SparkStep,
    )
    query >> linked(montage(), MontageLink())
    return linked(query, MontageLink())
