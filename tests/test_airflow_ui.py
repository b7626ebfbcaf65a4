"""What make airflow starts: reachable from this machine alone, with a password, and gone afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.airflow_server import running_airflow


@pytest.mark.timeout(300)
def test_airflow_comes_up_tells_how_to_log_in_and_goes_down(tmp_path: Path) -> None:
    with running_airflow(tmp_path) as server:
        assert server.address.startswith(server.base)
        assert server.dags() == {"similarity_index": False, "similarity_query": False}
        server.token = ""
        assert server.request("GET", "/api/v2/dags")[0] == 401
        passwords = next(tmp_path.glob("*passwords*"))
        assert passwords.stat().st_mode & 0o077 == 0
