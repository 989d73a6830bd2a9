"""Actions on a challenge: asked first, done by POST, for whom it is allowed, and written down."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from django_phone_otp.admin.actions import hide_numbers
from django_phone_otp.choices import State
from django_phone_otp.models import BlockedPrefix, DeliveryAttempt, PhoneChallenge, PhoneLedger
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes_admin import log_in, messages_of
from tests.steps import answer, ask

# The pages call providers, outside of transactions.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

LIST = "/admin/phone_otp/phonechallenge/"
LOCKED = "/admin/phone_otp/phoneledger/"
PERMISSIONS = {
    "revoke": "revoke_phonechallenge",
    "unlock": "unlock_phoneledger",
    "block_prefix": "add_blockedprefix",
    "resend": "resend_phonechallenge",
}
BODIES: dict[str, dict[str, str]] = {
    "revoke": {"reason": "stolen phone"},
    "unlock": {"reason": "called us"},
    "block_prefix": {"size": "4", "duration": "24", "reason": "pumping"},
    "resend": {"account": "second", "reason": "no SMS came"},
}
WRITTEN = {
    "revoke": "Revoked: stolen phone",
    "unlock": "Phone unlocked: called us",
    "block_prefix": "Prefix blocked (24 hours): 10,000 numbers that begin alike: pumping",
    "resend": "Sending through another route: second: no SMS came",
}
each_action = pytest.mark.parametrize("action", PERMISSIONS)


@pytest.fixture
def challenge(phone_otp, clock) -> PhoneChallenge:
    """A challenge with which everything can be done."""
    phone_otp(PROVIDERS=fakes.providers(first={}, second={"kind": "FakeCall", "code": "4271"}))
    asked = ask()
    clock.shift(60)
    return asked


@pytest.fixture
def lock() -> Any:
    return lambda: PhoneLedger.objects.update(disabled_at=NOW, failures_in_row=100)


def url_of(challenge: PhoneChallenge, action: str) -> str:
    return f"{LIST}{challenge.pk}/act/{action}/"


def do(client: Any, challenge: PhoneChallenge, action: str, **more: str) -> Any:
    """Press the button of an action's page; gives the page that follows."""
    return client.post(url_of(challenge, action), {**BODIES[action], **more}, follow=True)


def is_done(action: str) -> bool:
    """Say whether an action has had its effect."""
    challenge = PhoneChallenge.objects.get()
    return {
        "revoke": challenge.state == State.CANCELLED,
        "unlock": not PhoneLedger.objects.filter(disabled_at__isnull=False).exists(),
        "block_prefix": BlockedPrefix.objects.filter(prefix="+7924450").exists(),
        "resend": DeliveryAttempt.objects.count() == 2,
    }[action]


