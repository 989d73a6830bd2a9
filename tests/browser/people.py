"""A person with a phone and a browser, who finds things by what they say.

What the browser complains of on the way is kept: errors in the console (a breach of the policy is
one), exceptions of scripts, requests that fail or leave the site.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import time_machine

from example_project.gateway import Gateway
from tests.conftest import NOW, PHONE

if TYPE_CHECKING:  # no test outside of this folder needs a browser
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response

LOGIN = "/account/login/"
PATIENCE_MS = 8_000
POLL_SECONDS = 10  # no page waits longer before it asks again
# Refusals have statuses that a browser notes down as errors; they are looked at as answers.
_STATUS = "Failed to load resource: the server responded with a status of"
_GONE = "net::ERR_ABORTED"  # the person went on while the page was asking


@dataclass
class Person:
    """Somebody at a browser; `phone` is in their hand."""

    page: Page
    site: str
    gateway: Gateway
    has_scripts: bool = True
    is_paused: bool = False  # whether the page's clock stands still until it is moved
    phone: str = PHONE
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.has_scripts:
            self.page.clock.install(time=NOW)
        if self.is_paused:
            self.page.clock.pause_at(NOW + timedelta(seconds=1))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._follow)
        self.page.on("requestfailed", self._miss)
        self.page.on("response", self._check)

    # What the browser says

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_STATUS):
            self.complaints.append(message.text)

    def _follow(self, request: Request) -> None:
        if not request.url.startswith((self.site, "data:")):
            self.complaints.append(f"left the site: {request.url}")

    def _miss(self, request: Request) -> None:
        if request.failure != _GONE:
            self.complaints.append(f"{request.failure} {request.url}")

    def _check(self, response: Response) -> None:
        is_page = response.request.resource_type == "document"
        if response.status >= 400 and not (is_page and response.status in (400, 403, 429, 503)):
            self.complaints.append(f"{response.status} {response.url}")

    # What the person does

    def _posting(self) -> AbstractContextManager[object]:
        """Wait until the site has answered what is posted meanwhile."""
        return self.page.expect_response(lambda response: response.request.method == "POST")

    def open(self, path: str = LOGIN) -> None:
        """Go to an address of the site."""
        self.page.goto(f"{self.site}{path}")

    def ask_for_code(self, phone: str = "") -> None:
        """Type the phone, and ask."""
        self.phone_field.fill(phone or self.phone)
        with self._posting():
            self.press("Continue")

    def answer(self, code: str) -> None:
        """Type a code, digit by digit, and send it off."""
        self.code_field.press_sequentially(code)
        with self._posting():
            self.press("Log in")

    def answer_rightly(self) -> None:
        """Answer with the code on the phone."""
        self.answer(self.read_code())

    def answer_wrongly(self) -> None:
        """Answer with another code."""
        code = self.read_code()
        self.answer(f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}")

    def press(self, words: str) -> None:
        """Press the button that says so."""
        self.button(words).click()

    def follow(self, words: str) -> None:
        """Follow the link that says so."""
        self.link(words).click()

    def tab_to(self, place: Locator) -> None:
        """Go on with the Tab key until the place has the focus."""
        for _ in range(20):
            if place.evaluate("(place) => place === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError("the Tab key does not lead there")

    def wait(self, seconds: int, clock: time_machine.Traveller) -> None:
        """Let time pass, for the site and for the page."""
        clock.shift(seconds)
        if self.has_scripts:
            self.page.wait_for_load_state()
            self.page.clock.run_for(seconds * 1000)

    def wait_for_page(self) -> None:
        """Wait until the page, all by itself, has asked the site what is new."""
        self.page.wait_for_load_state()
        with self.page.expect_response(lambda response: LOGIN in response.url):
            if self.has_scripts:
                self.page.clock.run_for(POLL_SECONDS * 1000)

    def call(self, *, from_phone: str = "") -> None:
        """Call the number that the page shows."""
        link = self.page.locator("a[href^='tel:']").get_attribute("href")
        assert link
        number = link.removeprefix("tel:")
        assert self.gateway.call(from_phone=from_phone or self.phone, to=number)

    # What the person finds

    @property
    def phone_field(self) -> Locator:
        """Find the field for the phone."""
        return self.page.get_by_label("Phone number")

    @property
    def code_field(self) -> Locator:
        """Find the field for the code."""
        return self.page.get_by_label("Code")

    def button(self, words: str) -> Locator:
        """Find a button."""
        return self.page.get_by_role("button", name=words, exact=True)

    def link(self, words: str) -> Locator:
        """Find a link."""
        return self.page.get_by_role("link", name=words, exact=True)

    def sees(self, words: str) -> None:
        """Wait for words on the page."""
        from playwright.sync_api import expect

        expect(self.page.get_by_role("main")).to_contain_text(words, timeout=PATIENCE_MS)

    def is_at(self, path: str) -> None:
        """Wait until the page with this address is there."""
        from playwright.sync_api import expect

        expect(self.page).to_have_url(f"{self.site}{path}", timeout=PATIENCE_MS)

    def read_code(self) -> str:
        """Read the code off the phone, from the call or the message that came last."""
        return self.gateway.on_screen(self.phone)[-1].code
