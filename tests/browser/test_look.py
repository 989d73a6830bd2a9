"""A look of the site's own: what `docs/login-pages.md` offers, on a site that is light or both."""

import re
from pathlib import Path

import pytest

from .barriers import find_barriers
from .people import PATIENCE_MS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "login-pages.md"
SHOP = """<!doctype html><html lang="en"><head><title>{% block title %}{% endblock %}</title>
<meta name="viewport" content="width=device-width">SCHEME{% block head %}{% endblock %}</head>
<body><main><p id="shop">The shop</p>{% block content %}{% endblock %}</main></body></html>"""
BOTH = '<meta name="color-scheme" content="light dark">'

PAPER = "body { background: canvas; }"  # axe takes a page without a background for a white one

WHITE, BLACK = "rgb(255, 255, 255)", "rgb(0, 0, 0)"
TEXT, TEXT_DARK = "rgb(23, 26, 31)", "rgb(236, 238, 241)"
CARD, CARD_DARK = WHITE, "rgb(25, 29, 35)"
ACCENT_DARK, ON_ACCENT_DARK = "rgb(157, 189, 255)", "rgb(11, 31, 71)"


def read_docs(language, words):
    """Give the block of code of the page that has these words."""
    blocks = re.findall(rf"^```{language}\n(.+?)^```$", DOCS.read_text("utf-8"), re.M | re.S)
    (block,) = (each for each in blocks if words in each)
    return block


@pytest.fixture
def have_shop(settings):
    """Have the pages stand in a page of the site's own, as the docs show it."""

    def have(scheme=""):
        templates = {
            "shop/base.html": SHOP.replace("SCHEME", scheme),
            "phone_otp/base.html": read_docs("html", '{% extends "shop/base.html" %}'),
        }
        (engine,) = settings.TEMPLATES
        loaders = [
            ("django.template.loaders.locmem.Loader", templates),
            "django.template.loaders.app_directories.Loader",
        ]
        options = {**engine["OPTIONS"], "loaders": loaders}
        settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]

    return have


def come(visit, colours, style="", **options):
    """Give somebody before the first page, which has a style sheet of the site's own too."""
    person = visit(color_scheme=colours, **options)
    person.open()
    dress(person, style)
    return person


def dress(person, style):
    """Add a style sheet, in the one way that the site's policy leaves to a test."""
    person.page.evaluate(
        "async (style) => document.adoptedStyleSheets.push("
        "await new CSSStyleSheet().replace(style))",
        style,
    )


def check(place, **css):
    """Wait until a place looks like this."""
    from playwright.sync_api import expect

    for name, value in css.items():
        expect(place).to_have_css(name.replace("_", "-"), value, timeout=PATIENCE_MS)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_pages_in_a_light_site_are_light(visit, have_shop, colours):
    have_shop()
    person = come(visit, colours, PAPER)
    check(person.page.locator("#shop"), color=BLACK)
    check(person.page.get_by_role("heading"), color=TEXT)
    assert find_barriers(person) == []


@pytest.mark.parametrize(("colours", "text"), [("light", TEXT), ("dark", TEXT_DARK)])
def test_pages_in_a_site_of_both_looks_follow_it(visit, have_shop, colours, text):
    have_shop(BOTH)
    person = come(visit, colours, PAPER)
    check(person.page.get_by_role("heading"), color=text)
    assert find_barriers(person) == []


@pytest.mark.parametrize(("colours", "card"), [("light", CARD), ("dark", CARD_DARK)])
def test_pages_in_the_apps_own_frame_follow_the_system(visit, colours, card):
    check(come(visit, colours).page.locator(".phone-otp-card"), background_color=card)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_site_of_one_look_says_so(visit, colours):
    person = come(visit, colours, read_docs("css", "color-scheme"))
    check(person.page.locator(".phone-otp-card"), background_color=CARD)
    check(person.page.get_by_role("heading"), color=TEXT)
    assert find_barriers(person) == []


def test_accent_alone_changes_nothing_in_the_dark(visit):
    person = come(visit, "dark", ":root { --phone-otp-accent: #4a0d0d; }")
    button = person.button("Continue")
    check(button, background_color=ACCENT_DARK, color=ON_ACCENT_DARK)
    assert find_barriers(person) == []


@pytest.mark.parametrize(
    ("colours", "accent"), [("light", "rgb(10, 107, 79)"), ("dark", "rgb(127, 220, 188)")]
)
def test_accents_of_the_docs_have_no_barriers(visit, colours, accent):
    style = read_docs("css", "--phone-otp-accent:")
    person = come(visit, colours, style)
    check(person.button("Continue"), background_color=accent)
    assert find_barriers(person) == []
    person.ask_for_code()
    person.sees("Your phone is about to ring.")
    dress(person, style)
    check(person.link("Another phone"), color=accent)
    assert find_barriers(person) == []


def test_pages_in_a_wide_site_are_no_wider_than_a_line_to_read(visit, have_shop):
    have_shop()
    person = come(visit, "light", viewport={"width": 1280, "height": 800})
    check(person.page.locator(".phone-otp"), width="432px")


def test_box_to_tick_stands_beside_its_label(visit, settings):
    settings.ROOT_URLCONF = "tests.web.urls_own"
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [DOCS.parents[1] / "tests/web/templates"]}]
    person = come(visit, "light")
    box = person.page.get_by_role("checkbox", name="I accept the terms")
    check(box, width="24px")
    label = person.page.get_by_text("I accept the terms")
    left, right = box.bounding_box(), label.bounding_box()
    assert left["x"] + left["width"] < right["x"]
    assert left["y"] + left["height"] / 2 == pytest.approx(right["y"] + right["height"] / 2, abs=1)
    assert find_barriers(person) == []
