"""The main job from end to end, over real HTTP, in plain words: `python -m example_project.demo`.

Makes a site with its database in a temporary folder, starts it beside the local gateway, logs a
person in with the code from the phone's screen, and looks at it as the operator. Everything it
starts it also ends. Exit status: 0 done, 1 something failed, 128 + n ended by signal n.
"""

import argparse
import io
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import requests

from example_project.gateway import HOST, Gateway

ROOT = Path(__file__).resolve().parent.parent
PHONE = "+79244501003"
TYPED_PHONE = "8 924 450-10-03"  # as a person in Russia writes the same phone
OTHER_PHONE = "+79261234567"
OPERATOR = "operator"
START_LIMIT_SECONDS = 60
LOG_LINES_COUNT = 60


class DemoError(Exception):
    """Something did not go as it should; the message says what, to a person."""


class InterruptedBySignal(BaseException):
    """A signal to end came; like `KeyboardInterrupt`, no `except Exception` may swallow it."""


class Signals:
    """Turn the first signal to end into an exception, at a moment when nothing gets lost."""

    # SIGHUP too: the site has a session of its own and would outlive a terminal that is closed.
    NUMBERS = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self.received: int | None = None
        self._held = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in self.NUMBERS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # After an interruption all is over: one more Ctrl-C, as tox sends, stops nothing.
            signal.signal(number, handler if self.received is None else signal.SIG_IGN)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
        if not self._held:
            self._interrupt()

    def _interrupt(self) -> NoReturn:
        self.hold()  # a second Ctrl-C does not disturb the cleaning up after the first
        raise InterruptedBySignal

    def hold(self) -> None:
        """Let nothing interrupt from here on: what follows is short and cleans up."""
        self._held = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back, so that a thing is started and noted down in one step."""
        self.hold()
        yield
        self._held = False
        if self.received is not None:
            self._interrupt()


class Site:
    """The example site in processes of its own, with a database of its own."""

    def __init__(self, folder: Path, gateway_url: str, stack: ExitStack, signals: Signals) -> None:
        self.log_path = folder / "site.log"
        self._stack = stack
        self._signals = signals
        self._environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "EXAMPLE_DATABASE": str(folder / "db.sqlite3"),
            "EXAMPLE_GATEWAY": gateway_url,
            "EXAMPLE_SECRET_KEY": secrets.token_urlsafe(50),
            "EXAMPLE_TOKEN": secrets.token_urlsafe(16),
            # What is on this machine is not asked for through a proxy.
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            "PYTHONUNBUFFERED": "1",  # the log is read while it is written
        }

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Run one command of manage.py to its end."""
        process = self._start(arguments, environment or {})
        wait_until(lambda: process.poll() is not None, f"manage.py {arguments[0]}")
        if process.returncode != 0:
            raise DemoError(f"manage.py {arguments[0]} ended with status {process.returncode}.")

    def serve(self) -> str:
        """Start the development server on a free port; return its address."""
        process = self._start(("runserver", f"{HOST}:0", "--noreload"), {})
        address = ""

        def is_up() -> bool:
            nonlocal address
            if process.poll() is not None:
                raise DemoError(f"The site ended at once, with status {process.returncode}.")
            found = re.search(rf"server at (http://{re.escape(HOST)}:\d+)/", self.log())
            address = found[1] if found else ""
            return bool(address)

        wait_until(is_up, "The start of the site")
        self._server = process
        return address

    def wait(self) -> NoReturn:
        """Wait for a signal, as long as the server lives."""
        while self._server.poll() is None:
            time.sleep(0.5)
        raise DemoError(f"The site ended by itself, with status {self._server.returncode}.")

    def log(self) -> str:
        """Return what the site's processes have said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def _start(
        self, arguments: tuple[str, ...], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        with self._signals.held(), self.log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own command, no shell
                [sys.executable, "-m", "example_project.manage", *arguments],
                cwd=ROOT,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal reaches this process alone, and it ends the others in order.
                start_new_session=True,
            )
            self._stack.callback(end, process)
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started: politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Wait and print the seconds that pass; raises `DemoError` when they are too many."""
    started = time.monotonic()
    shown_seconds = 0
    while not done():
        elapsed = time.monotonic() - started
        if elapsed > START_LIMIT_SECONDS:
            raise DemoError(f"{what} took longer than {START_LIMIT_SECONDS} seconds.")
        if int(elapsed) > shown_seconds:
            shown_seconds = int(elapsed)
            print(f" {shown_seconds} s …", end="", flush=True)
        time.sleep(0.05)
    print(f" done ({time.monotonic() - started:.1f} s)", flush=True)


