"""Fixtures of the whole suite, and the rule that CI skips nothing."""

import os

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from django_phone_otp.providers import local

PHONE = "+79244501003"


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()
    local.outbox.clear()


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything is installed, as in CI, a skipped test is a failed one."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("PHONE_OTP_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
