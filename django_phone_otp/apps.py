"""The app: its label, and the checks, the listeners and the schema that it brings. Layer 6."""

import logging
from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


class PhoneOTPConfig(AppConfig):
    """Log in by phone."""

    name = "django_phone_otp"
    label = "phone_otp"
    verbose_name = _("Log in by phone")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and listen; tell drf-spectacular and Prometheus, where they are."""
        from . import audit, checks
        from .events import Event, log_event

        checks.register_all()
        audit.connect()
        if find_spec("prometheus_client"):
            try:
                from . import metrics
            except ImportError as error:  # there for something else, and too old for us
                log_event(logger, Event.METRICS_LEFT_OUT, reason=error)
            else:
                metrics.connect()
        if apps.is_installed("drf_spectacular"):
            from .api import schema as api  # noqa: F401 (its classes register themselves)
            from .lifepos import schema as lifepos  # noqa: F401 (likewise)
