"""What is asked: the bodies of requests, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from jobs.base.options import K

MOST_QUESTIONS = 1_000
"""Of one batch."""
MOST_PICTURES = 100
"""Of one batch, sent as files."""

Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="A picture's id: 32 hex digits.")]
Neighbours = Annotated[
    int, Field(ge=K.minimum, le=K.maximum, strict=False, description="How many neighbours to find.")
]


class How(BaseModel):
    """How to search."""

    model_config = ConfigDict(extra="forbid")

    k: Neighbours = K.default
    class_name: Annotated[str | None, Field(max_length=4096, description="Search this class alone.")] = None
    method: Annotated[
        Literal["sketch", "exact"],
        Field(description="By packed hashes, the best re-ranked by exact distance, or every picture."),
    ] = "sketch"


class What(BaseModel):
    """A picture by its id, in the index or uploaded, or a vector of the index's dimension."""

    model_config = ConfigDict(extra="forbid")

    id: Id | None = None
    vector: Annotated[list[FiniteFloat] | None, Field(min_length=1, max_length=65_536)] = None

    @model_validator(mode="after")
    def one(self) -> What:
        if (self.id is None) == (self.vector is None):
            raise ValueError("should have an id or a vector, and not both")
        return self


class Question(What, How):
    """The body of a search."""


class Batch(How):
    """The body of a batch."""

    questions: Annotated[list[What], Field(min_length=1, max_length=MOST_QUESTIONS)]


Picture = tuple[str, bytes]
"""A file's name, as it was sent, and its bytes."""


async def pictures_of(request: Request, most: int) -> tuple[list[Picture], How] | None:
    """The pictures of a form with one or more fields ``picture``, and how to search; None if it is no form.

    Raises RequestValidationError, HTTPException.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return None
    async with request.form(max_files=most, max_fields=len(How.model_fields)) as form:
        files = [file for file in form.getlist("picture") if isinstance(file, UploadFile)]
        if not files:
            raise HTTPException(422, "The form has no file named picture: send one.")
        rest = {name: value for name, value in form.multi_items() if name != "picture"}
        try:
            how = How.model_validate(rest)
        except ValidationError as error:
            raise invalid(error) from error
        return [(_name(file.filename), await file.read()) for file in files], how


def _name(sent: str | None) -> str:
    """A file's name, without what browsers escape in it."""
    name = sent or "picture"
    for escaped, char in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        name = name.replace(escaped, char)
    return name


def invalid(error: ValidationError) -> RequestValidationError:
    """What is wrong with a body, as FastAPI says it of what it checks itself."""
    # Without what was given, which may be no JSON.
    found = error.errors(include_input=False, include_context=False, include_url=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found])


def _content(schema: type[BaseModel], most: int) -> dict[str, object]:
    picture: dict[str, object] = {"type": "string", "format": "binary"}
    if most > 1:
        picture = {"type": "array", "items": picture, "minItems": 1, "maxItems": most}
    fields = How.model_json_schema()["properties"]
    form = {"type": "object", "properties": {"picture": picture, **fields}, "required": ["picture"]}
    return {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}},
        "multipart/form-data": {"schema": form},
    }


SEARCH_BODY = {"requestBody": {"required": True, "content": _content(Question, 1)}}
BATCH_BODY = {"requestBody": {"required": True, "content": _content(Batch, MOST_PICTURES)}}
