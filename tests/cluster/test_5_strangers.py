"""Who knows no secret and has no login gets nothing."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from scripts.airflow_api import AirflowApi
from tests.cluster.containers import Containers

COUNT = """
from pyspark.sql import SparkSession
print('counted', SparkSession.builder.getOrCreate().range(9).count())
"""
SUBMIT = (
    "umask 077; mkdir -p /tmp/other && cd /tmp/other"
    " && grep -v '^spark.authenticate.secret' /opt/spark-conf/spark-defaults.conf > spark-defaults.conf"
    ' && {how} && echo "{count}" > count.py'
    " && SPARK_CONF_DIR=/tmp/other timeout 60 spark-submit --master spark://spark-master:7077 count.py 2>&1"
)
WRONG = {
    "a wrong secret": "echo 'spark.authenticate.secret guessed' >> spark-defaults.conf",
    "no secret": "sed -i '/authenticate\\|crypto/d' spark-defaults.conf",
}
RIGHT = "grep ^spark.authenticate.secret /opt/spark-conf/spark-defaults.conf >> spark-defaults.conf"


def submit(containers: Containers, how: str) -> str:
    return containers.shell("scheduler", SUBMIT.format(how=how, count=COUNT) + " || true")


@pytest.mark.parametrize("what", WRONG)
def test_spark_refuses(containers: Containers, show: Callable[[str], None], what: str) -> None:
    assert "counted 9" in submit(containers, RIGHT)  # the same way works with the right one
    assert "counted" not in submit(containers, WRONG[what])
    show("refused")


def test_spark_takes_no_jobs_by_its_rest_service(containers: Containers) -> None:
    said = containers.shell(
        "scheduler", "(exec 3<>/dev/tcp/spark-master/6066) 2>&1 && echo open || echo closed"
    )
    assert "closed" in said


def test_one_port_is_published_on_this_machine_alone(containers: Containers) -> None:
    published: set[tuple[str, str]] = set()
    for container in containers.compose("ps", "--quiet").split():
        told = json.loads(subprocess.check_output(["docker", "inspect", container]))[0]
        published |= {
            (end["HostIp"], end["HostPort"])
            for ends in (told["NetworkSettings"]["Ports"] or {}).values()
            for end in ends or ()
        }
    assert published == {("127.0.0.1", containers.environment["LOOKALIKE_PORT"])}


def test_no_container_runs_as_root_or_can_become_root(containers: Containers) -> None:
    ours = [name for name in containers.compose("config", "--services").split() if name != "postgres"]
    for service in ours:
        for container in containers.containers(service):
            told = json.loads(subprocess.check_output(["docker", "inspect", container]))[0]
            assert told["Config"]["User"] == "lookalike"
            assert "no-new-privileges:true" in told["HostConfig"]["SecurityOpt"]
            assert told["HostConfig"]["CapDrop"] == ["ALL"]


def test_code_is_not_theirs_to_write(containers: Containers) -> None:
    said = containers.shell("scheduler", "touch /opt/lookalike/{dags,jobs,plugins}/x 2>&1 || true")
    assert said.count("touch: cannot touch") == 3


def test_the_database_is_reached_by_airflow_alone(containers: Containers) -> None:
    said = containers.shell("spark-worker", "getent hosts postgres || echo unknown")
    assert "unknown" in said


def test_another_password_of_the_database_is_reported_in_a_sentence(containers: Containers) -> None:
    other = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:guessed@postgres/airflow"
    said = containers.compose(
        *("run", "--rm", "-T", "init", "bash", "-c", f"{other} python -m cluster.init 2>&1 || true")
    )
    assert "error: the volume `database` was made with another POSTGRES_PASSWORD" in said
    assert "Traceback" not in said


OPEN = ("/api/v2/monitor/health", "/auth/login/")
TO_LOGIN = ("/", "/dags", "/plugin/lookalike")
"""Airflow's empty frame, which finds no login and goes to it."""
CLOSED = (
    *("/docs", "/redoc", "/openapi.json", "/api/v2/version", "/auth/openapi.json", "/auth/docs"),
    *("/api/v2/dags", "/api/v2/connections", "/api/v2/config", "/ui/config", "/ui/auth/menus"),
    *("/lookalike/", "/lookalike/runs", "/lookalike/find", "/lookalike/nothing", "/auth/fab/v1/users"),
    *("/execution/docs", "/execution/openapi.json", "/execution/variables/x", "/execution/connections/x"),
)


def test_strangers_see_the_health_page_and_the_login(containers: Containers) -> None:
    def ask(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(containers.airflow.base + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    for path in OPEN:
        assert ask(path)[0] == 200, path
    for path in TO_LOGIN:
        status, page = ask(path)
        assert status == 200 and "similarity" not in page and 'id="root"' in page, path
    for path in CLOSED:
        status, page = ask(path)
        assert status in (401, 403, 404, 422), (path, status, page[:200])


@pytest.mark.parametrize(
    ("role", "may_write"), [("Public", None), ("Viewer", False), ("User", True), ("Admin", True)]
)
def test_a_login_may_what_its_role_may(containers: Containers, role: str, may_write: bool | None) -> None:
    name = f"test-{role.lower()}"
    person = {"username": name, "password": "only-for-this-test", "email": f"{name}@localhost"}
    told = {**person, "first_name": name, "last_name": name, "roles": [{"name": role}]}
    assert containers.airflow.request("POST", "/auth/fab/v1/users", told)[0] in (200, 201, 409)
    somebody = AirflowApi(base=containers.airflow.base, user=name, password=person["password"])
    somebody.log_in()

    def ask(method: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {somebody.token}", "X-Requested-With": "lookalike"}
        asked = urllib.request.Request(somebody.base + path, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert ask("GET", "/lookalike/find") == (403 if may_write is None else 200)
    # An empty picture and a version that is not there: refused, but not for who asks.
    for path in ("/lookalike/uploads", "/lookalike/versions/0000000000000000/current"):
        assert ask("POST", path) == (400 if may_write else 403), path
