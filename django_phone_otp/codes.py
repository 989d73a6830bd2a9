"""Codes: made at random, written the way each provider writes them, kept only as keyed digests.

Layer 1. A code is a `str` everywhere ("012345" has a leading zero). A digest describes itself, like
a password hash: alphabet, length and the HMAC-SHA256, so that two codes of one challenge may come
from providers with different habits.
"""

import secrets
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.debug import sensitive_variables

_SALT = "django_phone_otp.codes"
MIN_DIGITS_COUNT = 6  # NIST SP 800-63B-4, 3.1.3.2: six decimal digits
MAX_CODE_LENGTH = 16  # the longest that any provider makes (sms.by)
MAX_DIGEST_LENGTH = 96
MAX_ANSWER_LENGTH = 64  # characters of an answer; a person adds blanks and dashes


class Alphabet(StrEnum):
    """What a provider's codes are made of, which decides how a typed answer is compared."""

    DIGITS = "digits"  # leading zeros count, and are given back where a client lost them
    CAPITALS = "capitals"  # letters and digits, without regard to case
    MIXED = "mixed"  # letters and digits, "a" is not "A"


def make_code(length: int) -> str:
    """Make a code of decimal digits from the operating system's randomness."""
    return "".join(secrets.choice("0123456789") for _ in range(length))


@sensitive_variables()
def make_digest(code: str, *, alphabet: Alphabet, bound_to: str) -> str:
    """Digest a code for storage: `alphabet$length$hex`.

    `bound_to` names challenge, phone and purpose: the digest of one challenge is worth nothing on
    another. The key comes from `SECRET_KEY`: a stolen table cannot be searched for its codes, which
    a bare hash of a million possible values could.
    """
    hexdigest = _hmac(clean(code, alphabet, len(code)), bound_to, settings.SECRET_KEY)
    return f"{alphabet}${len(code)}${hexdigest}"


def length_of(digest: str) -> int:
    """Give the length of the code of which this is the digest."""
    return int(digest.split("$")[1])


@sensitive_variables("code", "text")
def clean(code: str, alphabet: Alphabet, length: int) -> str:
    """Undo what people, keyboards and JSON numbers do to a code; never make two codes one.

    `length` is what a code of digits is filled up to with the zeros that it has lost.
    """
    # Half of a surrogate pair is text in JSON and in Python, and cannot be digested.
    text = code.encode(errors="replace").decode()
    if len(text) > MAX_ANSWER_LENGTH:
        return text  # right it cannot be, and normalising a megabyte takes its time
    text = "".join(unicodedata.normalize("NFKC", text).split()).replace("-", "")
    if alphabet is Alphabet.DIGITS:
        if text.isdecimal():  # of any script: a phone's keyboard may write Arabic ones
            text = "".join(str(unicodedata.decimal(digit)) for digit in text).zfill(length)
        return text
    return text.upper() if alphabet is Alphabet.CAPITALS else text


@sensitive_variables("text", "code")
def is_code(text: str) -> bool:
    """Say whether a person could type this: letters and digits, a few, and not nothing."""
    code = clean(text, Alphabet.MIXED, 0)
    return code.isalnum() and len(code) <= MAX_CODE_LENGTH


@sensitive_variables()
def matches_any(answer: str, digests: Iterable[str], *, bound_to: str) -> bool:
    """Compare an answer with the digests, in constant time for digests of one shape.

    Keys of `SECRET_KEY_FALLBACKS` are honoured: a rotation does not refuse the codes on their way.
    """
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    # SECURITY: every pair is compared; stopping at the first match would tell by its timing which
    # of the codes, and which of the keys, it was.
    found = False
    for digest in digests:
        alphabet, length, hexdigest = digest.split("$")
        text = clean(answer, Alphabet(alphabet), int(length))
        for key in keys:
            found |= constant_time_compare(_hmac(text, bound_to, key), hexdigest)
    return found


@sensitive_variables()
def _hmac(text: str, bound_to: str, key: str | bytes) -> str:
    return salted_hmac(_SALT, f"{bound_to}\n{text}", secret=key, algorithm="sha256").hexdigest()
