"""Fields of the bodies that doors over HTTP read. Beside `door`, below the doors."""

from typing import Any, ClassVar, NoReturn

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

MAX_CAPTCHA_TOKEN_LENGTH = 4096  # characters; captcha tokens reach 2 kB


class TextField(serializers.CharField):
    """Text as a client sends it; its errors are ours, since DRF has them in fewer languages."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "blank": _("Fill this in."),
        "null": _("Fill this in."),
        "invalid": _("Write this as text."),
        "max_length": _("Write {max_length} characters at most."),
    }


class WordField(serializers.ChoiceField):
    """One of a closed set of words; the error lists them and does not repeat what was sent.

    What a stranger sent need not even be text that can be written out again: JSON may hold half of
    a surrogate pair. `name` is what the set is called in the OpenAPI schema.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_choice": _("Use one of: {words}.")}

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name

    def fail(self, key: str, **arguments: Any) -> NoReturn:
        """Raise the error, with the words for its message."""
        super().fail(key, words=", ".join(self.choices), **arguments)
