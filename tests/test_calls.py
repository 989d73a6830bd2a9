"""Challenges that are answered by a call of the person: shown, awaited, and good for one login."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.utils import translation
from rest_framework.test import APIClient

from django_phone_otp import signals
from django_phone_otp.exceptions import CodeRequired
from django_phone_otp.flow import (
    Client,
    confirm_code,
    link_phone,
    look_at_challenge,
    request_code,
    spend_challenge,
    try_account,
)
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes import accounts, providers, store_account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
HINT = "Call the number +7 800 555-35-35 from your phone. Nobody answers: the call alone is enough."


@pytest.fixture(autouse=True)
def _presence(phone_otp):
    fakes.questions.clear()
    fakes.calls_in.clear()
    fakes.meanwhile.clear()
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}), RESEND_WAITS=[0])


@pytest.fixture
def configure(phone_otp):
    """Give the account that awaits calls other options."""

    def change(**options: Any) -> None:
        phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", **options}))

    return change


@pytest.fixture
def challenge(post) -> str:
    """A challenge that awaits a call."""
    return post("request", phone=PHONE).json()["challenge"]


@pytest.fixture
def show(api):
    """Look at a challenge: `show(challenge)`."""
    return lambda challenge, client=api: client.get(f"/api/phone/challenges/{challenge}/")


@pytest.fixture
def heard():
    """Note which signals come, in words."""
    words: list[str] = []
    receivers = [
        (signals.code_rejected, lambda **arguments: words.append(f"no: {arguments['refusal']}")),
        (signals.phone_verified, lambda **_arguments: words.append("verified")),
        (signals.phone_locked, lambda **_arguments: words.append("locked")),
        (user_login_failed, lambda **_arguments: words.append("login failed")),
        (user_logged_in, lambda **_arguments: words.append("logged in")),
    ]
    for signal, receiver in receivers:
        signal.connect(receiver)
    yield words
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def call_in(challenge: str) -> None:
    """Let the call of the person come in."""
    fakes.calls_in.add(stored(challenge).provider_ref)


def stored(challenge: str) -> PhoneChallenge:
    return PhoneChallenge.objects.get(public_id=challenge)


# Asking


def test_the_answer_says_whom_to_call(post):
    response = post("request", phone=PHONE)
    assert response.status_code == 201
    assert response.json() == {
        "challenge": PhoneChallenge.objects.get().public_id,
        "phone": "+7•••••••003",
        "channel": "reverse_call",
        "state": "sent",
        "code_length": 0,
        "expires_in": 300,
        "resend_in": 0,
        "hint": HINT,
        "call_to": "+78005553535",
    }


def test_the_hint_is_in_the_language_of_the_request(post):
    with translation.override("ru"):
        response = post("request", phone=PHONE)
    assert "+7 800 555-35-35" in response.json()["hint"]


def test_another_channel_names_no_number(post, phone_otp):
    phone_otp(PROVIDERS=providers(texts={}))
    assert "call_to" not in post("request", phone=PHONE).json()


def test_all_tries_are_there(challenge):
    assert stored(challenge).attempts_left == 5


@pytest.mark.parametrize(
    ("number", "stored_as"),
    [("8 800 555-35-35", None), ("", None), ("+7800", None), ("+7 800 555-35-35", "+78005553535")],
)
def test_a_number_that_cannot_be_called_is_a_failed_delivery(post, configure, number, stored_as):
    configure(call_to=number)
    response = post("request", phone=PHONE)
    assert response.status_code == (201 if stored_as else 503)
    assert response.json().get("call_to") == stored_as


# Looking


def test_before_the_call_the_challenge_waits(show, challenge, clock):
    clock.shift(10)
    assert show(challenge).json() == {
        "challenge": challenge,
        "phone": "+7•••••••003",
        "channel": "reverse_call",
        "state": "sent",
        "code_length": 0,
        "expires_in": 290,
        "resend_in": 0,
        "hint": HINT,
        "call_to": "+78005553535",
    }


def test_after_the_call_it_is_verified(show, challenge):
    call_in(challenge)
    assert show(challenge).json()["state"] == "verified"
    assert (stored(challenge).state, stored(challenge).verified_at) == ("verified", NOW)


def test_the_provider_is_asked_about_this_reference_and_this_phone(show, challenge):
    show(challenge)
    assert fakes.questions == [("presence-1", PHONE, "")]


def test_the_provider_is_asked_every_two_seconds_at_most(show, challenge, clock):
    asked = []
    for passed in (0, 1, 0.9, 0.1, 1, 1):
        clock.shift(timedelta(seconds=passed))
        show(challenge)
        asked.append(len(fakes.questions))
    assert asked == [1, 1, 1, 2, 2, 3]


def test_each_challenge_is_asked_about_on_its_own(show, post, challenge):
    other = post("request", phone=OTHER).json()["challenge"]
    show(challenge), show(other)
    assert fakes.questions == [("presence-1", PHONE, ""), ("presence-2", OTHER, "")]


def test_looking_and_answering_share_the_two_seconds(show, post, challenge):
    show(challenge)
    post("confirm", challenge=challenge)
    assert len(fakes.questions) == 1


def test_the_provider_is_not_asked_again_after_the_call(show, challenge, clock):
    call_in(challenge)
    for _ in range(3):
        show(challenge)
        clock.shift(2)
    assert len(fakes.questions) == 1


def test_a_challenge_that_awaits_a_code_is_looked_at_without_asking_anybody(show, post, phone_otp):
    phone_otp(PROVIDERS=providers(judge={"kind": "FakeJudge"}))
    show(post("request", phone=PHONE).json()["challenge"])
    assert fakes.questions == []


def test_whoever_called_is_noted_as_one_that_was_right(show, challenge):
    call_in(challenge)
    show(challenge)
    attempt = ConfirmAttempt.objects.get()
    assert (attempt.challenge.public_id, attempt.refusal, attempt.ip) == (
        challenge,
        "",
        "127.0.0.1",
    )
    assert stored(challenge).attempts_left == 5


def test_a_call_ends_the_row_of_wrong_codes_and_of_waits(show, challenge, phone_otp):
    PhoneLedger.objects.update(failures_in_row=7)
    call_in(challenge)
    show(challenge)
    ledger = PhoneLedger.objects.get()
    assert (ledger.failures_in_row, ledger.ladder_step) == (0, 0)


def test_listeners_hear_of_the_call_once(
    show, challenge, clock, heard, django_capture_on_commit_callbacks
):
    call_in(challenge)
    with django_capture_on_commit_callbacks(execute=True):
        show(challenge)
        clock.shift(2)
        show(challenge)
    assert heard == ["verified"]


def test_looking_logs_nobody_in(show, challenge):
    call_in(challenge)
    response = show(challenge)
    assert not get_user_model().objects.exists()
    assert stored(challenge).spent_at is None
    assert "token" not in response.json()


# Answering


def test_before_the_call_the_answer_is_that_it_has_not_come_in(post, challenge):
    response = post("confirm", challenge=challenge)
    assert response.status_code == 400
    assert response.json() == {
        "detail": "Your call has not come in yet.",
        "code": "call_awaited",
    }


def test_asking_whether_the_call_came_in_costs_nothing(
    post, challenge, clock, heard, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(10):
            assert post("confirm", challenge=challenge).json()["code"] == "call_awaited"
            clock.shift(2)
    assert heard == []
    assert stored(challenge).attempts_left == 5
    assert PhoneLedger.objects.get().failures == []
    assert not ConfirmAttempt.objects.exists()


def test_after_the_call_whoever_asked_is_logged_in(post, challenge):
    call_in(challenge)
    response = post("confirm", challenge=challenge)
    user = get_user_model().objects.get()
    assert response.status_code == 200
    assert response.json()["user"] == {"id": user.pk, "phone": PHONE, "created": True}
    assert response.json()["token"]
    assert stored(challenge).user == user


@pytest.mark.parametrize("code", ["", " ", "\t", "1234", "012345"])
def test_no_code_is_needed_and_any_is_passed_over(post, challenge, code):
    call_in(challenge)
    assert post("confirm", challenge=challenge, code=code).status_code == 200


@pytest.mark.parametrize("code", ["1234", "012345"])
def test_no_code_takes_the_place_of_the_call(post, challenge, code):
    assert post("confirm", challenge=challenge, code=code).json()["code"] == "call_awaited"
    assert stored(challenge).attempts_left == 5


def test_after_a_look_that_saw_the_call_it_logs_in_without_asking_again(show, post, challenge):
    call_in(challenge)
    show(challenge)
    assert post("confirm", challenge=challenge).status_code == 200
    assert len(fakes.questions) == 1


def test_a_login_is_told_to_listeners(
    post, challenge, heard, django_capture_on_commit_callbacks, phone_otp
):
    phone_otp(TOKEN_ISSUER="session")
    call_in(challenge)
    with django_capture_on_commit_callbacks(execute=True):
        post("confirm", challenge=challenge)
    assert sorted(heard) == ["logged in", "verified"]


def test_s03_a_call_logs_in_once(post, challenge, clock):
    call_in(challenge)
    post("confirm", challenge=challenge)
    clock.shift(2)
    again = post("confirm", challenge=challenge)
    assert (again.status_code, again.json()["code"]) == (400, "challenge_closed")
    assert ConfirmAttempt.objects.count() == 1


def test_s03_of_two_who_answer_at_one_moment_one_is_logged_in(challenge):
    call_in(challenge)
    first, second = confirm_code(challenge), confirm_code(challenge)
    users = [authenticate(None, phone_challenge=each.challenge) for each in (first, second)]
    assert [user is not None for user in users] == [True, False]


def test_who_looks_while_another_answers_takes_nothing_from_him(post, challenge, show):
    call_in(challenge)
    fakes.meanwhile.extend([cache.clear, lambda: show(challenge)])
    assert post("confirm", challenge=challenge).status_code == 200
    assert ConfirmAttempt.objects.count() == 1


def test_who_is_logged_in_while_another_answers_is_so_once(post, challenge):
    call_in(challenge)
    fakes.meanwhile.extend([cache.clear, lambda: post("confirm", challenge=challenge)])
    assert post("confirm", challenge=challenge).json()["code"] == "challenge_closed"
    assert get_user_model().objects.count() == 1


def test_a_challenge_that_was_cancelled_while_the_provider_was_asked_stays_so(post, challenge):
    call_in(challenge)
    fakes.meanwhile.append(lambda: PhoneChallenge.objects.cancel(stored(challenge).pk))
    assert post("confirm", challenge=challenge).json()["code"] == "challenge_closed"
    assert stored(challenge).state == "cancelled"


def test_who_has_proved_the_phone_has_the_time_of_a_code_to_log_in(show, post, challenge, clock):
    call_in(challenge)
    show(challenge)
    clock.shift(299)
    assert post("confirm", challenge=challenge).status_code == 200


def test_a_proof_that_nobody_has_used_grows_stale(show, post, challenge, clock):
    call_in(challenge)
    show(challenge)
    clock.shift(300)
    response = post("confirm", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (400, "challenge_closed")
    assert len(fakes.questions) == 1


def test_an_inactive_user_is_not_logged_in_by_a_call(post, challenge, django_user_model):
    user = django_user_model.objects.create_user("ann", is_active=False)
    UserPhone.objects.create(user=user, phone=PHONE)
    call_in(challenge)
    assert post("confirm", challenge=challenge).json()["code"] == "phone_not_allowed"


def test_answers_are_counted_by_address(post, challenge, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "2/h"})
    codes = [post("confirm", challenge=challenge).json()["code"] for _ in range(3)]
    assert codes == ["call_awaited", "call_awaited", "too_many_requests"]


# Whose call it is


def test_s10_the_call_of_another_challenge_does_not_count(post, challenge):
    other = post("request", phone=OTHER).json()["challenge"]
    call_in(challenge)
    assert post("confirm", challenge=other).json()["code"] == "call_awaited"
    assert post("confirm", challenge=challenge).status_code == 200


def test_s10_nor_does_that_of_a_call_before_the_resend(post, challenge):
    call_in(challenge)
    assert post("resend", challenge=challenge).json()["channel"] == "reverse_call"
    assert stored(challenge).provider_ref == "presence-2"
    assert post("confirm", challenge=challenge).json()["code"] == "call_awaited"


def test_s08_a_strangers_request_leaves_the_owners_challenge_alone(post, challenge):
    post("request", phone=PHONE)
    call_in(challenge)
    assert post("confirm", challenge=challenge).status_code == 200


def test_one_challenge_of_a_phone_awaits_a_call(post, challenge, clock):
    clock.shift(100)
    response = post("request", phone=PHONE)
    assert response.status_code == 429
    assert response.json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": 200,
    }
    assert response["Retry-After"] == "200"
    assert len(fakes.asked) == 1


def test_the_next_may_await_one_when_it_was_told(post, challenge, clock):
    told = post("request", phone=PHONE).json()["retry_after"]
    clock.shift(told - 1)
    assert post("request", phone=PHONE).json()["retry_after"] == 1
    clock.shift(1)
    assert post("request", phone=PHONE).status_code == 201


def test_who_asks_beside_one_that_awaits_a_call_goes_on_along_the_route(post, phone_otp, challenge):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    attempt = DeliveryAttempt.objects.get(outcome="phone_over_budget")
    assert (attempt.account, attempt.detail) == (
        "calls",
        "a call of this phone is awaited already",
    )


def test_another_phone_may_await_a_call_beside_it(post, challenge):
    assert post("request", phone=OTHER).json()["channel"] == "reverse_call"


def test_whoever_asks_it_is_one_challenge_of_a_phone(post, challenge, member):
    linked = post("request", client=member, phone=PHONE, purpose="link")
    assert linked.json()["code"] == "too_many_requests"
    assert try_account("calls", PHONE).refusal == "too_many_requests"


def test_a_challenge_stands_not_in_its_own_way(post, challenge):
    assert post("resend", challenge=challenge).json()["channel"] == "reverse_call"


@pytest.mark.parametrize("end", ["verified", "cancelled", "turned", "locked"])
def test_a_challenge_that_awaits_a_call_no_more_stands_in_nobodys_way(
    post, show, challenge, phone_otp, end
):
    if end == "verified":
        call_in(challenge)
        show(challenge)
    elif end == "cancelled":
        PhoneChallenge.objects.cancel(stored(challenge).pk)
    elif end == "turned":
        phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
        post("resend", challenge=challenge)
    else:
        PhoneChallenge.objects.update(attempts_left=0)
    assert post("request", phone=PHONE).json()["channel"] == "reverse_call"


def test_a_challenge_without_a_number_stands_in_nobodys_way(post, configure):
    configure(error="ProviderUnavailable")
    post("request", phone=PHONE)
    configure()
    assert post("request", phone=PHONE).status_code == 201


@pytest.fixture
def two(post, challenge, clock) -> tuple[str, str]:
    """Two challenges of a phone that await a call, as when both were made at one moment."""
    other = post("request", phone=OTHER).json()["challenge"]
    PhoneChallenge.objects.update(phone=PHONE, ledger=stored(challenge).ledger)
    return challenge, other


@pytest.mark.parametrize("whose", [0, 1])
def test_where_two_await_a_call_of_a_phone_it_counts_for_neither(post, show, two, caplog, whose):
    for challenge in two:
        call_in(challenge)
    assert show(two[whose]).json()["state"] == "cancelled"
    cache.clear()
    codes = [post("confirm", challenge=each).json()["code"] for each in two]
    assert codes == ["challenge_closed"] * 2
    assert "call_ambiguous account=calls" in caplog.text


def test_a_call_that_has_not_come_in_is_not_ambiguous(show, two, caplog):
    show(two[0])
    assert "call_ambiguous" not in caplog.text


def test_a_challenge_that_was_sent_a_text_takes_nothing_from_the_call(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    call_in(challenge)
    assert post("confirm", challenge=challenge).status_code == 200


# Linking a phone


@pytest.fixture
def member(django_user_model) -> APIClient:
    client = APIClient()
    client.force_login(django_user_model.objects.create_user("ann"))
    return client


@pytest.fixture
def link(post, member) -> str:
    return post("request", client=member, phone=PHONE, purpose="link").json()["challenge"]


def test_a_call_links_a_phone(post, member, link):
    awaited = post("confirm", client=member, challenge=link).json()["code"]
    call_in(link)
    cache.clear()
    response = post("confirm", client=member, challenge=link)
    assert (awaited, response.status_code) == ("call_awaited", 200)
    assert UserPhone.objects.get().user.get_username() == "ann"


def test_a_call_to_link_is_seen_by_who_asked_alone(show, link, member):
    call_in(link)
    stranger = APIClient()
    stranger.force_login(get_user_model().objects.create_user("bob"))
    for client in (stranger, APIClient()):
        assert show(link, client).json()["code"] == "unknown_challenge"
    assert (stored(link).state, fakes.questions) == ("sent", [])
    assert show(link, member).json()["state"] == "verified"


def test_s10_a_call_to_link_does_not_log_in(link):
    call_in(link)
    verified = confirm_code(link, user=get_user_model().objects.get()).challenge
    assert verified
    assert authenticate(None, phone_challenge=verified) is None
    assert spend_challenge(verified) is None
    assert link_phone(verified) is None


def test_s10_a_call_to_log_in_does_not_link(challenge):
    call_in(challenge)
    verified = confirm_code(challenge).challenge
    assert verified
    assert link_phone(verified) == "challenge_closed"
    assert not UserPhone.objects.exists()


# Trouble


@pytest.mark.parametrize("trouble", ["ProviderUnavailable", "DeliveryUncertain", "a mistake"])
def test_a_provider_in_trouble_gives_no_verdict(show, post, challenge, configure, trouble):
    configure(trouble=trouble)
    assert show(challenge).json()["state"] == "sent"
    cache.clear()
    response = post("confirm", challenge=challenge)
    assert response.status_code == 503
    assert response.json() == {
        "detail": "The service is not available right now. Try again later.",
        "code": "unavailable",
    }
    assert stored(challenge).attempts_left == 5


def test_who_called_while_the_provider_was_in_trouble_is_logged_in_later(
    post, challenge, configure, clock
):
    configure(trouble="ProviderUnavailable")
    call_in(challenge)
    assert post("confirm", challenge=challenge).status_code == 503
    configure()
    clock.shift(2)
    assert post("confirm", challenge=challenge).status_code == 200


def test_trouble_is_told_to_operators_without_its_words(post, challenge, configure, caplog):
    configure(trouble="ProviderUnavailable")
    post("confirm", challenge=challenge)
    mine = [each for each in caplog.records if each.name == "django_phone_otp.flow.calls"]
    assert [(each.levelname, each.getMessage()) for each in mine] == [
        ("ERROR", "judge_unavailable account=calls reason=ProviderUnavailable")
    ]
    assert "the service is down" not in caplog.text


def test_an_account_that_is_gone_gives_no_verdict(show, post, challenge, phone_otp, caplog):
    phone_otp(PROVIDERS=providers(texts={}))
    call_in(challenge)
    assert post("confirm", challenge=challenge).json()["code"] == "unavailable"
    assert 'judge_unavailable account=calls reason="the account is gone"' in caplog.text
    cache.clear()
    assert show(challenge).json()["state"] == "sent"


def test_an_account_that_is_gone_is_told_every_two_seconds_at_most(
    show, challenge, phone_otp, caplog, clock
):
    phone_otp(PROVIDERS=providers(texts={}))
    for _ in range(20):
        show(challenge)
    assert caplog.text.count("judge_unavailable") == 1
    clock.shift(2)
    show(challenge)
    assert caplog.text.count("judge_unavailable") == 2


def test_an_account_that_became_another_providers_gives_no_verdict(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "Fake"}))
    call_in(challenge)
    assert post("confirm", challenge=challenge).json()["code"] == "unavailable"


def test_s15_without_the_cache_nobody_is_asked(show, settings, challenge):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    call_in(challenge)
    assert show(challenge).json()["state"] == "sent"
    assert confirm_code(challenge).refusal == "unavailable"
    assert fakes.questions == []


def test_s15_without_the_cache_there_is_no_verdict(settings, challenge):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    settings.RATELIMIT_ENABLE = False
    call_in(challenge)
    assert confirm_code(challenge).refusal == "unavailable"
    assert fakes.questions == []


# The end of it


def test_the_number_lives_as_long_as_the_provider_says(post, configure, show, clock):
    configure(lives_seconds=120)
    response = post("request", phone=PHONE)
    challenge = response.json()["challenge"]
    assert response.json()["expires_in"] == 120
    call_in(challenge)
    clock.shift(120)
    assert show(challenge).json()["state"] == "expired"
    assert post("confirm", challenge=challenge).json()["code"] == "expired"
    assert fakes.questions == []


def test_a_call_counts_until_the_last_second(post, configure, clock):
    configure(lives_seconds=120)
    challenge = post("request", phone=PHONE).json()["challenge"]
    call_in(challenge)
    clock.shift(119)
    assert post("confirm", challenge=challenge).status_code == 200


@pytest.mark.parametrize(
    ("lives_seconds", "expires_in"), [(301, 300), (None, 300), (0, 300), (-5, 300), (1, 1)]
)
def test_the_number_lives_no_longer_than_a_code(post, configure, lives_seconds, expires_in):
    configure(lives_seconds=lives_seconds)
    assert post("request", phone=PHONE).json()["expires_in"] == expires_in


def test_a_challenge_that_expired_while_the_provider_was_asked_is_closed(post, challenge, clock):
    call_in(challenge)
    fakes.meanwhile.append(lambda: clock.shift(300))
    assert post("confirm", challenge=challenge).json()["code"] == "challenge_closed"
    assert stored(challenge).verified_at is None


def test_s06_a_disabled_phone_is_refused(show, post, challenge):
    PhoneLedger.objects.update(disabled_at=NOW)
    call_in(challenge)
    response = post("confirm", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (429, "locked")
    assert show(challenge).json()["state"] == "sent"
    assert fakes.questions == []


def test_s06_a_phone_that_is_disabled_while_the_provider_is_asked_is_refused(post, challenge):
    call_in(challenge)
    ledger = PhoneLedger.objects.get()
    fakes.meanwhile.append(lambda: ledger.write({"disabled_at": NOW}))
    assert post("confirm", challenge=challenge).json()["code"] == "locked"
    assert stored(challenge).state == "sent"


def test_s06_a_phone_with_too_many_wrong_codes_is_refused(post, challenge):
    PhoneLedger.objects.update(failures=[NOW.timestamp()] * 10)
    call_in(challenge)
    response = post("confirm", challenge=challenge)
    assert (response.json()["code"], response["Retry-After"]) == ("too_many_requests", "86400")


def test_refusals_are_told_to_listeners(
    post, challenge, heard, clock, django_capture_on_commit_callbacks
):
    clock.shift(300)
    with django_capture_on_commit_callbacks(execute=True):
        post("confirm", challenge=challenge)
    assert sorted(heard) == ["login failed", "no: expired"]


# From a text to a call and back


@pytest.fixture
def _both(phone_otp):
    phone_otp(PROVIDERS=providers(texts={}, calls={"kind": "FakePresence"}))


@pytest.fixture
def turned(post, _both) -> tuple[str, str]:
    """A challenge that was sent a text and then chose to be called, and the text's code."""
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("resend", challenge=challenge).json()["channel"] == "reverse_call"
    return challenge, fakes.asked[0][1].code


