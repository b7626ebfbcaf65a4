"""Lookalike's pages inside Airflow: gallery, picture, find, runs, quarantine.

Every route needs a login and the right to read the DAGs. No path in a request names a file: pictures are
found by content hash, answers by run, versions by name.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from jobs.base.atomic import in_use
from jobs.base.errors import LookalikeError
from jobs.base.text import name_of, plain
from jobs.publish import publish
from jobs.store.answers import ANSWER, MONTAGE, QUERY_PICTURE
from jobs.store.batches import BATCH, REFUSED, SHEET, TABLE, first_answers, first_refused, read_batch
from jobs.store.gallery import ALL, open_gallery
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, name_index
from plugins.pages import door, shelf
from plugins.pages.access import ASK, BATCH_DAG, EDIT, INDEX_DAG, QUERY_DAG, READ, may_ask, may_edit
from plugins.pages.uploads import receive

HERE = Path(__file__).parent
STATIC = {
    "pages.css": "text/css",
    "theme.js": "text/javascript",
    "pages.js": "text/javascript",
    "find.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"
)
COUNTS = (5, 10, 20, 50, 100)
"""Of neighbours that Find offers."""
SHOWN = 100
"""Answers of a batch, and pictures without one, that its page shows."""
PAGE = 60
"""Pictures per page."""
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""For files that are named by their content."""

app = FastAPI(
    title="Lookalike",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=READ,
    redirect_slashes=False,
)
Root = Annotated[DataRoot, Depends(DataRoot.from_env)]
Ask = Annotated[bool, Depends(may_ask)]

