"""Trials: an operator sends a code through one account, and nobody gets in with it."""

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp.exceptions import CodeRequired, InvalidPhone
from django_phone_otp.flow import (
    Client,
    confirm_code,
    link_phone,
    look_at_challenge,
    request_code,
    resend_code,
    spend_challenge,
    try_account,
)
from django_phone_otp.models import (
    AccountLedger,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
    UserPhone,
)
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes import accounts, providers, store_account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture(autouse=True)
def _accounts(phone_otp):
    phone_otp(PROVIDERS=providers(first={}, second={}))


@pytest.fixture
def operator(django_user_model):
    return django_user_model.objects.create_user("operator", is_staff=True)


@pytest.fixture
def session(operator) -> APIClient:
    client = APIClient()
    client.force_login(operator)
    return client


@pytest.fixture
def trial(operator) -> PhoneChallenge:
    """A trial that was sent, and its code is the last one asked for."""
    asked = try_account("second", PHONE, user=operator)
    assert asked.challenge, asked.refusal
    return asked.challenge


def code() -> str:
    return fakes.asked[-1][1].code


# Sending


def test_a_trial_goes_through_the_account_that_it_names(trial):
    assert (trial.account, trial.state, trial.purpose) == ("second", "sent", "trial")
    assert DeliveryAttempt.objects.get().account == "second"


def test_a_trial_is_the_operators(trial, operator):
    assert PhoneChallenge.objects.get().user == operator


def test_a_trial_may_be_nobodys():
    asked = try_account("first", PHONE)
    assert asked.challenge
    assert PhoneChallenge.objects.get().user is None


def test_a_trial_notes_who_asked(operator):
    try_account("first", PHONE, user=operator, client=Client(ip="203.0.113.7", user_agent="App"))
    stored = PhoneChallenge.objects.get()
    assert (stored.ip, stored.user_agent) == ("203.0.113.7", "App")


def test_an_account_that_is_switched_off_can_be_tried():
    store_account("off", {"code": "424242"}, enabled=False)
    asked = try_account("off", PHONE)
    assert asked.challenge
    assert asked.challenge.account == "off"


def test_an_account_that_has_another_region_can_be_tried():
    store_account("by", regions=["BY"])
    assert try_account("by", PHONE).challenge


def test_an_account_that_no_route_names_can_be_tried(phone_otp):
    phone_otp(ROUTES={"*": ["second"]})
    assert try_account("first", PHONE).challenge


def test_a_trial_goes_nowhere_else(phone_otp):
    phone_otp(PROVIDERS=providers(first={"error": "InsufficientFunds"}, second={}))
    asked = try_account("first", PHONE)
    assert (asked.refusal, asked.challenge) == ("delivery_failed", None)
    assert asked.kept_challenge
    assert list(DeliveryAttempt.objects.values_list("account", "outcome")) == [
        ("first", "no_funds")
    ]


def test_an_operator_is_told_of_every_try(phone_otp):
    phone_otp(PROVIDERS=providers(first={"error": "InsufficientFunds", "words": "0"}, second={}))
    asked = try_account(None, PHONE)
    assert [(each.account, each.outcome, each.detail) for each in asked.attempts] == [
        ("first", "no_funds", "0"),
        ("second", "sent", ""),
    ]


def test_who_is_refused_before_anything_was_tried_is_told_of_none(trial, operator):
    assert try_account("second", PHONE, user=operator).attempts == ()


def test_nobody_else_is_told_of_tries():
    assert request_code(PHONE).attempts == ()


def test_a_trial_tells_the_truth_while_sign_up_is_closed(phone_otp):
    phone_otp(SIGNUP=False, PROVIDERS=providers(first={"error": "InsufficientFunds"}))
    assert try_account("first", PHONE).refusal == "delivery_failed"


def test_a_trial_is_sent_to_a_phone_that_nobody_has_while_sign_up_is_closed(phone_otp):
    phone_otp(SIGNUP=False)
    assert try_account("first", PHONE).challenge
    assert DeliveryAttempt.objects.get().outcome == "sent"


def test_a_trial_may_await_a_call_while_sign_up_is_closed(phone_otp):
    phone_otp(SIGNUP=False, PROVIDERS=providers(calls={"kind": "FakePresence"}))
    asked = try_account("calls", PHONE)
    assert asked.challenge
    assert asked.challenge.call_to == "+78005553535"