def test_a_resend_turns_to_a_call(post, turned):
    challenge, _code = turned
    assert (stored(challenge).custody, stored(challenge).call_to) == ("presence", "+78005553535")
    assert post("confirm", challenge=challenge).json()["code"] == "call_awaited"
    call_in(challenge)
    cache.clear()
    assert post("confirm", challenge=challenge).status_code == 200


def test_the_code_of_the_text_before_still_counts(post, turned):
    challenge, code = turned
    assert post("confirm", challenge=challenge, code=code).status_code == 200
    assert fakes.questions == []


def test_a_wrong_code_in_the_place_of_the_text_before_takes_a_try(post, turned):
    challenge, code = turned
    wrong = "".join(str((int(digit) + 1) % 10) for digit in code)
    response = post("confirm", challenge=challenge, code=wrong)
    assert (response.json()["code"], response.json()["attempts_left"]) == ("wrong_code", 4)
    assert len(PhoneLedger.objects.get().failures) == 1


@pytest.mark.usefixtures("_both")
def test_the_code_of_the_text_before_counts_for_its_own_time(post, clock):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(200)
    post("resend", challenge=challenge)
    clock.shift(100)
    code = fakes.asked[0][1].code
    assert post("confirm", challenge=challenge, code=code).json()["code"] == "call_awaited"
    assert stored(challenge).attempts_left == 5


