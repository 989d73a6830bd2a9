"""The shapes of what comes in. Layer 5.

What the document leaves optional may be null or left out: its clients write all of their fields.
"""

from ipaddress import ip_address
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from .. import conf
from ..codes import MAX_ANSWER_LENGTH
from ..exceptions import InvalidPhone
from ..fields import MAX_CAPTCHA_TOKEN_LENGTH, TextField, WordField
from ..phone import parse
from .words import CAPTCHA_TYPES, MAX_PHONE_LENGTH, MIN_PHONE_LENGTH, PHONE

# Where neither the number nor the site names a country: the document knows one.
HOME_REGION = "RU"


class PhoneField(TextField):
    """A phone as the document writes it; gives E.164."""

    def to_internal_value(self, data: Any) -> str:
        """Read it: "8…" and "+7…" are Russian, the rest is of the site's region."""
        text: str = super().to_internal_value(data)
        is_short_or_long = not MIN_PHONE_LENGTH <= len(text) <= MAX_PHONE_LENGTH
        if is_short_or_long or not PHONE.fullmatch(text):
            raise serializers.ValidationError(_("This is not a phone number."))
        # "+7" says for itself where it belongs.
        region = None if text.startswith("8") else conf.read().default_region
        try:
            return parse(text, region or HOME_REGION).e164
        except InvalidPhone as error:
            raise serializers.ValidationError(str(error)) from None


class AddressField(serializers.IPAddressField):
    """An IP address; gives the one form that is counted."""

    def to_internal_value(self, data: Any) -> str:
        """Read it: an IPv4 address in an IPv6 one is itself, and no address has a zone."""
        try:
            # No number: `ip_address(1)` is an address too.
            address = ip_address(data if isinstance(data, str) and "%" not in data else "")
        except ValueError:
            self.fail("invalid")
        return str(getattr(address, "ipv4_mapped", None) or address)


class AskerSerializer(serializers.Serializer[Any]):
    """What both bodies have: the phone, and the person's address where a server asks."""

    phone = PhoneField(trim_whitespace=False)
    ip = AddressField(required=False, allow_null=True, allow_blank=True)


class SendCodeSerializer(AskerSerializer):
    """Body of `auth/send-code-by-phone`."""

    token = TextField(
        max_length=MAX_CAPTCHA_TOKEN_LENGTH, required=False, allow_null=True, allow_blank=True
    )
    captcha_type = WordField(
        "LifePOSCaptchaType", choices=list(CAPTCHA_TYPES), required=False, allow_null=True
    )
    send_sms = serializers.BooleanField(required=False, allow_null=True)


class SignInSerializer(AskerSerializer):
    """Body of `auth/sign-in-by-code`."""

    confirmation_code = TextField(max_length=MAX_ANSWER_LENGTH)
