"""Fixtures of the whole suite, and the rule that CI skips nothing."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.utils import translation
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from django_phone_otp.flow import prefixes
from django_phone_otp.providers import local
from tests import fakes

# How long an example takes is the machine's business.
hypothesis_settings.register_profile("suite", deadline=None)
hypothesis_settings.load_profile("suite")

# Services, their stand-in and clients say nothing about the database: they are tried on SQLite.
OF_SERVICES = ("clients", "faults", "gateway")
if os.environ.get("DATABASE", "sqlite") != "sqlite":
    collect_ignore = [*OF_SERVICES, "providers"]

LONG = ("attack", "clients", "fuzz", "machines", "parallel", "stress")

PHONE = "+79244501003"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    translation.deactivate()  # the language of a request stays active in its thread
    cache.clear()
    # As on a site that is in use: else the first request of each test would read the rows.
    cache.set(prefixes.CACHE_KEY, {}, None)
    local.outbox.clear()
    fakes.asked.clear()
    fakes.judged.clear()
    fakes.calls_in.clear()


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until a test moves it: `clock.shift(30)`."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def phone_otp(settings: Any) -> Callable[..., None]:
    """Change keys of PHONE_OTP: `phone_otp(SIGNUP=False)`."""

    def change(**keys: Any) -> None:
        settings.PHONE_OTP = {**settings.PHONE_OTP, **keys}

    return change


@pytest.fixture
def post(api: APIClient) -> Callable[..., Any]:
    """Post JSON to an endpoint of the API by its name: `post("request", phone=PHONE)`."""

    def send(name: str, client: APIClient = api, **body: Any) -> Any:
        return client.post(f"/api/phone/{name}/", body, format="json")

    return send


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what says the same on every Django: walks through the services' answers, long runs."""
    for item in items:
        if item.path.parent.name in OF_SERVICES:
            item.add_marker("services")
        if item.path.parent.name in LONG:
            item.add_marker("long")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    """Where everything is installed, as in CI, a skipped test is a failed one."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("PHONE_OTP_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
