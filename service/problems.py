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


FIELDS = 3
"""Of which it is told what is wrong with them."""
FORM = {"Invalid multipart data.": "The form can't be read: send one with a file named picture."}
"""What the reader of forms says -> a sentence."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in (
        (400, "The form can't be read, holds too many files, or did not arrive whole."),
        (401, "Nobody is logged in."),
        (403, "The token is not valid, or does not allow it."),
        (404, "There is no such picture, class or address."),
        (408, "The request took too long to arrive."),
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
            return problem(error.status_code, FORM.get(str(error.detail), str(error.detail)))
        case RequestValidationError():
            found = [_of_field(each) for each in error.errors()]
            more = f" (and {len(found) - FIELDS:,} more)" if len(found) > FIELDS else ""
            return problem(422, "; ".join(found[:FIELDS]) + more + ".")
    raise error


def answer(found: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    if found["status"] == 503:
        headers = {"Retry-After": "2", **(headers or {})}
    return JSONResponse(found, found["status"], headers, media_type="application/problem+json")


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]


def _of_field(error: dict[str, Any]) -> str:
    """What is wrong with one field, without the full stop."""
    where = ".".join(str(part) for part in error["loc"][1:]) or "The request"
    message = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "json_invalid":
            return "The request is neither JSON nor a form with a file named picture: send one of them"
        case "string_pattern_mismatch":
            return f"{where} should be 32 hex digits, as a picture's id is"
        case "extra_forbidden":
            return f"{where} is not known: leave it out"
        case "missing":
            return f"{where} is missing"
    return f"{where} {message.removeprefix('Input ')}"


def say_problems(app: FastAPI) -> None:
    async def say(request: Request, error: Exception) -> JSONResponse:
        return answer(of_error(error), getattr(error, "headers", None))

    for kind in (LookalikeError, BadPictureError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, say)
