"""What the forms read and say, and how the pages write time."""

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp import phone
from django_phone_otp.choices import Channel, Refusal
from django_phone_otp.codes import Alphabet
from django_phone_otp.durations import advise_wait, write_wait
from django_phone_otp.flow.refusals import explain
from django_phone_otp.web import PhoneLoginForm
from django_phone_otp.web.forms import find_code, write_code_hint
from django_phone_otp.web.words import write_choices

DIGITS, MIXED = Alphabet.DIGITS, Alphabet.MIXED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("012345", "012345"),
        ("012 345", "012345"),
        ("012-345", "012345"),
        ("12345", "12345"),  # a zero was lost; or it is wrong, and costs a try
        ("٠١٢٣٤٥", "012345"),
        ("０１２３４５", "012345"),
        ("012345 is your code for example.org.", "012345"),
        ("Your code: 012345. It is good for 5 minutes.", "012345"),
        ("Code012345", "012345"),
        ("012345 is your code.FA+9qCX9VSu@example.org #012345", "012345"),
        ("111111 or 222222", None),
        ("call 88005553535", None),
        ("no code", None),
        ("", None),
        ("-", None),
        ("code 012345" + " " * 2_000, None),
    ],
)
def test_a_code_of_digits_is_found(text, found):
    assert find_code(text, DIGITS, {6}) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("AB12CD", "AB12CD"),
        ("ab1 2cd", "ab12cd"),
        ("Your code: AB12CD.", "AB12CD"),
        ("Secret AB12CD, or XY34ZW", None),
        ("ABCDEF", "ABCDEF"),
        ("AB12", "AB12"),  # wrong, and costs a try
        ("Secret letter, please", None),
    ],
)
def test_a_code_with_letters_is_found(text, found):
    assert find_code(text, MIXED, {6}) == found


def test_codes_of_both_lengths_that_count_are_found():
    assert find_code("Code 0271!", DIGITS, {4, 6}) == "0271"
    assert find_code("Code 012345!", DIGITS, {4, 6}) == "012345"
    assert find_code("Code 012345 or 0271!", DIGITS, {4, 6}) is None


@given(st.text(max_size=80), st.sampled_from(list(Alphabet)), st.sets(st.integers(1, 16)))
def test_whatever_is_pasted_is_read(text, alphabet, lengths):
    found = find_code(text, alphabet, lengths)
    assert found is None or found


@pytest.mark.parametrize(
    ("channel", "length", "alphabet", "hint"),
    [
        (Channel.SMS, 1, DIGITS, "1 digit. You can paste the whole message."),
        (Channel.SMS, 6, MIXED, "6 letters and digits. You can paste the whole message."),
        (Channel.FLASH_CALL, 4, DIGITS, "Enter the last 4 digits of the number that just rang."),
        (Channel.REVERSE_CALL, 0, DIGITS, ""),
    ],
)
def test_hint_of_a_code(channel, length, alphabet, hint):
    assert write_code_hint(channel, length, alphabet) == hint


def test_form_takes_what_a_person_types_as_it_is():
    form = PhoneLoginForm({"phone": " 8 924 450-10-03 "})
    assert form.is_valid()
    assert form.cleaned_data == {"phone": "8 924 450-10-03"}


@pytest.mark.parametrize("region", ["RU", "KZ", "BY", "UA", "US", "DE"])
def test_the_example_of_a_region_is_a_number_of_it(region):
    assert phone.parse(phone.write_example(region), region).region == region


@pytest.mark.parametrize("region", ["", "ZZ", "ru"])
def test_what_is_no_region_has_no_example(region):
    assert phone.write_example(region) == ""


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-1, "in 1 second"),
        (0, "in 1 second"),
        (1, "in 1 second"),
        (1.2, "in 2 seconds"),
        (59, "in 59 seconds"),
        (60, "in 1 minute"),
        (61, "in 2 minutes"),
        (120, "in 2 minutes"),
        (3_599, "in 60 minutes"),
        (3_600, "in 1 hour"),
        (3_601, "in 2 hours"),
        (86_400, "in 24 hours"),
        (86_401, "in 2 days"),
    ],
)
def test_a_wait_is_written_in_one_unit_and_rounded_up(seconds, written):
    assert write_wait(seconds) == written


def test_advice_to_wait():
    assert advise_wait(90) == "Try again in 2 minutes."


def test_a_refusal_without_a_time_is_the_refusal_alone():
    assert explain(Refusal.UNAVAILABLE, None) == Refusal.UNAVAILABLE.message
    assert explain(Refusal.LOCKED, 30) == "Too many wrong codes. Try again in 30 seconds."


@pytest.mark.parametrize("present", list(Channel))
def test_every_channel_has_two_words_for_its_button(present):
    choices = write_choices(list(Channel), present)
    assert choices[0].channel == present
    assert len({each.label for each in choices}) == len(Channel)
    with translation.override("en"):
        assert {each.channel for each in choices} == set(Channel)