@each_action
class TestEach:
    """What holds for all of them."""

    @pytest.fixture(autouse=True)
    def _locked(self, challenge, lock, action):
        if action == "unlock":
            lock()

    def test_it_is_done_and_written_down(self, admin_client, admin_user, challenge, action):
        response = do(admin_client, challenge, action)
        assert [level for level, _text in messages_of(response)] == ["success"]
        assert is_done(action)
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id) == (admin_user, str(challenge.pk))
        assert entry.get_change_message() == WRITTEN[action]

    def test_its_page_shows_it_afterwards(self, admin_client, challenge, action):
        html = do(admin_client, challenge, action).content.decode()
        assert WRITTEN[action] in html

    def test_to_look_does_nothing(self, admin_client, challenge, action):
        response = admin_client.get(url_of(challenge, action), BODIES[action])
        assert response.status_code == 200
        assert not is_done(action)
        assert not LogEntry.objects.exists()

    def test_without_a_csrf_token_it_is_refused(self, admin_user, challenge, action):
        client = Browser(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert client.post(url_of(challenge, action), BODIES[action]).status_code == 403
        assert not is_done(action)

    def test_its_permission_is_enough(self, client, challenge, action):
        log_in(client, "view_phonechallenge", "view_blockedprefix", PERMISSIONS[action])
        do(client, challenge, action)
        assert is_done(action)

    def test_s21_all_others_are_not(self, client, challenge, action):
        others = [each for name, each in PERMISSIONS.items() if name != action]
        log_in(client, "view_phonechallenge", *others)
        assert do(client, challenge, action).status_code == 403
        assert client.get(url_of(challenge, action)).status_code == 403
        assert not is_done(action)

    def test_s21_its_permission_alone_opens_no_challenge(self, client, challenge, action):
        log_in(client, PERMISSIONS[action])
        assert do(client, challenge, action).status_code == 403
        assert not is_done(action)

    def test_a_person_who_is_no_staff_is_sent_to_the_login(self, client, challenge, action):
        log_in(client, "view_phonechallenge", PERMISSIONS[action], is_staff=False)
        response = client.post(url_of(challenge, action), BODIES[action])
        assert response.status_code == 302
        assert response.url.startswith("/admin/login/")
        assert not is_done(action)

    def test_a_phone_in_the_reason_is_masked(self, admin_client, challenge, action):
        do(admin_client, challenge, action, reason="8 924 450-10-03 called")
        assert "+7•••••••003 called" in LogEntry.objects.get().change_message
        assert "450" not in LogEntry.objects.get().change_message

    def test_any_other_phone_in_the_reason_is_masked(self, admin_client, challenge, action):
        do(admin_client, challenge, action, reason="his wife's, +375 (29) 123-45-67, works")
        written = LogEntry.objects.get().change_message
        assert written.endswith(": his wife's, +375••••••567, works")

    def test_a_reason_is_one_line(self, admin_client, challenge, action):
        do(admin_client, challenge, action, reason="one\ntwo")
        assert LogEntry.objects.get().change_message.endswith("one two")

    def test_no_reason_is_needed(self, admin_client, challenge, action):
        do(admin_client, challenge, action, reason="")
        assert is_done(action)

    def test_the_audit_is_in_the_language_of_the_site(self, admin_client, challenge, action):
        admin_client.post(
            url_of(challenge, action), BODIES[action], headers={"accept-language": "ru"}
        )
        assert LogEntry.objects.get().change_message == WRITTEN[action]

    def test_no_page_of_it_shows_the_phone(self, admin_client, challenge, action):
        asking = admin_client.get(url_of(challenge, action)).content.decode()
        done = do(admin_client, challenge, action).content.decode()
        for html in (asking, done, LogEntry.objects.get().change_message):
            assert "4501003" not in html
            assert "7924450" not in html

    def test_a_challenge_that_is_not_there(self, admin_client, challenge, action):
        assert admin_client.get(f"{LIST}999/act/{action}/").status_code == 404

    def test_it_is_offered_to_whom_it_is_allowed(self, client, challenge, action):
        log_in(client, "view_phonechallenge", "view_blockedprefix", PERMISSIONS[action])
        html = client.get(f"{LIST}{challenge.pk}/change/").content.decode()
        assert re.findall(r"/act/([\w-]+)/", html) == [action]


def test_s21_who_may_not_see_what_is_blocked_may_not_block(client, challenge):
    log_in(client, "view_phonechallenge", "add_blockedprefix")
    assert do(client, challenge, "block_prefix").status_code == 403
    assert not is_done("block_prefix")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("8 924 450-10-04", "••••••••004"),
        ("450.10.04", "••••004"),
        ("call +4915112345678 or 123456", "call +49••••••••678 or 123456"),
        ("9244501004 9244501005", "•••••••••••••••••005"),
        ("case 12, 3 people, 24 hours", "case 12, 3 people, 24 hours"),
    ],
)
def test_whatever_may_be_a_phone_is_hidden(text, hidden):
    assert hide_numbers(text) == hidden


def test_staff_who_may_view_are_offered_nothing(client, challenge):
    log_in(client, "view_phonechallenge")
    html = client.get(f"{LIST}{challenge.pk}/change/").content.decode()
    assert "/act/" not in html
    assert "export/" not in client.get(LIST).content.decode()


def test_there_is_no_other_action(admin_client, challenge):
    assert admin_client.get(url_of(challenge, "verify")).status_code == 404


def test_what_cannot_be_done_is_not_offered(admin_client, challenge):
    PhoneChallenge.objects.update(state=State.CANCELLED)
    html = admin_client.get(f"{LIST}{challenge.pk}/change/").content.decode()
    assert re.findall(r"/act/([\w-]+)/", html) == ["block_prefix"]


def test_what_cannot_be_done_any_more_is_said(admin_client, challenge):
    PhoneChallenge.objects.update(state=State.CANCELLED)
    response = do(admin_client, challenge, "revoke")
    assert messages_of(response) == [("warning", "There is nothing to do any more.")]


