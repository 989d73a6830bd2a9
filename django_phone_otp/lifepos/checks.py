"""A check for sites that use these addresses, and for no others. Layer 5."""

from typing import Any

from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern

from .. import conf
from ..issuers import load_issuer
from .tokens import COMPLAINT, can_give_token


class TokenPattern(URLPattern):
    """An address that needs an issuer of tokens; Django's check of addresses asks it."""

    def check(self) -> list[Any]:
        """Check that the site's issuer gives one."""
        return [*super().check(), *_check_issuer()]


def _check_issuer() -> list[Error]:
    try:
        issuer = load_issuer(conf.read().token_issuer)
    except (ImproperlyConfigured, TypeError):  # the checks of the settings name it
        return []
    if can_give_token(issuer):
        return []
    hint = "Use 'token', 'simplejwt' or 'knox'."
    return [Error(COMPLAINT, hint=hint, id="phone_otp.E036")]
