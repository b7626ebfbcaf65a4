"""Links between the project's pages lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from jobs.store.root import PROJECT

SKIPPED = {".venv", ".git", ".airflow", "data", "inbox", "pictures", "node_modules"}
PAGES = sorted(
    file.relative_to(PROJECT).as_posix()
    for top in PROJECT.iterdir()
    if top.name not in SKIPPED
    for file in ([top] if top.suffix == ".md" else top.rglob("*.md"))
)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """The ids that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = 0
        while (one := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(one)
    return found


def problem(page: Path, link: str) -> str | None:
    """What is wrong with a relative link of a page."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(PROJECT):
        return f"{link} leads out of the project"
    if not target.exists():
        return f"{link}: there is no such file"
    if anchor and target.suffix == ".md" and anchor not in anchors(target):
        return f"{link}: no heading of {target.name} has that name, but {', '.join(sorted(anchors(target)))}"
    return None


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_lead_somewhere(name: str) -> None:
    page = PROJECT / name
    links = re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text(encoding="utf-8")))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert not [said for link in relative if (said := problem(page, link))]


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/reference.md"} <= set(PAGES)


def test_headings_are_named_as_github_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# What's `a b`, exactly?\n## Which way to 224 x 224\n```sh\n# no heading\n```\n## A-b_c\n# A-b_c\n"
    )
    assert anchors(page) == {"whats-a-b-exactly", "which-way-to-224-x-224", "a-b_c", "a-b_c-1"}


def test_a_link_to_nowhere_is_found() -> None:
    page = PROJECT / "docs" / "reference.md"
    assert problem(page, "operations.md#what-can-be-set") is None
    assert problem(page, "../jobs/index.py") is None
    assert "no such file" in str(problem(page, "nowhere.md"))
    assert "no heading" in str(problem(page, "#nowhere"))
    assert "out of the project" in str(problem(page, "../../nowhere"))