def test_without_an_account_a_trial_goes_along_the_route(phone_otp):
    phone_otp(PROVIDERS=providers(first={"error": "InsufficientFunds"}, second={}))
    asked = try_account(None, PHONE)
    assert asked.challenge
    assert (asked.challenge.account, asked.challenge.purpose) == ("second", "trial")


def test_without_an_account_only_those_that_are_on_are_tried(phone_otp):
    store_account("first", enabled=False)
    asked = try_account(None, PHONE)
    assert asked.challenge
    assert asked.challenge.account == "second"


def test_without_an_account_that_serves_the_phone_there_is_no_trial(phone_otp):
    phone_otp(PROVIDERS=accounts(by={"REGIONS": ["BY"]}))
    assert try_account(None, PHONE).refusal == "phone_not_allowed"


# What may be wrong


def test_an_account_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ImproperlyConfigured) as caught:
        try_account("third", PHONE)
    assert str(caught.value) == 'There is no account "third". Accounts: first, second.'
    assert not PhoneChallenge.objects.exists()


def test_an_account_that_no_key_opens_says_so():
    store_account("row", {"code": "x"})
    ProviderAccount.objects.update(sealed_options="gAAAAA")
    with pytest.raises(ImproperlyConfigured) as caught:
        try_account("row", PHONE)
    assert str(caught.value) == (
        'account "row": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options'
    )


def test_an_account_whose_options_do_not_fit_says_so():
    store_account("row", {"colour": "red"}, enabled=False)
    with pytest.raises(ImproperlyConfigured, match='"colour" is not an option'):
        try_account("row", PHONE)


def test_an_account_that_was_not_prepared_says_so_in_the_attempt():
    store_account("row", kind="FakePrepared")
    assert try_account("row", PHONE).refusal == "delivery_failed"
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.outcome, attempt.detail) == ("misconfigured", "there is no profile")


def test_an_account_that_was_prepared_is_tried_with_what_was_kept():
    store_account("row", kind="FakePrepared", enabled=False)
    AccountLedger.objects.keep("row", {"profile": "p-1"}, {"code": "", "region": ""})
    asked = try_account("row", PHONE)
    assert asked.challenge
    assert asked.challenge.provider_ref == "p-1"


def test_a_phone_that_is_none_is_refused():
    with pytest.raises(InvalidPhone):
        try_account("first", "nonsense")


def test_a_phone_that_may_not_be_sent_to_is_refused(phone_otp):
    phone_otp(ALLOWED_REGIONS=["BY"])
    assert try_account("first", PHONE).refusal == "phone_not_allowed"
    assert fakes.asked == []


def test_a_phone_that_the_provider_does_not_serve_is_refused():
    store_account("ru", kind="FakeRussian")
    assert try_account("ru", "+375291234567").refusal == "phone_not_allowed"


# Budgets


def test_the_wait_between_messages_to_a_phone_holds(trial, operator):
    asked = try_account("second", PHONE, user=operator)
    assert (asked.refusal, asked.retry_after_seconds) == ("resend_too_soon", 30)


def test_a_trial_makes_others_wait(trial):
    asked = request_code(PHONE)
    assert (asked.refusal, asked.retry_after_seconds) == ("resend_too_soon", 30)


def test_the_budget_of_the_phone_holds(phone_otp):
    phone_otp(RESEND_WAITS=[0])
    refusals = [try_account("first", PHONE).refusal for _ in range(6)]
    assert refusals == [None] * 5 + ["too_many_requests"]
    assert len(fakes.asked) == 5


def test_a_disabled_phone_gets_no_trial():
    PhoneLedger.objects.create(phone=PHONE, disabled_at=NOW)
    assert try_account("first", PHONE).refusal == "locked"


def test_the_day_of_the_account_holds(phone_otp):
    phone_otp(PROVIDERS=accounts(first={"DAILY_LIMIT": 1}), RESEND_WAITS=[0])
    assert [try_account("first", PHONE).refusal for _ in range(2)] == [None, "delivery_failed"]


def phones(count: int) -> list[str]:
    return [f"+7924450{number:04}" for number in range(2_000, 2_000 + count)]


def test_an_operator_may_try_ten_times_in_an_hour(operator):
    refusals = [try_account("first", phone, user=operator).refusal for phone in phones(11)]
    assert refusals == [None] * 10 + ["too_many_requests"]
    assert len(fakes.asked) == 10
    assert not PhoneLedger.objects.filter(phone=phones(11)[-1]).exists()