class Browser:
    """HTTP with a memory for cookies, which takes no status but the expected one."""

    def __init__(self, site_url: str) -> None:
        self._site_url = site_url
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy and no .netrc between two of our own processes

    def ask(
        self, method: str, address: str, *, expect: HTTPStatus = HTTPStatus.OK, **keywords: Any
    ) -> requests.Response:
        """Send one request; raises `DemoError` when another status comes back."""
        url = address if address.startswith("http") else f"{self._site_url}{address}"
        answer = self.session.request(method, url, timeout=30, allow_redirects=False, **keywords)
        if answer.status_code != expect:
            raise DemoError(
                f"{method} {address} should answer {expect.value} and answered "
                f"{answer.status_code}: {answer.text[:500]}"
            )
        return answer


def step(text: str) -> None:
    """Print a headline."""
    print(f"\n• {text}", flush=True)


def tell(text: str, *, open_end: bool = False) -> None:
    """Print a line below the headline; with `open_end` the rest of it follows."""
    print(f"  {text}", end="" if open_end else "\n", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m example_project.demo", description=__doc__)
    parser.add_argument(
        "--serve",
        action="store_true",
        help="stay up afterwards, print the addresses, and end with Ctrl-C",
    )
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without “•” is no reason to fail
    with Signals() as signals, ExitStack() as stack:
        try:
            return run(signals, stack, serve=options.serve)
        except InterruptedBySignal:
            print("\nInterrupted. Ending what was started.", flush=True)
            return 128 + (signals.received or 0)
        finally:
            # On the way out the stack ends processes and removes the folder: no half of that.
            signals.hold()


def run(signals: Signals, stack: ExitStack, *, serve: bool) -> int:
    """Go through all steps; return the exit status. What is started is noted on the stack."""
    site: Site | None = None
    try:
        with signals.held():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="phone-demo-")))
            gateway = stack.enter_context(Gateway())
        site = Site(folder, gateway.url, stack, signals)
        password = secrets.token_urlsafe(12)
        site_url = set_up(site, gateway, password)
        log_in(Browser(site_url), gateway)
        log_in_past_a_failure(Browser(site_url), gateway)
        look_as_operator(Browser(site_url), password)
        step("Done: the phone is proven, the person is logged in.")
        if serve:
            stay(site, site_url, gateway, password)
    except (DemoError, requests.RequestException, OSError) as error:
        log = site.log().splitlines()[-LOG_LINES_COUNT:] if site else []
        if log:
            print("\n\nWhat the site logged last:", file=sys.stderr)
            print(*(f"  | {line}" for line in log), sep="\n", file=sys.stderr)
        print(f"\nThe demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def set_up(site: Site, gateway: Gateway, password: str) -> str:
    """Make the database and start the site; return its address."""
    step("Making a site with an empty database in a temporary folder")
    tell("Creating the tables …", open_end=True)
    site.run("migrate", "--verbosity", "0")
    tell("Creating the operator's account …", open_end=True)
    site.run(
        "createsuperuser",
        "--noinput",
        f"--username={OPERATOR}",
        "--email=operator@example.com",
        # Not an argument: those can be read by everybody on the machine.
        environment={"DJANGO_SUPERUSER_PASSWORD": password},
    )
    step("Starting a provider and a site that uses it")
    tell(f"The gateway, which calls nobody and shows the phone's screen: {gateway.url}")
    tell("The site …", open_end=True)
    site_url = site.serve()
    tell(f"It answers at {site_url}")
    return site_url


def log_in(browser: Browser, gateway: Gateway) -> None:
    """Log a person in by flash call, as an app on their phone would."""
    step(f"A person types the phone “{TYPED_PHONE}” and asks for a code")
    asked = browser.ask(
        "POST",
        "/api/phone/request/",
        expect=HTTPStatus.CREATED,
        json={"phone": TYPED_PHONE, "channel": "flash_call"},
    ).json()
    tell(f"POST /api/phone/request/ → 201, {asked['channel']} to {asked['phone']}")
    tell(f"The person reads: “{asked['hint']}”")

    step("The phone rings")
    calls = browser.ask("GET", f"{gateway.screen_url}{PHONE}.json").json()
    if [call["kind"] for call in calls] != ["call"]:
        raise DemoError(f"The phone should show one call and shows {len(calls)} messages.")
    code: str = calls[0]["code"]
    if len(code) != asked["code_length"]:
        raise DemoError(f"The site announced {asked['code_length']} digits, {len(code)} came.")
    number = calls[0]["from"]
    tell(f"Incoming call from {number[:2]} {number[2:5]} {number[5:8]} {number[8:]}")
    tell(f"Its last digits are the code: {code}")

    wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
    step(f"A mistyped code first: {wrong}")
    refused = browser.ask(
        "POST",
        "/api/phone/confirm/",
        expect=HTTPStatus.BAD_REQUEST,
        json={"challenge": asked["challenge"], "code": wrong},
    ).json()
    if refused.get("code") != "wrong_code":
        raise DemoError(f"A wrong code should be refused as wrong_code; the answer: {refused}")
    tell(f"400: “{refused['detail']}” Tries left: {refused['attempts_left']}")

    step(f"Now the right one: {code}")
    confirmed = browser.ask(
        "POST", "/api/phone/confirm/", json={"challenge": asked["challenge"], "code": code}
    ).json()
    user = confirmed["user"]
    tell(f"200: {'a new' if user['created'] else 'the known'} user {user['id']}, and a token")

    step("The app shows the token with its next request")
    me = browser.ask(
        "GET", "/api/me/", headers={"Authorization": f"Token {confirmed['token']}"}
    ).json()
    if (me["id"], me["phone"]) != (user["id"], PHONE):
        raise DemoError(f"The token should belong to {PHONE}; /api/me/ answered {me}")
    tell(f"GET /api/me/ → user {me['id']}, phone {me['phone']}")
    browser.ask("GET", "/api/me/", expect=HTTPStatus.UNAUTHORIZED)
    tell("GET /api/me/ without the token → 401")


def log_in_past_a_failure(browser: Browser, gateway: Gateway) -> None:
    """Log somebody else in while the account for calls has no money: the code comes as a text."""
    step("Another person asks for a code, and the account for calls is empty")
    gateway.order("no-money", times=1)
    asked = browser.ask(
        "POST",
        "/api/phone/request/",
        expect=HTTPStatus.CREATED,
        json={"phone": OTHER_PHONE},
    ).json()
    tell(f"POST /api/phone/request/ → 201, {asked['channel']} to {asked['phone']}")
    if asked["channel"] != "sms":
        raise DemoError("The second account of the route should have sent a text message.")
    messages = browser.ask("GET", f"{gateway.screen_url}{OTHER_PHONE}.json").json()
    tell(f"The route went on to the account for text messages: “{messages[-1]['text']}”")
    confirmed = browser.ask(
        "POST",
        "/api/phone/confirm/",
        json={"challenge": asked["challenge"], "code": messages[-1]["code"]},
    ).json()
    tell(f"200: user {confirmed['user']['id']} is logged in, and noticed nothing")


def look_as_operator(browser: Browser, password: str) -> None:
    """Log in to the admin and print the list of challenges as it stands there."""
    step("The operator opens the admin")
    login = "/admin/login/"
    browser.ask("GET", login)
    browser.ask(
        "POST",
        login,
        expect=HTTPStatus.FOUND,
        data={
            "username": OPERATOR,
            "password": password,
            "csrfmiddlewaretoken": browser.session.cookies["csrftoken"],
        },
    )
    table = ResultTable()
    table.feed(browser.ask("GET", "/admin/phone_otp/phonechallenge/").text)
    rows = [row for row in table.rows if any(row)]
    # The first row holds the names of the columns.
    tell(f"Challenges: {max(len(rows) - 1, 0)}")
    for row in rows:
        tell("  " + " | ".join(cell for cell in row if cell))
    if len(rows) != 3:
        raise DemoError("The admin should list the two challenges of this demo.")


class ResultTable(HTMLParser):
    """Collect the texts of the table with which the admin lists rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        if tag == "table":
            self._inside = ("id", "result_list") in attrs
        elif self._inside and tag == "tr":
            self.rows.append([])
        elif self._inside and tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        elif self._in_cell and tag == "img":  # a yes or a no
            self.rows[-1][-1] += dict(attrs).get("alt") or ""

    def handle_endtag(self, tag: str) -> None:
        """End a cell or the table."""
        if tag in ("td", "th"):
            self._in_cell = False
        elif tag == "table":
            self._inside = False

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self._in_cell:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def stay(site: Site, site_url: str, gateway: Gateway, password: str) -> None:
    """Print the addresses and wait for Ctrl-C."""
    step("It stays up. Try it in a browser:")
    tell(f"The site:           {site_url}/")
    tell(f"The phone's screen: {gateway.screen_url}")
    tell(f"The admin:          {site_url}/admin/")
    tell(f"                    user {OPERATOR}, password {password}")
    tell("Ctrl-C ends everything and removes the folder.")
    try:
        site.wait()
    except InterruptedBySignal:  # the way it is meant to end
        print("\nEnding the site and the gateway.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
