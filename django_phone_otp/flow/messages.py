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


@sensitive_variables("code", "text")
def write_text(code: str, settings: Settings) -> str:
    """Write the message; a template of the site's own may use `{code}` and `{site}`."""
    site = _site_name()
    template = settings.message
    if template is None:
        template = _("{code} is your code for {site}.") if site else _("{code} is your code.")
    text = str(template).format(code=code, site=site)
    if settings.android_app_hash:
        # SMS Retriever: the app's hash of eleven characters closes the message.
        text += f"\n{settings.android_app_hash}"
    if settings.webotp_domain:
        # WebOTP: "@domain #code" on a line of its own, the last one.
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
    hosts = [each.lstrip(".") for each in django_settings.ALLOWED_HOSTS if each.strip(".*")]
    return hosts[0] if hosts else ""
