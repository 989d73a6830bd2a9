"""What operators do: revoke, unlock, send by another route. Each holds what the flow promises."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from django_phone_otp import signals
from django_phone_otp.choices import DeliveryOutcome, Purpose, Refusal, State
from django_phone_otp.flow import (
    confirm_code,
    find_challenge,
    request_code,
    spend_challenge,
    try_account,
)
from django_phone_otp.flow.client import Client
from django_phone_otp.flow.interventions import (
    list_resend_accounts,
    resend_by_operator,
    revoke_challenge,
    unlock_phone,
)
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

UNKNOWN = "+79244501004"


def aliases(challenge: PhoneChallenge) -> list[str]:
    return [each.alias for each in list_resend_accounts(challenge)]


class TestRevoke:
    """A revoked challenge opens nothing any more."""

    def test_the_right_code_is_refused(self):
        challenge = ask()
        assert revoke_challenge(challenge.pk)
        code = local.outbox[-1].code
        assert confirm_code(challenge.public_id, code).refusal is Refusal.CHALLENGE_CLOSED

    def test_one_that_is_verified_logs_nobody_in(self):
        challenge = answer(ask())
        assert revoke_challenge(challenge.pk)
        assert spend_challenge(challenge) is None

    def test_the_answer_stays_in_the_trail(self):
        challenge = answer(ask())
        revoke_challenge(challenge.pk)
        assert [each.refusal for each in challenge.confirmations.all()] == [""]

    def test_one_that_is_spent_stays_as_it_is(self):
        challenge = answer(ask())
        assert spend_challenge(challenge)
        assert not revoke_challenge(challenge.pk)
        assert PhoneChallenge.objects.get().state == State.VERIFIED

    def test_it_happens_once(self):
        challenge = ask()
        assert [revoke_challenge(challenge.pk), revoke_challenge(challenge.pk)] == [True, False]

    def test_others_of_the_phone_stay(self, clock):
        first = ask()
        clock.shift(60)
        second = ask()
        revoke_challenge(first.pk)
        assert answer(second).state == State.VERIFIED

    def test_a_message_that_is_on_its_way_meanwhile_counts_for_nothing(self, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
        fakes.meanwhile.append(lambda: revoke_challenge(PhoneChallenge.objects.get().pk))
        assert request_code(PHONE).refusal is Refusal.CHALLENGE_CLOSED
        assert PhoneChallenge.objects.get().code_digest == ""


class TestUnlock:
    """The lock of a phone is lifted."""

    def test_its_codes_count_again(self):
        challenge = ask()
        PhoneLedger.objects.update(disabled_at=challenge.created_at, failures_in_row=100)
        code = local.outbox[-1].code
        assert confirm_code(challenge.public_id, code).refusal is Refusal.LOCKED
        assert unlock_phone(PHONE)
        assert confirm_code(challenge.public_id, code).refusal is None

    def test_one_that_is_not_locked(self):
        ask()
        assert not unlock_phone(PHONE)


class TestWays:
    """The accounts that an operator may choose."""

    @pytest.fixture(autouse=True)
    def _accounts(self, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(first={}, second={"kind": "FakeCall", "code": "4271"}))

    def test_they_are_those_of_the_route(self, phone_otp):
        phone_otp(ROUTES={"RU": ["second"]})
        assert aliases(ask()) == ["second"]

    def test_an_account_that_is_switched_off_is_none_of_them(self):
        fakes.store_account("stand-in", enabled=False)
        assert aliases(ask()) == ["first", "second"]

    def test_one_that_does_not_serve_the_number_is_none_of_them(self, phone_otp):
        phone_otp(
            PROVIDERS=fakes.providers(first={}, russian={"kind": "FakeRussian"}),
        )
        assert aliases(ask("+375291234567")) == ["first"]

    def test_a_test_phone_has_its_own(self, phone_otp):
        challenge = ask()
        phone_otp(TEST_PHONES={PHONE: {"code": "012345", "until": "2999-01-01"}})
        assert aliases(challenge) == ["test-phone"]

    def test_a_test_code_has_none(self):
        asked = try_account("first", PHONE)
        assert asked.challenge
        assert aliases(asked.challenge) == []

    def test_there_is_none_while_all_are_switched_off(self, phone_otp):
        challenge = ask()
        phone_otp(PROVIDERS={})
        fakes.store_account("off", enabled=False)
        assert aliases(challenge) == []

    def test_while_sign_up_is_closed_none_that_cannot_be_imitated(self, phone_otp):
        challenge = ask()
        phone_otp(SIGNUP=False, PROVIDERS=fakes.providers(first={}, calls={"kind": "FakePresence"}))
        assert aliases(challenge) == ["first"]


class TestResend:
    """Another code by another route."""

    @pytest.fixture(autouse=True)
    def _accounts(self, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(first={}, second={"kind": "FakeCall", "code": "4271"}))

    @pytest.fixture
    def challenge(self, clock) -> PhoneChallenge:
        asked = ask(client=Client(ip="203.0.113.7"))
        clock.shift(60)
        return asked

    @pytest.fixture
    def heard(self, challenge) -> Iterator[list[dict[str, Any]]]:
        told: list[dict[str, Any]] = []

        def hear(**arguments: Any) -> None:
            told.append(arguments)

        signals.code_requested.connect(hear)
        yield told
        signals.code_requested.disconnect(hear)

    def test_it_goes_through_the_account_that_was_chosen(self, challenge):
        asked = resend_by_operator(challenge.pk, "second")
        assert [(each.account, each.outcome) for each in asked.attempts] == [("second", "sent")]
        assert confirm_code(challenge.public_id, "4271").refusal is None

    def test_only_what_was_tried_now_is_told(self, challenge):
        assert len(resend_by_operator(challenge.pk, "first").attempts) == 1

    def test_the_wait_of_the_phone_holds(self, challenge):
        resend_by_operator(challenge.pk, "second")
        asked = resend_by_operator(challenge.pk, "first")
        assert (asked.refusal, asked.retry_after_seconds) == (Refusal.RESEND_TOO_SOON, 60)
        assert asked.attempts == ()

    def test_the_budget_of_the_phone_holds(self, challenge, phone_otp):
        phone_otp(LIMITS={"send_phone": "1/d"})
        asked = resend_by_operator(challenge.pk, "second")
        assert asked.refusal is Refusal.TOO_MANY_REQUESTS

    def test_guards_hold(self, challenge, phone_otp):
        phone_otp(DENIED_REGIONS=["RU"])
        asked = resend_by_operator(challenge.pk, "second")
        assert asked.refusal is Refusal.PHONE_NOT_ALLOWED

    def test_the_hook_of_the_site_holds(self, challenge, phone_otp):
        phone_otp(SEND_HOOK="tests.test_interventions.deny")
        asked = resend_by_operator(challenge.pk, "second")
        assert asked.refusal is Refusal.PHONE_NOT_ALLOWED
        assert len(fakes.asked) == 1

    def test_an_account_that_is_not_offered_is_refused(self, challenge):
        fakes.store_account("stand-in", enabled=False)
        asked = resend_by_operator(challenge.pk, "stand-in")
        assert asked.refusal is Refusal.PHONE_NOT_ALLOWED
        assert len(fakes.asked) == 1

    def test_a_challenge_that_is_closed_takes_none(self, challenge):
        revoke_challenge(challenge.pk)
        assert resend_by_operator(challenge.pk, "second").refusal is Refusal.CHALLENGE_CLOSED

    def test_one_that_has_expired_takes_none(self, challenge, clock):
        clock.shift(300)
        assert resend_by_operator(challenge.pk, "second").refusal is Refusal.EXPIRED

    def test_what_became_of_it_is_told_to_listeners(self, challenge, phone_otp, heard):
        resend_by_operator(challenge.pk, "second")
        phone_otp(SEND_HOOK="tests.test_interventions.deny")
        resend_by_operator(challenge.pk, "second")
        revoke_challenge(challenge.pk)
        resend_by_operator(challenge.pk, "second")
        assert [each["refusal"] for each in heard] == [
            None,
            Refusal.PHONE_NOT_ALLOWED,
            Refusal.CHALLENGE_CLOSED,
        ]
        known = {"challenge": challenge, "purpose": "login", "is_resend": True}
        assert all(known.items() <= each.items() for each in heard)

    def test_one_that_is_gone(self):
        assert resend_by_operator(999, "second").refusal is Refusal.UNKNOWN_CHALLENGE

    def test_wrong_codes_go_on_counting(self, challenge):
        for _ in range(2):
            confirm_code(challenge.public_id, "999999")
        resend_by_operator(challenge.pk, "first")
        found = find_challenge(challenge.public_id)
        assert found
        assert found.attempts_left == 3

    def test_a_test_code_is_not_sent_again(self, clock):
        asked = try_account("first", PHONE)
        assert asked.challenge
        clock.shift(60)
        assert asked.challenge.purpose == Purpose.TRIAL
        again = resend_by_operator(asked.challenge.pk, "second")
        assert again.refusal is Refusal.PHONE_NOT_ALLOWED

    def test_one_that_failed_is_told_with_its_reason(self, challenge, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(broke={"error": "InsufficientFunds", "words": "0 RUB"}))
        asked = resend_by_operator(challenge.pk, "broke")
        assert asked.attempts[0].outcome == DeliveryOutcome.NO_FUNDS
        assert asked.attempts[0].detail == "0 RUB"

    def test_s11_while_sign_up_is_closed_an_unknown_phone_gets_none(
        self, post, api, phone_otp, clock, django_user_model
    ):
        phone_otp(SIGNUP=False, PROVIDERS=fakes.providers(first={}, second={}))
        UserPhone.objects.create(user=django_user_model.objects.create_user("ann"), phone=PHONE)
        seen = []
        for phone in (PHONE, UNKNOWN):
            public_id = post("request", phone=phone).json()["challenge"]
            clock.shift(60)
            found = PhoneChallenge.objects.get(public_id=public_id)
            outcomes = [each.outcome for each in resend_by_operator(found.pk, "second").attempts]
            body = api.get(f"/api/phone/challenges/{public_id}/").json()
            seen.append((outcomes, {**body, "challenge": "", "phone": ""}))
        (known, of_known), (unknown, of_unknown) = seen
        assert (known, unknown) == (["sent"], ["withheld"])
        assert of_known == of_unknown
        assert {request.phone for _key, request in fakes.asked} == {PHONE}

    def test_it_counts_at_the_address_of_the_person(self, challenge, phone_otp):
        rules = {"MODE": "block", "FREE": 2, "PER_LOGIN": 1, "WINDOW": 86_400}
        phone_otp(GUARDS={"address_traffic": rules})
        first = request_code(UNKNOWN, client=Client(ip="203.0.113.7"))
        assert first.refusal is None
        asked = resend_by_operator(challenge.pk, "second")
        assert asked.refusal is Refusal.TOO_MANY_REQUESTS


def deny(**_kwargs: object) -> str:
    """Let no message out, as a hook of a site may."""
    return "deny"


def test_revoking_takes_one_statement(django_assert_num_queries):
    challenge = ask()
    with django_assert_num_queries(1):
        revoke_challenge(challenge.pk)


def test_a_revoked_challenge_is_closed_for_a_client_that_repeats_its_request():
    challenge = ask(idempotency_key="k" * 20)
    revoke_challenge(challenge.pk)
    asked = request_code(PHONE, idempotency_key="k" * 20)
    assert asked.challenge
    assert asked.challenge.state_at(challenge.created_at + timedelta(seconds=1)) == State.CANCELLED
