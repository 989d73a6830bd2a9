"""`phone_otp_export` and `phone_otp_erase`: what a person may have, and may have erased."""

import json
import stat
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, models

from django_phone_otp import conf, devices
from django_phone_otp.choices import OPEN_STATES
from django_phone_otp.flow import Login, confirm_code, privacy, spend_challenge
from django_phone_otp.flow.client import Client
from django_phone_otp.flow.privacy import EXPORTED
from django_phone_otp.flow.retention import TRAILS
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes_queue
from tests.conftest import NOW, PHONE
from tests.rows import DAY, make_challenge, make_challenges, make_device, make_ledger
from tests.steps import answer, ask

pytestmark = pytest.mark.django_db

OTHER_PHONE = "+79244501004"
MASKED = "+7•••••••003"
AGENT = "Mozilla/5.0 =cmd()"

# What is stored of a phone and does not leave the site, and why.
KEPT_INSIDE = {
    PhoneChallenge: {
        "public_id": "who knows it may answer the challenge",
        "phone": "stands above all of it",
        "ledger_id": "there is one",
        "request_digest": "who has the key may ask again for the challenge",
        "client_digest": "names a client by what it alone need know",
        "code_digest": "a code could be guessed from it by whoever has the key",
        "previous_code_digest": "likewise",
        "previous_code_expires_at": "of a code",
        "previous_account": "stands in the deliveries",
        "previous_provider_ref": "stands in the deliveries",
    },
    DeliveryAttempt: {"id": "nothing names it", "challenge_id": "it stands in its challenge"},
    PendingDelivery: {
        "id": "nothing names it",
        "challenge_id": "it stands in its challenge",
        "pretended": "a digest of nothing",
    },
    ConfirmAttempt: {"id": "nothing names it", "challenge_id": "it stands in its challenge"},
    GuardObjection: {"id": "nothing names it", "challenge_id": "it stands in its challenge"},
    PhoneLedger: {
        "id": "nothing outside names it",
        "phone": "stands above all of it",
        "revision": "says nothing of the person",
    },
    DeviceLedger: {"ledger_id": "there is one", "revision": "says nothing of the person"},
    UserPhone: {"id": "nothing names it", "phone": "stands above all of it"},
}
# Models of the app that know nothing of any phone.
WITHOUT_PHONES = {
    "AccountLedger",
    "BlockedPrefix",
    "Dashboard",
    "ProviderAccount",
    "TrafficCount",
    "TrafficSource",
}


