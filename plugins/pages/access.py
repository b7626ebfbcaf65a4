"""Who may do what on our pages: what Airflow allows them with the two DAGs, and nothing from other sites."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, Header, HTTPException

DAGS = INDEX_DAG, QUERY_DAG, BATCH_DAG = "similarity_index", "similarity_query", "similarity_batch"

READ = [Depends(requires_access_dag("GET", DagAccessEntity.RUN, dag)) for dag in (INDEX_DAG, QUERY_DAG)]
"""To see anything, even icons; without a login the answer is 401 for every address."""


def from_our_pages(
    x_requested_with: Annotated[str, Header()] = "",
    sec_fetch_site: Annotated[str, Header()] = "same-origin",
    authorization: Annotated[str, Header()] = "",
) -> None:
    """Pages of other sites can set neither header without a CORS preflight, which we never grant."""
    if authorization:  # a script's token, not the cookie that a browser sends by itself
        return
    if x_requested_with != "lookalike" or sec_fetch_site not in ("same-origin", "none"):
        raise HTTPException(403, "Use Lookalike's own pages for this.")


ASK = [Depends(requires_access_dag("POST", DagAccessEntity.RUN, QUERY_DAG)), Depends(from_our_pages)]
"""To upload a query picture and search for it."""

EDIT = [Depends(requires_access_dag("PUT", param_dag_id=INDEX_DAG)), Depends(from_our_pages)]
"""To make another version current."""


def _may_trigger(dag: str, user: Any) -> bool:
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag), user=user
        )
    )


def may_ask(user: GetUserDep) -> bool:
    """Whether the pages show what uploads and searches."""
    return _may_trigger(QUERY_DAG, user)


def may_build(user: GetUserDep) -> bool:
    """Whether the pages show what starts a run that builds an index."""
    return _may_trigger(INDEX_DAG, user)


def may_edit(user: GetUserDep) -> bool:
    """Whether the pages show the button that makes another version current."""
    return bool(
        get_auth_manager().is_authorized_dag(method="PUT", details=DagDetails(id=INDEX_DAG), user=user)
    )
