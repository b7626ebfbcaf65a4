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
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from jobs.base.atomic import in_use
from jobs.base.errors import LookalikeError
from jobs.base.text import name_of, percent, plain
from jobs.publish import publish
from jobs.store.answers import ANSWER, MONTAGE, QUERY_PICTURE
from jobs.store.batches import BATCH, REFUSED, SHEET, TABLE, first_answers, first_refused, read_batch
from jobs.store.catalog import PASSED_OVER, QUARANTINED, UNMATCHED_ROWS
from jobs.store.gallery import ALL, Row, open_gallery
from jobs.store.reports import scale_of
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, name_index
from plugins.pages import door, login, originals, shelf
from plugins.pages.access import (
    ASK,
    BATCH_DAG,
    DAGS,
    EDIT,
    INDEX_DAG,
    QUERY_DAG,
    READ,
    may_ask,
    may_build,
    may_edit,
)
from plugins.pages.uploads import receive

HERE = Path(__file__).parent
STATIC = {
    "pages.css": "text/css",
    "theme.js": "text/javascript",
    "pages.js": "text/javascript",
    "find.js": "text/javascript",
    "run.js": "text/javascript",
    "runs.js": "text/javascript",
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
ORIGINAL_POLICY = "default-src 'none'; sandbox; frame-ancestors 'self'"
UNLABELLED = " "
"""In an address, as a class: the pictures without one. Names of classes have no spaces around them."""
COUNTS = (5, 10, 20, 50, 100)
"""Of neighbours that Find offers."""
SHOWN = 100
"""Answers of a batch, and pictures without one, that its page shows."""
SHOWN_EACH = 10
"""Neighbours of each of them."""
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
Build = Annotated[bool, Depends(may_build)]

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
    "percent": percent,
    "down": lambda share: percent(share, down=True),
    "distance": lambda distance: f"{distance:.3f}",
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


@app.exception_handler(RequestValidationError)
async def refuse_address(request: Request, error: RequestValidationError) -> Response:
    """What is wrong with an address, as a sentence."""
    wrong = ", ".join(dict.fromkeys(str(each["loc"][-1]) for each in error.errors()))
    return await refuse(
        request, StarletteHTTPException(422, f"The address is damaged: its {wrong} can't be used.")
    )


@app.exception_handler(StarletteHTTPException)
async def refuse(request: Request, error: StarletteHTTPException) -> Response:
    if _is_api(request):
        return door.problem(error.status_code, str(error.detail), dict(error.headers or {}))
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        return login.first(request)
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _page(request, "problem.html", error.status_code, problem=str(error.detail), here="")
    return await http_exception_handler(request, error)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(f"{request.scope['root_path']}{door.PREFIX}")


def _page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    base = request.scope["root_path"]
    # Airflow itself is served one level above us.
    values |= {
        "base": base,
        "airflow": base.rpartition("/")[0],
        "query_dag": QUERY_DAG,
        "index_dag": INDEX_DAG,
    }
    values = {"model": None, "may_build": False, **values}
    return HTMLResponse(environment.get_template(template).render(values), status)


@app.get("/")
def gallery(
    request: Request,
    root: Root,
    build: Build,
    class_: Annotated[str, Query(alias="class", max_length=4096)] = "",
    folded: bool = False,
    page: Annotated[int, Query(ge=1, le=10**9)] = 1,
    version: str = CURRENT,
) -> Response:
    if version == CURRENT and shelf.is_empty(root):
        return _page(request, "empty.html", 404, here="gallery", may_build=build)
    index = name_index(root, version)
    with open_gallery(index) as opened:
        classes = opened.classes()
        shown = opened.page(_class_number(classes, class_, index), folded, page, PAGE)

    def link(number: int) -> str | None:
        query = {"class": class_, "folded": int(folded), "page": number, "version": index.version}
        return "?" + urlencode(query) if 1 <= number <= shown.pages else None

    return _page(
        request,
        "gallery.html",
        here="gallery",
        index=index,
        model=shelf.manifest(index)["model"],
        is_current=shelf.is_current(root, index),
        shown=shown,
        all=shelf.manifest(index)["images"],
        classes=classes,
        chosen=class_,
        unlabelled=UNLABELLED,
        folded=folded,
        first=PAGE * (shown.number - 1) + 1,
        before=link(shown.number - 1),
        after=link(shown.number + 1),
    )


def _class_number(classes: list[Row], name: str, index: Index) -> int:
    if not name:
        return ALL
    wanted = None if name == UNLABELLED else name
    for row in classes:
        if row["class"] != ALL and row["name"] == wanted:
            return int(row["class"])
    what = "no picture without a label" if wanted is None else f"no class {name!r}"
    raise LookalikeError(f"Index {index.version} holds {what}: choose another.")


@app.get("/pictures/{id_}")
def picture(request: Request, root: Root, id_: str, ask: Ask, version: str = CURRENT) -> Response:
    index = name_index(root, version)
    with open_gallery(index) as opened:
        row = _picture(opened.picture(id_), index)
        neighbours, alike, copies = opened.neighbours(row), opened.alike(row, PAGE), opened.copies(row)
    return _page(
        request,
        "picture.html",
        here="gallery",
        index=index,
        model=shelf.manifest(index)["model"],
        is_current=shelf.is_current(root, index),
        picture=row,
        class_name=row["class_name"] or row["label"],
        file=originals.facts(row["path"]),
        scale=scale_of(index),
        neighbours=neighbours,
        alike=alike,
        copies=copies,
        may_ask=ask,
    )


def _picture(row: Row | None, index: Index) -> Row:
    if row is None:
        raise LookalikeError(f"Index {index.version} holds no such picture: it may have been removed.")
    return row


@app.get("/versions/{version}/pictures/{id_}/original")
def original(root: Root, version: str, id_: str) -> Response:
    """The file itself in its own proportions or, where browsers can't show it, its resized copy."""
    index = name_index(root, version)
    with open_gallery(index) as opened:
        row = _picture(opened.picture(id_), index)
    if found := originals.original(row["path"], id_):
        content, kind = found
        return Response(
            content, media_type=kind, headers={**FOR_EVER, "Content-Security-Policy": ORIGINAL_POLICY}
        )
    return picture_file(root, version, id_)


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
    request: Request,
    root: Root,
    ask: Ask,
    build: Build,
    picture: Annotated[str, Query(pattern="^[0-9a-f]{32}$|^$")] = "",
) -> Response:
    """The live search. A link to an uploaded picture keeps it for another day."""
    if shelf.is_empty(root):
        return _page(request, "empty.html", 404, here="find", may_build=build)
    if picture:
        in_use(root.uploads / picture)
    index = name_index(root)
    with open_gallery(index) as opened:
        classes = [row["name"] for row in opened.classes() if row["name"]]
    model = shelf.manifest(index)["model"]
    return _page(request, "find.html", here="find", may_ask=ask, model=model, classes=classes, counts=COUNTS)


