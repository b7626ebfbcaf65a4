"""The DAG that cleans up the data root; jobs/housekeeping.py has the rule."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from dags.params import HOUSEKEEPING_PARAMS
from dags.wiring import DEFAULTS, refuse_unknown_params
from jobs.housekeeping import __doc__ as rule

# An hour before the index's nightly run, which may need the space; unpausing the DAG starts nothing.
BEFORE_THE_INDEX = CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=timedelta(0))


@dag(
    dag_id="housekeeping",
    dag_display_name="Housekeeping",
    doc_md=rule,
    schedule=BEFORE_THE_INDEX,
    params=HOUSEKEEPING_PARAMS,
    tags=["lookalike"],
    max_active_runs=1,
    default_args=DEFAULTS,
)
def housekeeping() -> None:
    # If it is killed halfway, the next run finishes the work.
    @task(task_id="housekeeping", execution_timeout=timedelta(hours=1))
    def clean_up() -> dict[str, int]:
        """Remove what is no longer needed."""
        from jobs.housekeeping import housekeep
        from jobs.store.root import DataRoot

        context = get_current_context()
        refuse_unknown_params(context)
        return housekeep(DataRoot.from_env(), **context["params"])

    clean_up()


housekeeping()
