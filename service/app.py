"""The routes: the API that docs/api.md describes, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import ASGIApp
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.base.options import K
from jobs.intake.decode import BadPictureError
from jobs.search.answering import Found, OpenVersion, Stages, picture_of
from jobs.search.lookup import Asked, caption_of
from jobs.store.answers import Caption
from jobs.store.manifest import Recall
from jobs.store.root import DataRoot, resized_file
from jobs.store.versions import complete_versions
from service import metrics
from service.guard import Guard
from service.problems import Problem, of_error, say_problems
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
from service.warm import Serving, Warm

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)
PAGE = 100


class Health(TypedDict):
    version: str | None
    pictures: int
    problem: str | None
    """Why what is published is not served, or pictures from outside can't be embedded."""


class Copy(TypedDict):
    path: str
    label: str | None


class Known(Caption):
    """A picture of the index."""

    copies: list[Copy]
    """Other files with the same bytes."""
    version: str


class Listed(TypedDict):
    version: str
    current: bool
    created: str
    published_at: str | None
    pictures: int
    model: str
    recall: Recall


class Versions(TypedDict):
    versions: list[Listed]


class Alike(TypedDict):
    pictures: list[Caption]


class NearDuplicates(TypedDict):
    groups: list[Alike]
    """Pictures that are nearly the same, at most a hundred of a group."""
    next: int | None
    """``after`` of the next page; None if this is the last one."""
    version: str


class Answers(TypedDict):
    answers: list[Found | Problem]
    """One for each question, in their order."""


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
    serving = serving_of(request)
    answers = [await in_pool(request, ask_or_say, serving, how, one) for one in asked]
    return JSONResponse({"answers": answers})


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

    def read(root: DataRoot, serving: Serving) -> Versions:
        return Versions(versions=listed(root, serving.version.index.version))

    serving = serving_of(request)
    return JSONResponse(await in_pool(request, read, serving.root, serving))


def listed(root: DataRoot, current: str) -> list[Listed]:
    """Complete versions of this format, the newest first."""
    rows = []
    for index in complete_versions(root):
        try:
            manifest, published = index.manifest(), index.published()
        except LookalikeError:  # of another format, or removed meanwhile: nothing that can be asked
            continue
        rows.append(
            Listed(
                version=index.version,
                current=index.version == current,
                created=manifest["created"],
                published_at=published and published["at"],
                pictures=manifest["images"],
                model=manifest["model"]["title"],
                recall=manifest["recall"],
            )
        )
    return sorted(rows, key=lambda row: row["created"], reverse=True)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The API's own description, without what is only for those who run the service."""
    described = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=router.routes
    )
    schemas: dict[str, Any] = described["components"]["schemas"]
    for model in (Problem, Question, Batch):
        schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return described


def make_app(root: DataRoot, secret: str, threads: int) -> ASGIApp:
    """The application, which opens the published version when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Warm(root, threads) as warm, ThreadPoolExecutor(threads, "answer") as pool:
            app.state.warm, app.state.pool = warm, pool
            yield

    app = FastAPI(
        title="Lookalike",
        version="1",
        description="Finds the pictures of the published index that look most like a given one.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(router)
    say_problems(app)

    @app.get("/health", include_in_schema=False)
    async def health(response: Response) -> Health:
        """200 if there is an index to answer from; else 503, and why not."""
        warm: Warm = app.state.warm
        problem = str(warm.problem) if warm.problem else None
        try:
            version = warm.serving().version
        except LookalikeError:
            response.status_code = 503
            return Health(version=None, pictures=0, problem=problem)
        return Health(version=version.index.version, pictures=version.manifest["images"], problem=problem)

    @app.get("/metrics", include_in_schema=False)
    async def tell_metrics() -> Response:
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @app.get("/openapi.json", include_in_schema=False)
    async def tell_openapi() -> JSONResponse:
        return JSONResponse(openapi(app))

    return Guard(app, secret)
