"""Captchas: is it a person who asks? Layer 3. One class with one method for each service."""

from collections.abc import Mapping
from typing import Any

from django.views.decorators.debug import sensitive_variables

from ..loading import load_class
from .base import Captcha

REGISTRY = {
    "yandex": "django_phone_otp.captcha.siteverify.Yandex",
    "hcaptcha": "django_phone_otp.captcha.siteverify.HCaptcha",
    "turnstile": "django_phone_otp.captcha.siteverify.Turnstile",
}


@sensitive_variables("entry")
def load_captcha(entry: Mapping[str, Any]) -> Captcha:
    """Make the captcha that `CAPTCHA` describes; raises `ImproperlyConfigured`."""
    setting = "PHONE_OTP['CAPTCHA']['BACKEND']"
    found = load_class(entry["BACKEND"], base=Captcha, known=REGISTRY, setting=setting)  # type: ignore[type-abstract]
    return found(entry.get("OPTIONS", {}))


__all__ = ["REGISTRY", "Captcha", "load_captcha"]
