"""A check for sites that include the login pages, and for no others. Layer 5."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern

from .. import conf
from .captcha import find_widget


class PagePattern(URLPattern):
    """An address of a page; Django's check of addresses asks it."""

    def check(self) -> list[Any]:
        """Check that the page can show the captcha."""
        return [*super().check(), *_check_widget()]


def _check_widget() -> Iterator[CheckMessage]:
    try:
        widget = find_widget(conf.read())
    except (ImproperlyConfigured, LookupError, TypeError):  # the checks of the settings name it
        return
    if widget and widget.script and not widget.site_key:
        yield Warning(
            "PHONE_OTP['CAPTCHA']['OPTIONS'] has no 'site_key': the login pages "
            "(django_phone_otp.web.urls) cannot show the captcha, and nobody passes it.",
            hint="Add the key of the page, which the service gives beside the secret.",
            id="phone_otp.W037",
        )
