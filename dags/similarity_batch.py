"""
### The look-alikes of a thousand pictures

Searches the published index for many pictures at once: a folder, the rows of a CSV file with a column
`path` or `id`, or all pictures of a class.

It leaves `batch.parquet` and `batch.csv` in `queries/<run>/` (`query`, `rank`, `id`, `path`, `label`,
`class_name`, `distance`), and in `refused.csv` what has no answer and why. The button **Answers** on the
task shows the first hundred.
"""

from __future__ import annotations

from airflow.sdk import dag

from dags.params import BATCH_PARAMS
from dags.wiring import DEFAULTS, QUERY, linked, spark_step
from plugins.links import BatchLink


@dag(
    dag_id="similarity_batch",
    dag_display_name="Similarity batch",
    doc_md=__doc__,
    schedule=None,
    params=BATCH_PARAMS,
    tags=["lookalike", "spark"],
    max_active_runs=2,
    default_args=DEFAULTS,
)
def similarity_batch() -> None:
    arguments = [f"--{name.replace('_', '-')}={{{{ params.{name} }}}}" for name in BATCH_PARAMS]
    # No retry: if it can't be answered, it would fail again.
    batch = spark_step(
        "batch",
        "Find the look-alikes of all the pictures.",
        "--run={{ run_id }}",
        *arguments,
        connection=QUERY,
        retries=0,
    )
    linked(batch, BatchLink())


similarity_batch()
