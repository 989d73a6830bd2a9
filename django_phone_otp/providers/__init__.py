"""Providers: thin translations between our words and a service's wire. Layer 3.

A provider is stateless: options in, wire format out; no database, no request of a person. What to
do after a failure is policy and lives in `flow.dispatch`.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from ..loading import entry_points, load_class
from .base import Provider

# Keys are stored in rows and never change. One line for each provider.
REGISTRY = {
    "telefon-ip-flash": "django_phone_otp.providers.telefon_ip.TelefonIPFlashCall",
    "telefon-ip-sms": "django_phone_otp.providers.telefon_ip.TelefonIPSMS",
    "telefon-ip-telegram": "django_phone_otp.providers.telefon_ip.TelefonIPTelegram",
    "telefon-ip-reverse": "django_phone_otp.providers.telefon_ip.TelefonIPReverseCall",
    "sms-by": "django_phone_otp.providers.sms_by.SMSBy",
    "oneconnect": "django_phone_otp.providers.oneconnect.OneConnect",
    "twilio-verify": "django_phone_otp.providers.twilio_verify.TwilioVerify",
    "console": "django_phone_otp.providers.local.Console",
    "locmem": "django_phone_otp.providers.local.LocMem",
}
ENTRY_POINT_GROUP = "django_phone_otp.providers"


def list_keys() -> list[str]:
    """List the keys of all providers there are: ours, and those of installed packages."""
    return sorted({*REGISTRY, *entry_points(ENTRY_POINT_GROUP)})


def find_provider_class(backend: str, *, setting: str = "backend") -> type[Provider[Any]]:
    """Find the class of a provider; raises `ImproperlyConfigured`, which names `setting`."""
    return load_class(
        backend,
        base=Provider,  # type: ignore[type-abstract]
        known=REGISTRY,
        group=ENTRY_POINT_GROUP,
        setting=setting,
    )


@sensitive_variables("options", "parsed")
def load_provider(backend: str, options: dict[str, object], *, setting: str) -> Provider[Any]:
    """Make the provider that a setting or an account describes.

    Raises `ImproperlyConfigured`, which names `setting`, for a backend that does not exist and for
    options that do not fit its schema.
    """
    found = find_provider_class(backend, setting=f"{setting}['BACKEND']")
    parsed, problems = found.Options.parse(options)
    if parsed is None:
        raise ImproperlyConfigured(f"{setting}['OPTIONS']: {' '.join(problems)}")
    return found(parsed)


__all__ = [
    "ENTRY_POINT_GROUP",
    "REGISTRY",
    "Provider",
    "find_provider_class",
    "list_keys",
    "load_provider",
]
