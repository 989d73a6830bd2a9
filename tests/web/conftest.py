"""A browser without scripts before a site with the login pages."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from django_phone_otp.providers import local
from tests.conftest import PHONE

LOGIN = "/account/login/"
CODE = "/account/login/code/"
RESEND = "/account/login/resend/"
STATUS = "/account/login/status/"

VOID = ("input", "meta", "link", "br", "img")


class Page(HTMLParser):
    """What a page holds: its visible text, and its elements with their attributes."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.html = response.content.decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._texts: list[tuple[str, str]] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open:
            self._texts.append((self._open[-1], " ".join(data.split())))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Give the attributes of all elements that have these; `_` stands for `-`."""
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [
            attrs
            for each, attrs in self.elements
            if each == tag and all(attrs.get(name) == value for name, value in names.items())
        ]

    def one(self, tag: str, **wanted: str) -> dict[str, str | None]:
        (found,) = self.all(tag, **wanted)
        return found

    def texts(self, tag: str) -> list[str]:
        """Give the texts that stand right in elements of this name."""
        return [text for each, text in self._texts if each == tag]

    @property
    def text(self) -> str:
        return " ".join(text for _tag, text in self._texts)

    @property
    def errors(self) -> list[str]:
        return self.texts("li")


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.web.urls"
    settings.LOGIN_REDIRECT_URL = "/profile/"
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [Path(__file__).parent / "templates"]}]


@pytest.fixture
def browser() -> Client:
    return Client()


@pytest.fixture
def ask(browser: Client) -> Callable[..., HttpResponse]:
    """Ask for a code on the first page: `ask()`, `ask("8 924…", next="/basket/")`."""

    def send(phone: str = PHONE, client: Client = browser, **fields: str) -> Any:
        return client.post(LOGIN, {"phone": phone, **fields})

    return send


@pytest.fixture
def answer(browser: Client) -> Callable[..., HttpResponse]:
    """Answer on the second page, with the code that came last where no other is named."""

    def send(code: str | None = None, client: Client = browser) -> Any:
        return client.post(CODE, {"code": local.outbox[-1].code if code is None else code})

    return send


def wrong(code: str) -> str:
    """Give another code of the same length."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def challenge_of(client: Client) -> str:
    """Give the identifier that the session of a browser holds."""
    return str(client.session["_phone_otp_login"]["challenge"])


def codes_in(text: str) -> set[str]:
    """Give all runs of digits."""
    return set(re.findall(r"\d+", text))