def test_wrong_codes_lock_the_call_too(post, turned, show):
    challenge, code = turned
    wrong = "".join(str((int(digit) + 1) % 10) for digit in code)
    for _ in range(5):
        post("confirm", challenge=challenge, code=wrong)
    call_in(challenge)
    assert post("confirm", challenge=challenge).json()["code"] == "locked"
    assert show(challenge).json()["state"] == "locked"


def test_a_short_code_before_the_call_keeps_its_three_tries(post, phone_otp):
    phone_otp(
        PROVIDERS=providers(
            flash={"kind": "FakeCall", "code": "0427"}, calls={"kind": "FakePresence"}
        )
    )
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("resend", challenge=challenge)
    assert stored(challenge).attempts_left == 3
    assert post("confirm", challenge=challenge, code="1111").json()["attempts_left"] == 2
    assert post("confirm", challenge=challenge, code="0427").status_code == 200


def test_a_code_that_its_provider_judges_counts_beside_the_call(post, phone_otp):
    phone_otp(
        PROVIDERS=providers(
            judge={"kind": "FakeJudge", "code": "777777"}, calls={"kind": "FakePresence"}
        )
    )
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("resend", challenge=challenge)
    assert post("confirm", challenge=challenge).json()["code"] == "call_awaited"
    assert post("confirm", challenge=challenge, code="777777").status_code == 200
    assert fakes.questions[-1] == ("judge-1", PHONE, "777777")


