"""The DAGs parse, stay light, and reach the Spark master that the connection names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, ParamValidationError

from dags.similarity_index import NIGHTLY
from dags.wiring import (
    RESULT,
    RETRY_IF_IT_MAY_HELP,
    SparkStep,
    refuse_unknown_params,
    say_why,
    submission_folder,
)
from jobs.base.errors import KilledError, LookalikeError, UnreachableError
from jobs.base.options import EXPERTS
from jobs.housekeeping import housekeep
from jobs.store.root import PROJECT
from tests.support.dags import TASKS


@pytest.fixture(scope="module")
def dagbag() -> DagBag:
    return DagBag(str(PROJECT / "dags"))


def test_every_dag_file_parses_and_no_other_is_taken_for_one(dagbag: DagBag) -> None:
    assert not dagbag.import_errors
    assert set(dagbag.dags) == set(TASKS)


@pytest.mark.parametrize("dag_id", TASKS)
def test_tasks_are_chained_and_named_like_their_modules(dagbag: DagBag, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    assert [task.task_id for task in dag.topological_sort()] == TASKS[dag_id]  # type: ignore[no-untyped-call]
    for task_id, following in zip(TASKS[dag_id], TASKS[dag_id][1:], strict=False):
        assert following in dag.get_task(task_id).downstream_task_ids
        assert (PROJECT / "jobs" / f"{task_id}.py").is_file()


@pytest.mark.parametrize("dag_id", TASKS)
def test_every_dag_is_described_tagged_and_bounded(dagbag: DagBag, dag_id: str) -> None:
    dag = dagbag.dags[dag_id]
    assert dag.doc_md
    assert "lookalike" in dag.tags
    assert all(task.execution_timeout and task.doc_md for task in dag.tasks)
    for name, param in dag.params.dump().items():
        schema = dag.params.get_param(name).schema
        assert schema.get("title") and schema.get("description_md"), name
        assert param is not None or "null" in schema["type"]


def test_one_index_run_at_a_time_by_the_inbox_or_the_clock_and_none_at_once(dagbag: DagBag) -> None:
    index = dagbag.dags["similarity_index"]
    assert index.max_active_runs == 1
    # Or a run would start as soon as the DAG is unpaused.
    assert index.start_date is None and not index.catchup and NIGHTLY.run_immediately == timedelta(0)
    condition: Any = index.timetable.asset_condition
    assert [asset.name for asset in condition.objects] == ["lookalike_inbox"]


def test_housekeeping_is_nightly_by_the_rule_of_its_step_and_not_at_once(dagbag: DagBag) -> None:
    dag = dagbag.dags["housekeeping"]
    assert dag.max_active_runs == 1 and dag.start_date is None and not dag.catchup
    timetable: Any = dag.timetable
    assert (timetable.expression, timetable.run_immediately) == ("0 2 * * *", timedelta(0))
    # The form and the command line offer the same.
    asked = {name: parameter.default for name, parameter in signature(housekeep).parameters.items()}
    assert dag.params.dump() == {name: value for name, value in asked.items() if name != "root"}
    with pytest.raises(ParamValidationError):
        dag.params.get_param("keep_versions").resolve(0)


@pytest.mark.parametrize(
    "conf",
    [
        {"k": 0},
        {"k": 101},
        {"source": "web"},
        {"limit": 0},
        {"bucket_length": 0},
        {"recall": 1},
        {"method": "best"},
        {"seed": -1},
    ],
)
def test_the_form_refuses_values_out_of_range(dagbag: DagBag, conf: dict[str, object]) -> None:
    params = dagbag.dags["similarity_index"].params
    for name, value in conf.items():
        with pytest.raises(ParamValidationError):
            params.get_param(name).resolve(value)


def test_parsing_imports_neither_torch_nor_pyspark() -> None:
    code = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
DagBag("dags")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "torchvision", "pyspark"})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("connection", "master"),
    [
        ('{"conn_type":"spark","host":"local[*]"}', "local[*]"),
        ('{"conn_type":"spark","host":"spark://spark-master","port":7077}', "spark://spark-master:7077"),
    ],
)
def test_spark_goes_to_the_master_of_the_connection(
    dagbag: DagBag, monkeypatch: pytest.MonkeyPatch, connection: str, master: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", connection)
    for task_id in ("vectors", "calibrate", "index", "query"):
        step = dagbag.dags["similarity_index"].get_task(task_id)
        assert isinstance(step, SparkSubmitOperator)
        hook = step._get_hook()
        assert hook._resolve_connection()["master"] == master


def arguments_of(dagbag: DagBag, dag_id: str, task_id: str) -> list[str]:
    step = dagbag.dags[dag_id].get_task(task_id)
    assert isinstance(step, SparkSubmitOperator)
    assert step.application_args is not None
    return step.application_args


@pytest.mark.parametrize("kind", [LookalikeError, UnreachableError, KilledError])
def test_a_spark_step_fails_by_its_own_sentence(kind: type[LookalikeError]) -> None:
    with pytest.raises(kind, match=r"^its sentence$") as raised, submission_folder() as folder:
        (folder / RESULT).write_text(json.dumps({"error": "its sentence", "kind": kind.__name__}))
        raise AirflowException("Cannot execute: spark-submit. Error code is: 2.")
    assert type(raised.value) is kind


def test_a_spark_step_that_ends_without_a_sentence_may_be_tried_again() -> None:
    error = AirflowException("Cannot execute: spark-submit. Error code is: 137.")
    with pytest.raises(AirflowException) as raised, submission_folder():
        raise error
    assert raised.value is error
    actions = {
        type(raised): RETRY_IF_IT_MAY_HELP.evaluate(raised, 1, 3, None).action
        for raised in (error, KilledError(""), UnreachableError(""), LookalikeError(""), ValueError(""))
    }
    again, never = RetryAction.RETRY, RetryAction.FAIL
    assert list(actions.values()) == [again, again, again, never, never]


def test_only_a_run_that_a_person_started_asks_about_a_picture(dagbag: DagBag) -> None:
    step: Any = dagbag.dags["similarity_index"].get_task("query")
    for started in ("scheduled", "asset_triggered"):
        with pytest.raises(AirflowSkipException, match="Nobody asked about a picture"):
            step.execute({"dag_run": SimpleNamespace(run_type=started)})
    # Whoever triggers the other DAG asks, be it by a DAG of their own.
    other: Any = dagbag.dags["similarity_query"].get_task("query")
    assert type(other) is SparkStep


def test_the_form_shows_first_what_nearly_everybody_needs(dagbag: DagBag) -> None:
    params = dagbag.dags["similarity_index"].params
    sections = {name: params.get_param(name).schema.get("section") for name in params}
    assert list(sections)[:5] == ["source", "folder", "weights", "query", "k"]
    assert list(sections.values()) == [None] * 5 + [EXPERTS] * (len(sections) - 5)


def test_a_failed_task_ends_with_its_sentence(caplog: pytest.LogCaptureFixture) -> None:
    context: Any = {"exception": UnreachableError("its host can't be reached: try again later.")}
    say_why(context)
    assert caplog.messages == ["error: its host can't be reached: try again later."]


def test_spark_steps_are_given_the_names_they_work_on(dagbag: DagBag) -> None:
    """By what the tasks before them returned, never by a pointer that another run may move."""
    results = {
        "vectors": {"catalog": "embed", "fingerprint": "embed"},
        "calibrate": {"vectors": "vectors"},
        "index": {"vectors": "vectors", "calibration": "calibrate"},
        "neighbours": {"index-version": "index"},
        "query": {"index-version": "index"},
    }
    for task_id, names in results.items():
        arguments = arguments_of(dagbag, "similarity_index", task_id)
        for name, giver in names.items():
            value = f"{{{{ ti.xcom_pull(task_ids='{giver}')['{name.replace('-', '_')}'] }}}}"
            assert f"--{name}={value}" in arguments
    assert "--index-version=current" in arguments_of(dagbag, "similarity_query", "query")


@pytest.mark.parametrize(
    ("dag_id", "conf", "sentence"),
    [
        (
            "similarity_index",
            {"sorce": "folder"},
            "is not a param of similarity_index: did you mean source?",
        ),
        ("similarity_query", {"K": 3}, "'K' is not a param of similarity_query: it has query, k, method"),
        ("housekeeping", {"dry-run": True}, "did you mean dry_run?"),
    ],
)
def test_a_param_that_does_not_exist_is_refused(
    dagbag: DagBag, dag_id: str, conf: dict[str, object], sentence: str
) -> None:
    context: Any = {"dag": dagbag.dags[dag_id], "dag_run": SimpleNamespace(conf=conf)}
    with pytest.raises(LookalikeError, match=re.escape(sentence)):
        refuse_unknown_params(context)
    for known in (None, {}, dict(dagbag.dags[dag_id].params)):
        context["dag_run"] = SimpleNamespace(conf=known)
        refuse_unknown_params(context)
