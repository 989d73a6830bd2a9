"""From what a person types to E.164, and from E.164 to what a stranger may see."""

import time

import phonenumbers
import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from django_phone_otp.exceptions import InvalidPhone, PhoneOTPError
from django_phone_otp.phone import MAX_E164_LENGTH, MAX_TYPED_LENGTH, Phone, mask, parse

PHONE = "+79244501003"

NOT_TYPED = "Enter a phone number, with digits, spaces and + only."
NO_COUNTRY = "Enter the phone number with + and the country code."
NO_NUMBER = "This is not a phone number."
NO_SUCH_NUMBER = "This phone number does not exist. Check its digits."


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def _examples() -> list[str]:
    """Give a valid number of each kind in each region of the world."""
    found = (
        phonenumbers.example_number_for_type(region, kind)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in PhoneNumberType.values()
    )
    return sorted(
        {phonenumbers.format_number(each, PhoneNumberFormat.E164) for each in found if each}
    )


EXAMPLES = _examples()


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("+79244501003", id="E.164"),
        pytest.param("89244501003", id="national"),
        pytest.param("8 924 450-10-03", id="national-with-blanks-and-dashes"),
        pytest.param("+7 924 450 10 03", id="international-with-blanks"),
        pytest.param("8 (924) 450-10-03", id="brackets"),
        pytest.param("8(924)4501003", id="brackets-without-blanks"),
        pytest.param("+7.924.450.10.03", id="dots"),
        pytest.param("9244501003", id="without-trunk-prefix"),
        pytest.param("＋７９２４４５０１００３", id="full-width"),
        pytest.param("８　９２４　４５０－１０－０３", id="full-width-with-ideographic-blanks"),
        pytest.param("+7\u00a0924\u00a0450\u00a010\u00a003", id="no-break-spaces"),
        pytest.param("+7\u202f924\u2009450\u200a10\u200803", id="thin-spaces"),
        pytest.param("8\u2011924\u2013450\u201410\u201203", id="dashes-of-typography"),
        pytest.param("+٧٩٢٤٤٥٠١٠٠٣", id="arabic-indic-digits"),
        pytest.param("  +79244501003  ", id="blanks-around"),
        pytest.param("\u202a+79244501003\u202c", id="marks-of-direction"),
        pytest.param("+7924\u200b450\u00ad10\u206003", id="characters-without-width"),
    ],
)
def test_s18_spellings_are_one_phone(typed):
    assert parse(typed, "RU").e164 == PHONE


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        pytest.param("", NOT_TYPED, id="empty"),
        pytest.param("   ", NOT_TYPED, id="blanks"),
        pytest.param("+", NOT_TYPED, id="plus-alone"),
        pytest.param("()", NO_NUMBER, id="brackets-alone"),
        pytest.param("hello", NOT_TYPED, id="letters"),
        pytest.param("+7924HELLO03", NOT_TYPED, id="letters-inside"),
        pytest.param("тел. +79244501003", NOT_TYPED, id="letters-before"),
        pytest.param("+79244501003x12", NOT_TYPED, id="extension-x"),
        pytest.param("+79244501003 ext. 12", NOT_TYPED, id="extension-ext"),
        pytest.param("+79244501003;ext=5", NOT_TYPED, id="extension-of-RFC-3966"),
        pytest.param("+79244501003#5", NOT_TYPED, id="extension-hash"),
        pytest.param("+79244501003,,5", NOT_TYPED, id="extension-pause"),
        pytest.param("tel:+79244501003", NOT_TYPED, id="URI"),
        pytest.param("+7924\x004501003", NOT_TYPED, id="NUL-inside"),
        pytest.param("+79244501003\x00", NOT_TYPED, id="NUL-at-the-end"),
        pytest.param("++79244501003", NOT_TYPED, id="two-pluses"),
        pytest.param("+79244501003, +79244501004", NOT_TYPED, id="two-numbers-comma"),
        pytest.param("+79244501003/+79244501004", NOT_TYPED, id="two-numbers-slash"),
        pytest.param("+79244501003 89244501004", NO_NUMBER, id="two-numbers-blank"),
        pytest.param("=1+79244501003", NOT_TYPED, id="formula"),
        pytest.param("+7924450100", NO_SUCH_NUMBER, id="too-short"),
        pytest.param("+792445010031", NO_SUCH_NUMBER, id="too-long"),
        pytest.param("+70000000000", NO_SUCH_NUMBER, id="not-in-the-numbering-plan"),
        pytest.param("+9991234567", NO_NUMBER, id="no-such-country"),
        pytest.param("112", NO_SUCH_NUMBER, id="emergency-number"),
        pytest.param("-79244501003" + " " * 40, NOT_TYPED, id="over-long-with-blanks"),
        pytest.param("9" * 100_000, NOT_TYPED, id="over-long"),
        pytest.param("\ud800", NOT_TYPED, id="lone-surrogate"),
    ],
)
def test_s18_anything_else_is_no_phone(typed, message):
    with pytest.raises(InvalidPhone) as caught:
        parse(typed, "RU")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("+7924\n4501003", id="line-break-inside"),
        pytest.param("+79244501003\n", id="line-break-at-the-end"),
        pytest.param("\n+79244501003", id="line-break-in-front"),
        pytest.param("+79244501003\r\n", id="two-characters-at-the-end"),
        pytest.param("+79244501003\x85", id="next-line"),
        pytest.param("+79244501003\u2028", id="line-separator"),
        pytest.param("\x1c+79244501003", id="file-separator"),
    ],
)
def test_s18_line_breaks_are_refused(typed):
    with pytest.raises(InvalidPhone):
        parse(typed)