environment = Environment(
    loader=FileSystemLoader(HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "name": name_of,
    "file": lambda path: Path(path).name,
    "plain": plain,
    "count": lambda number: f"{number:,}",
    "percent": lambda share: f"{100 * share:.3g} %",
}


@app.middleware("http")
async def say_what_may_load(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    answer = await call_next(request)
    for name, value in (
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "private, no-cache"),
    ):
        answer.headers.setdefault(name, value)
    return answer


@app.exception_handler(LookalikeError)
def tell(request: Request, error: LookalikeError) -> Response:
    """Show what a person can put right as a sentence: on a page, or as JSON for a script."""
    if _is_api(request):
        return door.problem(503, str(error))
    if request.method != "GET":
        return JSONResponse({"detail": str(error)}, 400)
    return _page(request, "problem.html", 404, problem=str(error), here="")


@app.exception_handler(StarletteHTTPException)
async def refuse(request: Request, error: StarletteHTTPException) -> Response:
    if _is_api(request):
        return door.problem(error.status_code, str(error.detail), dict(error.headers or {}))
    return await http_exception_handler(request, error)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(f"{request.scope['root_path']}{door.PREFIX}")


def _page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    base = request.scope["root_path"]
    # Airflow itself is served one level above us.
    values |= {"base": base, "airflow": base.rpartition("/")[0], "query_dag": QUERY_DAG}
    return HTMLResponse(environment.get_template(template).render(values), status)


@app.get("/")
def gallery(
    request: Request,
    root: Root,
    class_: Annotated[int, Query(alias="class", ge=0)] = ALL,
    folded: bool = False,
    page: Annotated[int, Query(ge=1, le=10**9)] = 1,
    version: str = CURRENT,
) -> Response:
    index = name_index(root, version)
    with open_gallery(index) as opened:
        shown, classes = opened.page(class_, folded, page, PAGE), opened.classes()

    def link(number: int) -> str:
        number = min(max(number, 1), shown.pages)
        query = {"class": class_, "folded": int(folded), "page": number, "version": version}
        return "?" + urlencode(query)

    return _page(
        request,
        "gallery.html",
        here="gallery",
        index=index,
        version=version,
        shown=shown,
        classes=classes,
        chosen=class_,
        folded=folded,
        first=PAGE * (shown.number - 1) + 1,
        link=link,
    )


@app.get("/pictures/{id_}")
def picture(request: Request, root: Root, id_: str, ask: Ask, version: str = CURRENT) -> Response:
    index = name_index(root, version)
    with open_gallery(index) as opened:
        row = opened.picture(id_)
        if not row:
            raise LookalikeError(f"Index {index.version} holds no such picture: it may have been removed.")
        neighbours, alike, copies = opened.neighbours(row), opened.alike(row, PAGE), opened.copies(row)
    return _page(
        request,
        "picture.html",
        here="gallery",
        index=index,
        version=version,
        picture=row,
        neighbours=neighbours,
        alike=alike,
        copies=copies,
        may_ask=ask,
    )


@app.get("/versions/{version}/pictures/{id_}.jpg")
def picture_file(root: Root, version: str, id_: str) -> Response:
    """The resized copy, which the project itself encoded; if it was removed, a drawing that says so."""
    index = name_index(root, version)
    resized = shelf.manifest(index)["model"]["resized"]
    if not re.fullmatch("[0-9a-f]{32}", id_):
        raise HTTPException(404, "A picture's id is 32 hex digits.")
    file = resized_file(root, resized, id_)
    if not file.is_file() and _has(index, id_):
        return _file(HERE / "static" / "lost.svg", "image/svg+xml", {})
    return _file(file, "image/jpeg", FOR_EVER)


def _has(index: Index, id_: str) -> bool:
    with open_gallery(index) as opened:
        return opened.picture(id_) is not None


@app.get("/find")
def find(
    request: Request, root: Root, ask: Ask, picture: Annotated[str, Query(pattern="^[0-9a-f]{32}$|^$")] = ""
) -> Response:
    """The live search. A link to an uploaded picture keeps it for another day."""
    if picture:
        in_use(root.uploads / picture)
    with open_gallery(name_index(root)) as opened:
        classes = [row["name"] for row in opened.classes() if row["name"]]
    return _page(request, "find.html", here="find", may_ask=ask, classes=classes, counts=COUNTS)


@app.post("/uploads", dependencies=ASK)
async def upload(request: Request, root: Root) -> dict[str, str]:
    """Take a picture as the request's body; return its id, which the API and the param ``query`` take."""
    return {"id": await receive(request, root)}


@app.get("/runs")
def runs(request: Request, root: Root, edit: Annotated[bool, Depends(may_edit)]) -> Response:
    versions, problems = shelf.versions(root)
    return _page(request, "runs.html", here="runs", versions=versions, problems=problems, may_edit=edit)


@app.get("/runs/{run}")
def run(request: Request, root: Root, run: str, dag_id: str = QUERY_DAG) -> Response:
    """The answer of a DAG run, or its progress."""
    if dag_id == BATCH_DAG:
        return _batch(request, root, run)
    ours = dag_id in (INDEX_DAG, QUERY_DAG)
    answer = shelf.answer(root, run) if ours else None
    # An answer may outlive the version that gave it, and with that the pages of its pictures.
    there = bool(answer and name_index(root, answer["index"]["version"]).manifest_file.is_file())
    values = {"run": run, "dag_id": dag_id, "ours": ours, "answer": answer, "there": there}
    return _page(request, "run.html", here="runs", **values)


def _batch(request: Request, root: DataRoot, run: str) -> Response:
    folder = root.query_folder(run)
    if not (folder / BATCH).is_file():
        values = {"ours": True, "answer": None, "there": False}
        return _page(request, "run.html", here="runs", run=run, dag_id=BATCH_DAG, **values)
    batch = read_batch(folder)
    return _page(
        request,
        "batch.html",
        here="runs",
        run=run,
        batch=batch,
        # Answers may outlive their version, and with that the pages of its pictures.
        there=name_index(root, batch["version"]).manifest_file.is_file(),
        answers=first_answers(folder, SHOWN),
        refused=first_refused(folder, SHOWN),
        shown=SHOWN,
    )


@app.get("/runs/{run}/{name}")
def run_file(root: Root, run: str, name: str) -> Response:
    kinds = {
        MONTAGE: "image/png",
        ANSWER: "application/json",
        QUERY_PICTURE: "image/jpeg",
        TABLE: "application/vnd.apache.parquet",
        SHEET: "text/csv",
        REFUSED: "text/csv",
    }
    if name not in kinds:
        raise HTTPException(404, "A run has no such file.")
    return _file(root.query_folder(run) / name, kinds[name], {})


@app.get("/versions/{version}/report.html")
def report(root: Root, version: str) -> Response:
    return _file(
        name_index(root, version).report_file, "text/html", {"Content-Security-Policy": REPORT_POLICY}
    )


@app.post("/versions/{version}/current", dependencies=EDIT)
def make_current(root: Root, version: str) -> dict[str, str]:
    """Make queries use this version, until a run with new pictures publishes another."""
    return {"version": publish(root, version).version}


@app.get("/quarantine")
def quarantine(request: Request, root: Root, page: Annotated[int, Query(ge=1, le=10**6)] = 1) -> Response:
    files, more = shelf.quarantined(root, page)
    passed_over = shelf.passed_over(root)
    return _page(
        request,
        "quarantine.html",
        here="quarantine",
        files=files,
        page=page,
        more=more,
        passed_over=passed_over,
        labels_told=shelf.labels_told(root),
    )


@app.get("/static/{name}")
def static(name: str) -> Response:
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    return _file(HERE / "static" / name, STATIC[name], {})


app.include_router(door.router)


@app.api_route("/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def nothing(rest: str) -> None:
    """Unknown addresses need a login, too."""
    raise HTTPException(404, "There is no such page.")


def _file(file: Path, kind: str, headers: dict[str, str]) -> Response:
    # Read at once: a file that is streamed may be cleaned up meanwhile. The largest have a few MB.
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise HTTPException(404, "There is no such file.") from error
    return Response(content, media_type=kind, headers=headers)
