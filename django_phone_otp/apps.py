"""The app: its label, and the checks, the listeners and the schema that it brings. Layer 6."""

import logging
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Tags, register
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
        from . import audit
        from .events import Event, log_event

        register(_later("check_settings"), Tags.security)
        register(_later("check_providers_exist"), Tags.security)
        register(_later("check_backend"), Tags.security)
        register(_later("check_limits_are_on"), Tags.security)
        register(_later("check_cache_counts"), Tags.security)
        register(_later("check_cache_is_shared"), Tags.security, deploy=True)
        register(_later("check_time_zone"), Tags.security)
        register(_later("check_texts"))
        register(_later("check_test_phones_end"), Tags.security, deploy=True)
        register(_later("check_new_users"), Tags.security)
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


@cache  # Django knows a check by its identity: to be ready again must register none twice
def _later(name: str) -> Callable[..., list[CheckMessage]]:
    """Give a check that imports the one of this name when it runs: no server runs any."""

    def check(**kwargs: Any) -> list[CheckMessage]:
        from . import checks

        found: list[CheckMessage] = getattr(checks, name)(**kwargs)
        return found

    return check