def test_s19_long_text_costs_no_time():
    # Normalising takes minutes for a megabyte of these marks: they are put in order one by one.
    began = time.process_time()
    with pytest.raises(InvalidPhone):
        parse("+7" + "\u0315\u0300" * 30_000)
    assert time.process_time() - began < 0.5


def test_the_longest_typed_text_is_read():
    assert parse(PHONE + " " * (MAX_TYPED_LENGTH - len(PHONE))).e164 == PHONE


def test_one_character_more_is_refused():
    with pytest.raises(InvalidPhone):
        parse(PHONE + " " * (MAX_TYPED_LENGTH - len(PHONE) + 1))


def test_number_without_plus_needs_a_region():
    with pytest.raises(InvalidPhone) as caught:
        parse("89244501003")
    assert str(caught.value) == NO_COUNTRY


def test_number_with_plus_keeps_its_country_in_any_region():
    assert parse(PHONE, "BY") == Phone(e164=PHONE, region="RU", is_callable=True, kind="mobile")


def test_region_reads_a_national_number():
    assert parse("8 029 491-19-11", "BY").e164 == "+375294911911"


@pytest.mark.parametrize(
    ("typed", "region"),
    [
        pytest.param("+79244501003", "RU", id="Russia"),
        pytest.param("+77710009998", "KZ", id="Kazakhstan-shares-plus-7"),
        pytest.param("+375294911911", "BY", id="Belarus"),
        pytest.param("+12015550123", "US", id="USA"),
        pytest.param("+15062345678", "CA", id="Canada-shares-plus-1"),
        pytest.param("+80012345678", "001", id="the-world"),
    ],
)
def test_region_of_a_number(typed, region):
    assert parse(typed).region == region


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        pytest.param("RU", PhoneNumberType.PREMIUM_RATE, id="premium-rate"),
        pytest.param("DE", PhoneNumberType.SHARED_COST, id="shared-cost"),
        pytest.param("RU", PhoneNumberType.TOLL_FREE, id="toll-free"),
        pytest.param("DE", PhoneNumberType.UAN, id="company-wide"),
        pytest.param("GB", PhoneNumberType.PAGER, id="pager"),
        pytest.param("DE", PhoneNumberType.VOICEMAIL, id="voicemail"),
    ],
)
def test_s18_number_that_costs_or_cannot_receive_is_not_callable(region, kind):
    number = phonenumbers.example_number_for_type(region, kind)
    assert number is not None
    assert not parse(phonenumbers.format_number(number, PhoneNumberFormat.E164)).is_callable


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        pytest.param("RU", PhoneNumberType.MOBILE, id="mobile"),
        pytest.param("RU", PhoneNumberType.FIXED_LINE, id="fixed-line"),
        pytest.param("US", PhoneNumberType.FIXED_LINE_OR_MOBILE, id="either"),
        pytest.param("BY", PhoneNumberType.VOIP, id="VoIP"),
    ],
)
def test_number_of_a_person_is_callable(region, kind):
    number = phonenumbers.example_number_for_type(region, kind)
    assert number is not None
    assert parse(phonenumbers.format_number(number, PhoneNumberFormat.E164)).is_callable


