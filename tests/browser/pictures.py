"""The pictures of all scenes, light and dark, on a phone and on a desk; run by `screenshots`."""

import os
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from .people import Person
from .scenes import ADMIN, DEVICES, LOGIN, Stage
from .screenshots import FOLDER


def take(person: Person, name: str, device: str) -> None:
    """Take pictures in light and in dark: of all of the page, and of what fits on the screen."""
    for colours in ("light", "dark"):
        path = Path(os.environ[FOLDER]) / f"{name}-{device}-{colours}.png"
        person.page.emulate_media(color_scheme=colours)
        person.page.screenshot(path=path, animations="disabled", full_page=True)
        if person.page.evaluate("() => document.documentElement.scrollHeight > innerHeight"):
            top = path.with_stem(f"{path.stem}-top")
            person.page.screenshot(path=top, animations="disabled")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LOGIN)
def test_take_login(stage: Stage, name: str, device: str) -> None:
    stage = replace(stage, visit=partial(stage.visit, is_paused=True))
    take(LOGIN[name](stage.on(device)), name, device)


def test_take_admin(stage: Stage) -> None:
    # All after one month of traffic: to make it takes longer than to take them.
    stage = replace(stage, days=30, scale=0.2)
    for name, device in product(ADMIN, DEVICES):
        take(ADMIN[name](stage.on(device)), name, device)
    wide = replace(stage, visit=partial(stage.visit, viewport={"width": 1600, "height": 1200}))
    take(ADMIN["dashboard"](wide), "dashboard", "wide")
