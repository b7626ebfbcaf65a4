"""What an answer costs: a photo in, an id in, through Airflow's door, in the browser, while versions change.

Server and clients are on the same machine, beside each other.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import psutil

from benchmarks.live.made import make_served
from benchmarks.measuring.shown import NO_BAR, Quantity, say, table
from jobs.embedding.decoders import Decoders
from jobs.embedding.single import SingleEmbedder
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, open_index, point_to_index
from tests.support.airflow_server import Server, running_airflow
from tests.support.pictures import encoded, picture
from tests.support.served import SECRET, Search, running_search

SIZES = (8_000, 1_000_000)
CANDIDATES = 200
PHOTO = (1600, 1200)
PHOTOS, IDS, LOAD = 100, 500, 2_000
CHANGES = 50
BATCH = 1_000
JSON = {"Content-Type": "application/json"}


class Client:
    """One connection that is kept open."""

    def __init__(self, base: str, token: str, prefix: str = "") -> None:
        self._connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._prefix = prefix

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        self._connection.request("POST", self._prefix + path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def by_id(self, number: int) -> tuple[int, Any]:
        return self.post("/search", json.dumps({"id": f"{number:032x}"}).encode(), JSON)

    def stored(self, number: int) -> tuple[int, Any]:
        self._connection.request(
            "GET", f"{self._prefix}/pictures/{number:032x}/neighbours", headers=self._headers
        )
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def photo(self, content: bytes) -> tuple[int, Any]:
        head = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a.jpg"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.post("/search", head + content + b"\r\n--x--\r\n", kind)


def photos(count: int) -> list[bytes]:
    """As many that differ, so that none is remembered: each has other bytes after its end."""
    drawn = [encoded(picture(number, PHOTO), "JPEG") for number in range(5)]
    return [drawn[number % len(drawn)] + b"%d" % number for number in range(count)]


def milliseconds(ask: Callable[[Any], tuple[int, Any]], questions: Sequence[Any]) -> list[float]:
    spent = []
    for question in questions:
        started = time.perf_counter()
        status, answer = ask(question)
        spent.append(1000 * (time.perf_counter() - started))
        assert status == 200, answer
    return spent


def per_second(connect: Callable[[], Client], questions: int, pictures: int, clients: int = 8) -> float:
    def load(client: Client) -> None:
        for number in range(questions // clients):
            status, answer = client.by_id((7919 * number) % pictures)
            assert status == 200, answer

    threads = [threading.Thread(target=load, args=(connect(),)) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return questions / (time.perf_counter() - started)


def beside_alone(
    root: DataRoot, index: Index, ask: Callable[[bytes], tuple[int, Any]], contents: Sequence[bytes]
) -> tuple[list[float], list[float]]:
    """Milliseconds of an answer, and of it beyond decoding and embedding alone, which take turns with it."""
    spent, beyond = [], []
    with Decoders(1) as decoders:
        embedder = SingleEmbedder(root, index.manifest()["model"], decoders).load()

        def embed(content: bytes) -> tuple[int, Any]:
            embedder.forward(embedder.pixels(content)[None])
            return 200, None

        milliseconds(embed, contents[:5])
        for content in contents:
            (alone,), (asked,) = milliseconds(embed, [content]), milliseconds(ask, [content])
            spent.append(asked)
            beyond.append(asked - alone)
    return spent, beyond


def memory(search: Search) -> float:
    """Megabytes of the service and its processes that are resident and no file's.

    Mapped files are the system's to drop. What processes share is counted once.
    """
    service = psutil.Process(search.process.pid)
    found = 0
    for process in (service, *service.children(recursive=True)):
        told = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        found += int(re.findall(r"^Pss_Anon:\s+(\d+) kB", told, re.M)[0])
    return found / 1024


def changes(root: DataRoot, index: Index, search: Search) -> tuple[int, int, int]:
    """Answers under load while two versions take turns; how many were refused, and how many were mixed."""
    other = Index(index.folder.with_name("f" * 16))
    shutil.copytree(index.folder, other.folder)
    other.record({**other.manifest(), "version": other.version})
    ends, counted = threading.Event(), [0, 0, 0]

    def load() -> None:
        client = Client(search.address, SECRET)
        while not ends.is_set():
            status, answer = client.by_id(counted[0] % 1_000)
            counted[0] += 1
            counted[1] += status != 200
            counted[2] += status == 200 and answer["version"] not in (index.version, other.version)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(CHANGES):
        version = (other, index)[number % 2]
        point_to_index(root, CURRENT, version)
        search.until(version.version)
    ends.set()
    for thread in threads:
        thread.join()
    return counted[0], counted[1], counted[2]


def p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))


def straight(folder: Path, pictures: int) -> list[Quantity]:
    """What the service itself takes."""
    root = DataRoot(folder / str(pictures))
    say(f"make an index of {pictures:,} pictures")
    index = make_served(root, pictures, CANDIDATES)
    contents = photos(PHOTOS)
    with running_search(root, folder / "search.log") as search:
        search.until(index.version)
        client = Client(search.address, SECRET)
        milliseconds(client.by_id, range(50))
        say("photos, one client")
        by_photo, beyond = beside_alone(root, index, client.photo, contents)
        say("ids, one client and eight")
        numbers = np.random.default_rng(1).integers(0, pictures, IDS).tolist()
        by_id = milliseconds(client.by_id, numbers)
        rate = per_second(lambda: Client(search.address, SECRET), LOAD, pictures)
        stored = milliseconds(client.stored, numbers)
        private = memory(search)
        rows = [
            Quantity(
                f"{pictures:,}: a photo, median and p95",
                f"{median(by_photo):.0f} and {p95(by_photo):.0f} ms",
                "150 ms",
            ),
            Quantity(
                f"{pictures:,}: of that beyond decode and forward, median and p95",
                f"{median(beyond):.1f} and {p95(beyond):.1f} ms",
                "25 ms",
            ),
            Quantity(
                f"{pictures:,}: by id, median and p95",
                f"{median(by_id):.1f} and {p95(by_id):.1f} ms",
                "15 ms",
            ),
            Quantity(
                f"{pictures:,}: stored neighbours by id, median and p95",
                f"{median(stored):.1f} and {p95(stored):.1f} ms",
                "15 ms",
            ),
            Quantity(f"{pictures:,}: by id, a second, straight", f"{rate:,.0f}", "500"),
            Quantity(f"{pictures:,}: memory of the service, private", f"{private:,.0f} MB", "1,000 MB"),
        ]
        if pictures == min(SIZES):
            say(f"{CHANGES} changes of version under load")
            answers, refused, mixed = changes(root, index, search)
            rows.append(
                Quantity(
                    f"{CHANGES} changes of version under load",
                    f"{answers:,} answers, {refused} refused, {mixed} mixed",
                    "0, 0",
                )
            )
    return rows


def through_airflow(folder: Path, pictures: int) -> list[Quantity]:
    """What people and scripts get, with everything that Airflow does beside it."""
    root = DataRoot(folder / str(pictures))
    say("Airflow's door and the page Find")
    with running_airflow(folder / "airflow", LOOKALIKE_DATA=str(root.root)) as server:

        def connect() -> Client:
            return Client(server.base, server.token, "/lookalike/api/v1")

        milliseconds(connect().by_id, range(50))
        rate = per_second(connect, LOAD // 4, pictures)
        link_tiles(root, pictures)
        painted = drop_until_painted(server, folder)
        parts = parts_of_a_run(server)
    return [
        Quantity("by id, a second, through Airflow's door", f"{rate:,.0f}", "50"),
        Quantity(
            "a photo dropped on Find until tiles are painted, median and most",
            f"{median(painted):.2f} and {max(painted):.2f} s",
            "1 s",
        ),
        *(
            Quantity(f"a run of similarity_query: {what}", f"{spent:.1f} s", NO_BAR)
            for what, spent in parts.items()
        ),
    ]


def link_tiles(root: DataRoot, pictures: int) -> None:
    """Let every picture have a copy, which a montage needs: all are the same one."""
    resized = open_index(root).manifest()["model"]["resized"]
    there = next((root.resized / resized).rglob("*.jpg"))
    for number in range(pictures):
        copy = resized_file(root, resized, f"{number:032x}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            os.link(there, copy)


def parts_of_a_run(server: Server, repeats: int = 3) -> dict[str, float]:
    """Seconds of a run and of its parts, medians."""
    parts: dict[str, list[float]] = {}
    for number in range(repeats):
        run = server.trigger("similarity_query", query=f"{number:032x}")
        server.finish("similarity_query", run)
        address = f"/api/v2/dags/similarity_query/dagRuns/{quote(run)}"
        told = server.request("GET", address)[1]
        tasks = server.request("GET", f"{address}/taskInstances")[1]["task_instances"]
        spent = {task["task_id"]: float(task["duration"]) for task in tasks}
        whole = (
            datetime.fromisoformat(told["end_date"]) - datetime.fromisoformat(told["queued_at"])
        ).total_seconds()
        log = json.dumps(server.request("GET", f"{address}/taskInstances/query/logs/1?full_content=true")[1])
        (spark,) = re.findall(r"query: ([0-9.]+) s", log)
        for what, seconds in (
            ("all of it", whole),
            ("Airflow between tasks", whole - sum(spent.values())),
            (
                "query: starting Python and Spark's launcher, looking up, writing",
                spent["query"] - float(spark),
            ),
            ("query: Spark's session and the search", float(spark)),
            ("montage", spent["montage"]),
        ):
            parts.setdefault(what, []).append(seconds)
    return {what: median(spent) for what, spent in parts.items()}


def drop_until_painted(server: Server, folder: Path, repeats: int = 10) -> list[float]:
    from playwright.sync_api import sync_playwright

    painted = """previous => {
        const asked = document.querySelector('[data-asked] img');
        const tiles = [...document.querySelectorAll('[data-tiles] img')];
        const shown = tiles.length && tiles.every(tile => tile.complete && tile.naturalWidth);
        return asked.getAttribute('src') !== previous && shown;
    }"""
    spent = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": "_token", "value": server.token, "url": server.base}])
        page = context.new_page()
        page.goto(f"{server.base}/lookalike/find")
        for number, content in enumerate(photos(repeats + 1)):
            file = folder / f"photo-{number}.jpg"
            file.write_bytes(content + b"dropped")
            previous = page.locator("[data-asked] img").get_attribute("src")
            started = time.perf_counter()
            page.locator("input[type=file]").set_input_files(file)
            page.wait_for_function(painted, arg=previous, polling="raf")
            spent.append(time.perf_counter() - started)
        browser.close()
    return spent[1:]  # the first one also loads what the others find in the browser's cache


def batch(folder: Path, pictures: int) -> list[Quantity]:
    """A thousand files as one Spark job, the embedding apart, against a Spark step with one question."""
    say(f"a batch of {BATCH:,} files")
    root, asked = DataRoot(folder / str(pictures)), folder / "asked"
    asked.mkdir()
    for number, content in enumerate(photos(BATCH)):
        (asked / f"{number:04d}.jpg").write_bytes(content + b"batch")

    def searched(*arguments: str) -> float:
        said = subprocess.run(
            [sys.executable, "-m", "jobs.batch", f"--run={len(arguments)}", *arguments],
            env={**os.environ, "LOOKALIKE_DATA": str(root.root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (line,) = [line for line in said.splitlines() if line.startswith("search: ")]
        return float(line.split()[1])

    (folder / "one.csv").write_text(f"id\n{0:032x}\n")
    one = [searched(f"--questions={folder / 'one.csv'}") for _ in range(3)]
    many = [searched(f"--questions={asked}", "--k=5") for _ in range(3)]
    ratio = median(many) / median(one)
    return [
        Quantity(
            f"{BATCH:,} files in one batch, embedding apart, against one question", f"{ratio:.2f} x", "1.5 x"
        )
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="lookalike-live-") as name:
        folder = Path(name)
        rows = [row for pictures in options.sizes for row in straight(folder, pictures)]
        rows += through_airflow(folder, min(options.sizes))
        rows += batch(folder, min(options.sizes))
    table(
        "Answers at once:", ["what", "measured", "bar"], [[row.name, row.measured, row.bar] for row in rows]
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
