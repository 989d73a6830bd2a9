"""Segments: how many text messages a text is, which is what a service charges for.

Layer 1, pure. 3GPP TS 23.038 (6.2.1) has the alphabet, TS 23.040 (9.2.3.24.1) what is left of a
message when it is one of several. Assumed: the service sends what we give it, in the default
alphabet where that is possible, and uses no national table; some write letters in another alphabet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# 3GPP TS 23.038, 6.2.1. The escape to the table of the extension, 0x1B, is no character.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# 6.2.1.1: each of these is two septets, the escape and its own.
_EXTENSION = frozenset("\f^{}\\[~]|€")
_ALPHABET = _BASIC | _EXTENSION

OCTETS_COUNT = 140  # of a message, whatever they hold
_MAX_UTF16_UNIT = 0xFFFF


class Coding(StrEnum):
    """How characters become bits: in septets, or in the 16-bit units of UTF-16."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"

    @property
    def unit_bits_count(self) -> int:
        """Give the bits of one unit."""
        return 7 if self is Coding.GSM7 else 16

    @property
    def alone_count(self) -> int:
        """Give the units that one message holds: 160 or 70."""
        return OCTETS_COUNT * 8 // self.unit_bits_count

    @property
    def joined_count(self) -> int:
        """Give the units that each of several messages holds: 153 or 67.

        Six octets say which of how many it is.
        """
        return (OCTETS_COUNT - 6) * 8 // self.unit_bits_count


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text is on its way: its `coding`, `length` in units of it, and `count` of messages.

    `strange` are the characters that GSM-7 does not have, each once: where there are any, fewer
    than half as many fit.
    """

    coding: Coding
    length: int
    count: int
    strange: str = ""

    @property
    def octets_count(self) -> int:
        """Give the octets of the text itself."""
        return -(-self.length * self.coding.unit_bits_count // 8)


def count_segments(text: str) -> Segments:
    """Count the messages that a text takes; an empty one takes one."""
    strange = "".join(dict.fromkeys(each for each in text if each not in _ALPHABET))
    coding = Coding.UCS2 if strange else Coding.GSM7
    widths = [_width(each, coding) for each in text]
    length = sum(widths)
    count = 1 if length <= coding.alone_count else _count_joined(widths, coding.joined_count)
    return Segments(coding=coding, length=length, count=count, strange=strange)


def _width(character: str, coding: Coding) -> int:
    if coding is Coding.GSM7:
        return 2 if character in _EXTENSION else 1
    return 2 if ord(character) > _MAX_UTF16_UNIT else 1


def _count_joined(widths: Sequence[int], capacity: int) -> int:
    """Count the messages that are needed when no character is cut in two."""
    count, free = 0, 0
    for width in widths:
        if width > free:
            count, free = count + 1, capacity
        free -= width
    return count
