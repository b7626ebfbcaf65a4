"""
### Removes what nobody needs any more

Once a night, and whenever you trigger it. Tick *only say what would go* to look first.

| in the data root | stays | goes |
|---|---|---|
| `index/<version>/` | current, last built, the `keep_versions` published last | others, unused for a day |
| `vectors/<hash>/` | the current ones | others, unused for a day |
| `calibrations/<hash>/` | the current one, those of versions that stay | others, unused for a day |
| `queries/<run>/` | for `keep_days` | older ones |
| `uploads/` | photos that an answer names, and any for a day | with the last answer that names them |
| `spark-events/` | for `keep_days` | older ones |
| `.tmp-*` | for a day | what killed steps left |

**Anything else is never touched**: pictures in the inbox and in `sources/`, the catalog, embeddings,
224 x 224 copies.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from dags.params import HOUSEKEEPING_PARAMS

# An hour before the index's nightly run, which may need the room; unpausing the DAG starts nothing.
BEFORE_THE_INDEX = CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=timedelta(0))


@dag(
    dag_id="housekeeping",
    dag_display_name="Housekeeping",
    doc_md=__doc__,
    schedule=BEFORE_THE_INDEX,
    params=HOUSEKEEPING_PARAMS,
    tags=["lookalike"],
    max_active_runs=1,
    default_args={"retries": 0},
)
def housekeeping() -> None:
    # Killed half way, it is finished by the next run.
    @task(task_id="housekeeping", execution_timeout=timedelta(hours=1))
    def clean_up() -> dict[str, int]:
        """Remove what the rule lets go."""
        from jobs.housekeeping import housekeep
        from jobs.store.root import DataRoot

        return housekeep(DataRoot.from_env(), **get_current_context()["params"])

    clean_up()


housekeeping()
