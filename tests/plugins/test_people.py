"""People at a real Airflow with a real browser: pictures land and are indexed, and are looked at."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect, sync_playwright

from jobs.neighbours import STORED
from jobs.store.catalog import read_catalog
from jobs.store.root import PROJECT, DataRoot
from jobs.store.versions import open_index
from plugins.inbox import SEEN, snapshot
from scripts.airflow_api import until
from tests.support.airflow_server import Server, running_airflow
from tests.support.dags import TASKS
from tests.support.pictures import write_picture

pytestmark = pytest.mark.timeout(1200)
LIMIT = 60
PATIENCE_MS = 120_000
"""Spark computes beside the browser here: far more than anything takes that is not broken."""
expect.set_options(timeout=PATIENCE_MS)
INDEX, QUERY, BATCH = "similarity_index", "similarity_query", "similarity_batch"


@dataclass
class House:
    """A running Airflow and its data root, where a first index is published and pictures have landed."""

    server: Server
    root: DataRoot
    first_run: str
    runs_before: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("people")
    root = DataRoot(folder / "data")
    with running_airflow(folder / "airflow", LOOKALIKE_DATA=str(root.root), **hostile(folder)) as server:
        runs_before = len(server.runs(INDEX))
        run = server.trigger(INDEX, source="sample", weights="random", limit=LIMIT)
        # Two bursts while the first index is being made, the second when Airflow knows of the first.
        until(lambda: server.tasks(INDEX, run).get("changes") == "success", 300, "the catalog")
        for burst in range(2):
            for number in range(2):
                write_picture(root.inbox / f"burst{burst}-{number}.jpg", 10 * burst + number, (300, 200))
            until(lambda: noticed(server, root), 300, "the inbox's event")
        state = server.state(INDEX, run)
        assert state == "running", f"{state} before both bursts were noticed"
        server.finish(INDEX, run)
        yield House(server, root, run, runs_before)


def hostile(folder: Path) -> dict[str, str]:
    """A shell's environment that is meant for other programs: a proxy, another Spark, a Hadoop, no UTF-8."""
    (folder / "t m p").mkdir()
    (folder / "hadoop").mkdir()
    (folder / "hadoop" / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name>"
        "<value>hdfs://nowhere.invalid:8020</value></property></configuration>"
    )
    proxy = "http://127.0.0.1:9"
    return {
        **{"http_proxy": proxy, "https_proxy": proxy, "HTTP_PROXY": proxy, "ALL_PROXY": proxy},
        **{"SPARK_HOME": "/opt/spark-3.5.1", "HADOOP_CONF_DIR": str(folder / "hadoop")},
        **{"PYSPARK_PYTHON": "/opt/python2", "PYSPARK_DRIVER_PYTHON": "jupyter"},
        **{"LC_ALL": "C", "TMPDIR": str(folder / "t m p")},
    }


def noticed(server: Server, root: DataRoot) -> bool:
    """Whether Airflow has stored an event for what the inbox holds now."""
    assets = server.request("GET", "/api/v2/assets?name_pattern=lookalike_inbox")[1]["assets"]
    stored = server.request("GET", f"/api/v2/assets/{assets[0]['id']}/state-store/{SEEN}")[1]
    return stored is not None and stored["value"] == snapshot(root.inbox)[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no browser: install Debian's package chromium")
    with sync_playwright() as playwright:
        # As root, Chromium runs without its sandbox or not at all.
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=chromium, args=alone)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """Airflow's home page, logged in by its own form."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(house.server.base)
    page.locator("input[name=username]").fill(house.server.user)
    page.locator("input[name=password]").fill(house.server.password)
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/auth/" not in url)
    yield page
    context.close()


def ours(page: Page) -> FrameLocator:
    """Our page inside Airflow's."""
    return page.frame_locator("iframe")


