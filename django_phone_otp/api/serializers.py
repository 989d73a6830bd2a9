"""The shapes of what comes in; what goes out is built in `answers`. Layer 5."""

from typing import Any

from rest_framework import serializers

from ..choices import Channel, Purpose
from ..phone import MAX_TYPED_LENGTH

MAX_TOKEN_LENGTH = 4096  # characters; captcha tokens reach 2 kB


class RequestSerializer(serializers.Serializer[Any]):
    """Body of `request/`."""

    phone = serializers.CharField(max_length=MAX_TYPED_LENGTH)
    channel = serializers.ChoiceField(choices=Channel.choices, required=False, allow_null=True)
    purpose = serializers.ChoiceField(choices=Purpose.choices, default=Purpose.LOGIN)
    captcha_token = serializers.CharField(
        max_length=MAX_TOKEN_LENGTH, required=False, allow_blank=True, default=""
    )


class ResendSerializer(serializers.Serializer[Any]):
    """Body of `resend/`."""

    challenge = serializers.CharField(max_length=64)
    channel = serializers.ChoiceField(choices=Channel.choices, required=False, allow_null=True)


class ConfirmSerializer(serializers.Serializer[Any]):
    """Body of `confirm/`."""

    challenge = serializers.CharField(max_length=64)
    code = serializers.CharField(max_length=64)