class TestRevoke:
    """One that is verified can be revoked as long as it is not spent."""

    def test_a_verified_one_logs_nobody_in(self, admin_client, post, phone_otp):
        challenge = answer(ask())
        do(admin_client, challenge, "revoke")
        assert PhoneChallenge.objects.get().state == State.CANCELLED

    def test_a_spent_one_is_not_offered(self, admin_client):
        challenge = answer(ask())
        PhoneChallenge.objects.update(spent_at=NOW)
        html = admin_client.get(f"{LIST}{challenge.pk}/change/").content.decode()
        assert "/act/revoke/" not in html


class TestBlock:
    """The size and the time are chosen."""

    @pytest.mark.parametrize(("size", "prefix"), [("4", "+7924450"), ("5", "+792445")])
    def test_the_size(self, admin_client, challenge, size, prefix):
        do(admin_client, challenge, "block_prefix", size=size)
        assert BlockedPrefix.objects.get().prefix == prefix

    @pytest.mark.parametrize(("duration", "hours"), [("1", 1), ("24", 24), ("168", 168)])
    def test_the_time(self, admin_client, challenge, duration, hours):
        do(admin_client, challenge, "block_prefix", duration=duration)
        left = BlockedPrefix.objects.get().until - timezone.now()
        assert left.total_seconds() == hours * 3_600

    @pytest.mark.parametrize(
        "wrong", [{"size": "7"}, {"size": "0"}, {"size": "x"}, {"duration": "999"}], ids=str
    )
    def test_nothing_else_can_be_chosen(self, admin_client, challenge, wrong):
        assert do(admin_client, challenge, "block_prefix", **wrong).status_code == 200
        assert not BlockedPrefix.objects.exists()

    def test_ten_thousand_for_a_day_is_what_is_suggested(self, admin_client, challenge):
        html = admin_client.get(url_of(challenge, "block_prefix")).content.decode()
        assert re.findall(r'name="(\w+)" value="(\w+)"[^>]* checked', html) == [
            ("size", "4"),
            ("duration", "24"),
        ]

    def test_a_reason_that_masks_make_longer_fits_its_column(self, admin_client, challenge):
        do(admin_client, challenge, "block_prefix", reason="9244501003," * 18)
        reason = BlockedPrefix.objects.get().reason
        assert (len(reason), reason[:13]) == (200, "+7•••••••003,")

    def test_s13_the_log_names_the_prefix_and_nothing_beside_it(
        self, admin_client, admin_user, challenge, caplog
    ):
        caplog.set_level("INFO", "django_phone_otp.admin")
        do(admin_client, challenge, "block_prefix")
        (record,) = [each for each in caplog.records if hasattr(each, "phone_otp")]
        assert record.phone_otp == {
            "action": "block_prefix",
            "operator": admin_user.pk,
            "scope": "+7924450",
        }

    def test_one_that_holds_for_longer_already_is_said_to(self, admin_client, challenge):
        do(admin_client, challenge, "block_prefix", duration="24")
        response = do(admin_client, challenge, "block_prefix", duration="1", reason="again")
        told = "Blocked already, until 03/02/2026 6:01 a.m.: 10,000 numbers that begin alike."
        assert messages_of(response) == [("error", told)]
        assert [each.change_message for each in LogEntry.objects.all()] == [WRITTEN["block_prefix"]]

    def test_one_that_is_made_longer_is_written_down_again(self, admin_client, challenge):
        do(admin_client, challenge, "block_prefix", duration="1")
        do(admin_client, challenge, "block_prefix", duration="24")
        assert LogEntry.objects.count() == 2

    def test_the_reason_stands_in_the_list_of_blocks(self, admin_client, challenge):
        do(admin_client, challenge, "block_prefix")
        assert BlockedPrefix.objects.get().reason == "pumping"


