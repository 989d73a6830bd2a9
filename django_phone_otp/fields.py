"""Fields of the bodies that doors over HTTP read. Beside `door`, below the doors."""

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class TextField(serializers.CharField):
    """Text as a client sends it; its errors are ours, since DRF has them in fewer languages."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "blank": _("Fill this in."),
        "null": _("Fill this in."),
        "invalid": _("Write this as text."),
        "max_length": _("Write {max_length} characters at most."),
    }