def test_a_resend_turns_from_the_call_to_a_text(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
    response = post("resend", challenge=challenge)
    assert (response.json()["channel"], response.json()["code_length"]) == ("sms", 6)
    assert "call_to" not in response.json()
    assert stored(challenge).call_to == ""
    code = fakes.asked[-1][1].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_after_the_turn_to_a_text_a_code_is_needed(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
    call_in(challenge)
    post("resend", challenge=challenge, channel="sms")
    response = post("confirm", challenge=challenge)
    assert response.json() == {"code": ["This field is required."]}
    assert fakes.questions == []


def test_after_the_turn_to_a_text_the_call_is_nobodys_to_judge(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={"code": "111111"}))
    post("resend", challenge=challenge, channel="sms")
    response = post("confirm", challenge=challenge, code="999999")
    assert (response.json()["code"], response.json()["attempts_left"]) == ("wrong_code", 4)


def test_a_resend_turns_to_a_text_and_back(post, challenge, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))
    channels = [
        post("resend", challenge=challenge, channel=channel).json()["channel"]
        for channel in ("sms", "reverse_call")
    ]
    call_in(challenge)
    assert channels == ["sms", "reverse_call"]
    assert post("confirm", challenge=challenge).status_code == 200


def test_a_text_that_failed_leaves_the_call_as_it_is(post, challenge, phone_otp):
    phone_otp(
        PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={"error": "ProviderUnavailable"})
    )
    assert post("resend", challenge=challenge, channel="sms").status_code == 503
    call_in(challenge)
    assert post("confirm", challenge=challenge).status_code == 200