def run(name: str, *arguments: str) -> str:
    """Run one of the two; gives what it wrote to standard output."""
    out = StringIO()
    call_command(f"phone_otp_{name}", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def export(phone: str = PHONE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("export", phone))
    return found


def erase(*arguments: str) -> str:
    return run("erase", PHONE, "--no-input", *arguments)


def make_user(phone: str = PHONE) -> Any:
    """Store a user who logs in with this phone."""
    user = get_user_model().objects.create_user(f"user of {phone}")
    UserPhone.objects.create(user=user, phone=phone)
    return user


def count_rows(phone: str = PHONE) -> tuple[int, ...]:
    """Count what is stored about a phone, of every kind."""
    trails = (each._default_manager.filter(challenge__phone=phone) for each in TRAILS)
    rows = (
        PhoneChallenge.objects.filter(phone=phone),
        PhoneLedger.objects.filter(phone=phone),
        DeviceLedger.objects.filter(ledger__phone=phone),
        UserPhone.objects.filter(phone=phone),
    )
    return tuple(each.count() for each in (*rows, *trails))


class TestModels:
    """A new model, or a new column, has to be thought about."""

    def test_s23_each_model_with_a_phone_is_exported_and_erased(self):
        known = {PhoneChallenge, PhoneLedger, DeviceLedger, UserPhone, *TRAILS}
        found = {each for each in apps.get_app_config("phone_otp").get_models() if tells(each)}
        assert found == known == set(EXPORTED)

    def test_s23_the_others_know_none(self):
        models_of_app = apps.get_app_config("phone_otp").get_models()
        assert {each.__name__ for each in models_of_app if not tells(each)} == WITHOUT_PHONES

    @pytest.mark.parametrize("model", EXPORTED, ids=lambda each: each.__name__)
    def test_s23_each_column_is_exported_or_kept_inside_for_a_reason(self, model):
        columns = {each.attname for each in model._meta.concrete_fields}
        assert set(EXPORTED[model]) | set(KEPT_INSIDE[model]) == columns
        assert not set(EXPORTED[model]) & set(KEPT_INSIDE[model])

    @pytest.mark.parametrize("model", EXPORTED, ids=lambda each: each.__name__)
    def test_s13_nothing_secret_is_exported(self, model):
        suspicious = ("digest", "public_id", "sealed", "secret", "token", "options")
        assert not [name for name in EXPORTED[model] for word in suspicious if word in name]


def tells(model: type[models.Model]) -> bool:
    """Say whether rows of a model tell a phone, or belong to rows that do."""
    fields = model._meta.concrete_fields
    return any(
        "phone" in each.name or (each.related_model in (PhoneChallenge, PhoneLedger, DeviceLedger))
        for each in fields
        if each.name not in ("phone_daily_limit",)
    )


@pytest.mark.usefixtures("clock")
class TestExport:
    """All of it, for programs and for people."""

    def test_s23_one_login_is_exported_whole(self, phone_otp):
        client = Client(ip="203.0.113.7", user_agent=AGENT)
        challenge = ask(client=client)
        confirm_code(challenge.public_id, "not it", client=client)
        answer(challenge, client=client)
        DeliveryAttempt.objects.update(duration_ms=12)
        at = "2026-03-01T12:00:00Z"
        assert export() == {
            "phone": PHONE,
            "exported_at": at,
            "users": [],
            "ledger": {
                "created_at": at,
                "last_sent_at": at,
                "sends": [at],
                "ladder_step": 0,
                "failures": [at],
                "failures_in_row": 0,
                "disabled_at": None,
                "account_sends": {},
                "devices_valid_after": None,
                "devices": [],
            },
            "challenges": [
                {
                    "id": challenge.pk,
                    "created_at": at,
                    "purpose": "login",
                    "state": "verified",
                    "region": "RU",
                    "user": None,
                    "device": None,
                    "account": "memory",
                    "provider": "locmem",
                    "provider_ref": "",
                    "channel": "sms",
                    "custody": "local",
                    "call_to": "",
                    "code_length": 6,
                    "attempts_left": 3,
                    "sent_at": at,
                    "expires_at": "2026-03-01T12:05:00Z",
                    "verified_at": at,
                    "spent_at": None,
                    "ip": "203.0.113.7",
                    "user_agent": AGENT,
                    "deliveries": [
                        {
                            "created_at": at,
                            "account": "memory",
                            "provider": "locmem",
                            "channel": "sms",
                            "outcome": "sent",
                            "detail": "",
                            "provider_ref": "",
                            "cost": None,
                            "currency": "",
                            "duration_ms": 12,
                        }
                    ],
                    "pending_deliveries": [],
                    "confirmations": [
                        {
                            "created_at": at,
                            "refusal": refusal,
                            "ip": "203.0.113.7",
                            "user_agent": AGENT,
                        }
                        for refusal in ("wrong_code", "")
                    ],
                    "objections": [],
                }
            ],
        }

    def test_s23_what_guards_said_is_exported(self):
        make_challenge(DAY, make_ledger(DAY))
        (challenge,) = export()["challenges"]
        assert challenge["objections"] == [
            {
                "created_at": "2026-02-28T12:00:00Z",
                "guard": "region",
                "blocked": False,
                "detail": "",
            }
        ]

    def test_s23_what_waits_for_a_worker_is_exported(self, phone_otp):
        phone_otp(DISPATCH=fakes_queue.PATH)
        ask()
        (challenge,) = export()["challenges"]
        assert challenge["pending_deliveries"] == [
            {
                "queued_at": "2026-03-01T12:00:00Z",
                "claimed_at": None,
                "route": ["memory"],
                "language": "en",
                "withheld": False,
            }
        ]

    def test_s23_devices_are_exported(self):
        device = make_device(DAY, make_ledger(DAY), failures=[NOW.timestamp()])
        (exported,) = export()["ledger"]["devices"]
        assert exported == {
            "id": device.pk,
            "created_at": "2026-02-28T12:00:00Z",
            "key": "a-device",
            "last_sent_at": "2026-02-28T12:00:00Z",
            "sends": [],
            "ladder_step": 0,
            "failures": ["2026-03-01T12:00:00Z"],
        }

    def test_s23_times_of_accounts_are_times(self):
        make_ledger(DAY, account_sends={"calls": [NOW.timestamp()]})
        assert export()["ledger"]["account_sends"] == {"calls": ["2026-03-01T12:00:00Z"]}

    def test_s23_the_user_is_named(self):
        user = make_user()
        assert export()["users"] == [
            {
                "user": user.pk,
                "verified_at": "2026-03-01T12:00:00Z",
                "made_primary_at": None,
                "stored_in": "UserPhone",
            }
        ]

    def test_s23_a_challenge_names_a_user_who_is_gone(self):
        login = spend_challenge(answer(ask()))
        assert login
        number = login.user.pk
        login.user.delete()
        exported = export()
        assert exported["users"] == []
        assert [each["user"] for each in exported["challenges"]] == [number]

    def test_s23_a_user_with_a_field_of_the_sites_own_is_named(self, phone_otp):
        phone_otp(USER_PHONE_FIELD="username")
        user = get_user_model().objects.create_user(PHONE)
        assert export()["users"] == [
            {
                "user": user.pk,
                "verified_at": None,
                "made_primary_at": None,
                "stored_in": "username",
            }
        ]

    def test_s23_nothing_of_others_is_exported(self):
        make_user(OTHER_PHONE)
        make_challenge(DAY, make_ledger(DAY, OTHER_PHONE))
        assert export() == {
            "phone": PHONE,
            "exported_at": "2026-03-01T12:00:00Z",
            "users": [],
            "ledger": None,
            "challenges": [],
        }

    @pytest.mark.parametrize("state", OPEN_STATES)
    def test_s13_no_code_no_digest_and_nothing_to_answer_with(self, state):
        challenge = ask()
        PhoneChallenge.objects.update(state=state, previous_code_digest="digest-before")
        text = run("export", PHONE)
        hidden = [challenge.public_id, challenge.code_digest, "digest-before", local.outbox[0].code]
        assert all(hidden)
        assert [each for each in hidden if each in text] == []

    def test_s13_a_device_string_is_not_in_it(self):
        key = devices.new_key()
        make_device(DAY, make_ledger(DAY), key)
        assert devices.make_device(key, PHONE).split(":", 1)[1] not in run("export", PHONE)

    def test_s20_what_a_stranger_wrote_begins_no_line(self):
        agent = "Mozilla\r\nforged: 1\x1b[31m"
        make_challenge(DAY, make_ledger(DAY), user_agent=agent)
        text = run("export", PHONE)
        assert export()["challenges"][0]["user_agent"] == agent
        assert [each for each in text.split("\n") if each.startswith("forged")] == []
        assert "\r" not in text
        assert "\x1b" not in text

    def test_the_phone_is_read_as_people_write_it(self):
        make_ledger(DAY)
        assert export("8 924 450-10-03")["ledger"] is not None

    def test_a_number_that_was_taken_out_of_service_is_still_found(self):
        make_ledger(DAY, "+70000000000")
        assert export("+70000000000")["ledger"] is not None

    def test_what_is_no_phone_is_refused(self):
        with pytest.raises(CommandError, match="This phone number does not exist"):
            export("12")

    def test_questions_do_not_grow_with_the_challenges(self, django_assert_num_queries):
        make_challenges(DAY, make_ledger(DAY), 50)
        with django_assert_num_queries(9):
            assert len(export()["challenges"]) == 50


class TestFile:
    """`--output`."""

    def test_s13_only_its_owner_may_read_it(self, tmp_path):
        make_ledger(DAY)
        path = tmp_path / "data.json"
        told = run("export", PHONE, "--output", str(path))
        assert told == f"What is stored about {MASKED} is in {path}.\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert json.loads(path.read_text(encoding="utf-8"))["phone"] == PHONE

    def test_a_file_that_is_there_is_not_written_over(self, tmp_path):
        path = tmp_path / "data.json"
        path.write_text("mine")
        with pytest.raises(CommandError, match=rf"^Cannot write {path}: File exists\.$"):
            run("export", PHONE, "--output", str(path))
        assert path.read_text() == "mine"

    def test_s13_a_link_is_not_followed(self, tmp_path):
        (tmp_path / "data.json").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(CommandError, match="File exists"):
            run("export", PHONE, "--output", str(tmp_path / "data.json"))
        assert not (tmp_path / "elsewhere").exists()

    def test_a_folder_that_is_not_there_is_told(self, tmp_path):
        with pytest.raises(CommandError, match="No such file or directory"):
            run("export", PHONE, "--output", str(tmp_path / "none" / "data.json"))


@pytest.mark.usefixtures("clock")
class TestErase:
    """All of it, and nothing of others."""

    def test_s23_everything_goes(self):
        user, ledger = make_user(), make_ledger(DAY)
        make_challenge(DAY, ledger, device=make_device(DAY, ledger), user=user)
        make_challenge(DAY, ledger)
        assert count_rows() == (2, 1, 1, 1, 0, 2, 2, 2)
        assert erase() == (
            f"{MASKED}: 2 challenges, 1 phone ledger, 1 device ledger and 1 login.\n"
            f"User {user.pk} will not be able to log in with it any more.\n"
            "Erased.\n"
        )
        assert count_rows() == (0, 0, 0, 0, 0, 0, 0, 0)
        assert get_user_model().objects.get() == user

    def test_s23_nothing_of_others_goes(self):
        make_user(OTHER_PHONE)
        ledger = make_ledger(DAY, OTHER_PHONE)
        make_challenge(DAY, ledger, device=make_device(DAY, ledger))
        make_challenge(DAY, make_ledger(DAY))
        erase()
        assert count_rows(OTHER_PHONE) == (1, 1, 1, 1, 0, 1, 1, 1)

    def test_s23_a_login_can_be_kept(self):
        user = make_user()
        make_challenge(DAY, make_ledger(DAY))
        assert erase("--keep-login") == (
            f"{MASKED}: 1 challenge, 1 phone ledger, 0 device ledgers and 0 logins.\n"
            f"User {user.pk} can still log in with it.\n"
            "Erased.\n"
        )
        assert count_rows() == (0, 0, 0, 1, 0, 0, 0, 0)
        assert spend_challenge(answer(ask())) == Login(user, created=False)

    def test_s23_a_field_of_the_sites_own_is_never_touched(self, phone_otp):
        phone_otp(USER_PHONE_FIELD="username")
        user = get_user_model().objects.create_user(PHONE)
        make_challenge(DAY, make_ledger(DAY))
        assert erase() == (
            f"{MASKED}: 1 challenge, 1 phone ledger, 0 device ledgers and 0 logins.\n"
            f'It stays in the field "username" of user {user.pk}, which is your site\'s own.\n'
            "Erased.\n"
        )
        assert get_user_model().objects.get().get_username() == PHONE

    def test_s23_in_bounded_batches(self):
        make_challenges(DAY, make_ledger(DAY), 23)
        deleted = []

        def hook(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            result = execute(sql, params, many, context)
            if sql.startswith("DELETE"):
                deleted.append(context["cursor"].rowcount)
            return result

        with connection.execute_wrapper(hook):
            assert privacy.erase(PHONE, conf.read(), batch_size=5)
        assert max(deleted) == 5
        assert count_rows() == (0, 0, 0, 0, 0, 0, 0, 0)

    @pytest.mark.parametrize("arguments", [(), ("--keep-login",)])
    def test_where_there_is_nothing_nothing_happens(self, arguments):
        assert erase(*arguments) == (
            f"{MASKED}: 0 challenges, 0 phone ledgers, 0 device ledgers and 0 logins.\n"
            "There is nothing to erase.\n"
        )

    def test_a_login_that_is_kept_is_nothing_to_erase(self):
        user = make_user()
        assert erase("--keep-login").endswith(
            f"User {user.pk} can still log in with it.\nThere is nothing to erase.\n"
        )

    def test_a_login_alone_is_erased(self):
        make_user()
        assert erase().endswith("Erased.\n")
        assert not UserPhone.objects.exists()

    def test_a_number_that_was_taken_out_of_service_is_still_found(self):
        make_ledger(DAY, "+70000000000")
        run("erase", "+70000000000", "--no-input")
        assert not PhoneLedger.objects.exists()

    def test_what_is_no_phone_is_refused(self):
        with pytest.raises(CommandError, match="This phone number does not exist"):
            run("erase", "12", "--no-input")


@pytest.mark.usefixtures("clock")
class TestLock:
    """SECURITY: to erase is no way round a lock."""

    REFUSED = (
        rf"^\{MASKED} is locked, or has wrong codes in a row: to erase them would let somebody go "
        r"on guessing\. Nothing more is erased without --unlock\.$"
    )

    @pytest.mark.parametrize(
        "columns", [{"disabled_at": NOW, "failures_in_row": 100}, {"failures_in_row": 1}]
    )
    def test_s06_what_a_guesser_used_up_is_not_erased(self, columns):
        make_user()
        make_challenge(DAY, make_ledger(DAY, **columns))
        with pytest.raises(CommandError, match=self.REFUSED):
            erase()
        assert count_rows() == (1, 1, 0, 1, 0, 1, 1, 1)

    def test_s06_nor_is_it_in_python(self):
        make_challenge(DAY, make_ledger(DAY, failures_in_row=1))
        assert privacy.erase(PHONE, conf.read()) is False
        assert count_rows() == (1, 1, 0, 0, 0, 1, 1, 1)

    def test_s06_an_operator_may_say_otherwise(self):
        make_challenge(DAY, make_ledger(DAY, disabled_at=NOW, failures_in_row=100))
        assert erase("--unlock").endswith("Erased.\n")
        assert count_rows() == (0, 0, 0, 0, 0, 0, 0, 0)

    def test_s06_a_wrong_code_at_this_moment_keeps_the_ledger(self):
        make_user()
        make_challenge(DAY, make_ledger(DAY))
        pending = [1]

        def hook(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("DELETE") and pending:
                pending.clear()
                PhoneLedger.objects.update(failures_in_row=1)
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(hook),
            pytest.raises(CommandError, match=self.REFUSED),
        ):
            erase()
        assert PhoneLedger.objects.get().failures_in_row == 1
        assert UserPhone.objects.exists()


class TestQuestion:
    """A person is asked first."""

    @pytest.fixture
    def reply(self, monkeypatch):
        """Let a person type this; gives what the person was asked."""
        asked: list[str] = []

        def answer_with(text: str) -> list[str]:
            def read(prompt: str) -> str:
                asked.append(prompt)
                return text

            monkeypatch.setattr("builtins.input", read)
            return asked

        return answer_with

    def test_yes_erases(self, reply):
        asked = reply("yes")
        make_challenge(DAY, make_ledger(DAY))
        assert run("erase", PHONE).endswith("Erased.\n")
        assert asked == ["Type 'yes' to erase this for good: "]
        assert not PhoneLedger.objects.exists()

    @pytest.mark.parametrize("text", ["", "y", "no", "Yes please"])
    def test_anything_else_does_not(self, reply, text):
        reply(text)
        make_challenge(DAY, make_ledger(DAY))
        assert run("erase", PHONE).endswith("Nothing was erased.\n")
        assert PhoneChallenge.objects.count() == 1

    def test_where_there_is_nothing_nobody_is_asked(self, reply):
        asked = reply("yes")
        run("erase", PHONE)
        assert asked == []

    @pytest.mark.parametrize(
        ("error", "words", "status"),
        [
            (EOFError, "Nobody is there to be asked; add --no-input.", 1),
            (KeyboardInterrupt, "Stopped. Some of it may be erased; run it again.", 130),
        ],
    )
    def test_nobody_answers(self, monkeypatch, error, words, status):
        def read(_prompt: str) -> str:
            raise error

        monkeypatch.setattr("builtins.input", read)
        make_ledger(DAY)
        with pytest.raises(CommandError) as caught:
            run("erase", PHONE)
        assert (str(caught.value), caught.value.returncode) == (words, status)
        assert PhoneLedger.objects.exists()


@pytest.mark.parametrize("arguments", [("erase", "--no-input"), ("export", "--output")])
def test_s13_no_whole_phone_is_told(tmp_path: Path, arguments):
    name, option = arguments
    make_challenge(DAY, make_ledger(DAY))
    extra = (str(tmp_path / "file"),) if option == "--output" else ()
    told = run(name, PHONE, option, *extra)
    assert MASKED in told
    assert PHONE.removeprefix("+7") not in told
