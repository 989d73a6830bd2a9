"""The text around a code that we made, in the language of the request. Layer 4."""

from contextlib import suppress
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ..conf import Settings


@sensitive_variables("code")
def write_text(code: str, settings: Settings) -> str:
    """Write the message; a template of the site's own may use `{code}` and `{site}`."""
    return _write(code, _site_name(), settings)


def write_sample(code_length: int, settings: Settings) -> str:
    """Write the message with a code of zeros, so that its length can be judged.

    Asks no database: with `django.contrib.sites` the first host stands for the site's name.
    """
    return _write("0" * code_length, _host_name(), settings)


@sensitive_variables("code", "text")
def _write(code: str, site: str, settings: Settings) -> str:
    """Write text and lines; what reads them is said where each is added.

    The code comes first: what has no line of its own guesses (iOS without a domain, User Consent),
    and a hash looks like a code too. The word "code" stands beside it, on its line (observed: iOS
    looks for that).
    """
    template = settings.message
    if template is None:
        template = _("{code} is your code for {site}.") if site else _("{code} is your code.")
    text = str(template).format(code=code, site=site)
    if settings.android_app_hash or settings.webotp_domain:
        text = text.rstrip()  # each character of a segment is paid for
    if settings.android_app_hash:
        # SMS Retriever: documented as included anywhere; it had to be the end until about 2020.
        # https://developers.google.com/identity/sms-retriever/verify
        text += f"\n{settings.android_app_hash}"
    if settings.webotp_domain:
        # WebOTP and iOS: "@domain #code". The format looks at the last line and at nothing else;
        # Chrome's parser looks anywhere, and its own tests have a hash on the line before.
        # https://wicg.github.io/sms-one-time-codes/#parsing
        text += f"\n\n@{settings.webotp_domain} #{code}"
    return text


def _site_name() -> str:
    """Name the site from its configuration.

    SECURITY: never from the `Host` header: a stranger would put a name of his choice into a message
    that comes from us.
    """
    if apps.is_installed("django.contrib.sites"):
        # Named at run time: a site need not install the app.
        site: Any = import_module("django.contrib.sites.shortcuts")
        with suppress(ImproperlyConfigured, ObjectDoesNotExist):  # no SITE_ID, or no such row
            return str(site.get_current_site(None).name)
    return _host_name()


def _host_name() -> str:
    hosts = [each.lstrip(".") for each in django_settings.ALLOWED_HOSTS if each.strip(".*")]
    return hosts[0] if hosts else ""
