"""The installed kagglehub and kagglesdk have what ``jobs/intake/stanford_cars.py`` takes from inside them.

None of it is documented: kagglehub's own download has no time limit and no size limit. What the functions
do is tested in ``test_stanford_cars.py``; this names the missing part when an upgrade has moved one.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import requests
from kagglehub.clients import build_kaggle_client, download_file
from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, handle_call
from kagglehub.handle import parse_dataset_handle
from kagglesdk.datasets.services.dataset_api_service import DatasetApiClient
from kagglesdk.datasets.types import dataset_api_service as messages
from requests.adapters import HTTPAdapter

from jobs.intake.stanford_cars import DATASET


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))


def parameters(function: Callable[..., Any]) -> tuple[list[str], set[str]]:
    """Those that must be given, in order, and those that may be left out."""
    given = inspect.signature(function).parameters
    needed = [name for name, parameter in given.items() if parameter.default is inspect.Parameter.empty]
    return needed, given.keys() - set(needed)


def test_the_clients_session_takes_an_adapter_with_a_time_limit() -> None:
    adapter = HTTPAdapter()
    with build_kaggle_client() as client:
        session = client.http_client()._session
        assert isinstance(session, requests.Session)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        assert session.get_adapter("https://kaggle.test/api") is adapter
        assert session.get_adapter("http://kaggle.test/api") is adapter
        assert client.http_client()._session is session  # the one that requests are sent by
        assert isinstance(client.datasets.dataset_api_client, DatasetApiClient)


@pytest.mark.parametrize("method", [DatasetApiClient.get_dataset, DatasetApiClient.download_dataset])
def test_each_call_takes_its_message(method: Callable[..., Any]) -> None:
    wanted = {"get_dataset": "ApiGetDatasetRequest", "download_dataset": "ApiDownloadDatasetRequest"}
    assert list(inspect.signature(method).parameters) == ["self", "request"]
    assert get_type_hints(method)["request"] is getattr(messages, wanted[method.__name__])


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (messages.ApiGetDatasetRequest, {"owner_slug": "an-owner", "dataset_slug": "a-data-set"}),
        (
            messages.ApiDownloadDatasetRequest,
            {"owner_slug": "an-owner", "dataset_slug": "a-data-set", "dataset_version_number": 7},
        ),
        (messages.ApiDataset, {"current_version_number": 7}),
    ],
)
def test_messages_have_the_fields_that_are_set_and_read(
    message: Callable[[], Any], values: dict[str, Any]
) -> None:
    made = message()
    for name, value in values.items():
        setattr(made, name, value)  # a message refuses names it does not know
        assert getattr(made, name) == value


def test_the_answer_to_a_question_about_a_data_set_is_that_message() -> None:
    assert get_type_hints(DatasetApiClient.get_dataset)["return"] is messages.ApiDataset


def test_a_download_is_handed_on_as_the_response_of_requests() -> None:
    """So that its size is known before it is read, and it can be closed."""
    answer = get_type_hints(DatasetApiClient.download_dataset)["return"]
    response = requests.Response()
    assert answer.prepare_from(response) is response


def test_a_file_is_downloaded_by_response_path_and_handle() -> None:
    needed, optional = parameters(download_file)
    assert needed == ["response", "out_file", "resource_handle"]
    assert "extract_auto_compressed_file" in optional
    assert get_type_hints(download_file)["out_file"] is str


def test_calls_are_handled_by_function_and_handle() -> None:
    assert list(inspect.signature(handle_call).parameters) == ["fn", "resource_handle"]
    handle = parse_dataset_handle(DATASET)
    assert handle_call(lambda: "the answer", handle) == "the answer"

    def refuse() -> Any:
        response = requests.Response()
        response.status_code = 403
        raise requests.HTTPError("refused", response=response)

    with pytest.raises(requests.HTTPError) as caught:
        handle_call(refuse, handle)
    assert isinstance(caught.value, KaggleApiHTTPError)
    assert caught.value.response.status_code == 403  # by which it is tried again or not


def test_a_wrong_hash_is_an_error_of_its_own() -> None:
    assert issubclass(DataCorruptionError, Exception)
    assert not issubclass(DataCorruptionError, requests.RequestException | OSError | ValueError)


def test_a_handle_has_owner_and_data_set() -> None:
    handle = parse_dataset_handle(DATASET)
    assert f"{handle.owner}/{handle.dataset}" == DATASET
    assert handle.version is None
