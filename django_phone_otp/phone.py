"""Phone numbers: from what a person types to E.164, and from E.164 to what a stranger may see.

Layer 1. Past this module a phone is always a `str` in E.164 (ITU-T E.164: "+", country code,
national number, 15 digits at most). The numbering plans are those of Google's libphonenumber.
"""

import unicodedata
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from re import compile as regex
from typing import TYPE_CHECKING

from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from .exceptions import InvalidPhone

if TYPE_CHECKING:
    import phonenumbers
else:
    # Imported with the first phone: commands and workers of a site may never see one.
    phonenumbers = SimpleLazyObject(partial(import_module, "phonenumbers"))

MAX_TYPED_LENGTH = 40  # characters; the longest number with all its punctuation has about 25
MAX_E164_LENGTH = 16  # "+" and 15 digits

_TYPED = regex(r"\+?[\d ().\-\u2010-\u2015/]+")

# The types of numbers that may be sent a code: of others the owner is paid by the caller, or they
# cannot receive one at all. Where a plan does not tell mobile from fixed, both are one.
KINDS = ("mobile", "fixed_line_or_mobile", "fixed_line", "voip", "unknown")
_NO_REGION = "001"  # satellites and international networks: dear, and nobody's login


@dataclass(frozen=True, slots=True)
class Phone:
    """A valid number: `e164`, its ISO 3166 `region` ("" where it has none), its type.

    `kind` is one of `KINDS` where `is_callable`, which says whether it may be sent a code: no
    premium rate, no pager, no satellite.
    """

    e164: str
    region: str
    is_callable: bool
    kind: str = "unknown"


def parse(typed: str, default_region: str | None = None) -> Phone:
    """Read a number as a person types it.

    `default_region` (ISO 3166, such as "RU") is for numbers without "+". Raises `InvalidPhone`,
    with a translated message that says what to do, for everything that is not exactly one valid
    number: letters, extensions, control characters, over-long input. Premium-rate and shared-cost
    numbers are valid, with `is_callable` false.
    """
    # SECURITY: only what is left of the text after NFKC is read, and all of it: libphonenumber by
    # itself looks for a number *inside* the text, so that one phone would be counted under many.
    text = unicodedata.normalize("NFKC", typed[: MAX_TYPED_LENGTH + 1])
    # Address books wrap a number in marks for the direction of writing, which nobody can see.
    text = "".join(each for each in text if unicodedata.category(each) != "Cf").strip(" ")
    if len(typed) > MAX_TYPED_LENGTH or not _TYPED.fullmatch(text):
        raise InvalidPhone(_("Enter a phone number, with digits, spaces and + only."))
    if default_region is None and not text.startswith("+"):
        raise InvalidPhone(_("Enter the phone number with + and the country code."))
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        raise InvalidPhone(_("This is not a phone number.")) from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidPhone(_("This phone number does not exist. Check its digits."))
    region = phonenumbers.region_code_for_number(number) or ""
    kind = phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(number)).lower()
    return Phone(
        e164=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        region=region,
        is_callable=kind in KINDS and region != _NO_REGION,
        kind=kind,
    )


def is_region(text: str) -> bool:
    """Say whether this is a region that has phone numbers, by ISO 3166, such as "RU"."""
    return text in phonenumbers.SUPPORTED_REGIONS


def write_example(region: str) -> str:
    """Write a mobile number of a region as people there do, for a hint; "" where none is known."""
    mobile = phonenumbers.PhoneNumberType.MOBILE
    number = phonenumbers.example_number_for_type(region, mobile)
    if number is None:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def write_spaced(e164: str) -> str:
    """Write a number as people read and dial it: "+7 800 555-35-35"."""
    return phonenumbers.format_number(
        phonenumbers.parse(e164), phonenumbers.PhoneNumberFormat.INTERNATIONAL
    )


def hide(text: str, e164: str) -> str:
    """Mask a phone in a text, however it is written there: in E.164, as 8…, with spaces."""
    try:
        digits = str(phonenumbers.parse(e164).national_number)
    except phonenumbers.NumberParseException:
        digits = e164.removeprefix("+")
    between = r"[\s()._\-\u2010-\u2015/]*"
    written = regex(r"\+?\d{0,4}" + between + between.join(digits))
    return written.sub(mask(e164), text)


def mask(e164: str) -> str:
    """Hide all but the country code and the last three digits: "+7•••••••003"."""
    try:
        country = f"+{phonenumbers.parse(e164).country_code}"
    except phonenumbers.NumberParseException:
        country = ""
    hidden = max(len(e164) - len(country) - 3, 0)
    return country + "•" * hidden + e164[len(country) + hidden :]
