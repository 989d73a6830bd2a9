"""The shapes of what comes in and of what goes out. Layer 5.

What goes out is built in `answers` and in the views; its shapes are for the OpenAPI schema, which
takes its descriptions from `help_text`.
"""

from functools import cache
from typing import Any

from rest_framework import serializers
from rest_framework.settings import api_settings

from ..choices import Channel, Purpose, State
from ..codes import MAX_ANSWER_LENGTH, MAX_CODE_LENGTH
from ..fields import MAX_CAPTCHA_TOKEN_LENGTH, TextField, WordField
from ..phone import MAX_TYPED_LENGTH

# A trial is for operators, in the admin.
OFFERED_PURPOSES = [each for each in Purpose.choices if each[0] != Purpose.TRIAL]


class CaptchaTokenField(TextField):
    """What a captcha gave to a page or an app; empty where there is none."""

    def __init__(self) -> None:
        super().__init__(
            max_length=MAX_CAPTCHA_TOKEN_LENGTH,
            required=False,
            allow_blank=True,
            allow_null=True,
            default="",
            help_text="What the captcha gave, where the site has one.",
        )


class DeviceField(serializers.Field[Any, str, str, Any]):
    """A device string; whatever cannot be one is none, and nothing is refused for it."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_null=True,
            default="",
            help_text="The device string of the last login with this phone.",
        )

    def to_internal_value(self, data: Any) -> str:
        """Take text as it is: whether it counts is the flow's to say."""
        return data if isinstance(data, str) else ""


class ChannelField(WordField):
    """A way for a code to come."""

    def __init__(self, **options: Any) -> None:
        super().__init__("CodeChannel", choices=Channel.choices, **options)


class ChallengeIdField(TextField):
    """What a challenge goes by."""

    def __init__(self) -> None:
        super().__init__(
            min_length=1,
            max_length=64,
            help_text="The `challenge` of the answer to the request for a code.",
        )


class RequestSerializer(serializers.Serializer[Any]):
    """Body of `request/`."""

    phone = TextField(
        min_length=1,
        max_length=MAX_TYPED_LENGTH,
        help_text="As a person types it: with `+`, or as in the site's own region.",
    )
    channel = ChannelField(
        required=False,
        allow_null=True,
        help_text="How the code should come; without it the site decides.",
    )
    purpose = WordField(
        "CodePurpose",
        choices=OFFERED_PURPOSES,
        allow_null=True,
        default=Purpose.LOGIN,
        help_text="To link a phone, somebody has to be logged in.",
    )
    captcha_token = CaptchaTokenField()
    device = DeviceField()

    class Meta:
        ref_name = "CodeRequest"  # its class in generated clients


class ResendSerializer(serializers.Serializer[Any]):
    """Body of `resend/`."""

    challenge = ChallengeIdField()
    channel = ChannelField(
        required=False,
        allow_null=True,
        help_text="How the code should come; without it the next way of the site's route.",
    )
    captcha_token = CaptchaTokenField()

    class Meta:
        ref_name = "ResendRequest"


class ConfirmSerializer(serializers.Serializer[Any]):
    """Body of `confirm/`."""

    challenge = ChallengeIdField()
    # Left out where a call is awaited; the flow says where it is missing.
    code = TextField(
        max_length=MAX_ANSWER_LENGTH,
        required=False,
        allow_blank=True,
        allow_null=True,
        default="",
        help_text="As the person types it; left out where a call is awaited.",
    )

    class Meta:
        ref_name = "ConfirmRequest"


class ChallengeSerializer(serializers.Serializer[Any]):
    """A challenge, as whoever asked for the code may see it."""

    challenge = serializers.CharField(help_text="Opaque; keep it for the other calls.")
    phone = serializers.CharField(help_text="Masked: country code and the last three digits.")
    channel = ChannelField()
    state = WordField("ChallengeState", choices=State.choices)
    code_length = serializers.IntegerField(
        min_value=0,
        max_value=MAX_CODE_LENGTH,
        help_text="How many characters the code has; 0 where a call is awaited.",
    )
    expires_in = serializers.IntegerField(
        min_value=0, help_text="Seconds for which the newest code counts."
    )
    resend_in = serializers.IntegerField(
        min_value=0, help_text="Seconds until another message may be asked for, 0 for now."
    )
    hint = serializers.CharField(help_text="What the person must do, in a sentence.")
    call_to = serializers.CharField(
        required=False, help_text="The number to call, in E.164; only where a call is awaited."
    )


class UserKeyField(serializers.Field[Any, Any, Any, Any]):
    """The primary key of the site's user model, of whatever type it is."""


class LoginUserSerializer(serializers.Serializer[Any]):
    """Who has proved the phone."""

    id = UserKeyField(help_text="The user's primary key.")
    phone = serializers.CharField(help_text="The phone that was proved, in E.164.")
    created = serializers.BooleanField(help_text="Whether this login made the user.")


class LoginSerializer(serializers.Serializer[Any]):
    """The answer to a right code; to these keys the site's issuer adds its own."""

    user = LoginUserSerializer()
    device = serializers.CharField(
        required=False,
        help_text="Keep it and send it with the next request for this phone. None for a link.",
    )


class PhoneSerializer(serializers.Serializer[Any]):
    """A phone that the user can log in with."""

    id = serializers.IntegerField(min_value=0)
    phone = serializers.CharField(help_text="In E.164.")
    primary = serializers.BooleanField(help_text="Whether it is the one that the site uses first.")
    verified_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was proved last; null where nobody noted it."
    )


class FieldErrorsSerializer(serializers.Serializer[Any]):
    """What is wrong with the fields that were sent: sentences under the name of each."""


@cache
def errors_of(serializer: type[serializers.Serializer[Any]], *more: str) -> Any:
    """Give the serializer of the errors that a serializer makes, and of `more` names.

    Always the same class: the schema tells components apart by their class.
    """
    names = [*serializer().fields, *more, api_settings.NON_FIELD_ERRORS_KEY]
    fields = {
        name: serializers.ListField(child=serializers.CharField(), min_length=1, required=False)
        for name in names
    }
    own_name = getattr(getattr(serializer, "Meta", None), "ref_name", serializer.__name__)
    name = own_name.removesuffix("Serializer")
    attributes = {"__doc__": FieldErrorsSerializer.__doc__, **fields}
    return type(f"{name}ErrorsSerializer", (FieldErrorsSerializer,), attributes)