def test_an_operator_may_try_again_after_the_time_that_was_told(operator, clock):
    for phone in phones(10):
        try_account("first", phone, user=operator)
    told = try_account("first", PHONE, user=operator).retry_after_seconds
    assert told
    assert 0 < told <= 3_600
    clock.shift(told)
    assert try_account("first", PHONE, user=operator).challenge


def test_operators_are_counted_apart(operator, django_user_model):
    for phone in phones(10):
        try_account("first", phone, user=operator)
    colleague = django_user_model.objects.create_user("colleague")
    assert try_account("first", PHONE, user=colleague).challenge


def test_a_command_is_not_counted():
    assert all(try_account("first", phone).challenge for phone in phones(12))


def test_accounts_are_counted_together(operator):
    for place, phone in enumerate(phones(10)):
        try_account(("first", "second")[place % 2], phone, user=operator)
    assert try_account("first", PHONE, user=operator).refusal == "too_many_requests"


def test_s15_without_the_cache_an_operator_tries_nothing(settings, operator):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    assert try_account("first", PHONE, user=operator).refusal == "unavailable"
    assert fakes.asked == []


# What a trial is good for


def test_an_operator_sees_whether_the_code_is_right(trial, operator):
    right = confirm_code(trial.public_id, code(), user=operator)
    assert right.challenge
    assert PhoneChallenge.objects.get().state == "verified"


def test_a_wrong_code_of_a_trial_counts(trial, operator):
    wrong = "".join(str((int(digit) + 1) % 10) for digit in code())
    answer = confirm_code(trial.public_id, wrong, user=operator)
    assert (answer.refusal, answer.attempts_left) == ("wrong_code", 4)
    assert len(PhoneLedger.objects.get().failures) == 1


def test_nobody_is_logged_in_by_a_trial(trial, operator):
    UserPhone.objects.create(user=operator, phone=PHONE)
    verified = confirm_code(trial.public_id, code(), user=operator).challenge
    assert verified
    assert authenticate(None, phone_challenge=verified) is None
    assert spend_challenge(verified) is None
    assert PhoneChallenge.objects.get().spent_at is None


def test_no_phone_is_linked_by_a_trial(trial, operator):
    verified = confirm_code(trial.public_id, code(), user=operator).challenge
    assert verified
    assert link_phone(verified) == "challenge_closed"
    assert not UserPhone.objects.exists()


def test_the_api_logs_not_even_the_operator_in(post, session, trial):
    response = post("confirm", client=session, challenge=trial.public_id, code=code())
    assert (response.status_code, response.json()["code"]) == (400, "challenge_closed")
    assert not Token.objects.exists()
    assert PhoneChallenge.objects.get().spent_at is None


def test_strangers_do_not_find_a_trial(post, api, trial, django_user_model):
    stranger = APIClient()
    stranger.force_login(django_user_model.objects.create_user("stranger"))
    for client in (stranger, APIClient()):
        answers = [
            post("confirm", client=client, challenge=trial.public_id, code=code()),
            post("resend", client=client, challenge=trial.public_id),
            client.get(f"/api/phone/challenges/{trial.public_id}/"),
        ]
        assert [each.json()["code"] for each in answers] == ["unknown_challenge"] * 3
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_a_trial_of_nobody_is_found_by_nobody(operator):
    asked = try_account("first", PHONE).challenge
    assert asked
    for user in (None, operator):
        assert confirm_code(asked.public_id, code(), user=user).refusal == "unknown_challenge"
        assert look_at_challenge(asked.public_id, user=user) is None
        assert resend_code(asked.public_id, user=user).refusal == "unknown_challenge"


def test_the_call_of_a_trial_logs_nobody_in(phone_otp, operator):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "is_called": True}))
    asked = try_account("calls", PHONE, user=operator).challenge
    assert asked
    with pytest.raises(CodeRequired):
        confirm_code(asked.public_id)  # a stranger's question
    verified = confirm_code(asked.public_id, user=operator).challenge
    assert verified
    assert authenticate(None, phone_challenge=verified) is None


def test_s10_the_code_of_a_trial_fails_on_a_login(trial, operator, clock):
    of_the_trial = code()
    clock.shift(30)
    login = request_code(PHONE).challenge
    assert login
    assert code() != of_the_trial
    assert confirm_code(login.public_id, of_the_trial).refusal == "wrong_code"


def test_the_api_knows_no_trials(post, session):
    for client in (session, APIClient()):
        response = post("request", client=client, phone=PHONE, purpose="trial")
        assert response.status_code == 400
        assert response.json() == {"purpose": ["Use one of: login, link."]}
    assert not PhoneChallenge.objects.exists()