def test_airflow_needs_the_password_from_a_file_that_only_its_owner_can_read(house: House) -> None:
    server = house.server
    assert server.address.startswith(server.base)
    assert server.dags() == dict.fromkeys(TASKS, False)
    assert replace(server, token="").request("GET", "/api/v2/dags")[0] == 401
    passwords = next(server.log.parent.glob("*passwords*"))
    assert passwords.stat().st_mode & 0o077 == 0


def test_gallery_inside_airflow_leads_from_neighbour_to_neighbour(house: House, page: Page) -> None:
    page.get_by_role("link", name="Lookalike").first.click()
    inside = ours(page)
    expect(inside.get_by_role("heading", name="Gallery")).to_be_visible()
    tiles = inside.locator(".tile")
    expect(tiles).to_have_count(min(60, open_index(house.root).manifest()["images"]))
    for _ in range(2):
        wanted = re.search("[0-9a-f]{32}", tiles.nth(1).get_attribute("href") or "")
        assert wanted
        tiles.nth(1).click()
        expect(inside.locator("dd code")).to_have_text(wanted[0])
        expect(inside.locator(".badge")).to_have_text([str(rank) for rank in range(1, STORED + 1)])
    for shot in inside.locator(".tile img").all()[:5]:
        assert shot.evaluate("image => image.decode().then(() => image.naturalWidth)") == 224
    inside.get_by_role("link", name="Gallery").click()
    choice = inside.get_by_label("Class")
    choice.focus()
    choice.select_option(index=1)
    expect(inside.locator(".quiet").first).to_contain_text(re.compile("of \\d+"))


def test_a_run_has_a_tab_and_its_tasks_a_button(house: House, page: Page) -> None:
    run = quote(house.first_run)
    page.goto(f"{house.server.base}/dags/{INDEX}/runs/{run}")
    page.get_by_role("link", name="Look-alikes").first.click()
    expect(ours(page).get_by_role("heading", name="Montage")).to_be_visible()
    for task, name, wanted in (
        ("query", "Look-alikes", "Montage"),
        ("montage", "Look-alikes", "Montage"),
        ("report", "Report", "Recall"),
    ):
        told = house.server.request("GET", f"/api/v2/dags/{INDEX}/dagRuns/{run}/taskInstances/{task}/links")[
            1
        ]["extra_links"]
        page.goto(house.server.base + told[name])
        expect(page.locator("body")).to_contain_text(re.compile(wanted, re.IGNORECASE))


def test_runs_tell_what_was_run_and_by_whom(house: House, page: Page) -> None:
    page.goto(f"{house.server.base}/lookalike/runs")
    row = page.locator("[data-runs] tbody tr").filter(has_text="Index: sample").last
    expect(row).to_contain_text("admin")
    row.get_by_role("link", name=re.compile("^version ")).click()
    expect(page.get_by_role("heading", name="Gallery")).to_be_visible()
    expect(page).to_have_title("Gallery · Lookalike")


def test_the_keyboard_is_enough(house: House, page: Page) -> None:
    page.goto(f"{house.server.base}/lookalike/")
    before = page.url
    menu = page.get_by_label("Class")
    menu.focus()
    for _ in range(3):  # each would have been a choice of its own
        page.keyboard.press("ArrowDown")
    assert page.url == before
    chosen = menu.input_value()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "class=" in url)
    expect(page.get_by_label("Class")).to_have_value(chosen)
    tiles = page.locator(".tile")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    original = page.locator("[data-original]")
    expect(page.locator("[data-pixels]")).to_contain_text("pixels")
    original.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_as_light_or_dark_as_airflow(house: House, page: Page, scheme: str) -> None:
    page.evaluate("scheme => localStorage.setItem('theme', scheme)", scheme)
    page.goto(f"{house.server.base}/plugin/lookalike")
    body = ours(page).locator("body")
    expect(ours(page).locator("html")).to_have_attribute("data-theme", scheme)
    brightness = body.evaluate("body => Math.max(...getComputedStyle(body).backgroundColor.match(/\\d+/g))")
    assert (brightness > 200) == (scheme == "light")