# Without a code


def test_a_challenge_that_awaits_a_code_needs_one(post, phone_otp):
    phone_otp(PROVIDERS=providers(texts={}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    for body in ({}, {"code": ""}, {"code": "  "}):
        response = post("confirm", challenge=challenge, **body)
        assert (response.status_code, response.json()) == (
            400,
            {"code": ["This field is required."]},
        )
    assert stored(challenge).attempts_left == 5


@pytest.mark.parametrize("kind", ["FakeCall", "FakeJudge", "FakeCapitals"])
def test_whoever_makes_and_judges_the_code_it_is_needed(post, phone_otp, kind):
    phone_otp(PROVIDERS=providers(only={"kind": kind, "code": "4271"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge).json() == {"code": ["This field is required."]}


@pytest.mark.parametrize("code", ["", " ", "\t\n", "\u2003"])
def test_what_is_blank_is_no_code(phone_otp, code):
    phone_otp(PROVIDERS=providers(texts={}))
    asked = request_code(PHONE).challenge
    assert asked
    with pytest.raises(CodeRequired, match="Enter the code"):
        confirm_code(asked.public_id, code)
    assert stored(asked.public_id).attempts_left == 5


@pytest.mark.parametrize("challenge", ["x" * 32, "", "\x00", "ы"])
def test_a_challenge_that_is_not_known_needs_a_code_too(post, challenge):
    with pytest.raises(CodeRequired, match="Enter the code"):
        confirm_code(challenge)


def test_a_challenge_to_link_needs_a_code_of_strangers(post, link):
    call_in(link)
    assert post("confirm", challenge=link).json() == {"code": ["This field is required."]}
    assert fakes.questions == []


def test_a_challenge_that_is_verified_by_its_code_needs_one_still(post, phone_otp):
    phone_otp(PROVIDERS=providers(texts={}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert confirm_code(challenge, fakes.asked[0][1].code).challenge
    assert post("confirm", challenge=challenge).json() == {"code": ["This field is required."]}


def test_an_answer_without_a_code_counts_for_its_address(post, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/h"})
    post("confirm", challenge="x" * 32)
    assert post("confirm", challenge="x" * 32).json()["code"] == "too_many_requests"


# Along the route


@pytest.mark.parametrize("error", ["DeliveryUncertain", "ProviderUnavailable", "ProviderRejected"])
def test_a_number_that_was_not_given_leads_on_along_the_route(post, phone_otp, error):
    # Nothing can have reached the person, so a second message is none.
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "error": error}, texts={}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["channel"]) == (201, "sms")
    outcomes = DeliveryAttempt.objects.order_by("pk").values_list("account", "outcome")
    assert [account for account, _outcome in outcomes] == ["calls", "texts"]


def test_a_number_that_nobody_could_call_leads_on_too(post, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "call_to": "112"}, texts={}))
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    first = DeliveryAttempt.objects.order_by("pk")[0]
    assert (first.outcome, first.detail) == (
        "uncertain",
        "the provider told what is no number to call",
    )


def test_no_number_leads_on_too(post, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "call_to": ""}, texts={}))
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    first = DeliveryAttempt.objects.order_by("pk")[0]
    assert (first.outcome, first.detail) == (
        "uncertain",
        "the provider told no number to call",
    )


def test_after_an_uncertain_text_nobody_is_asked_to_call(post, phone_otp):
    phone_otp(
        PROVIDERS=providers(texts={"error": "DeliveryUncertain"}, calls={"kind": "FakePresence"})
    )
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    assert len(fakes.asked) == 1


def test_an_uncertain_number_alone_is_a_failed_delivery(post, configure):
    configure(error="DeliveryUncertain")
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "delivery_failed")
    assert PhoneChallenge.objects.get().state == "failed"


