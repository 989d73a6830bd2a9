"""A real browser before a real site, whose codes go out through the local gateway."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.core.servers.basehttp import WSGIRequestHandler

from example_project.gateway import Gateway

from .people import PATIENCE_MS, Person
from .scenes import Stage
from .site import keys_for, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

# The browser's driver is in an environment of its own; where nothing may be skipped, the others
# leave these tests out. They say nothing about the database.
is_left_out = os.environ.get("PHONE_OTP_NO_SKIPS") and "PHONE_OTP_BROWSER" not in os.environ
if is_left_out or os.environ.get("DATABASE", "sqlite") != "sqlite":
    collect_ignore_glob = ["test_*.py"]

# No sandbox: a container has none to give. The rest keeps the browser offline.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker("browser")


@pytest.fixture(scope="package")
def chromium() -> Iterator["Browser"]:
    driver = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: the dependency group browser"
    )
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is missing: Debian's package chromium")
    with pytest.MonkeyPatch.context() as patch, driver.sync_playwright() as playwright:
        # The driver leaves a loop running in this thread, though nothing here is asynchronous:
        # without this word Django would refuse every query of a test.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        # Head and body of an answer leave one after the other: else each waits for the other.
        patch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(chromium: "Browser", django_db_setup: None) -> Iterator[str]:
    """Give the address of the site."""
    with serving() as address:
        yield address


@pytest.fixture
def gateway(phone_otp: Callable[..., None]) -> Iterator[Gateway]:
    """Give the gateway that the site's codes go out through."""
    with Gateway() as gateway:
        phone_otp(**keys_for(gateway, "flash", "sms", "telegram"))
        yield gateway


@pytest.fixture(params=["scripted", "plain"])
def has_scripts(request: pytest.FixtureRequest) -> bool:
    """Walk twice: with JavaScript, and without."""
    return request.param == "scripted"


@pytest.fixture
def visit(
    chromium: "Browser", site: str, gateway: Gateway, transactional_db: None, clock: Any
) -> Iterator[Callable[..., Person]]:
    """Sit down at a browser; the options are Playwright's. Nothing may be left to complain of."""
    contexts: list[BrowserContext] = []
    people: list[Person] = []

    def sit_down(*, has_scripts: bool = True, is_paused: bool = False, **options: Any) -> Person:
        context = chromium.new_context(locale="en-US", java_script_enabled=has_scripts, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        people.append(Person(context.new_page(), site, gateway, has_scripts, is_paused))
        return people[-1]

    yield sit_down
    for context in contexts:
        context.close()
    assert [each for person in people for each in person.complaints] == []


@pytest.fixture
def person(visit: Callable[..., Person], has_scripts: bool) -> Person:
    return visit(has_scripts=has_scripts)


@pytest.fixture
def stage(
    visit: Callable[..., Person], phone_otp: Callable[..., None], gateway: Gateway, clock: Any
) -> Stage:
    return Stage(visit, phone_otp, gateway, clock)


@pytest.fixture
def copy(visit: Callable[..., Person]) -> Callable[[str], None]:
    """Copy a text, elsewhere: it is then in the clipboard of all."""

    def copy_text(text: str) -> None:
        elsewhere = visit(permissions=["clipboard-read", "clipboard-write"])
        elsewhere.open("/")
        elsewhere.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)

    return copy_text