@app.post("/uploads", dependencies=ASK)
async def upload(request: Request, root: Root) -> dict[str, str]:
    """Take a picture as the request's body; return its id, which the API and the param ``query`` take."""
    return {"id": await receive(request, root)}


@app.get("/runs")
def runs(request: Request, root: Root, edit: Annotated[bool, Depends(may_edit)]) -> Response:
    """The versions; the browser asks Airflow for the runs that whoever is logged in may see."""
    versions, problems = shelf.versions(root)
    return _page(
        request,
        "runs.html",
        here="runs",
        dags=DAGS,
        versions=versions,
        by_run={row["run"]: row["version"] for row in versions if row["run"]},
        problems=problems,
        may_edit=edit,
    )


@app.get("/runs/{run}")
def run(request: Request, root: Root, run: str, dag_id: str = QUERY_DAG) -> Response:
    """The answer of a DAG run, or its progress."""
    if dag_id == BATCH_DAG:
        return _batch(request, root, run)
    ours = dag_id in (INDEX_DAG, QUERY_DAG)
    answer = shelf.answer(root, run) if ours else None
    if not answer:
        return _progress(request, root, run, dag_id, ours=ours)
    index = name_index(root, answer["index"]["version"])
    return _page(
        request,
        "run.html",
        here="runs",
        run=run,
        dag_id=dag_id,
        ours=True,
        answer=answer,
        model=answer["model"],
        scale=scale_of(index),
        # An answer may outlive the version that gave it, and with that the pages of its pictures.
        there=index.manifest_file.is_file(),
    )


def _progress(request: Request, root: DataRoot, run: str, dag_id: str, *, ours: bool = True) -> Response:
    versions = shelf.versions(root)[0] if dag_id == INDEX_DAG else []
    built = next((row["version"] for row in versions if row["run"] == run), None)
    current = next((row for row in versions if row["is_current"] and row["published_at"]), None)
    return _page(
        request,
        "run.html",
        here="runs",
        run=run,
        dag_id=dag_id,
        ours=ours,
        answer=None,
        built=built,
        replaced=None if built else current,
    )


def _batch(request: Request, root: DataRoot, run: str) -> Response:
    folder = root.query_folder(run)
    if not (folder / BATCH).is_file():
        return _progress(request, root, run, BATCH_DAG)
    batch, answers = read_batch(folder), first_answers(folder, SHOWN)
    index = name_index(root, batch["version"])
    # Answers may outlive their version, and with that the pages of its pictures.
    there = index.manifest_file.is_file()
    asked: dict[str, Row] = {}
    if there:
        with open_gallery(index) as opened:
            asked = opened.captions([query for query, _ in answers])
    return _page(
        request,
        "batch.html",
        here="runs",
        run=run,
        batch=batch,
        model=shelf.manifest(index)["model"] if there else None,
        there=there,
        answers=answers,
        asked=asked,
        refused=first_refused(folder, SHOWN),
        shown=SHOWN,
        most=SHOWN_EACH,
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
def quarantine(
    request: Request,
    root: Root,
    version: str = CURRENT,
    last: bool = False,
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> Response:
    """What could not be used for a version or, with ``last``, by the last run, whatever became of it."""
    last = last or (version == CURRENT and shelf.is_empty(root))
    index = None if last else name_index(root, version)
    catalog = shelf.looked_at(root, index)
    files, more = shelf.listed(catalog / QUARANTINED, page)
    query = {"last": 1} if index is None else {"version": index.version}

    def link(number: int) -> str:
        return "?" + urlencode({**query, "page": number})

    return _page(
        request,
        "quarantine.html",
        here="quarantine",
        index=index,
        is_last=index is None or shelf.is_last(root, index),
        files=files,
        page=page,
        before=link(page - 1) if page > 1 else None,
        after=link(page + 1) if more else None,
        unmatched=shelf.listed(catalog / UNMATCHED_ROWS),
        passed_over=shelf.listed(catalog / PASSED_OVER)[0],
        labels_told=shelf.labels_told(catalog),
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
