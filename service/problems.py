"""Errors as problem details: https://www.rfc-editor.org/rfc/rfc9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError, NotFoundError, UnusableError
from jobs.intake.decode import BadPictureError


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    """One sentence: what is wrong, where, and what to do."""


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in (
        (401, "No valid token."),
        (403, "Not allowed."),
        (404, "There is no such picture, class or address."),
        (413, "The request is too large."),
        (422, "The question or the picture can't be used."),
        (503, "The search is not up, has too many questions, or has no index to answer from."),
    )
}


def problem(status: int, detail: str) -> Problem:
    return Problem(type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail)


def of_error(error: Exception) -> Problem:
    """Raises ``error`` if it is none that a person is meant to read."""
    match error:
        case BadPictureError():
            return problem(422, f"The picture can't be used: {error}.")
        case NotFoundError():
            return problem(404, _sentence(error))
        case UnusableError():
            return problem(422, _sentence(error))
        case LookalikeError():
            # What lies in the data root, or is set in the environment, has to be put right first.
            return problem(503, _sentence(error))
        case HTTPException():
            return problem(error.status_code, str(error.detail))
        case RequestValidationError():
            return problem(422, "; ".join(map(_of_field, error.errors())))
    raise error


def answer(found: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(found, found["status"], headers, media_type="application/problem+json")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _of_field(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"][1:]) or "the body"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def say_problems(app: FastAPI) -> None:
    async def say(request: Request, error: Exception) -> JSONResponse:
        return answer(of_error(error), getattr(error, "headers", None))

    for kind in (LookalikeError, BadPictureError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, say)
