"""The door of each test, and the count of the whole run."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection

from django_phone_otp.models import UserPhone
from tests.fuzz.door import TALLY, Door
from tests.fuzz.rounds import IS_LONG, SEED, WANTED_COUNT, repeat
from tests.fuzz.sites import PHONE

KEY = "phone_otp_fuzz"


@pytest.fixture
def door(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[Door]:
    """The way in, to a site with a user who has a password and a phone.

    Nothing is in a transaction, as on a real site: PostgreSQL refuses everything else in one after
    an error, which would hide what comes next.
    """
    User.objects.create_user("owner", password="secret")
    UserPhone.objects.create(user=User.objects.create_user("known"), phone=PHONE)
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA synchronous = OFF")
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)  # a site keeps its connections as well
    with pytest.MonkeyPatch.context() as patch:
        for name in ("django.request", "django.security"):  # a line or a traceback for each refusal
            patch.setattr(logging.getLogger(name), "disabled", True)
        yield Door(f"seed {SEED}")
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    if connection.vendor == "sqlite":
        connection.close()


@pytest.fixture
def repeated(door: Door, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run rounds of a test until its share of the requests was made."""

    def run(percent: float, function: Callable[..., None]) -> None:
        repeat(door, percent, request.node.name, function)

    return run


# The count of the run. Under pytest-xdist the workers hand theirs to the process that started them.


def pytest_report_header() -> str:
    return f"fuzzing: {WANTED_COUNT} requests, seed {SEED}"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TALLY.update(Counter(getattr(node, "workeroutput", {}).get(KEY, {})))


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[KEY] = dict(TALLY)
    elif IS_LONG and TALLY.total() < WANTED_COUNT and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section(f"fuzzing: {TALLY.total()} requests, seed {SEED}")
    for word, count in sorted(TALLY.items()):
        terminalreporter.write_line(f"{count:7}  {word}")
    if IS_LONG and TALLY.total() < WANTED_COUNT:
        terminalreporter.write_line(f"FAILED: {WANTED_COUNT} requests were wanted", red=True)