def test_a_number_that_cannot_work_ends_the_route_here_too(post, phone_otp):
    phone_otp(
        PROVIDERS=providers(calls={"kind": "FakePresence", "error": "InvalidRecipient"}, texts={})
    )
    assert post("request", phone=PHONE).json()["code"] == "phone_not_allowed"


# By the Python API, and by rows


def test_who_looks_may_be_named(challenge):
    call_in(challenge)
    client = Client(ip="203.0.113.7", user_agent="App/1.0")
    found = look_at_challenge(challenge, client=client)
    assert found
    assert found.state == "verified"
    attempt = ConfirmAttempt.objects.get()
    assert (attempt.ip, attempt.user_agent) == ("203.0.113.7", "App/1.0")


def test_an_unknown_challenge_is_nothing_to_look_at():
    assert look_at_challenge("x" * 32) is None


def test_the_python_api_awaits_a_call():
    asked = request_code(PHONE).challenge
    assert asked
    assert (asked.awaits_call, asked.call_to) == (True, "+78005553535")
    assert confirm_code(asked.public_id).refusal == "call_awaited"
    call_in(asked.public_id)
    cache.clear()
    verified = confirm_code(asked.public_id).challenge
    assert verified
    assert authenticate(None, phone_challenge=verified) is not None


def test_a_row_may_await_calls(post, phone_otp):
    phone_otp(PROVIDERS=None)
    store_account("calls", kind="FakePresence")
    challenge = post("request", phone=PHONE).json()["challenge"]
    call_in(challenge)
    assert post("confirm", challenge=challenge).status_code == 200


