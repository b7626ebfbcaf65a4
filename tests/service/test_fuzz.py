"""Whatever its OpenAPI file allows, and what it doesn't, is answered without an error of the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from jobs.search.answering import OpenVersion
from jobs.store.versions import open_index
from tests.support.served import SECRET, Search, running_search, served_root

pytestmark = pytest.mark.slow
HEADERS = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    folder = tmp_path_factory.mktemp("fuzz")
    root = served_root(folder)
    with running_search(root, folder / "search.log") as running:
        version = OpenVersion(open_index(root))
        running.until(version.index.version)
        yield running


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_question_is_an_error_of_the_server(search: Search, mode: GenerationMode) -> None:
    told = search.client.get("/openapi.json").json()
    api = schemathesis.openapi.from_dict(told)
    api.config.update(base_url=search.address)
    tried = 0

    def ask(case: Any) -> None:
        nonlocal tried
        tried += 1
        answer = case.call(headers=HEADERS)
        assert answer.status_code < 500, (answer.status_code, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"], answer.text
            assert answer.json()["status"] == answer.status_code and answer.json()["detail"]

    for found in api.get_all_operations():
        assert isinstance(found, Ok), found
        cases = found.ok().as_strategy(generation_mode=mode)
        try:
            settings(max_examples=60, suppress_health_check=list(HealthCheck))(given(cases)(ask))()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # what takes nothing can be given nothing wrong
    assert tried > 60 * len(told["paths"]) / 2
