"""The timeline of a challenge: what happened, in order, honestly, and at a bounded cost."""

import re
from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import include, path, reverse

from django_phone_otp.admin.challenges import PhoneChallengeAdmin
from django_phone_otp.admin.states import find_state, in_state
from django_phone_otp.admin.timeline import Act, Happening, Trail, tell
from django_phone_otp.admin.user_phones import UserPhoneAdmin
from django_phone_otp.choices import (
    Channel,
    Custody,
    DeliveryOutcome,
    Guard,
    Purpose,
    Refusal,
    State,
)
from django_phone_otp.flow import Client, spend_challenge
from django_phone_otp.flow.sweep import SWEEP_AGE, sweep_deliveries
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.rows import make_challenge, make_ledger
from tests.steps import answer, ask

# A site with an admin of its own beside the default one.
operators_site = admin.AdminSite("operators")
operators_site.register(PhoneChallenge, PhoneChallengeAdmin)
operators_site.register(UserPhone, UserPhoneAdmin)
operators_site.register(get_user_model())
urlpatterns = [path("operators/", operators_site.urls), path("", include("tests.urls"))]

SECOND = timedelta(seconds=1)
HOSTILE = "<script>alert(1)</script>"


def challenge_of(**columns: Any) -> PhoneChallenge:
    """Make a challenge as it is a moment after its message, not stored."""
    written = {
        "phone": PHONE,
        "region": "RU",
        "state": State.SENT,
        "attempts_left": 5,
        "code_digest": "a digest",
        "code_length": 6,
        "channel": Channel.SMS,
        "custody": Custody.LOCAL,
        "ip": "203.0.113.7",
        "user_agent": "App/1.0",
        "created_at": NOW,
        "expires_at": NOW + 300 * SECOND,
    }
    return PhoneChallenge(**{**written, **columns})


def delivery(after: float = 1, outcome: str = DeliveryOutcome.SENT, **columns: Any):
    written = {"account": "memory", "provider": "locmem", "channel": Channel.SMS}
    at = NOW + after * SECOND
    return DeliveryAttempt(
        **{**written, "outcome": outcome, "duration_ms": 340, "created_at": at, **columns}
    )


def pending(after: float, **columns: Any) -> PendingDelivery:
    at = NOW + after * SECOND
    return PendingDelivery(
        **{"route": ["memory"], "language": "en", "queued_at": at, "claimed_at": None, **columns}
    )


def entered(after: float, refusal: str = "", **columns: Any) -> ConfirmAttempt:
    return ConfirmAttempt(refusal=refusal, created_at=NOW + after * SECOND, **columns)


def objection(after: float = 0, *, blocked: bool, detail: str = "") -> GuardObjection:
    at = NOW + after * SECOND
    return GuardObjection(guard=Guard.PREFIX_TRAFFIC, blocked=blocked, detail=detail, created_at=at)


def titles(events: tuple[Happening, ...]) -> list[str]:
    return [each.title for each in events]


def facts(event: Happening) -> dict[str, str]:
    # How numbers and units stand together is said elsewhere.
    return {each.name: each.value.replace("\u00a0", " ") for each in event.facts}


def told(challenge: PhoneChallenge, *, at: datetime = NOW + 60 * SECOND, **trail: Any):
    return tell(challenge, Trail(**trail), at)


