"""How many text messages a text is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp.segments import Coding, Segments, count_segments

# 3GPP TS 23.038, 6.2.1, in the order of the table; 0x1B is the escape.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"

ANY = st.text(max_size=400)
GSM7 = st.text(alphabet=BASIC + EXTENSION, max_size=400)


def count(text: str) -> int:
    return count_segments(text).count


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# The alphabet


def test_the_basic_table_has_127_characters_of_one_septet():
    assert len(set(BASIC)) == 127
    assert count_segments(BASIC) == Segments(Coding.GSM7, 127, 1)


@pytest.mark.parametrize("character", EXTENSION, ids=ascii)
def test_a_character_of_the_extension_is_two_septets(character):
    assert count_segments(character) == Segments(Coding.GSM7, 2, 1)


@pytest.mark.parametrize("character", "ç`«—’“…Яё\t\x1b\u00a0№", ids=ascii)
def test_one_character_that_gsm_does_not_have_changes_the_coding_of_all(character):
    text = f"Your code: {character}"
    assert count_segments(text) == Segments(Coding.UCS2, 12, 1, character)


def test_what_gsm_does_not_have_is_told_once_each():
    assert count_segments("«кк» — 1").strange == "«к»—"


def test_an_emoji_is_two_units():
    assert count_segments("🔑") == Segments(Coding.UCS2, 2, 1, "🔑")


def test_half_a_surrogate_pair_is_one_unit():
    assert count_segments("\ud83d") == Segments(Coding.UCS2, 1, 1, "\ud83d")


def test_nothing_is_one_message():
    assert count_segments("") == Segments(Coding.GSM7, 0, 1)


# The limits


@pytest.mark.parametrize(
    ("character", "length", "expected"),
    [
        ("a", 160, 1),
        ("a", 161, 2),
        ("a", 306, 2),
        ("a", 307, 3),
        ("a", 459, 3),
        ("a", 460, 4),
        ("я", 70, 1),
        ("я", 71, 2),
        ("я", 134, 2),
        ("я", 135, 3),
        ("я", 201, 3),
        ("я", 202, 4),
        ("€", 80, 1),
        ("€", 81, 2),
        ("🔑", 35, 1),
        ("🔑", 36, 2),
    ],
)
def test_so_many_characters_are_so_many_messages(character, length, expected):
    assert count(character * length) == expected


def test_an_escape_is_not_parted_from_its_character():
    assert count("a" * 152 + "€" * 77) == 3  # 306 septets, which would be two
    assert count("a" * 153 + "€" * 76) == 2


def test_a_surrogate_pair_is_not_parted():
    assert count("я" * 66 + "🔑" * 34) == 3  # 134 units, which would be two
    assert count("я" * 67 + "🔑" * 33) == 2


@pytest.mark.parametrize(
    ("text", "octets"), [("", 0), ("a", 1), ("a" * 8, 7), ("a" * 160, 140), ("я" * 70, 140)]
)
def test_octets_are_what_goes_through_the_air(text, octets):
    assert count_segments(text).octets_count == octets


# Whatever the text


@given(GSM7)
def test_whatever_gsm_has_is_sent_in_septets(text):
    found = count_segments(text)
    assert (found.coding, found.strange) == (Coding.GSM7, "")
    assert found.length == len(text) + sum(text.count(each) for each in EXTENSION)


@given(ANY)
def test_whatever_gsm_does_not_have_is_sent_in_units_of_utf_16(text):
    found = count_segments(text)
    if set(text) - set(BASIC + EXTENSION):
        assert (found.coding, found.length) == (Coding.UCS2, utf16_length(text))
    else:
        assert found.coding is Coding.GSM7


@given(ANY)
def test_one_message_is_what_fits_into_140_octets(text):
    found = count_segments(text)
    assert (found.count == 1) == (found.octets_count <= 140)


@given(st.one_of(ANY, GSM7))
def test_no_more_messages_than_cutting_a_unit_short_in_each_would_take(text):
    found = count_segments(text)
    capacity = {Coding.GSM7: 153, Coding.UCS2: 67}[found.coding]
    if found.count > 1:
        least = -(-found.length // capacity)
        most = -(-found.length // (capacity - 1))
        assert least <= found.count <= most


@given(st.one_of(ANY, GSM7), st.characters())
def test_a_longer_text_is_never_fewer_messages(text, character):
    assert count(text) <= count(text + character)
