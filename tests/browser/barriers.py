"""What keeps people out, as far as a program can tell: axe-core's findings, width, weight."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .people import Person

if TYPE_CHECKING:
    from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
OPTIONS: dict[str, Any] = {
    "runOnly": list(TAGS),
    "rules": {"target-size": {"enabled": True}},  # off by default, because it is new
    "resultTypes": ["violations"],
    "preload": False,  # all style sheets are the site's own
}


@cache
def _read_axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if not (found and found.origin):
        pytest.skip("axe-core is missing: axe-playwright-python")
    return Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def find_barriers(person: Person, exclude: Iterable[str] = ()) -> list[str]:
    """Give axe-core's findings, each with its rule and its place; `exclude` has selectors."""
    page, heard_count = person.page, len(person.complaints)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_read_axe())
    # A colour on its way to another is neither.
    page.evaluate(
        "() => document.getAnimations().forEach((each) =>"
        " each.effect.getComputedTiming().endTime === Infinity ? each.cancel() : each.finish())"
    )
    found = page.evaluate(
        "([exclude, options]) => axe.run({include: [['html']], exclude}, options)",
        [[[each] for each in exclude], OPTIONS],
    )
    del person.complaints[heard_count:]  # axe itself styles what it measures
    return [
        f"{rule['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def is_too_wide(page: Page) -> bool:
    """Say whether somebody has to scroll sideways to read the page."""
    return bool(
        page.evaluate(
            "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
    )


def weigh(page: Page) -> dict[str, int]:
    """Give the bytes of a page and of all that it names, none of it compressed."""
    urls = page.evaluate(
        "() => [...document.querySelectorAll('link[rel~=stylesheet], link[rel~=icon], [src]')]"
        ".map((each) => each.href || each.src)"
    )
    # Asked for once more: the browser has some of it from the page before.
    weights = {url: len(page.request.get(url).body()) for url in urls}
    return {page.url: len(page.content().encode()), **weights}
