"""
### Which pictures look like this one?

Searches the published index for one picture, without rebuilding anything. The query picture may be one of
the index (by id, file name or path), any other picture file, or a random one. For an answer without a run,
drop a photo on **Find**, below **Lookalike** in the menu on the left.

`query` leaves `queries/<run>/neighbours.json`, `montage` draws `queries/<run>/montage.png`.
"""

from __future__ import annotations

from airflow.sdk import dag

from dags.params import QUERY_PARAMS
from dags.wiring import DEFAULTS, query_and_montage


@dag(
    dag_id="similarity_query",
    dag_display_name="Similarity query",
    doc_md=__doc__,
    schedule=None,
    params=QUERY_PARAMS,
    tags=["lookalike", "spark"],
    max_active_runs=4,
    default_args=DEFAULTS,
)
def similarity_query() -> None:
    query_and_montage()


similarity_query()
