"""What is stored: constraints on the real database, transitions of one UPDATE, masks and seals."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DataError, IntegrityError, connection, models, transaction
from django.db.models import CharField
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from django_phone_otp import models as ours
from django_phone_otp.choices import (
    OPEN_STATES,
    STORED_STATES,
    Channel,
    Custody,
    DeliveryOutcome,
    Purpose,
    Refusal,
    State,
)
from django_phone_otp.exceptions import BrokenSeal
from django_phone_otp.flow.client import MAX_USER_AGENT_LENGTH
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    IssuedCode,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
    UserPhone,
)
from django_phone_otp.models.challenge import new_public_id

pytestmark = pytest.mark.django_db

PHONE = "+79244501003"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "4ea13fbf-f5a3-4084"
MINUTE = timedelta(minutes=1)
CLOSED_STATES = [each for each in STORED_STATES if each not in OPEN_STATES]


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


def stored(phone: str = PHONE, **values: Any) -> PhoneChallenge:
    """Store a challenge that takes answers, but for the given values."""
    ledger, _created = PhoneLedger.objects.get_or_create(phone=phone)
    state = values.get("state", State.SENT)
    defaults = {
        "phone": phone,
        "ledger": ledger,
        "state": state,
        "attempts_left": 5,
        "code_digest": "digits$6$first",
        "code_length": 6,
        "channel": Channel.SMS,
        "custody": Custody.LOCAL,
        "sent_at": NOW,
        "expires_at": NOW + 5 * MINUTE,
        "verified_at": NOW if state == State.VERIFIED else None,
    }
    return PhoneChallenge.objects.create(**{**defaults, **values})


def issued(**values: Any) -> IssuedCode:
    """Describe the code of a later delivery."""
    defaults = {
        "state": State.SENT,
        "sent_at": NOW + MINUTE,
        "expires_at": NOW + 6 * MINUTE,
        "code_digest": "digits$6$second",
        "code_length": 6,
        "attempts_left": 5,
        "account": "texts",
        "provider": "telefon-ip-sms",
        "provider_ref": "168",
        "channel": Channel.SMS,
        "custody": Custody.RETURNED,
        "call_to": "",
    }
    return IssuedCode(**{**defaults, **values})


def user(name: str = "ann") -> Any:
    return get_user_model().objects.create(username=name)


def as_stored(challenge: PhoneChallenge) -> PhoneChallenge:
    return PhoneChallenge.objects.get(pk=challenge.pk)


challenges = PhoneChallenge.objects


# Columns


def test_models_and_migrations_agree():
    call_command("makemigrations", "phone_otp", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("model", "name", "words"),
    [
        (PhoneChallenge, "purpose", Purpose),
        (PhoneChallenge, "state", State),
        (PhoneChallenge, "channel", Channel),
        (PhoneChallenge, "custody", Custody),
        (DeliveryAttempt, "channel", Channel),
        (DeliveryAttempt, "outcome", DeliveryOutcome),
        (ConfirmAttempt, "refusal", Refusal),
    ],
)
def test_every_word_fits_its_column(model, name, words):
    column = model._meta.get_field(name)
    assert max(map(len, words.values)) <= column.max_length


@pytest.mark.parametrize("model", [PhoneChallenge, ConfirmAttempt])
def test_user_agent_fits_its_column(model):
    column = model._meta.get_field("user_agent")
    assert isinstance(column, CharField)
    assert column.max_length == MAX_USER_AGENT_LENGTH


def test_public_id_has_192_random_bits_and_fits_its_column():
    made = {new_public_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {len(each) for each in made} == {32}  # six bits a character


def test_new_challenge_has_a_public_id_of_its_own():
    assert stored().public_id != stored().public_id


# Constraints


def refused_by_the_database(create: Any, **values: Any) -> bool:
    try:
        with transaction.atomic():
            create(**values)
    except (IntegrityError, DataError):  # MariaDB calls a number out of range the latter
        return True
    return False


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"state": "expired"}, id="state-that-is-not-stored"),
        pytest.param({"state": "nonsense"}, id="state-that-is-none"),
        pytest.param({"state": "verified", "verified_at": None}, id="verified-without-time"),
        pytest.param({"state": "sent", "verified_at": NOW}, id="time-without-verified"),
        pytest.param({"state": "sent", "spent_at": NOW}, id="spent-but-not-verified"),
        pytest.param({"state": "cancelled", "spent_at": NOW}, id="spent-but-cancelled"),
        pytest.param({"state": "sent", "sent_at": None}, id="sent-without-time"),
        pytest.param({"public_id": None}, id="no-public-id"),
        pytest.param({"attempts_left": -1}, id="less-than-no-tries"),
    ],
)
def test_challenge_that_makes_no_sense_is_refused(values):
    assert refused_by_the_database(stored, **values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"state": "sending", "sent_at": None}, id="sending"),
        pytest.param({"state": "sending"}, id="sending-again"),
        pytest.param({"state": "sent"}, id="sent"),
        pytest.param({"state": "failed", "sent_at": None}, id="failed"),
        pytest.param({"state": "verified"}, id="verified"),
        pytest.param({"state": "verified", "spent_at": NOW}, id="spent"),
        pytest.param({"state": "verified", "sent_at": None}, id="verified-though-uncertain"),
        pytest.param({"state": "cancelled", "sent_at": None}, id="cancelled"),
        pytest.param({"attempts_left": 0}, id="no-tries"),
    ],
)
def test_challenge_that_makes_sense_is_stored(values):
    assert not refused_by_the_database(stored, **values)


def test_public_id_is_unique():
    assert refused_by_the_database(stored, public_id=stored().public_id)


def test_phone_that_is_not_e164_is_refused(django_user_model):
    user = django_user_model.objects.create_user("ann")
    assert refused_by_the_database(PhoneLedger.objects.create, phone="89244501003")
    assert refused_by_the_database(UserPhone.objects.create, user=user, phone="89244501003")


def test_phone_has_one_ledger():
    PhoneLedger.objects.create(phone=PHONE)
    assert refused_by_the_database(PhoneLedger.objects.create, phone=PHONE)


def test_alias_is_unique():
    ProviderAccount.objects.create(alias="calls", backend="locmem")
    assert refused_by_the_database(ProviderAccount.objects.create, alias="calls", backend="locmem")


def test_s17_phone_belongs_to_one_user():
    UserPhone.objects.create(user=user("ann"), phone=PHONE)
    assert refused_by_the_database(UserPhone.objects.create, user=user("bob"), phone=PHONE)


def test_user_may_have_several_phones():
    ann = user()
    for phone in (PHONE, "+79244501004"):
        UserPhone.objects.create(user=ann, phone=phone)
    assert ann.verified_phones.count() == 2


def test_phone_of_a_user_is_verified_now_by_default(clock):
    assert UserPhone.objects.create(user=user(), phone=PHONE).verified_at == timezone.now()


def test_challenge_goes_on_saying_whose_it_was():
    ann = user()
    challenge, number = stored(user=ann), ann.pk
    assert as_stored(challenge).read_user() == ann
    with CaptureQueriesContext(connection) as queries:
        ann.delete()
    # No index would find them.
    assert not any("phone_otp_phonechallenge" in each["sql"] for each in queries)
    found = as_stored(challenge)
    assert (found.user_id, found.read_user()) == (number, None)
    assert stored().read_user() is None


class Replica:
    """A router that reads from one database and writes to another."""

    def db_for_read(self, model: Any, **_hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **_hints: Any) -> str:
        return "primary"


@pytest.mark.parametrize("model", [PhoneChallenge, PhoneLedger, ProviderAccount, UserPhone])
def test_s03_what_decides_is_read_where_it_is_written(settings, model):
    # A replica that is behind would show tries and budgets that are gone.
    settings.DATABASE_ROUTERS = ["tests.test_models.Replica"]
    assert (model.objects.all().db, model.primary().db) == ("replica", "primary")


# Transitions


TRANSITIONS = {
    "take_try": lambda challenge: challenges.take_try(challenge.pk, NOW),
    "verify": lambda challenge: challenges.verify(challenge.pk, NOW),
    "record_code": lambda challenge: challenges.record_code(challenge, issued()),
    "mark_failed": lambda challenge: challenges.mark_failed(challenge, account="calls"),
    "cancel": lambda challenge: challenges.cancel(challenge.pk),
    "spend": lambda challenge: spend(challenge),
}


def stored_for(name: str, state: str) -> PhoneChallenge:
    """Store a challenge for a transition: one that is marked failed has no code yet."""
    return stored(state=state, **({"code_digest": ""} if name == "mark_failed" else {}))


def spend(challenge: PhoneChallenge, **values: Any) -> bool:
    defaults = {
        "purpose": Purpose.LOGIN,
        "verified_after": NOW - MINUTE,
        "now": NOW + MINUTE,
        "user_id": None,
    }
    return challenges.spend(challenge.pk, **{**defaults, **values})


@pytest.mark.parametrize("name", TRANSITIONS)
def test_transition_is_one_conditional_update(name):
    challenge = stored()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        TRANSITIONS[name](challenge)
    (query,) = queries.captured_queries
    assert query["sql"].startswith("UPDATE")
    assert "state" in query["sql"].partition(" WHERE ")[2]


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("take_try", OPEN_STATES),
        ("verify", OPEN_STATES),
        ("record_code", OPEN_STATES),
        ("mark_failed", [State.SENDING]),
        ("cancel", OPEN_STATES),
        ("spend", [State.VERIFIED]),
    ],
)
def test_transition_happens_from_these_states_and_no_others(name, states):
    happened = [state for state in STORED_STATES if TRANSITIONS[name](stored_for(name, state))]
    assert happened == list(states)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_transition_that_did_not_happen_changes_nothing(name):
    states = [State.SENT] if name in {"mark_failed", "spend"} else CLOSED_STATES
    for state in states:
        challenge = stored(state=state)
        before = PhoneChallenge.objects.filter(pk=challenge.pk).values().get()
        assert TRANSITIONS[name](challenge) is False
        assert PhoneChallenge.objects.filter(pk=challenge.pk).values().get() == before


@pytest.mark.parametrize("name", TRANSITIONS)
def test_transition_leaves_other_challenges_alone(name):
    other, state = stored(), State.VERIFIED if name == "spend" else State.SENDING
    before = PhoneChallenge.objects.filter(pk=other.pk).values().get()
    assert TRANSITIONS[name](stored_for(name, state)) is True
    assert PhoneChallenge.objects.filter(pk=other.pk).values().get() == before


def test_s04_each_answer_takes_a_try_until_there_is_none():
    challenge = stored(attempts_left=2)
    assert [challenges.take_try(challenge.pk, NOW) for _ in range(3)] == [True, True, False]
    assert as_stored(challenge).attempts_left == 0


@pytest.mark.parametrize(
    ("after", "happened"),
    [
        pytest.param(5 * MINUTE - timedelta(microseconds=1), True, id="in-time"),
        pytest.param(5 * MINUTE, False, id="this-moment"),
        pytest.param(6 * MINUTE, False, id="too-late"),
    ],
)
def test_s02_expired_challenge_takes_no_answer(after, happened):
    assert challenges.take_try(stored().pk, NOW + after) is happened
    assert challenges.verify(stored().pk, NOW + after) is happened


def test_s03_challenge_is_verified_once():
    challenge = stored()
    twin = as_stored(challenge)
    assert [challenges.verify(each.pk, NOW) for each in (challenge, twin)] == [True, False]


def test_verified_challenge_knows_when():
    challenge = stored()
    challenges.verify(challenge.pk, NOW)
    found = as_stored(challenge)
    assert (found.state, found.verified_at) == (State.VERIFIED, NOW)


def test_last_try_may_be_the_right_one():
    challenge = stored(attempts_left=1)
    assert challenges.take_try(challenge.pk, NOW)
    assert challenges.verify(challenge.pk, NOW)


def test_s03_challenge_is_spent_once():
    challenge = stored(state=State.VERIFIED)
    assert [spend(challenge), spend(challenge)] == [True, False]


def test_spent_challenge_notes_when_and_for_whom():
    challenge, ann = stored(state=State.VERIFIED), user()
    spend(challenge, user_id=ann.pk)
    found = as_stored(challenge)
    assert (found.spent_at, found.user_id) == (NOW + MINUTE, ann.pk)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"purpose": Purpose.LINK}, id="s10-another-purpose"),
        pytest.param({"verified_after": NOW}, id="verified-too-long-ago"),
    ],
)
def test_challenge_is_not_spent_on(values):
    assert spend(stored(state=State.VERIFIED), **values) is False


def test_failed_challenge_holds_its_state():
    challenge = stored(state=State.SENDING, code_digest="")
    challenges.mark_failed(challenge, account="calls")
    assert (challenge.state, as_stored(challenge).state) == (State.FAILED, State.FAILED)


@pytest.mark.parametrize("state", [State.SENDING, State.SENT])
def test_failed_resend_leaves_what_went_out_before_or_may_have(state):
    challenge = stored(state=state)
    challenges.mark_failed(challenge, account="calls")
    assert (challenge.state, as_stored(challenge).state) == (state, state)


# A further code


def test_new_code_is_written_with_all_that_it_brings():
    challenge, code = stored(), issued()
    challenges.record_code(challenge, code)
    found = as_stored(challenge)
    names = [each for each in IssuedCode.__slots__ if each != "attempts_left"]
    assert {name: getattr(found, name) for name in names} == {
        name: getattr(code, name) for name in names
    }


def test_challenge_holds_the_new_code():
    challenge = stored()
    challenges.record_code(challenge, issued())
    found = as_stored(challenge)
    names = [each.attname for each in PhoneChallenge._meta.concrete_fields]
    differing = {name for name in names if getattr(challenge, name) != getattr(found, name)}
    assert differing == {"previous_code_digest", "previous_code_expires_at"}


def test_code_before_goes_on_counting_for_its_own_time():
    challenge = stored()
    challenges.record_code(challenge, issued())
    found = as_stored(challenge)
    before_end, after_end = NOW + 5 * MINUTE - timedelta(seconds=1), NOW + 5 * MINUTE
    assert found.valid_digests(before_end) == ["digits$6$second", "digits$6$first"]
    assert found.valid_digests(after_end) == ["digits$6$second"]


def test_third_code_ends_the_first():
    challenge = stored()
    challenges.record_code(challenge, issued())
    challenges.record_code(challenge, issued(code_digest="digits$6$third"))
    digests = as_stored(challenge).valid_digests(NOW)
    assert digests == ["digits$6$third", "digits$6$second"]


@pytest.mark.parametrize(
    ("first", "second", "digests"),
    [
        pytest.param(6, 6, ["digits$6$second", "digits$6$first"], id="long-after-long"),
        pytest.param(5, 5, ["digits$6$second", "digits$6$first"], id="five-digits"),
        pytest.param(4, 4, ["digits$6$second"], id="short-after-short"),
        pytest.param(6, 4, ["digits$6$second"], id="short-after-long"),
        pytest.param(4, 6, ["digits$6$second"], id="long-after-short"),
    ],
)
def test_code_of_four_digits_is_alone(first, second, digests):
    challenge = stored(code_length=first)
    challenges.record_code(challenge, issued(code_length=second))
    assert as_stored(challenge).valid_digests(NOW) == digests


def test_first_code_has_none_before_it():
    challenge = stored(state=State.SENDING, code_digest="", sent_at=None)
    challenges.record_code(challenge, issued())
    assert as_stored(challenge).valid_digests(NOW) == ["digits$6$second"]


@pytest.mark.parametrize(
    ("left", "allowed", "result"),
    [
        pytest.param(1, 5, 1, id="never-raised"),
        pytest.param(5, 3, 3, id="lowered"),
        pytest.param(3, 3, 3, id="kept"),
        pytest.param(0, 5, 0, id="none-stays-none"),
    ],
)
def test_s05_wrong_answers_survive_a_resend(left, allowed, result):
    challenge = stored(attempts_left=left)
    challenges.record_code(challenge, issued(attempts_left=allowed))
    assert (challenge.attempts_left, as_stored(challenge).attempts_left) == (result, result)


def test_s05_answer_that_came_meanwhile_is_not_forgotten():
    challenge = stored(attempts_left=5)
    challenges.take_try(challenge.pk, NOW)
    challenges.record_code(challenge, issued())
    assert as_stored(challenge).attempts_left == 4


# What a person is told


CASES = list(itertools.product(STORED_STATES, [0, 1], [-MINUTE, timedelta(0), MINUTE]))


@pytest.mark.parametrize(
    ("state", "attempts_left", "expires_in", "told"),
    [
        pytest.param(State.SENDING, 1, MINUTE, State.SENDING, id="sending"),
        pytest.param(State.SENT, 1, MINUTE, State.SENT, id="sent"),
        pytest.param(State.FAILED, 1, MINUTE, State.FAILED, id="failed"),
        pytest.param(State.SENT, 1, timedelta(0), State.EXPIRED, id="expired"),
        pytest.param(State.FAILED, 1, -MINUTE, State.EXPIRED, id="failed-and-expired"),
        pytest.param(State.SENT, 0, MINUTE, State.LOCKED, id="locked"),
        pytest.param(State.SENT, 0, -MINUTE, State.LOCKED, id="locked-and-expired"),
        pytest.param(State.VERIFIED, 0, -MINUTE, State.VERIFIED, id="verified"),
        pytest.param(State.CANCELLED, 0, -MINUTE, State.CANCELLED, id="cancelled"),
    ],
)
def test_state_at(state, attempts_left, expires_in, told):
    challenge = PhoneChallenge(
        state=state, attempts_left=attempts_left, expires_at=NOW + expires_in
    )
    assert challenge.state_at(NOW) is told


@pytest.mark.parametrize("told", State)
def test_filter_by_state_finds_those_that_would_be_told_so(told):
    made = [
        stored(state=state, attempts_left=left, expires_at=NOW + expires_in)
        for state, left, expires_in in CASES
    ]
    found = set(challenges.in_state(told, NOW).values_list("pk", flat=True))
    assert found == {each.pk for each in made if each.state_at(NOW) == told}


def test_live_are_those_that_take_an_answer():
    made = [
        stored(state=state, attempts_left=left, expires_at=NOW + expires_in)
        for state, left, expires_in in CASES
    ]
    found = set(challenges.live(NOW).values_list("pk", flat=True))
    assert found == {each.pk for each in made if each.state_at(NOW) in OPEN_STATES}


def test_s02_expired_code_has_no_digest():
    challenge = PhoneChallenge(code_digest="digits$6$first", expires_at=NOW)
    assert challenge.valid_digests(NOW) == []


def test_challenge_without_a_code_has_no_digest():
    assert PhoneChallenge(expires_at=NOW + MINUTE).valid_digests(NOW) == []


def test_s10_code_is_bound_to_challenge_phone_and_purpose():
    challenge = PhoneChallenge(public_id="abc", phone=PHONE, purpose=Purpose.LINK)
    assert challenge.bound_to == "abc\n+79244501003\nlink"


def test_code_is_bound_alike_before_and_after_it_was_stored():
    challenge = PhoneChallenge(phone=PHONE, purpose=Purpose.LOGIN)
    before = challenge.bound_to
    assert stored(public_id=challenge.public_id).bound_to == before
    assert as_stored(PhoneChallenge.objects.get()).bound_to == before


@pytest.mark.parametrize(
    ("expires_in", "left"), [(300, 300), (0.1, 1), (299.9, 300), (0, 0), (-5, 0)]
)
def test_seconds_left_are_rounded_up(expires_in, left):
    challenge = PhoneChallenge(expires_at=NOW + timedelta(seconds=expires_in))
    assert challenge.seconds_left(NOW) == left


def test_hint_is_that_of_the_channel():
    assert PhoneChallenge(channel="sms").hint == str(Channel.SMS.hint)


# The ledger


def test_new_phone_has_a_fresh_ledger_that_is_not_stored():
    ledger = PhoneLedger.objects.of_phone(PHONE)
    assert (ledger.phone, ledger.sends) == (PHONE, [])
    assert ledger.pk is None


def test_fresh_ledger_is_inserted():
    ledger = PhoneLedger.objects.of_phone(PHONE)
    assert ledger.write({"sends": [1.5]})
    assert PhoneLedger.objects.get().sends == [1.5]


def test_s09_of_two_fresh_ledgers_one_is_inserted():
    first, second = (PhoneLedger.objects.of_phone(PHONE) for _ in range(2))
    happened = [each.write({"sends": [1.5]}) for each in (first, second)]
    assert happened == [True, False]
    assert PhoneLedger.objects.count() == 1


def test_s09_ledger_that_was_written_meanwhile_is_not_written():
    PhoneLedger.objects.create(phone=PHONE)
    first, second = (PhoneLedger.objects.of_phone(PHONE) for _ in range(2))
    assert first.write({"sends": [1.5]})
    assert not second.write({"sends": [2.5]})
    assert PhoneLedger.objects.get().sends == [1.5]


def test_ledger_is_written_again_and_again():
    ledger = PhoneLedger.objects.of_phone(PHONE)
    for count in range(1, 4):
        assert ledger.write({"failures_in_row": count})
    assert PhoneLedger.objects.get().failures_in_row == 3


def test_written_ledger_holds_what_was_written():
    ledger = PhoneLedger.objects.create(phone=PHONE)
    ledger.write({"sends": [1.5], "ladder_step": 1})
    found = PhoneLedger.objects.get()
    names = [each.attname for each in PhoneLedger._meta.concrete_fields]
    assert [getattr(ledger, name) for name in names] == [getattr(found, name) for name in names]


def test_ledger_that_was_not_written_is_as_it_was():
    PhoneLedger.objects.create(phone=PHONE)
    first, second = (PhoneLedger.objects.of_phone(PHONE) for _ in range(2))
    first.write({"sends": [1.5]})
    second.write({"sends": [2.5]})
    assert (second.sends, second.revision) == ([], 0)


def test_writing_a_ledger_is_one_conditional_update():
    ledger = PhoneLedger.objects.create(phone=PHONE)
    with CaptureQueriesContext(connection) as queries:
        ledger.write({"ladder_step": 1})
    (query,) = queries.captured_queries
    assert query["sql"].startswith("UPDATE")
    assert "revision" in query["sql"].partition(" WHERE ")[2]


def test_times_are_stored_to_the_microsecond():
    at = 1_772_366_400.123457
    PhoneLedger.objects.create(phone=PHONE, sends=[at])
    assert PhoneLedger.objects.get().sends == [at]


def test_enabled_phone_starts_anew():
    PhoneLedger.objects.create(
        phone=PHONE, disabled_at=NOW, failures_in_row=100, failures=[1.5], sends=[2.5]
    )
    assert PhoneLedger.objects.enable(PHONE)
    ledger = PhoneLedger.objects.get()
    assert ledger.disabled_at is None
    assert (ledger.failures_in_row, ledger.failures) == (0, [])
    assert ledger.sends == [2.5]


def test_phone_that_is_not_disabled_cannot_be_enabled():
    PhoneLedger.objects.create(phone=PHONE, failures=[1.5])
    assert not PhoneLedger.objects.enable(PHONE)
    assert PhoneLedger.objects.get().failures == [1.5]


def test_answer_that_came_while_the_phone_was_enabled_is_counted_anew():
    PhoneLedger.objects.create(phone=PHONE, disabled_at=NOW)
    seen_before = PhoneLedger.objects.get()
    PhoneLedger.objects.enable(PHONE)
    assert not seen_before.write({"failures_in_row": 101})


# Accounts


def account(**values: Any) -> ProviderAccount:
    made = ProviderAccount(alias="calls", backend="telefon-ip-flash", **values)
    made.options = {"token": SECRET}
    made.save()
    return made


def raw_options() -> str:
    table = ProviderAccount._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT options FROM {table}")  # noqa: S608 (no input)
        return cursor.fetchone()[0]


def test_options_come_back():
    account()
    assert ProviderAccount.objects.get().options == {"token": SECRET}


def test_account_has_no_options_by_default():
    assert ProviderAccount.objects.create(alias="a", backend="locmem").options == {}


def test_s13_column_holds_a_fernet_token_and_no_secret():
    account()
    raw = raw_options()
    assert raw.startswith("gAAAAA")
    assert SECRET not in raw
    assert "token" not in raw


def test_s13_options_are_in_no_other_column():
    account()
    values = ProviderAccount.objects.values().get()
    assert SECRET not in str(values)


def test_s12_options_open_with_a_fallback_key(settings):
    account()
    old_key = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [old_key]
    assert ProviderAccount.objects.get().options == {"token": SECRET}


def test_broken_seal_names_the_account(settings):
    account()
    settings.SECRET_KEY = "new"
    with pytest.raises(BrokenSeal) as caught:
        _options = ProviderAccount.objects.get().options
    assert str(caught.value) == (
        'account "calls": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options'
    )


def test_account_with_a_broken_seal_can_be_listed_and_mended(settings):
    account()
    settings.SECRET_KEY = "new"
    found = ProviderAccount.objects.get()
    found.options = {"token": "another"}
    found.save()
    assert ProviderAccount.objects.get().options == {"token": "another"}


def test_accounts_stand_in_the_order_of_priority():
    for alias, priority in (("b", 200), ("c", 100), ("a", 200)):
        ProviderAccount.objects.create(alias=alias, backend="locmem", priority=priority)
    assert [each.alias for each in ProviderAccount.objects.all()] == ["c", "a", "b"]


# What is shown


@pytest.mark.parametrize("model", [PhoneLedger, UserPhone])
def test_s21_phone_is_masked(model):
    assert str(model(phone=PHONE)) == "+7•••••••003"


def test_s21_challenge_is_named_by_masked_phone_purpose_and_time():
    challenge = PhoneChallenge(phone=PHONE, purpose=Purpose.LINK, created_at=NOW)
    assert str(challenge) == "+7•••••••003, link a phone, 2026-03-01 06:00"  # in the site's zone


def test_account_is_named_by_its_alias():
    assert str(ProviderAccount(alias="calls")) == "calls"


def test_delivery_attempt_is_named_by_account_and_outcome():
    attempt = DeliveryAttempt(account="calls", outcome=DeliveryOutcome.NO_FUNDS)
    assert str(attempt) == "calls: no money in the account"


@pytest.mark.parametrize(
    ("refusal", "name"), [("", "accepted"), (Refusal.WRONG_CODE, "This code is not right.")]
)
def test_confirm_attempt_is_named_by_what_became_of_it(refusal, name):
    assert str(ConfirmAttempt(refusal=refusal)) == name


@pytest.mark.parametrize(
    "model",
    [each for each in vars(ours).values() if isinstance(each, models.base.ModelBase)],
    ids=lambda each: each.__name__,
)
def test_s13_repr_of_a_row_shows_neither_phone_nor_digest_nor_options(model):
    values = {"phone": PHONE, "code_digest": "digits$6$first", "sealed_options": "gAAAAA"}
    known = {each.name for each in model._meta.concrete_fields}
    row = model(**{name: value for name, value in values.items() if name in known})
    if model is DeviceLedger:
        row.ledger = PhoneLedger(phone=PHONE)
    shown = repr(row)
    assert not [value for value in values.values() if value in shown]
