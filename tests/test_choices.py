"""The closed sets of words, which are stored and sent over the wire for ever."""

import pytest
from django.utils import translation

from django_phone_otp import choices
from django_phone_otp.choices import (
    OPEN_STATES,
    STORED_STATES,
    Channel,
    Custody,
    DeliveryOutcome,
    Guard,
    Period,
    Purpose,
    Refusal,
    Source,
    Span,
    State,
    Words,
)

WORDS = [
    pytest.param(Purpose, ["login", "link"], id="Purpose"),
    pytest.param(
        State,
        ["sending", "sent", "failed", "verified", "cancelled", "expired", "locked"],
        id="State",
    ),
    pytest.param(Channel, ["sms", "flash_call"], id="Channel"),
    pytest.param(Custody, ["local", "returned", "remote", "presence"], id="Custody"),
    pytest.param(
        Guard,
        [
            "region",
            "number_type",
            "region_traffic",
            "address_traffic",
            "prefix_traffic",
            "blocked_prefix",
        ],
        id="Guard",
    ),
    pytest.param(Period, ["24h", "7d", "30d", "90d"], id="Period"),
    pytest.param(Span, ["slice", "hour", "day"], id="Span"),
    pytest.param(Source, ["prefix", "address"], id="Source"),
    pytest.param(
        Refusal,
        [
            "wrong_code",
            "expired",
            "challenge_closed",
            "unknown_challenge",
            "phone_not_allowed",
            "captcha_required",
            "captcha_failed",
            "resend_too_soon",
            "too_many_requests",
            "locked",
            "delivery_failed",
            "unavailable",
        ],
        id="Refusal",
    ),
    pytest.param(
        DeliveryOutcome,
        [
            "sent",
            "withheld",
            "invalid_recipient",
            "unreachable",
            "limited",
            "throttled",
            "no_funds",
            "misconfigured",
            "rejected",
            "unavailable",
            "uncertain",
        ],
        id="DeliveryOutcome",
    ),
]
SETS = Words.__subclasses__()


@pytest.mark.parametrize(("words", "values"), WORDS)
def test_values_are_for_ever(words, values):
    # A new word is welcome; one that is gone is in somebody's table.
    assert set(values) <= set(words.values)


@pytest.mark.parametrize("words", SETS, ids=lambda each: each.__name__)
def test_every_word_has_a_label_of_its_own(words):
    labels = [str(label) for label in words.labels]
    assert all(labels)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("channel", Channel)
def test_every_channel_says_what_to_do(channel):
    with translation.override("en"):
        assert str(channel.hint).endswith(".")


def test_hint_of_a_flash_call_says_not_to_answer():
    with translation.override("en"):
        assert str(Channel.FLASH_CALL.hint) == (
            "Your phone is about to ring. Do not answer: "
            "the code is the last digits of the number that calls."
        )


@pytest.mark.parametrize("refusal", Refusal)
def test_message_of_a_refusal_is_a_sentence(refusal):
    with translation.override("en"):
        message = refusal.message
    assert type(message) is str
    assert message[0].isupper()
    assert message.endswith(".")


def test_states_that_follow_from_the_clock_are_not_stored():
    assert set(State) - set(STORED_STATES) == {State.EXPIRED, State.LOCKED}


def test_only_stored_states_are_open():
    assert set(OPEN_STATES) == {State.SENDING, State.SENT, State.FAILED}


def test_model_fields_are_given_the_pairs():
    assert Purpose.listed() == [(each.value, each.label) for each in Purpose]


def test_every_set_of_words_is_tested_here():
    assert {each.values[0] for each in WORDS} == set(SETS)
    assert all(each.__module__ == choices.__name__ for each in SETS)
