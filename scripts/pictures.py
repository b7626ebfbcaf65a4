"""Take the README's pictures of the running product, whose index must be of the sample: make pictures.

``AIRFLOW``, ``AIRFLOW_USER`` and ``AIRFLOW_PASSWORD`` say where it runs, as in docs/api.md.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from jobs.find import main as find
from jobs.intake.sample import draw_sample
from jobs.store.root import PROJECT

DOCS = PROJECT / "docs"
WIDTH = 1280
ANOTHER = 1
"""The seed of a sample whose pictures are not in the index."""
QUERY = "00042.jpg"
"""A picture of the sample."""
COLOURS = 256


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    wanted = ("AIRFLOW", "AIRFLOW_USER", "AIRFLOW_PASSWORD")
    if missing := [name for name in wanted if name not in os.environ]:
        print(f"error: {', '.join(missing)} is not set: see docs/api.md.", file=sys.stderr)
        return 1
    if not chromium:
        print("error: no browser: install Debian's package chromium.", file=sys.stderr)
        return 1
    if find([QUERY, "--montage", str(DOCS / "montage.png")]):
        return 1
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        drawn = Path(draw_sample(Path(name, "sample"), ANOTHER).splits[0].pictures)
        # As root, Chromium runs without its sandbox or not at all.
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=alone)
        page = browser.new_page()
        log_in(page)
        take_gallery(page)
        take_find(page, drawn / QUERY)
        browser.close()
    return 0


def log_in(page: Page) -> None:
    page.goto(os.environ["AIRFLOW"])
    page.locator("input[name=username]").fill(os.environ["AIRFLOW_USER"])
    page.locator("input[name=password]").fill(os.environ["AIRFLOW_PASSWORD"])
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/auth/" not in url)


def take_gallery(page: Page) -> None:
    page.set_viewport_size({"width": WIDTH, "height": 760})
    page.goto(f"{os.environ['AIRFLOW']}/plugin/lookalike")
    inside = page.frame_locator("iframe")
    inside.get_by_role("link", name="Next").first.click()
    inside.get_by_text("page 2").wait_for()
    shoot(page, "gallery.png")


def take_find(page: Page, picture: Path) -> None:
    page.set_viewport_size({"width": WIDTH, "height": 1000})
    page.goto(f"{os.environ['AIRFLOW']}/plugin/lookalike")
    inside = page.frame_locator("iframe")
    inside.get_by_role("link", name="Find").click()
    inside.locator("input[type=file]").set_input_files(picture)
    inside.locator("[data-tiles] img").first.wait_for()
    shoot(page, "find.png")


def shoot(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    file = DOCS / name
    page.screenshot(path=file)
    with Image.open(file) as taken:
        few = taken.convert("RGB").quantize(COLOURS)
    few.save(file, optimize=True)
    print(f"took {file}")


if __name__ == "__main__":
    raise SystemExit(main())
