"""Everybody can use the pages: by axe-core's rules, on a narrow screen, enlarged, and quickly."""

from dataclasses import replace
from functools import partial
from itertools import product

import pytest

from .barriers import find_barriers, is_too_wide, weigh
from .scenes import ADMIN, DEVICES, LOGIN

WEIGHT_LIMIT_BYTES = 50_000
# Made by Django's own templates and style sheets, which are not ours to mend. None of them is
# around what the app shows.
DJANGOS = (
    "#nav-sidebar",  # the colour of its links in the dark
    ".breadcrumbs",  # links that only their colour tells from the text
    "#changelist-filter",  # links 20 pixels high
    ".inline-group thead",  # a column without a name, for the link that deletes
)


def find_barriers_everywhere(person, **options):
    """Give the findings in light and dark, on each of the devices."""
    found = []
    for device, colours in product(DEVICES, ("light", "dark")):
        person.page.set_viewport_size(DEVICES[device]["viewport"])
        person.page.emulate_media(color_scheme=colours)
        found += [f"{device}, {colours}: {each}" for each in find_barriers(person, **options)]
    return found


@pytest.mark.parametrize("name", LOGIN)
def test_login_has_no_barriers(stage, name):
    assert find_barriers_everywhere(LOGIN[name](stage)) == []


@pytest.mark.parametrize("name", LOGIN)
def test_login_weighs_little(stage, name):
    weights = weigh(LOGIN[name](stage).page)
    assert len(weights) >= 3  # the page, its style, its script
    assert sum(weights.values()) < WEIGHT_LIMIT_BYTES, weights


@pytest.mark.parametrize("name", LOGIN)
def test_login_fits_into_a_narrow_screen(stage, name):
    narrow = {"viewport": {"width": 320, "height": 480}}
    person = LOGIN[name](replace(stage, visit=partial(stage.visit, **narrow)))
    assert not is_too_wide(person.page)


@pytest.mark.parametrize("name", LOGIN)
def test_login_fits_when_its_letters_are_twice_as_large(stage, name):
    # A page at 200 % has half the pixels; larger letters alone have the same room as before.
    half = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}
    person = LOGIN[name](replace(stage, visit=partial(stage.visit, **half)))
    assert not is_too_wide(person.page)
    person.page.set_viewport_size({"width": 390, "height": 844})
    person.page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
    assert not is_too_wide(person.page)


@pytest.mark.parametrize("name", ADMIN)
def test_admin_has_no_barriers(stage, name):
    assert find_barriers_everywhere(ADMIN[name](stage), exclude=DJANGOS) == []
