"""The routes that people and scripts ask through Airflow's door: docs/api.md describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from jobs.base.errors import LookalikeError, UnusableError
from jobs.base.options import K
from jobs.intake.decode import BadPictureError
from jobs.search.answering import Found, OpenVersion, Stages, picture_of
from jobs.search.lookup import Asked, caption_of
from jobs.store.root import resized_file
from service import metrics
from service.problems import PROBLEMS, Problem, of_error
from service.questions import (
    BATCH_BODY,
    MOST_PICTURES,
    SEARCH_BODY,
    Batch,
    How,
    Question,
    What,
    invalid,
    pictures_of,
)
from service.told import Alike, Answers, Copy, Known, NearDuplicates, Versions, versions_of
from service.warm import Serving, Warm

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)
PAGE = 100
BATCHES_AT_ONCE = 2
MOST_NEIGHBOURS = 20_000
"""Of one batch: some 5 MB."""

Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="A picture's id: 32 hex digits.")]
OneOf = Callable[[Serving, Stages], Asked]
"""Finds what is asked about in the version that answers."""

router = APIRouter(responses=PROBLEMS)


async def in_pool(request: Request, work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(request.app.state.pool, work, *arguments)


def serving_of(request: Request) -> Serving:
    """Raises LookalikeError if there is no index to answer from."""
    warm: Warm = request.app.state.warm
    return warm.serving()


def ask(serving: Serving, how: How, one: OneOf) -> Found:
    stages = Stages()
    with stages("all"):
        found = serving.version.find(one(serving, stages), how.k, how.method, how.class_name, stages)
    for stage, spent in stages.items():
        metrics.SECONDS.labels(stage).observe(spent / 1000)
    return found


def by(what: What) -> OneOf:
    def one(serving: Serving, stages: Stages) -> Asked:
        return serving.by_id(what.id, stages) if what.id else serving.by_vector(what.vector or [])

    return one


def by_content(name: str, content: bytes) -> OneOf:
    def one(serving: Serving, stages: Stages) -> Asked:
        return serving.by_content(name, content, stages)

    return one


def ask_or_say(serving: Serving, how: How, one: OneOf) -> Found | Problem:
    """As ``ask``, but what is wrong with one question is told in its place."""
    try:
        return ask(serving, how, one)
    except (LookalikeError, BadPictureError) as error:
        return of_error(error)


@contextmanager
def one_batch(request: Request) -> Iterator[None]:
    """Batches leave room for those who ask one question. Raises HTTPException if there are too many."""
    state = request.app.state
    if state.batches >= BATCHES_AT_ONCE:
        raise HTTPException(
            503,
            f"{state.batches} batches are being answered already: ask again in a moment, or run the DAG "
            "similarity_batch.",
            {"Retry-After": "5"},
        )
    state.batches += 1
    try:
        yield
    finally:
        state.batches -= 1


async def body(request: Request, model: type[Body]) -> Body:
    """The JSON in the request. Raises RequestValidationError."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise invalid(error) from error


@router.post("/search", responses={200: {"model": Found}}, openapi_extra=SEARCH_BODY)
async def search(request: Request) -> JSONResponse:
    """Find the pictures that look most like one: a picture file, an id or a vector."""
    if form := await pictures_of(request, 1):
        [(name, content)], how = form
        one = by_content(name, content)
    else:
        question = await body(request, Question)
        how, one = question, by(question)
    return JSONResponse(await in_pool(request, ask, serving_of(request), how, one))


@router.post("/search/batch", responses={200: {"model": Answers}}, openapi_extra=BATCH_BODY)
async def search_batch(request: Request) -> JSONResponse:
    """Find the look-alikes of up to a thousand ids or vectors, or of up to a hundred picture files.

    All answers come from one version. What is wrong with one question is told in its place.
    """
    if form := await pictures_of(request, MOST_PICTURES):
        pictures, how = form
        asked = [by_content(*picture) for picture in pictures]
    else:
        batch = await body(request, Batch)
        how, asked = batch, [by(question) for question in batch.questions]
    if len(asked) * how.k > MOST_NEIGHBOURS:
        raise UnusableError(
            f"{len(asked):,} questions for {how.k} neighbours each are more than {MOST_NEIGHBOURS:,} at "
            "once: send fewer questions, or run the DAG similarity_batch."
        )
    serving = serving_of(request)
    with one_batch(request):
        answers = [await in_pool(request, ask_or_say, serving, how, one) for one in asked]
        # Written in the pool as well: it takes a second, in which nobody else would be answered.
        return await in_pool(request, JSONResponse, Answers(answers=answers))


@router.get("/pictures/{id_}", responses={200: {"model": Known}})
async def picture(request: Request, id_: Id) -> JSONResponse:
    """A picture of the index: where it lies, its label, the other files with its bytes."""

    def read(version: OpenVersion) -> Known:
        with version.gallery() as gallery:
            row = picture_of(gallery, id_)
            copies = [Copy(path=copy["path"], label=copy["label"]) for copy in gallery.copies(row)]
        return Known(**caption_of(row), copies=copies, version=version.index.version)

    return JSONResponse(await in_pool(request, read, serving_of(request).version))


@router.get("/pictures/{id_}/neighbours", responses={200: {"model": Found}})
async def neighbours(
    request: Request, id_: Id, k: Annotated[int, Query(ge=1, le=K.maximum)] = K.default
) -> JSONResponse:
    """The neighbours that were stored with the index, without a search."""

    def read(version: OpenVersion) -> Found:
        return version.stored(id_, k)

    return JSONResponse(await in_pool(request, read, serving_of(request).version))


@router.get(
    "/pictures/{id_}/image", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}}
)
async def image(request: Request, id_: Id) -> Response:
    """The square that was embedded, of a picture of the index or an uploaded one."""

    def read(serving: Serving) -> bytes:
        file = resized_file(serving.root, serving.version.manifest["model"]["resized"], id_)
        return file.read_bytes() if file.is_file() else serving.resized(id_)

    content = await in_pool(request, read, serving_of(request))
    return Response(content, media_type="image/jpeg")


@router.get("/near-duplicates", responses={200: {"model": NearDuplicates}})
async def near_duplicates(
    request: Request, after: Annotated[int, Query(ge=-1, le=2**62)] = -1
) -> JSONResponse:
    """Groups of pictures that are nearly the same, a hundred groups a page."""

    def read(version: OpenVersion) -> NearDuplicates:
        with version.gallery() as gallery:
            firsts = gallery.alike_after(after, PAGE + 1)
            groups = []
            for first in firsts[:PAGE]:
                row = gallery.at(first)
                groups.append(Alike(pictures=[*map(caption_of, (row, *gallery.alike(row, PAGE - 1)))]))
        following = firsts[PAGE - 1] if len(firsts) > PAGE else None
        return NearDuplicates(groups=groups, next=following, version=version.index.version)

    return JSONResponse(await in_pool(request, read, serving_of(request).version))


@router.get("/versions", responses={200: {"model": Versions}})
async def versions(request: Request) -> JSONResponse:
    """The versions of the index that there are, the newest first."""

    def read(serving: Serving) -> Versions:
        return Versions(versions=versions_of(serving.root, serving.version.index.version))

    return JSONResponse(await in_pool(request, read, serving_of(request)))
