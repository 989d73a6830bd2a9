"""The page about captchas says what is there, and its class does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp.captcha import REGISTRY, Captcha, load_captcha
from django_phone_otp.exceptions import NoAnswer
from django_phone_otp.testing import Wire

PAGE = (Path(__file__).parents[2] / "docs" / "captcha.md").read_text(encoding="utf-8")
KEY = "key-of-the-shop"


def acme(wire: Wire, **options: Any) -> Captcha:
    """Make the class of the page, over a faked wire."""
    (code,) = re.findall(
        r"^```python\n(# shop/captcha\.py\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE
    )
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (the page is ours)
    names["send"] = wire
    found = names["AcmeCaptcha"]({"api_key": KEY, **options})
    assert isinstance(found, Captcha)
    return found


def test_page_has_a_row_for_each_service():
    table = PAGE.partition("## Options")[0]
    assert re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE) == list(REGISTRY)


def test_page_has_a_row_for_each_option():
    with pytest.raises(ImproperlyConfigured) as caught:
        load_captcha({"BACKEND": "yandex", "OPTIONS": {"": ""}})
    known = str(caught.value).partition("known: ")[2].rstrip(".").split(", ")
    section = PAGE.partition("## Options")[2].partition("## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == known


@pytest.mark.parametrize("verdict", [True, False])
def test_class_of_the_page_gives_the_verdict(verdict):
    wire = Wire({"is_person": verdict})
    assert acme(wire).verify("token", "") is verdict
    assert wire.requests[0].headers == {"X-Api-Key": KEY}


@pytest.mark.parametrize(("answer", "status"), [(b"<html>", 200), ([], 200), ({}, 200), ({}, 502)])
def test_class_of_the_page_gives_no_verdict_where_there_is_none(answer, status):
    with pytest.raises(NoAnswer, match=f"Acme: HTTP {status} without a verdict"):
        acme(Wire(answer, status)).verify("token", "")


def test_class_of_the_page_tells_of_a_key_that_is_refused():
    with pytest.raises(ImproperlyConfigured, match="api_key"):
        acme(Wire({}, 401)).verify("token", "")


def test_class_of_the_page_misses_its_key():
    with pytest.raises(ImproperlyConfigured, match="api_key"):
        acme(Wire(), api_key="")
