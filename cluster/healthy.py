"""Whether a part of the cluster works, for the health checks of docker-compose.yaml.

``python -m cluster.healthy http://...`` requests an address; ``python -m cluster.healthy SchedulerJob``
looks up the last heartbeat of that job in Airflow's database, in a twentieth of the time of
``airflow jobs check``, which loads all of Airflow.
"""

from __future__ import annotations

import os
import sys
import urllib.request

SILENCE_S = 60


def answers(address: str) -> bool:
    """Raises OSError if there is no answer, or an error."""
    # The address is in this network, where no proxy is asked.
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # The warm search answers nobody else.
    headers = {"Authorization": f"Bearer {os.environ.get('LOOKALIKE_SEARCH_SECRET', '')}"}
    with directly.open(urllib.request.Request(address, headers=headers), timeout=5) as answer:
        return bool(answer.status == 200)


def lives(job: str) -> bool:
    """Whether Airflow's ``job`` (SchedulerJob, DagProcessorJob, TriggererJob) had a heartbeat recently."""
    # Not needed to check an address, which most containers do every ten seconds.
    from cluster.database import connect

    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(latest_heartbeat) > now() - %s * interval '1 second' FROM job "
            "WHERE job_type = %s AND state = 'running'",
            (SILENCE_S, job),
        )
        row = cursor.fetchone()
    return bool(row and row[0])


if __name__ == "__main__":
    (what,) = sys.argv[1:]
    raise SystemExit(not (answers(what) if what.startswith("http") else lives(what)))
