"""Templates, style and script: what a strict Content-Security-Policy lets pass; weight."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

import django_phone_otp
from tests.web.conftest import CODE, LOGIN, Page

PACKAGE = Path(django_phone_otp.__file__).parent
TEMPLATES = sorted((PACKAGE / "templates" / "phone_otp").glob("*.html"))
ASSETS = ("phone_otp/login.css", "phone_otp/login.js")
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", re.IGNORECASE
)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "login-pages.md"


def find(name: str) -> Path:
    found = finders.find(name)
    assert found
    return Path(found)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_has_no_script_and_no_style_of_its_own(path):
    assert INLINE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ASSETS)
def test_asset_asks_for_nothing_elsewhere(name):
    text = find(name).read_text(encoding="utf-8")
    assert re.findall(r"https?://|//[a-z]+\.|@import|url\(|eval\(|innerHTML", text) == []


@pytest.mark.django_db
def test_a_page_and_all_that_it_loads_weigh_little(ask, browser):
    ask()
    assets = sum(find(name).stat().st_size for name in ASSETS)
    for path in (LOGIN, CODE):
        assert assets + len(browser.get(path).content) < 20_000


def test_style_has_all_that_people_ask_for():
    text = find(ASSETS[0]).read_text(encoding="utf-8")
    for words in ("light-dark(", "prefers-reduced-motion", "forced-colors: active"):
        assert words in text


def test_every_variable_of_the_style_is_documented():
    defaults = find(ASSETS[0]).read_text(encoding="utf-8").partition(":where(:root) {")[2]
    variables = dict(re.findall(r"(--[a-z-]+): (.+);", defaults.partition("}")[0]))
    rows = re.findall(r"^\| `--.+", DOCS.read_text(), re.M)
    assert dict(re.findall(r"`(--[a-z-]+)` \| `(.+?)`", "".join(rows))) == variables


def test_the_head_for_a_page_of_the_sites_own_says_nothing_about_that_page():
    text = (PACKAGE / "templates/phone_otp/head.html").read_text(encoding="utf-8")
    assert re.findall(r"<(\w+)", text) == ["link", "script"]


def test_the_style_has_no_variable_that_a_site_may_have_too():
    text = find(ASSETS[0]).read_text(encoding="utf-8")
    assert [
        each for each in re.findall(r"--[\w-]+", text) if not each.startswith("--phone-otp-")
    ] == []


def test_every_template_is_documented():
    names = {f"phone_otp/{path.name}" for path in TEMPLATES}
    assert set(re.findall(r"^\| `(phone_otp/\w+\.html)`", DOCS.read_text(), re.M)) == names


def test_every_block_of_a_template_is_documented():
    rows = dict(
        re.findall(r"^\| `(phone_otp/\w+\.html)` \|[^|]*\| ([^|]*) \|", DOCS.read_text(), re.M)
    )
    for path in TEMPLATES:
        blocks = set(re.findall(r"{% block (\w+) %}", path.read_text(encoding="utf-8")))
        assert set(re.findall(r"`(\w+)`", rows[f"phone_otp/{path.name}"])) == blocks, path.name


@pytest.mark.django_db
def test_the_page_loads_the_two_files_and_no_other(browser):
    page = Page(browser.get(LOGIN))
    assert page.one("link")["href"] == "/static/phone_otp/login.css"
    (script,) = page.all("script")
    assert script["src"] == "/static/phone_otp/login.js"
    assert "defer" in script
