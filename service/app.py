"""The application: the API's routes and its description, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import TypeAdapter
from starlette.types import ASGIApp
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.store.root import DataRoot
from service import metrics
from service.guard import Guard
from service.problems import Problem, say_problems
from service.questions import Batch, Question
from service.routes import router
from service.warm import Warm


class Health(TypedDict):
    version: str | None
    pictures: int
    problem: str | None
    """Why what is published is not served, or pictures from outside can't be embedded."""


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
            app.state.warm, app.state.pool, app.state.batches = warm, pool, 0
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