class TestEvents:
    """A pure function from rows to events."""

    def test_a_login_from_beginning_to_end(self):
        challenge = challenge_of(
            state=State.VERIFIED,
            verified_at=NOW + 30 * SECOND,
            spent_at=NOW + 31 * SECOND,
            user_id=7,
        )
        events = told(
            challenge,
            deliveries=[delivery(1, DeliveryOutcome.UNAVAILABLE), delivery(2)],
            answers=[entered(20, Refusal.WRONG_CODE), entered(30)],
        )
        assert [
            (each.title, each.since_start.replace("\u00a0", " "), each.tone) for each in events
        ] == [
            ("Code asked for", "", "plain"),
            ("Delivery: provider not reachable", "+1.0 s", "bad"),
            ("Delivery: sent", "+2.0 s", "good"),
            ("Wrong code", "+20 s", "bad"),
            ("Right code: verified", "+30 s", "good"),
            ("Spent: logged in", "+31 s", "good"),
        ]
        assert facts(events[-1]) == {"user": "#7"}

    def test_who_asked_and_from_where(self):
        challenge = challenge_of(client_digest="a digest", device_id=4)
        assert facts(told(challenge)[0]) == {
            "purpose": "log in",
            "region": "RU",
            "address": "203.0.113.7",
            "client": "App/1.0",
            "known device": "Yes",
            "door": "LIFE POS",
        }

    def test_what_a_delivery_was(self):
        sent = delivery(cost=Decimal("1.2"), currency="RUB", provider_ref="ref-1", detail="queued")
        assert facts(told(challenge_of(), deliveries=[sent])[1]) == {
            "account": "memory",
            "provider": "locmem",
            "channel": "text message",
            "answered in": "340 ms",
            "provider's words": "queued",
            "provider's reference": "ref-1",
            "cost": "1.20 RUB",
        }

    def test_an_uncertain_delivery_is_in_doubt(self):
        (_asked, event) = told(challenge_of(), deliveries=[delivery(1, DeliveryOutcome.UNCERTAIN)])
        assert (event.title, event.tone) == ("Delivery: uncertain: maybe sent", "doubt")

    def test_a_delivery_that_waits_for_a_worker(self):
        waiting = pending(30, route=["calls", "texts"])
        event = told(challenge_of(), deliveries=[delivery(1)], pending=[waiting])[-1]
        assert (event.title, event.tone, event.at) == (
            "Waits for a worker",
            "doubt",
            NOW + 30 * SECOND,
        )
        assert facts(event) == {"route": "calls, texts"}

    def test_a_delivery_that_a_worker_has_taken(self):
        taken = pending(0, withheld=True, claimed_at=NOW + 3 * SECOND)
        event = told(challenge_of(state=State.SENDING), pending=[taken])[-1]
        assert (event.title, event.tone, event.at) == ("Being sent", "doubt", NOW + 3 * SECOND)
        assert facts(event) == {"route": "memory", "withheld": "Yes"}

    def test_an_outcome_of_an_older_version_is_shown_as_it_is(self):
        (_asked, event) = told(challenge_of(), deliveries=[delivery(1, "pigeon")])
        assert (event.title, event.tone) == ("Delivery: pigeon", "bad")

    def test_blocked_is_bad_and_says_that_nothing_was_sent(self):
        challenge = challenge_of(state=State.CANCELLED)
        events = told(challenge, objections=[objection(blocked=True, detail="messages: 11")])
        assert [(each.title, each.tone) for each in events[1:]] == [
            ("Blocked: too few logins among neighbouring numbers", "bad"),
            ("Closed: nothing was sent", "plain"),
        ]
        assert facts(events[1]) == {"reason": "messages: 11"}

    def test_a_guard_in_shadow_let_it_through(self):
        (_asked, event) = told(challenge_of(), objections=[objection(blocked=False)])
        assert event.title.startswith("Let through, in shadow: ")
        assert event.tone == "doubt"

    def test_of_one_moment_what_follows_comes_later(self):
        challenge = challenge_of(state=State.VERIFIED, verified_at=NOW, spent_at=NOW)
        events = told(
            challenge,
            objections=[objection(blocked=False)],
            deliveries=[delivery(0)],
            answers=[entered(0)],
        )
        assert titles(events)[0] == "Code asked for"
        assert titles(events)[2:] == [
            "Delivery: sent",
            "Right code: verified",
            "Spent: nobody was logged in",
        ]

    def test_a_call_that_came_in(self):
        challenge = challenge_of(
            custody=Custody.PRESENCE, state=State.VERIFIED, verified_at=NOW + 9 * SECOND
        )
        assert titles(told(challenge, answers=[entered(9)]))[1:] == ["The call came in: verified"]

    def test_a_proof_without_an_answer_is_told_all_the_same(self):
        challenge = challenge_of(state=State.VERIFIED, verified_at=NOW + 9 * SECOND)
        assert titles(told(challenge))[1:] == ["Verified"]

    def test_a_phone_that_was_linked(self):
        challenge = challenge_of(
            purpose=Purpose.LINK,
            state=State.VERIFIED,
            verified_at=NOW,
            spent_at=NOW + SECOND,
            user_id=7,
        )
        assert told(challenge)[-1].title == "Spent: phone linked"

    def test_locked_at_the_last_wrong_code(self):
        wrong = [entered(after, Refusal.WRONG_CODE) for after in (10, 20)]
        last = told(challenge_of(attempts_left=0), answers=wrong)[-1]
        assert (last.title, last.at) == ("Locked: no tries left", NOW + 20 * SECOND)

    def test_expired_at_the_end_of_the_code(self):
        last = told(challenge_of(), at=NOW + 301 * SECOND, deliveries=[delivery()])[-1]
        assert (last.title, last.at) == ("Expired", NOW + 300 * SECOND)

    def test_failed_is_not_called_expired(self):
        challenge = challenge_of(state=State.FAILED, code_digest="")
        events = told(
            challenge,
            at=NOW + 301 * SECOND,
            deliveries=[delivery(1, DeliveryOutcome.UNAVAILABLE)],
        )
        assert titles(events)[-1] == "Closed to answers: no code ever went out"

    def test_a_closing_that_nobody_noted_comes_last_without_a_time(self):
        last = told(challenge_of(state=State.CANCELLED), deliveries=[delivery(50)])[-1]
        assert (last.title, last.at, last.since_start) == ("Closed", None, "")

    def test_what_an_operator_did_stands_at_its_time(self):
        act = Act(NOW + 5 * SECOND, 9, "Revoked: stolen phone", is_revocation=True)
        events = told(challenge_of(state=State.CANCELLED), acts=[act], deliveries=[delivery(1)])
        assert titles(events) == ["Code asked for", "Delivery: sent", "Revoked: stolen phone"]
        assert (events[-1].tone, facts(events[-1])) == ("operator", {"operator": "#9"})

    def test_what_else_an_operator_did_has_closed_nothing(self):
        act = Act(NOW + 5 * SECOND, 9, "Phone unlocked")
        events = told(challenge_of(state=State.CANCELLED), acts=[act], deliveries=[delivery(1)])
        assert titles(events)[-2:] == ["Phone unlocked", "Closed"]

    def test_users_are_linked_as_the_page_says(self):
        challenge = challenge_of(state=State.VERIFIED, verified_at=NOW, spent_at=NOW, user_id=7)
        events = tell(challenge, Trail(), NOW, lambda pk: f"user {pk}" if pk else "")
        assert facts(events[-1]) == {"user": "user 7"}

    def test_events_are_frozen(self):
        with pytest.raises(FrozenInstanceError):
            told(challenge_of())[0].title = "another"

    def test_no_event_holds_the_phone_or_a_digest(self):
        written = repr(told(challenge_of(), deliveries=[delivery()]))
        assert "4501003" not in written
        assert "a digest" not in written


