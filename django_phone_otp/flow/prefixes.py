"""Blocked prefixes: which numbers operators have closed for a while. Layer 4.

Rows say it; a copy of those in force stands in the cache, so that a request costs no query more.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from re import compile as regex
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import CacheUnavailable, InvalidPhone
from ..models import BlockedPrefix
from ..phone import MAX_E164_LENGTH, MAX_TYPED_LENGTH, parse
from . import limits

# What the copy stands under, and how old it may be: a row that was written past us counts then.
CACHE_KEY = "phone_otp.blocked_prefixes"
MEMORY_SECONDS = 60
# What closes more closes a country, or all that a network has: an operator has to say that it is
# meant. So does a prefix with fewer digits than these behind the country code.
MAX_OPEN_DIGITS = 5
MIN_DIGITS_BEHIND_COUNTRY = 3
# SECURITY: three digits of a phone are shown beside its mask. A prefix that left fewer open would
# tell the rest, and would keep a phone after all else about it has been erased.
MIN_OPEN_DIGITS = 4
NEIGHBOURHOODS = range(MIN_OPEN_DIGITS, MAX_OPEN_DIGITS + 1)

_PREFIX = regex(r"\+[1-9][0-9]{0,14}")
_PUNCTUATION = regex(r"[\s().\-\u2010-\u2015/]+")

# The prefixes in force, each with the time, in seconds since the epoch, until which it is.
Blocks = Mapping[str, float]


# The copy


def read_blocks(found: Mapping[str, Any], now: datetime) -> Blocks:
    """Give the prefixes in force: from what was found in the cache, or else from the rows."""
    blocks: Blocks | None = found.get(CACHE_KEY)
    if blocks is None:
        blocks = _read_rows(now)
        with suppress(CacheUnavailable), limits.reaching_cache("guards"):
            # Not `set`: whoever has changed a row meanwhile has put in what is true by now.
            limits.cache().add(CACHE_KEY, blocks, MEMORY_SECONDS)
    return blocks


def renew_blocks() -> None:
    """Put the rows as they are now into the cache; call it after a change is committed.

    Where the cache is out of reach requests are refused, and a copy in it ends by itself.
    """
    put, blocks = None, _read_rows(timezone.now())
    # Until the rows are what was put: another change may be committed meanwhile, and its copy be
    # there before this older one. Whoever puts the last one has looked after it.
    while blocks != put:
        with suppress(CacheUnavailable), limits.reaching_cache("guards"):
            limits.cache().set(CACHE_KEY, blocks, MEMORY_SECONDS)
        put, blocks = blocks, _read_rows(timezone.now())


def renew_blocks_after_commit() -> None:
    """Put the rows into the cache once what is being written to them is committed."""
    transaction.on_commit(renew_blocks, using=BlockedPrefix.primary().db, robust=True)


def seconds_blocked(phone: str, blocks: Blocks, now: datetime) -> float:
    """Give the seconds for which a phone gets no message, 0 or less for none."""
    begins = (phone[:length] for length in range(2, len(phone) + 1))
    return max((blocks.get(each, 0) for each in begins), default=0) - now.timestamp()


def _read_rows(now: datetime) -> Blocks:
    rows = BlockedPrefix.primary().filter(until__gt=now).values_list("prefix", "until")
    return {prefix: until.timestamp() for prefix, until in rows}


# Prefixes


class Prefix(NamedTuple):
    """The beginning of numbers, as E.164 has it; `regions` are those that share its country code.

    One that `is_wide` closes a country, or a network.
    """

    digits: str
    regions: tuple[str, ...]
    is_wide: bool


def parse_prefix(typed: str) -> Prefix:
    """Read a prefix as an operator types it, with + and country code.

    Raises `InvalidPhone` with a message, also for what is nearly a whole number.
    """
    import phonenumbers

    text = unicodedata.normalize("NFKC", typed[: MAX_TYPED_LENGTH + 1])
    text = _PUNCTUATION.sub("", text)
    # "+44 (0)20": the zero is dialled at home alone, and no number begins with it here.
    is_prefix = _PREFIX.fullmatch(text) and "(0)" not in typed
    if len(typed) > MAX_TYPED_LENGTH or not is_prefix:
        raise InvalidPhone(_("Write it with + and country code, such as +7924450."))
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    code = next((text[1:end] for end in (2, 3, 4) if int(text[1:end]) in known), "")
    if not code:
        raise InvalidPhone(_("No country has numbers that begin like this."))
    open_count = _count_open_digits(text, known[int(code)])
    if _is_number(text) or open_count < MIN_OPEN_DIGITS:
        raise InvalidPhone(_("This is nearly a whole phone number. Leave its last 4 digits out."))
    is_short = len(text) - 1 - len(code) < MIN_DIGITS_BEHIND_COUNTRY
    return Prefix(text, tuple(known[int(code)]), is_short or open_count > MAX_OPEN_DIGITS)


def list_neighbourhoods(phone: str) -> dict[int, str]:
    """Give the prefixes of a phone that may be closed, by how many last digits they leave open.

    None of them is wide, and none is the phone itself.
    """
    cut = {size: phone[:-size] for size in NEIGHBOURHOODS}
    found = {}
    for size, text in cut.items():
        with suppress(InvalidPhone):
            found.update({} if parse_prefix(text).is_wide else {size: text})
    return found


def block_prefix(prefix: str, until: datetime, reason: str = "") -> BlockedPrefix:
    """Close a prefix until a time, from now on in every process. Writes.

    One that is closed for longer already stays so; one that is over begins anew.
    """
    blocked, now = BlockedPrefix.primary(), timezone.now()
    with transaction.atomic(using=blocked.db):
        row, is_new = blocked.get_or_create(
            prefix=prefix, defaults={"until": until, "reason": reason}
        )
        if not is_new:
            since = row.created_at if row.until > now else now
            said = {"until": until, "reason": reason, "created_at": since}
            if blocked.filter(pk=row.pk, until__lt=until).update(**said):
                row = blocked.get(pk=row.pk)
        renew_blocks_after_commit()
    return row


def forget_past_blocks(now: datetime) -> None:
    """Remove the rows of blocks that are over. Writes."""
    BlockedPrefix.primary().filter(until__lte=now).delete()


def _count_open_digits(prefix: str, regions: Iterable[str]) -> int:
    """Count the digits behind a prefix, as a mobile number of these regions is long."""
    import phonenumbers

    kind = phonenumbers.PhoneNumberType.MOBILE
    examples = [phonenumbers.example_number_for_type(region, kind) for region in regions]
    e164 = phonenumbers.PhoneNumberFormat.E164
    lengths = [len(phonenumbers.format_number(each, e164)) for each in examples if each]
    return max(lengths, default=MAX_E164_LENGTH) - len(prefix)


def _is_number(text: str) -> bool:
    try:
        parse(text)
    except InvalidPhone:
        return False
    return True