def test_invalid_phone_is_ours_and_a_value_error():
    assert issubclass(InvalidPhone, PhoneOTPError)
    assert issubclass(InvalidPhone, ValueError)


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
PHONE_LIKE = st.text("+0123456789 ()-./ ٣７x;#\x00\n\u00a0", max_size=MAX_TYPED_LENGTH)


@settings(deadline=None, max_examples=300)
@given(ANY_TEXT | PHONE_LIKE, st.sampled_from([None, "RU", "US", "DE", "XX"]))
@example("ﷺ" * MAX_TYPED_LENGTH, "RU")
@example("+" + "\u0660" * 39, None)
def test_s18_any_text_gives_a_phone_or_invalid_phone(typed, region):
    try:
        phone = parse(typed, region)
    except InvalidPhone:
        return
    assert parse(phone.e164) == phone


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(EXAMPLES), st.from_regex(r"[0-9]{1,7}", fullmatch=True))
def test_what_was_read_reads_the_same_again(example_number, digits):
    try:
        phone = parse(example_number[: -len(digits)] + digits)
    except InvalidPhone:
        return
    assert parse(phone.e164) == phone


def test_e164_of_every_region_and_kind_is_read_as_it_is():
    assert [parse(each).e164 for each in EXAMPLES] == EXAMPLES


def test_e164_fits_its_column():
    assert max(map(len, EXAMPLES)) <= MAX_E164_LENGTH


@st.composite
def _spelt(draw, e164):
    """Write a number in one of the countless ways in which people do."""
    blanks = st.sampled_from(["", "", " ", "-", "\u00a0", "\u2011", "."])
    digits = "".join(
        draw(blanks) + (chr(ord(each) + 0xFEE0) if draw(st.booleans()) else each)
        for each in e164[1:]
    )
    return draw(st.sampled_from("+＋")) + digits.lstrip("-.\u2011")


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["+79244501003", "+375294911911", "+12015550123"]), st.data())
def test_s18_any_punctuation_and_width_is_one_phone(e164, data):
    assert parse(data.draw(_spelt(e164))).e164 == e164


@pytest.mark.parametrize(
    ("e164", "masked"),
    [
        pytest.param("+79244501003", "+7•••••••003", id="Russia"),
        pytest.param("+375294911911", "+375••••••911", id="Belarus"),
        pytest.param("+12015550123", "+1•••••••123", id="USA"),
        pytest.param("+6834002", "+683•002", id="Niue-has-four-digits"),
        pytest.param("", "", id="nothing"),
        pytest.param("garbage", "••••age", id="no-phone"),
    ],
)
def test_mask(e164, masked):
    assert mask(e164) == masked


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(EXAMPLES))
def test_s21_mask_shows_the_country_and_three_digits_of_any_number(e164):
    country = f"+{phonenumbers.parse(e164).country_code}"
    hidden = len(e164) - len(country) - 3
    assert mask(e164) == country + "•" * hidden + e164[-3:]


@settings(deadline=None)
@given(ANY_TEXT)
def test_mask_takes_any_text(text):
    assert len(mask(text)) == len(text)
