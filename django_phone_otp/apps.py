"""The app: its label, and the checks and the schema that it brings. Layer 6."""

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class PhoneOTPConfig(AppConfig):
    """Log in by phone."""

    name = "django_phone_otp"
    label = "phone_otp"
    verbose_name = _("Log in by phone")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks; where drf-spectacular is installed, tell it what the API is."""
        from . import checks

        checks.register_all()
        if apps.is_installed("drf_spectacular"):
            from .api import schema as api  # noqa: F401 (its classes register themselves)
            from .lifepos import schema as lifepos  # noqa: F401 (likewise)
