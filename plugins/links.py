"""Buttons on a task that lead to its result. Airflow computes them when the task has ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink, conf
from airflow.sdk.execution_time.xcom import XCom

PREFIX = "/lookalike"


def page(path: str) -> str:
    """The address of one of our pages, below the path that Airflow is served under."""
    base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return f"{base}{PREFIX}/{path}"


class MontageLink(BaseOperatorLink):
    """Query and montage: the run's page."""

    name = "Look-alikes"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return page(f"runs/{quote(ti_key.run_id)}?dag_id={quote(ti_key.dag_id)}")


class BatchLink(MontageLink):
    """Batch: the run's page, which shows the first answers."""

    name = "Answers"


def built_by(ti_key: Any) -> str:
    """The index version that the run of a task built."""
    built = XCom.get_one(key="return_value", task_id="index", dag_id=ti_key.dag_id, run_id=ti_key.run_id)
    return str(built["index_version"])


class ReportLink(BaseOperatorLink):
    """Report: the page about the version that the run built."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return page(f"versions/{built_by(ti_key)}/report.html")


class GalleryLink(BaseOperatorLink):
    """Gallery and publish: the pictures of the version that the run built."""

    name = "Gallery"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return page(f"?version={built_by(ti_key)}")
