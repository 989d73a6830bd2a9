"""The app: its label, and the checks that it brings. Layer 6."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PhoneOTPConfig(AppConfig):
    """Log in by phone."""

    name = "django_phone_otp"
    label = "phone_otp"
    verbose_name = _("Log in by phone")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from . import checks

        checks.register_all()