class TestState:
    """What operators see is what is: a person hears "expired" of what never went out."""

    cases: ClassVar[tuple[tuple[str, dict[str, Any], int, str], ...]] = (
        ("sent", {}, 0, "sent"),
        ("sent, too old", {}, 301, "expired"),
        ("no tries left", {"attempts_left": 0}, 0, "locked"),
        ("failed", {"state": "failed", "code_digest": ""}, 0, "failed"),
        ("failed, too old", {"state": "failed", "code_digest": ""}, 301, "failed"),
        (
            "failed, no tries",
            {"state": "failed", "code_digest": "", "attempts_left": 0},
            0,
            "failed",
        ),
        ("on its way", {"state": "sending", "code_digest": ""}, 0, "sending"),
        ("not heard of", {"state": "sending", "code_digest": ""}, 301, "sending"),
        ("uncertain", {"state": "sending"}, 0, "sending"),
        ("uncertain, too old", {"state": "sending"}, 301, "expired"),
        ("uncertain, no tries", {"state": "sending", "attempts_left": 0}, 0, "locked"),
        ("cancelled", {"state": "cancelled"}, 301, "cancelled"),
        ("verified", {"state": "verified", "verified_at": NOW}, 301, "verified"),
    )

    @pytest.mark.parametrize(
        ("columns", "seconds", "state"), [case[1:] for case in cases], ids=[c[0] for c in cases]
    )
    def test_of_a_challenge(self, columns, seconds, state):
        assert find_state(challenge_of(**columns), NOW + seconds * SECOND) == state

    @pytest.mark.django_db
    @pytest.mark.usefixtures("clock")
    @pytest.mark.parametrize(
        ("columns", "seconds", "state"), [case[1:] for case in cases], ids=[c[0] for c in cases]
    )
    def test_the_filter_chooses_what_the_list_shows(self, columns, seconds, state):
        make_challenge(timedelta(0), make_ledger(timedelta(0)), **columns)
        now = NOW + seconds * SECOND
        found = [
            each for each in State if in_state(PhoneChallenge.objects.all(), each, now).exists()
        ]
        assert found == [state]