def test_a_narrow_screen_needs_no_sideways_scrolling(house: House, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for address in ("", "find", "runs", "quarantine", f"runs/{quote(house.first_run)}?dag_id={INDEX}"):
        page.goto(f"{house.server.base}/lookalike/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def test_without_a_login_nothing_is_shown(house: House, browser: Browser) -> None:
    context = browser.new_context()
    stranger = context.new_page()
    for address in ("/lookalike/", "/lookalike/find", "/lookalike/runs", "/lookalike/static/pages.css"):
        answer = stranger.goto(house.server.base + address)
        assert answer is not None and answer.status == 401
        assert "Gallery" not in stranger.content()
    context.close()


def test_new_pictures_are_indexed_automatically_and_found(house: House) -> None:
    server, root = house.server, house.root
    assert house.runs_before == 0  # no run but those that somebody or something asked for

    def landed() -> bool:
        runs = [run for run in server.runs(INDEX) if run["run_type"] == "asset_triggered"]
        return bool(runs) and all(run["state"] in ("success", "failed") for run in runs)

    until(landed, 600, "the run that the inbox starts")
    runs = server.runs(INDEX)
    # Both bursts fell into the first run, so one more run takes them in.
    assert [(run["run_type"], run["state"]) for run in runs] == [
        ("manual", "success"),
        ("asset_triggered", "success"),
    ]
    tasks = server.tasks(INDEX, runs[1]["dag_run_id"])
    assert (tasks["publish"], tasks["query"], tasks["montage"]) == ("success", "skipped", "skipped")
    captions = open_index(root).captions()
    names = {Path(row["path"]).name for row in captions}
    assert names >= {f"burst{burst}-{number}.jpg" for burst in range(2) for number in range(2)}
    assert len(captions) == sum(row["status"] == "ok" for row in read_catalog(root)) > LIMIT / 2

    events = server.request("GET", "/api/v2/assets/events?order_by=-timestamp")[1]["asset_events"]
    told = next(event["extra"] for event in events if event["source_task_id"] == "publish")
    assert (told["version"], told["images"]) == (open_index(root).version, len(captions))
    assert told["recall"]["measured"] >= told["recall"]["target"]

    run = server.trigger(QUERY, query=str(root.inbox / "burst0-0.jpg"), k=60)
    server.finish(QUERY, run)
    answer = json.loads((root.query_folder(run) / "neighbours.json").read_text())
    assert Path(answer["query"]["path"]).name == "burst0-0.jpg" and answer["query"]["id"]
    assert "burst1-1.jpg" in {Path(one["path"]).name for one in answer["neighbours"]}


def test_a_run_that_failed_says_why_and_leads_to_its_log(house: House, page: Page) -> None:
    run = house.server.trigger(INDEX, source="folder")
    assert house.server.end(INDEX, run, 300) == "failed"
    page.goto(f"{house.server.base}/lookalike/runs/{quote(run)}?dag_id={INDEX}")
    expect(page.get_by_role("heading", name="The run failed in sources")).to_be_visible()
    expect(page.locator("[data-say]")).to_have_text(
        "Source folder needs a folder: give the folder that holds your pictures."
    )
    expect(page.get_by_role("link", name="The log of sources")).to_have_attribute(
        "href", re.compile("/tasks/sources$")
    )


def test_a_file_that_was_only_touched_is_nothing_new(house: House) -> None:
    server, root = house.server, house.root
    before, known = open_index(root).version, len(server.runs(INDEX))

    def next_run() -> str:
        runs = server.runs(INDEX)
        return str(runs[-1]["dag_run_id"]) if len(runs) > known else ""

    (root.inbox / "burst0-0.jpg").touch()
    run = until(next_run, 120, "the run that a touched file starts")
    server.finish(INDEX, run)
    tasks = server.tasks(INDEX, run)
    assert (tasks["changes"], tasks["embed"], tasks["publish"]) == ("skipped",) * 3
    assert open_index(root).version == before

    # Airflow stores what was noticed, so a restarted triggerer fires no event again.
    until(lambda: noticed(server, root), 120, "the inbox's state")


def test_a_photo_is_found_at_once_and_kept_as_a_run(house: House, page: Page, tmp_path: Path) -> None:
    page.goto(f"{house.server.base}/plugin/lookalike")
    inside = ours(page)
    inside.get_by_role("link", name="Find").click()
    chooser = inside.locator("input[type=file]")
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    chooser.set_input_files(bad)
    expect(inside.get_by_role("status")).to_have_text(
        "The picture can't be used: not a picture of a known format."
    )
    expect(inside.get_by_role("button", name="Keep as a run")).to_be_hidden()
    chooser.set_input_files(write_picture(tmp_path / "mine.png", 77, (400, 300)))
    expect(inside.locator(".tile")).to_have_count(5)
    expect(inside.get_by_role("heading", name="Looks like your photo")).to_be_visible()
    nearest = tiles(inside)
    inside.locator("select[name=k]").select_option("10")
    expect(inside.locator(".tile")).to_have_count(10)
    assert tiles(inside)[:5] == nearest
    of_one = inside.get_by_label("Class").locator("option").nth(1).inner_text()
    inside.get_by_label("Class").select_option(of_one)
    expect(inside.locator("[data-how]")).to_contain_text(f"of class {of_one} alone")
    assert {title.split("\n")[0] for title in inside.locator(".caption b").all_inner_texts()} == {of_one}

    # The link leads there without Airflow's own pages around it, and so do Back and Reload.
    linked = page.context.new_page()
    linked.goto(str(inside.get_by_role("link", name="Link to this answer").get_attribute("href")))
    expect(linked.locator("[data-how]")).to_contain_text(f"of class {of_one} alone")
    linked.get_by_label("Class").select_option("all")
    expect(linked.locator("[data-how]")).not_to_contain_text("alone")
    assert tiles(linked)[:5] == nearest
    linked.go_back()
    expect(linked.locator("[data-how]")).to_contain_text("alone")
    linked.reload()
    expect(linked.locator("[data-how]")).to_contain_text("alone")
    linked.close()

    inside.get_by_label("Class").select_option("all")
    expect(inside.locator("[data-how]")).not_to_contain_text("alone")
    inside.get_by_role("button", name="Keep as a run").click()
    expect(inside.get_by_role("heading", name="Montage")).to_be_visible(timeout=2 * PATIENCE_MS)
    assert (
        inside.locator(".montage").evaluate("image => image.decode().then(() => image.naturalWidth)") > 1000
    )
    assert tiles(inside)[:5] == nearest
    run = house.server.runs(QUERY)[-1]
    assert run["triggering_user_name"] == house.server.user
    assert (house.root.uploads / run["conf"]["query"]).is_file() and run["conf"]["k"] == 10


def tiles(inside: FrameLocator | Page) -> list[str | None]:
    """The pages that the tiles lead to, in their order."""
    return [tile.get_attribute("href") for tile in inside.locator(".tile").all()]


def test_a_batch_is_answered_and_its_page_shows_it(house: House, page: Page) -> None:
    asked = house.root.root / "asked"  # the data root may be named, whatever else may
    write_picture(asked / "mine.png", 80, (400, 300))
    (asked / "broken.jpg").write_text("no picture")
    run = house.server.trigger(BATCH, questions=str(asked), k=3)
    page.goto(f"{house.server.base}/lookalike/runs/{quote(run)}?dag_id={BATCH}")
    expect(page.get_by_role("heading", name="Look-alikes of 1 picture")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(3)
    expect(page.locator("td", has_text="not a picture of a known format")).to_be_visible()
    link = house.server.request(
        "GET", f"/api/v2/dags/{BATCH}/dagRuns/{quote(run)}/taskInstances/batch/links"
    )[1]
    assert f"dag_id={BATCH}" in link["extra_links"]["Answers"]


@pytest.mark.parametrize("kind", ["sh", "python"])
def test_the_examples_of_the_api_work_as_they_are_written(house: House, tmp_path: Path, kind: str) -> None:
    text = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", text.partition("## What can be asked")[0], re.M | re.S)
    shown = "\nprint(neighbours.to_json(orient='records'))" if kind == "python" else ""
    command = ["bash", "-c"] if kind == "sh" else [sys.executable, "-c"]
    server = house.server
    environment = {
        **{"AIRFLOW": server.base, "AIRFLOW_USER": server.user, "AIRFLOW_PASSWORD": server.password},
        "PICTURE": str(write_picture(tmp_path / "my photo.png", 79, (400, 300))),
    }
    done = subprocess.run(
        [*command, "\n".join(blocks) + shown],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    found = said["neighbours"] if kind == "sh" else said
    assert len(found) == 3 and found[0]["distance"] <= found[1]["distance"]


def test_while_the_search_is_down_find_says_so_and_offers_the_run(
    house: House, page: Page, tmp_path: Path
) -> None:
    page.route("**/api/v1/search", lambda route: route.fulfill(status=503, json={"detail": "It is away."}))
    page.goto(f"{house.server.base}/lookalike/find")
    page.locator("input[type=file]").set_input_files(write_picture(tmp_path / "mine.png", 78, (400, 300)))
    expect(page.get_by_role("status")).to_have_text("It is away. It is asked again by itself.")
    page.get_by_role("button", name="Search by a run").click()
    page.wait_for_url("**/runs/**")
    expect(page.get_by_role("heading", name="Montage")).to_be_visible(timeout=2 * PATIENCE_MS)


def test_find_asks_again_by_itself_and_shows_no_other_answer_meanwhile(
    house: House, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{house.server.base}/lookalike/find")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files(write_picture(tmp_path / "one.png", 79, (400, 300)))
    expect(page.locator(".tile")).to_have_count(5)
    left = [503, 503]
    page.route(
        "**/api/v1/search",
        lambda route: (
            route.fulfill(status=left.pop(), json={"detail": "It is away."}) if left else route.continue_()
        ),
    )
    chooser.set_input_files(write_picture(tmp_path / "other.png", 80, (400, 300)))
    expect(page.get_by_role("status")).to_contain_text("It is away.")
    expect(page.locator("[data-tiles]")).to_be_hidden()
    expect(page.locator(".tile")).to_have_count(5)
    expect(page.locator("[data-tiles]")).to_be_visible()
    expect(page.get_by_role("status")).not_to_contain_text("It is away.")


def test_a_search_that_was_killed_comes_back_and_none_is_refused_meanwhile(house: House) -> None:
    def ask() -> int:
        status: int = house.server.request("GET", "/lookalike/api/v1/versions")[0]
        return status

    assert ask() == 200
    (search,) = [
        process for process in psutil.process_iter(["cmdline"]) if serves(process, house.server.log.parent)
    ]
    search.kill()
    search.wait(10)
    # It waits until the next one has started; that one says that it is opening the index.
    until(lambda: ask() == 200, 60, "another search")


def serves(process: psutil.Process, home: Path) -> bool:
    command = process.info["cmdline"] or []
    return command[1:3] == ["-m", "service"] and process.environ().get("AIRFLOW_HOME") == str(home)


def test_an_earlier_version_is_restored_by_its_button(house: House, page: Page) -> None:
    current = open_index(house.root).version
    page.goto(f"{house.server.base}/plugin/lookalike")
    inside = ours(page)
    inside.get_by_role("link", name="Runs").click()
    expect(inside.locator(".current")).to_have_count(1)
    inside.get_by_role("button", name="Make current").first.click()
    until(lambda: open_index(house.root).version != current, 30, "the other version")
    row = inside.locator("tr", has_text=open_index(house.root).version)
    expect(row.locator(".current")).to_be_visible()
