"""The shapes of what comes in; what goes out is built in `answers`. Layer 5."""

from typing import Any, ClassVar, NoReturn

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ..choices import Channel, Purpose
from ..codes import MAX_ANSWER_LENGTH
from ..phone import MAX_TYPED_LENGTH

# A trial is for operators, in the admin.
OFFERED_PURPOSES = [each for each in Purpose.choices if each[0] != Purpose.TRIAL]
MAX_TOKEN_LENGTH = 4096  # characters; captcha tokens reach 2 kB


class WordField(serializers.ChoiceField):
    """One of a closed set of words; the error lists them and does not repeat what was sent.

    What a stranger sent need not even be text that can be written out again: JSON may hold half of
    a surrogate pair.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_choice": _("Use one of: {words}.")}

    def fail(self, key: str, **arguments: Any) -> NoReturn:
        """Raise the error, with the words for its message."""
        super().fail(key, words=", ".join(self.choices), **arguments)


class CaptchaTokenField(serializers.CharField):
    """What a captcha gave to a page or an app; empty where there is none."""

    def __init__(self) -> None:
        super().__init__(max_length=MAX_TOKEN_LENGTH, required=False, allow_blank=True, default="")


class DeviceField(serializers.Field[Any, str, str, Any]):
    """A device string; whatever cannot be one is none, and nothing is refused for it."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_null=True, default="")

    def to_internal_value(self, data: Any) -> str:
        """Take text as it is: whether it counts is the flow's to say."""
        return data if isinstance(data, str) else ""


class RequestSerializer(serializers.Serializer[Any]):
    """Body of `request/`."""

    phone = serializers.CharField(max_length=MAX_TYPED_LENGTH)
    channel = WordField(choices=Channel.choices, required=False, allow_null=True)
    purpose = WordField(choices=OFFERED_PURPOSES, default=Purpose.LOGIN)
    captcha_token = CaptchaTokenField()
    device = DeviceField()


class ResendSerializer(serializers.Serializer[Any]):
    """Body of `resend/`."""

    challenge = serializers.CharField(max_length=64)
    channel = WordField(choices=Channel.choices, required=False, allow_null=True)
    captcha_token = CaptchaTokenField()


class ConfirmSerializer(serializers.Serializer[Any]):
    """Body of `confirm/`."""

    challenge = serializers.CharField(max_length=64)
    # Left out where a call is awaited; the flow says where it is missing.
    code = serializers.CharField(
        max_length=MAX_ANSWER_LENGTH, required=False, allow_blank=True, default=""
    )