@pytest.mark.django_db
class TestPage:
    """The page of a challenge in the admin."""

    def page(self, client, challenge) -> str:
        url = reverse("admin:phone_otp_phonechallenge_change", args=[challenge.pk])
        return str(client.get(url).content.decode())

    def test_a_swept_delivery_says_that_its_account_is_not_known(self, admin_client, clock):
        challenge = make_challenge(
            SWEEP_AGE + SECOND,
            make_ledger(timedelta(0)),
            state=State.SENDING,
            code_digest="",
            sent_at=None,
        )
        sweep_deliveries(NOW)
        assert "<dd>not known</dd>" in self.page(admin_client, challenge)

    def test_who_was_logged_in_is_linked(self, admin_client):
        challenge = answer(ask())
        login = spend_challenge(challenge)
        assert login
        link = f'<dd><a href="/admin/auth/user/{login.user.pk}/change/">#{login.user.pk}</a></dd>'
        assert link in self.page(admin_client, challenge)

    @pytest.mark.urls(__name__)
    def test_the_link_stays_in_the_admin_site_of_the_page(self, admin_client):
        challenge = answer(ask())
        login = spend_challenge(challenge)
        assert login
        url = f"/operators/phone_otp/phonechallenge/{challenge.pk}/change/"
        html = admin_client.get(url).content.decode()
        assert f'<dd><a href="/operators/auth/user/{login.user.pk}/change/">' in html

    @pytest.mark.urls(__name__)
    def test_so_does_that_of_a_phones_owner(self, admin_client):
        login = spend_challenge(answer(ask()))
        assert login
        html = admin_client.get("/operators/phone_otp/userphone/").content.decode()
        assert f'<a href="/operators/auth/user/{login.user.pk}/change/">' in html

    def test_a_revocation_says_when_it_was_closed(self, admin_client):
        challenge = ask()
        url = f"/admin/phone_otp/phonechallenge/{challenge.pk}/act/revoke/"
        admin_client.post(url, {"reason": "stolen phone"}, headers={"accept-language": "ru"})
        html = self.page(admin_client, challenge)
        assert "<h3>Revoked: stolen phone</h3>" in html
        assert "<h3>Closed</h3>" not in html

    def test_strangers_texts_are_escaped(self, admin_client, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(bad={"error": "DeliveryUncertain", "words": HOSTILE}))
        challenge = ask(client=Client(ip="203.0.113.7", user_agent=HOSTILE))
        html = self.page(admin_client, challenge)
        assert HOSTILE not in html
        assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2

    def test_who_was_logged_in_is_told_of_a_user_who_is_gone_too(self, admin_client):
        challenge = answer(ask())
        login = spend_challenge(challenge)
        assert login
        number = login.user.pk
        login.user.delete()
        html = self.page(admin_client, challenge)
        assert "<h3>Spent: logged in</h3>" in html
        assert f">#{number}</a>" in html

    def test_a_locked_phone_is_said_to_be(self, admin_client):
        challenge = ask()
        PhoneLedger.objects.update(disabled_at=NOW)
        assert "This phone is locked since" in self.page(admin_client, challenge)

    def test_what_is_in_the_log_of_the_admin_is_shown(self, admin_client, admin_user):
        challenge = ask()
        LogEntry.objects.create(
            user=admin_user,
            content_type_id=_content_type(),
            object_id=str(challenge.pk),
            object_repr="x",
            action_flag=2,
            change_message="Revoked: stolen phone",
        )
        assert "Revoked: stolen phone" in self.page(admin_client, challenge)

    def test_other_challenges_of_the_phone_are_linked_without_it(self, admin_client):
        challenge = ask()
        html = self.page(admin_client, challenge)
        assert f'href="/admin/phone_otp/phonechallenge/?of={challenge.ledger_id}"' in html
        assert "4501003" not in html

    def test_its_identifier_is_not_shown(self, admin_client):
        challenge = ask()
        assert challenge.public_id not in self.page(admin_client, challenge)

    def test_no_script_is_written_into_the_page(self, admin_client):
        html = self.page(admin_client, ask())
        assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html) == []

    def test_a_challenge_that_is_not_there(self, admin_client):
        response = admin_client.get("/admin/phone_otp/phonechallenge/999/change/")
        assert response.status_code == 302

    def test_its_cost_does_not_grow_with_what_happened(self, admin_client):
        small = make_challenge(timedelta(0), make_ledger(timedelta(0)))
        large = make_challenge(timedelta(0), small.ledger)
        DeliveryAttempt.objects.bulk_create(
            DeliveryAttempt(
                challenge=large,
                account="a",
                provider="p",
                channel=Channel.SMS,
                outcome=DeliveryOutcome.SENT,
                duration_ms=1,
            )
            for _ in range(10)
        )
        ConfirmAttempt.objects.bulk_create(
            ConfirmAttempt(challenge=large, refusal=Refusal.WRONG_CODE) for _ in range(50)
        )
        self.page(admin_client, small)  # content types are read once
        counts = []
        for challenge in (small, large):
            with CaptureQueriesContext(connection) as queries:
                html = self.page(admin_client, challenge)
            counts.append(len(queries))
        assert html.count("Wrong code") == 51
        # Session, operator, challenge, ledger, and one for each of five kinds of rows.
        assert counts == [9, 9]


def _content_type() -> int:
    return ContentType.objects.get_for_model(PhoneChallenge).pk
