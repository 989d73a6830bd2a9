"""The forms of the login pages. Whether a phone or a code is right, the flow says. Layer 5."""

import unicodedata
from collections.abc import Collection
from re import compile as regex
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_variables

from .. import codes, conf
from ..choices import Channel
from ..codes import Alphabet
from ..phone import MAX_TYPED_LENGTH, write_example

MAX_MESSAGE_LENGTH = 2_000  # characters; ten text messages in a row have as many

_WORD = regex(r"(?<![A-Za-z0-9])[A-Za-z0-9]+(?![A-Za-z0-9])")
_DIGITS = regex(r"\d+")


class PhoneInput(forms.TextInput):
    """A field for a phone; what is shown again is no longer than a phone can be."""

    input_type = "tel"

    def format_value(self, value: Any) -> str | None:
        """Write what was typed."""
        text: str | None = super().format_value(value)
        return text and text[:MAX_TYPED_LENGTH]


class PhoneLoginForm(forms.Form):
    """Ask for the phone, in any notation that people use.

    On a page of the site's own it is posted to `phone_otp_web:login`.
    """

    phone = forms.CharField(
        label=gettext_lazy("Phone number"),
        widget=PhoneInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
        error_messages={"required": gettext_lazy("Enter your phone number.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["phone"].help_text = write_country_hint()


class CodeInput(forms.TextInput):
    """A field that is empty whenever it is shown.

    SECURITY: no page holds a code, not even one that was entered wrongly.
    """

    def format_value(self, value: Any) -> None:
        """Write nothing."""


class CodeForm(forms.Form):
    """Ask for the code; a whole message that was pasted does as well.

    `length` is that of the newest code, 0 where a call is awaited; `lengths` are those that count.
    """

    code = forms.CharField(
        label=gettext_lazy("Code"),
        widget=CodeInput(
            attrs={
                "autocapitalize": "none",
                "autocomplete": "one-time-code",
                "autocorrect": "off",
                "spellcheck": "false",
            }
        ),
        error_messages={"required": gettext_lazy("Enter the code.")},
    )

    def __init__(
        self,
        *args: Any,
        channel: Channel,
        length: int,
        lengths: Collection[int] = (),
        alphabet: Alphabet = Alphabet.DIGITS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.alphabet, self.lengths = alphabet, lengths
        field = self.fields["code"]
        field.help_text = write_code_hint(channel, length, alphabet)
        is_numeric = alphabet is Alphabet.DIGITS
        field.widget.attrs["inputmode"] = "numeric" if is_numeric else "text"
        if length and is_numeric:
            field.widget.attrs["data-phone-otp-length"] = length

    @sensitive_variables()
    def clean_code(self) -> str:
        """Read the code off what was entered."""
        code = find_code(self.cleaned_data["code"], self.alphabet, self.lengths)
        if code is None:
            raise ValidationError(_("There is no code in this. Enter the code alone."))
        return code


class ResendForm(forms.Form):
    """Choose how the next message comes; without a word, by the next account of the route."""

    channel = forms.ChoiceField(
        choices=Channel.choices,
        required=False,
        error_messages={
            "invalid_choice": gettext_lazy("Codes are not sent this way to this number.")
        },
    )


@sensitive_variables()
def find_code(text: str, alphabet: Alphabet, lengths: Collection[int]) -> str | None:
    """Find the code in what a person typed or pasted; None where none, or more than one, can be it.

    In a message it is the only run of digits that is as long as a code; where codes have letters,
    the only word of that length with a digit in it. What is not even like a code costs no try.
    """
    if len(text) > MAX_MESSAGE_LENGTH:
        return None
    is_numeric = alphabet is Alphabet.DIGITS
    text = unicodedata.normalize("NFKC", text)
    cleaned = codes.clean(text, alphabet, 0)
    if cleaned.isdecimal() if is_numeric else len(cleaned) in lengths and codes.is_code(cleaned):
        return cleaned
    words = set((_DIGITS if is_numeric else _WORD).findall(text))
    found = {each for each in words if len(each) in lengths and any(map(str.isdecimal, each))}
    if len(found) == 1:
        return str(found.pop())
    return None if is_numeric or not codes.is_code(cleaned) else cleaned


def write_country_hint() -> str:
    """Say how a number is written, in the site's own country and in others."""
    settings = conf.read()
    home = settings.default_region
    example = write_example(home) if home else ""
    if not example:
        return _("Begin with + and the country code.")
    hint = _("For example %(number)s.") % {"number": example}
    served = settings.allowed_regions
    if served is not None and set(served) <= {home}:
        return hint
    return f"{hint} " + _("For other countries begin with + and the country code.")


def write_code_hint(channel: Channel, length: int, alphabet: Alphabet) -> str:
    """Say what the code looks like, and where it stands."""
    if not length:
        return ""
    if channel is Channel.FLASH_CALL:
        hint = ngettext(
            "Enter the last %(count)d digit of the number that just rang.",
            "Enter the last %(count)d digits of the number that just rang.",
            length,
        )
    elif alphabet is Alphabet.DIGITS:
        hint = ngettext(
            "%(count)d digit. You can paste the whole message.",
            "%(count)d digits. You can paste the whole message.",
            length,
        )
    else:
        hint = ngettext(
            "%(count)d letter or digit. You can paste the whole message.",
            "%(count)d letters and digits. You can paste the whole message.",
            length,
        )
    return hint % {"count": length}