def test_a_call_counts_for_the_budgets(post, phone_otp):
    phone_otp(PROVIDERS=accounts(calls={"kind": "FakePresence", "PHONE_DAILY_LIMIT": 1}, texts={}))
    channels = [post("request", phone=PHONE).json()["channel"] for _ in range(2)]
    assert channels == ["reverse_call", "sms"]


def test_a_call_is_awaited_where_it_is_written(post, show, settings):
    settings.DATABASE_ROUTERS = ["tests.test_replicas.ReplicaRouter"]
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert show(challenge).json()["state"] == "sent"
    fakes.calls_in.add("presence-1")
    cache.clear()
    assert show(challenge).json()["state"] == "verified"
    assert post("confirm", challenge=challenge).status_code == 200


# Without a number


def test_a_call_to_nowhere_is_awaited_by_nobody(post, configure, show):
    configure(error="ProviderUnavailable")
    challenge = post("request", phone=PHONE).json()["challenge"]
    fakes.calls_in.add("")
    response = post("confirm", challenge=challenge)
    assert (response.status_code, response.json()) == (400, {"code": ["This field is required."]})
    assert show(challenge).json()["state"] == "failed"
    assert fakes.questions == []


def test_a_proven_phone_that_is_disabled_since_logs_nobody_in(post, challenge, show):
    call_in(challenge)
    assert show(challenge).json()["state"] == "verified"
    PhoneLedger.objects.update(disabled_at=NOW)
    assert post("confirm", challenge=challenge).status_code == 400


def test_a_call_that_came_in_is_told_as_such(challenge, show):
    call_in(challenge)
    assert show(challenge).json()["hint"] == "Your call has come in."


def test_nobody_else_is_asked_while_a_slow_provider_is(challenge, show, clock):
    def look_later():
        clock.shift(5)
        show(challenge)

    fakes.meanwhile.append(look_later)
    show(challenge)
    assert len(fakes.questions) == 1
