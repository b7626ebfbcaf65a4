"""What docker-compose.yaml promises, read from the file; what it does is shown by tests/cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.init import bytes_of, check_worker, configure_spark
from jobs.store.root import PROJECT

FILE = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = [name for name in SERVICES if name != "postgres"]
AIRFLOW = {"init", "api-server", "scheduler", "dag-processor", "triggerer"}


def test_only_the_ui_is_published_and_on_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:${LOOKALIKE_PORT:-8080}:8080"]}


def test_no_secret_has_a_default() -> None:
    text = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
    secrets = re.findall(r"\$\{(\w*(?:SECRET|PASSWORD|KEY)\w*)(.*?)\}", text)
    assert {name for name, _ in secrets} == {
        *("AIRFLOW_PASSWORD", "POSTGRES_PASSWORD", "FERNET_KEY", "JWT_SECRET", "LOGS_SECRET", "SPARK_SECRET"),
        "SEARCH_SECRET",
    }
    assert all(rest.startswith(":?") for _, rest in secrets)


def test_secrets_are_only_where_they_are_needed() -> None:
    def holders(name: str) -> set[str]:
        return {
            service
            for service, finished in SERVICES.items()
            if any(f"${{{name}" in str(value) for value in finished.get("environment", {}).values())
        }

    assert holders("JWT_SECRET") == {"api-server", "scheduler"}
    assert holders("AIRFLOW_PASSWORD") == holders("SPARK_SECRET") == {"init"}
    assert holders("SEARCH_SECRET") == {"api-server", "search"}
    assert holders("POSTGRES_PASSWORD") == AIRFLOW | {"postgres"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_gains_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in OURS:
        assert service["cap_drop"] == ["ALL"] and "user" not in service


@pytest.mark.parametrize("name", OURS)
def test_code_is_mounted_read_only_and_the_data_root_at_one_path(name: str) -> None:
    volumes = SERVICES[name]["volumes"]
    assert all(volume.endswith(":ro") for volume in volumes if volume.startswith("./"))
    data = ["data:/data:ro"] if name == "search" else ["data:/data"]
    assert [volume for volume in volumes if volume.startswith("data:")] in ([], data)


@pytest.mark.parametrize("name", SERVICES)
def test_container_logs_have_a_size_limit(name: str) -> None:
    assert SERVICES[name]["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_takes_what_the_others_need(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["cpus"] and 512 <= service["pids_limit"] <= 4096


def test_the_limits_fit_into_24_gb_and_two_cores() -> None:
    def default(value: object) -> str:
        return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value))

    sizes = {name: bytes_of(default(service["mem_limit"])) for name, service in SERVICES.items()}
    del sizes["init"]  # has ended when the others start
    assert sum(sizes.values()) + sizes["spark-worker"] <= 22 * 2**30  # two workers
    assert all(float(default(service["cpus"])) <= 2 for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_health_check_and_waits_for_those_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) == (name != "init")
    assert ("depends_on" in service) == (name != "postgres")


def test_networks_part_what_need_not_meet() -> None:
    def members(network: str) -> set[str]:
        return {name for name, service in SERVICES.items() if network in service["networks"]}

    assert members("database") == AIRFLOW | {"postgres"}
    assert members("spark") == {"scheduler", "spark-master", "spark-worker"}
    assert members("search") == {"api-server", "search"}
    assert all(FILE["networks"][name]["internal"] for name in ("database", "search", "spark"))


def test_the_settings_file_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        folder = tmp_path / "checkout"
        (folder / "cluster").mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "cluster" / "make_env.sh", folder / "cluster")
        subprocess.run([folder / "cluster" / "make_env.sh"], check=True, capture_output=True)
        file = folder / ".env"
        assert file.stat().st_mode & 0o777 == 0o600
        lines = [line for line in file.read_text().splitlines() if "=" in line and line[0] != "#"]
        return dict(line.split("=", 1) for line in lines)

    first = made()
    assert made() == first
    shutil.rmtree(tmp_path / "checkout")
    secrets = [name for name in first if re.search("SECRET|PASSWORD|KEY", name)]
    assert len({first[name] for name in secrets}) == len(secrets) == 7
    assert not {first[name] for name in secrets} & set(made().values())
    assert all(len(first[name]) >= 24 for name in secrets)


def test_an_earlier_settings_file_gets_the_secret_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    shutil.copy(PROJECT / "cluster" / "make_env.sh", tmp_path / "cluster")
    (tmp_path / ".env").write_text("AIRFLOW_USER=me")
    for _ in range(2):
        subprocess.run([tmp_path / "cluster" / "make_env.sh"], check=True, capture_output=True)
    first, added = (tmp_path / ".env").read_text().splitlines()
    assert first == "AIRFLOW_USER=me"
    assert re.fullmatch(r"SEARCH_SECRET=[\w-]{40,}=*", added)


def test_executors_take_a_workers_memory_and_know_the_secret(tmp_path: Path) -> None:
    configure_spark(tmp_path / "conf", "known-to-few", "7g")
    lines = (tmp_path / "conf" / "spark-defaults.conf").read_text().splitlines()
    assert {"spark.executor.memory 7g", "spark.authenticate.secret known-to-few"} <= set(lines)
    assert (tmp_path / "conf").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("memory", "limit"), [("1g", "3g"), ("1500m", "2524M"), ("900m", "3gb")])
def test_a_worker_has_room_for_python_beside_spark(memory: str, limit: str) -> None:
    check_worker(memory, limit)


@pytest.mark.parametrize(("memory", "limit"), [("3g", "3g"), ("2500m", "3g"), ("1g", "2047m"), ("1g", "all")])
def test_a_worker_without_room_for_python_is_refused(memory: str, limit: str) -> None:
    with pytest.raises(SystemExit, match=r"in \.env"):
        check_worker(memory, limit)


def test_a_checkout_that_containers_can_not_read_is_reported(tmp_path: Path) -> None:
    for name in ("cluster", "dags", "jobs", "plugins", "scripts", "weights"):
        (tmp_path / name).mkdir(mode=0o755)
    shutil.copy(PROJECT / "cluster" / "up.sh", tmp_path / "cluster")
    closed = tmp_path / "jobs" / "embed.py"
    closed.touch(mode=0o640)
    finished = subprocess.run([tmp_path / "cluster" / "up.sh"], capture_output=True, text=True)
    assert finished.returncode == 1 and not finished.stdout
    assert "error: jobs/embed.py is not readable for all users" in finished.stderr


def test_docker_takes_the_file(tmp_path: Path) -> None:
    compose = PROJECT / "cluster" / "compose.sh"
    if subprocess.run([compose, "version"], capture_output=True).returncode:
        pytest.skip("no Docker Compose here (Debian: apt-get install docker-compose)")
    named = re.findall(r"\$\{(\w+):\?", (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8"))
    finished = subprocess.run(
        [compose, "config", "--quiet"],
        env=os.environ | dict.fromkeys(named, "x"),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
