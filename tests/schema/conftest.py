"""A site that docs/openapi.yaml describes, with phones whose code is known."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.servers.basehttp import WSGIRequestHandler
from rest_framework.authtoken.models import Token

from tests.fuzz.sites import SITES

# What makes and runs clients is in an environment of its own; where nothing may be skipped, the
# others leave it out.
if os.environ.get("PHONE_OTP_NO_SKIPS") and "PHONE_OTP_CLIENTS" not in os.environ:
    collect_ignore = ["test_generated.py"]

CODE = "012345"
# Enough for each that is linked to be a fresh one.
PHONES = [f"+7924450{number:04}" for number in range(1000, 3000)]


@pytest.fixture
def site(
    live_server: Any,
    settings: Any,
    phone_otp: Callable[..., None],
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Give the address of a running site; it has no budgets, and its phones need no message."""
    # Head and body of an answer leave one after the other: else each waits 40 ms for the other.
    monkeypatch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
    settings.ROOT_URLCONF = "tests.schema.urls"
    entry = {"code": CODE, "until": "2099-12-31"}
    phone_otp(**SITES["token"], TEST_PHONES=dict.fromkeys(PHONES, entry))
    return str(live_server.url)


@pytest.fixture
def token(transactional_db: None) -> str:
    """Give the token of a user who is logged in."""
    return str(Token.objects.create(user=User.objects.create_user("owner", password="secret")).key)