class TestResend:
    """The refusal is told, and what was tried."""

    def test_what_was_tried_is_told(self, admin_client, challenge):
        assert messages_of(do(admin_client, challenge, "resend")) == [("success", "second: sent.")]

    def test_a_wait_is_told_and_nothing_is_written_down(self, admin_client, challenge):
        do(admin_client, challenge, "resend")
        response = do(admin_client, challenge, "resend", account="first")
        assert messages_of(response) == [
            (
                "error",
                "A code was sent a moment ago. Try again in 1 minute.",
            )
        ]
        assert LogEntry.objects.count() == 1

    def test_what_failed_is_told_and_written_down(self, admin_client, challenge, phone_otp):
        phone_otp(
            PROVIDERS=fakes.providers(second={"error": "InsufficientFunds", "words": "0 RUB"})
        )
        ((level, text),) = messages_of(do(admin_client, challenge, "resend"))
        assert level == "error"
        assert text.startswith("second: no money in the account, 0 RUB. ")
        assert LogEntry.objects.count() == 1

    def test_an_account_that_is_switched_off_cannot_be_chosen(self, admin_client, challenge):
        fakes.store_account("stand-in", enabled=False)
        html = do(admin_client, challenge, "resend", account="stand-in").content.decode()
        assert "stand-in is not one of the available choices" in html
        assert len(fakes.asked) == 1

    def test_a_test_code_is_not_sent_again(self, admin_client, challenge):
        PhoneChallenge.objects.update(purpose="trial")
        do(admin_client, challenge, "resend")
        assert len(fakes.asked) == 1

    def test_no_transaction_is_open_while_the_provider_is_asked(
        self, admin_client, challenge, monkeypatch, phone_otp
    ):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        phone_otp(PROVIDERS=fakes.providers(second={"kind": "FakeSlow"}))
        seen: list[bool] = []
        fakes.meanwhile.append(lambda: seen.append(connection.in_atomic_block))
        do(admin_client, challenge, "resend")
        assert seen == [False]


class TestLockedPhones:
    """The list of locked phones."""

    @pytest.fixture
    def ledger(self, challenge, lock) -> PhoneLedger:
        lock()
        PhoneLedger.objects.create(phone="+79244501004")
        return PhoneLedger.objects.get(phone=PHONE)

    def unlock(self, client, *ledgers) -> Any:
        body = {"action": "unlock_phones", "_selected_action": [each.pk for each in ledgers]}
        return client.post(LOCKED, body, follow=True)

    def test_it_shows_those_alone_and_masks_them(self, admin_client, ledger):
        response = admin_client.get(LOCKED)
        html = response.content.decode()
        assert [each.pk for each in response.context["cl"].result_list] == [ledger.pk]
        assert "+7•••••••003" in html
        assert "4501003" not in html

    def test_the_page_of_one_masks_it_and_links_its_challenges(self, admin_client, ledger):
        html = admin_client.get(f"{LOCKED}{ledger.pk}/change/").content.decode()
        assert f'href="{LIST}?of={ledger.pk}"' in html
        assert "4501003" not in html

    def test_they_are_unlocked_and_it_is_written_down(self, admin_client, admin_user, ledger):
        response = self.unlock(admin_client, ledger)
        assert messages_of(response) == [("success", "1 phone unlocked.")]
        ledger.refresh_from_db()
        assert ledger.disabled_at is None
        entry = LogEntry.objects.get()
        assert (entry.user, entry.change_message) == (admin_user, "Phone unlocked")
        assert entry.object_repr == "+7•••••••003"

    def test_s21_staff_who_may_view_cannot(self, client, ledger):
        log_in(client, "view_phoneledger")
        assert "unlock_phones" not in client.get(LOCKED).content.decode()
        self.unlock(client, ledger)
        ledger.refresh_from_db()
        assert ledger.disabled_at is not None

    def test_nothing_can_be_added_changed_or_deleted(self, admin_client, ledger):
        page = f"{LOCKED}{ledger.pk}/"
        assert admin_client.get(f"{LOCKED}add/").status_code == 403
        assert admin_client.post(f"{page}change/", {"disabled_at": ""}).status_code == 403
        assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403

    @pytest.mark.parametrize("typed", [PHONE, "8 924 450-10-03"])
    def test_one_is_found_by_its_whole_number(self, admin_client, ledger, typed):
        response = admin_client.post(f"{LOCKED}search/", {"phone": typed}, follow=True)
        assert len(response.context["cl"].result_list) == 1
        assert response.redirect_chain == [(f"{LOCKED}?of={ledger.pk}", 302)]

    def test_one_that_is_not_locked_is_not(self, admin_client, ledger):
        body = {"phone": "+79244501004"}
        response = admin_client.post(f"{LOCKED}search/", body, follow=True)
        assert len(response.context["cl"].result_list) == 0

    @pytest.mark.parametrize("lookup", ["phone__startswith", "phone", "sends"])
    def test_the_address_cannot_ask_for_digits(self, admin_client, ledger, lookup):
        assert admin_client.get(LOCKED, {lookup: "+7924"}).status_code == 400
