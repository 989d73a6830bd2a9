"""The example site: its own look around the app's pages, and the app's form on its own page."""

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

import example_project
from django_phone_otp.models import UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.web.conftest import Page

pytestmark = pytest.mark.django_db
FOLDER = Path(example_project.__file__).parent


@pytest.fixture(autouse=True)
def _example(settings):
    settings.ROOT_URLCONF = "example_project.urls"
    settings.LOGIN_REDIRECT_URL = "home"
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [FOLDER / "templates"]}]


def test_a_visitor_logs_in_from_the_first_page_to_the_last(browser):
    form = Page(browser.get("/")).one("form", action="/login/")
    browser.post(str(form["action"]), {"phone": "8 924 450-10-03"})
    page = Page(browser.get("/login/code/"))
    assert page.texts("h1") == ["Enter the code"]
    assert page.one("link", href="/static/example/site.css")
    response = browser.post("/login/code/", {"code": local.outbox[-1].code})
    assert response.headers["Location"] == "/"
    page = Page(browser.get("/"))
    assert page.texts("h1") == ["You are logged in"]
    assert PHONE in page.texts("dd")


def test_who_logs_out_is_a_visitor_again(browser):
    user = get_user_model().objects.create_user("member")
    UserPhone.objects.create(user=user, phone=PHONE)
    browser.force_login(user)
    assert browser.post("/logout/").headers["Location"] == "/"
    assert Page(browser.get("/")).texts("h1") == ["Log in"]


def test_the_language_can_be_changed_on_every_page(browser):
    page = Page(browser.get("/login/?next=/admin/"))
    assert page.one("input", name="next", value="/login/?next=/admin/")
    browser.post("/i18n/setlang/", {"language": "ru", "next": "/login/"})
    assert Page(browser.get("/login/")).one("html")["lang"] == "ru"
