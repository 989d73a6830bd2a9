"""Every line of the log has a name that stays, and fields that programs can read."""

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db.models.signals import pre_save
from pythonjsonlogger.json import JsonFormatter

import django_phone_otp
from django_phone_otp import flow
from django_phone_otp.admin.actions import ACTIONS
from django_phone_otp.choices import Channel, Refusal
from django_phone_otp.events import PHONE_FIELDS, Event, log_event
from django_phone_otp.models import BlockedPrefix, PhoneChallenge, ProviderAccount, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.rows import DAY, make_ledger
from tests.steps import answer, ask

PACKAGE = Path(django_phone_otp.__file__).parent
DOCS = Path(__file__).resolve().parents[1] / "docs" / "logs.md"
MASKED = "+7•••••••003"
DAY_AGO = datetime(2026, 2, 28, tzinfo=UTC)

logger = logging.getLogger("django_phone_otp.of_a_test")


@pytest.fixture(autouse=True)
def _everything(caplog):
    caplog.set_level(logging.DEBUG, "django_phone_otp")


# One line


def write(event: Event, **fields: Any) -> str:
    """Give the line that an event makes."""
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    logger.addHandler(handler)
    try:
        log_event(logger, event, **fields)
    finally:
        logger.removeHandler(handler)
    return kept.getvalue().removesuffix("\n")


def test_a_line_is_the_name_and_its_fields():
    line = write(Event.ALARM, limit="send_region", scope="RU", count=100)
    assert line == "alarm limit=send_region scope=RU count=100"


def test_an_event_without_fields_is_its_name():
    assert write(Event.NO_ACCOUNT_IN_USE) == "no_account_in_use"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("word", "word"),
        ("two words", '"two words"'),
        ('say "no"', r'"say \"no\""'),
        ("a=b", '"a=b"'),
        ("C:\\path", r'"C:\\path"'),
        ("", '""'),
        ("почта", "почта"),
        (True, "True"),
        (0, "0"),
        (Refusal.WRONG_CODE, "wrong_code"),
        (ValueError("it broke"), '"it broke"'),
    ],
)
def test_a_value_is_quoted_where_it_would_not_be_one_word(value, written):
    assert write(Event.CAPTCHA_UNAVAILABLE, reason=value) == f"captcha_unavailable reason={written}"


def test_a_field_without_a_value_is_left_out():
    assert write(Event.CACHE_UNAVAILABLE, limit="guards", breaker=None, error="E") == (
        "cache_unavailable limit=guards error=E"
    )


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\x00", "\x0b", "\x1b[2J", "\x85", "\u2028", "\ud800"]
)
def test_s20_no_value_begins_a_line(end):
    line = write(Event.CAPTCHA_UNAVAILABLE, reason=f"no{end}alarm limit=all")
    assert line.isprintable()
    assert line.startswith('captcha_unavailable reason="no ')
    assert line.endswith('alarm limit=all"')


def test_s20_no_value_begins_a_line_of_another_formatter(caplog):
    log_event(logger, Event.CAPTCHA_UNAVAILABLE, reason="no\nforged")
    (record,) = caplog.records
    assert record.phone_otp == {"reason": "no forged"}


@pytest.mark.parametrize("name", sorted(PHONE_FIELDS))
def test_s13_a_phone_is_masked(caplog, name):
    assert write(Event.PHONE_LINKED, **{name: PHONE}) == f"phone_linked {name}={MASKED}"
    (record,) = caplog.records
    assert PHONE[-10:] not in repr(vars(record))


def test_a_percent_sign_is_no_format():
    assert write(Event.CAPTCHA_UNAVAILABLE, reason="100%s") == "captcha_unavailable reason=100%s"


def test_programs_find_name_and_fields_in_the_record(caplog):
    log_event(logger, Event.ALARM, limit="fail_all", scope="all", count=3)
    (record,) = caplog.records
    assert record.event == "alarm"
    assert record.phone_otp == {"limit": "fail_all", "scope": "all", "count": 3}


def test_all_lines_of_an_event_have_one_template(caplog):
    log_event(logger, Event.BUDGET_USED_UP, account="calls", limit=5)
    log_event(logger, Event.BUDGET_USED_UP, account="texts", limit=7)
    assert {each.msg for each in caplog.records} == {"budget_used_up account=%s limit=%s"}


def test_a_line_names_the_place_that_logged_it(caplog):
    log_event(logger, Event.NO_ACCOUNT_IN_USE)
    (record,) = caplog.records
    assert record.funcName == "test_a_line_names_the_place_that_logged_it"


def test_the_first_level_is_the_usual_one(caplog):
    log_event(logger, Event.PHONE_LOCKED, scope="challenge")
    log_event(logger, Event.PHONE_LOCKED, level=logging.WARNING, scope="phone")
    assert [each.levelname for each in caplog.records] == ["INFO", "WARNING"]


class Unwritable:
    """Nothing that is not logged need be written."""

    def __str__(self) -> str:
        raise AssertionError


def test_what_nobody_listens_to_costs_nothing(caplog):
    caplog.set_level(logging.WARNING, "django_phone_otp")
    log_event(logger, Event.GUARD_OBJECTED, guard=Unwritable())
    assert caplog.records == []


# The formats of docs/logs.md


def format_as_json(event: Event, **fields: Any) -> dict[str, Any]:
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    handler.setFormatter(JsonFormatter("{levelname}{name}", style="{"))
    logger.addHandler(handler)
    try:
        log_event(logger, event, **fields)
    finally:
        logger.removeHandler(handler)
    written: dict[str, Any] = json.loads(kept.getvalue())
    return written


def test_a_json_formatter_writes_the_fields():
    assert format_as_json(
        Event.DELIVERY_FAILED, account="a", outcome=Channel.SMS, detail="x y"
    ) == {
        "levelname": "WARNING",
        "name": "django_phone_otp.of_a_test",
        "event": "delivery_failed",
        "phone_otp": {"account": "a", "outcome": "sms", "detail": "x y"},
    }


# The package


def find_calls() -> Iterator[tuple[str, ast.Call]]:
    """Find all calls of the package, each with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def is_log_event(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "log_event"


CALLS = [(place, call) for place, call in find_calls() if is_log_event(call)]
WAYS_TO_LOG = {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log"}


def test_nothing_is_logged_but_events():
    others = [
        place
        for place, call in find_calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in WAYS_TO_LOG
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("logger", "logging", "log")
    ]
    assert [each for each in others if not each.startswith("events.py")] == []
    assert len(others) == 1


def test_each_logger_is_the_modules_own():
    made = [
        (place, ast.unparse(call))
        for place, call in find_calls()
        if isinstance(call.func, ast.Attribute) and call.func.attr == "getLogger"
    ]
    of_others = "logging.getLogger(f'urllib3.{_name}')"  # the transport silences them
    assert {written for _place, written in made} == {"logging.getLogger(__name__)", of_others}


def name_events(node: ast.expr) -> set[str]:
    """Name the events that an argument may be: a member, or a variable that is given members."""
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.value, ast.Name)
        and each.value.id == "Event"
    }


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[place for place, _ in CALLS])
def test_each_call_gives_fields_of_its_event(place, call):
    names = name_events(call.args[1]) or {"MESSAGE_DENY_BY_HOOK", "MESSAGE_CAPTCHA_BY_HOOK"}
    given = {each.arg for each in call.keywords} - {"level"}
    for name in names:
        assert given <= set(Event[name].fields)


def test_each_event_is_logged_somewhere():
    text = "\n".join(each.read_text(encoding="utf-8") for each in PACKAGE.rglob("*.py"))
    assert [each for each in Event if f"Event.{each.name}" not in text] == []


def test_each_field_is_given_somewhere():
    given: dict[str, set[str | None]] = {}
    for _place, call in CALLS:
        names = name_events(call.args[1]) or {"MESSAGE_DENY_BY_HOOK", "MESSAGE_CAPTCHA_BY_HOOK"}
        for name in names:
            given.setdefault(name, set()).update(each.arg for each in call.keywords)
    missing = {
        name: sorted(set(Event[name].fields) - fields)
        for name, fields in given.items()
        if not set(Event[name].fields) <= fields
    }
    assert missing == {}


def test_names_are_words_of_logfmt():
    words = [each.value for each in Event] + [name for each in Event for name in each.fields]
    assert [each for each in words if not each.isidentifier() or each != each.lower()] == []


# The documentation


def read_docs(cells_count: int = 4) -> dict[str, tuple[str, ...]]:
    """Read the tables of `docs/logs.md` with so many columns, by the first of them."""
    rows = {}
    _before, _heading, text = DOCS.read_text(encoding="utf-8").partition("\n## Events\n")
    for line in text.splitlines():
        if line.startswith("| `"):
            event, *cells = (each.strip() for each in line.strip("|").split(" | "))
            if len(cells) == cells_count - 1:
                rows[event.strip("` ")] = tuple(cells)
    return rows


def describe(event: Event) -> tuple[str, ...]:
    levels = ", ".join(f"`{logging.getLevelName(each)}`" for each in event.levels)
    fields = ", ".join(f"`{each}`" for each in event.fields) or "–"
    return levels, fields, event.meaning


def test_the_documentation_lists_all_events():
    assert read_docs() == {each.value: describe(each) for each in Event}


def find_actions() -> set[str]:
    """Find all that an operator may be said to have done."""
    written = set(ACTIONS)
    for place, call in find_calls():
        name = ast.unparse(call.func).removeprefix("self.")
        if name in {"log_event", "_log", "_announce"} and place.startswith(("admin", "management")):
            named = [each.value for each in call.keywords if each.arg == "action"]
            for each in ast.walk(named[0] if named else call.args[1]):
                if isinstance(each, ast.Constant):
                    written.add(str(each.value))
    return written


def test_the_documentation_lists_all_actions_of_operators():
    listed = {name.strip("` ") for row in read_docs(cells_count=2) for name in row.split(",")}
    assert listed == find_actions()


def test_an_action_has_one_name():
    assert [each for each in find_actions() if not re.fullmatch("[a-z_]+", each)] == []


# The life of a challenge


@pytest.fixture
def life(caplog) -> Any:
    """Give what the audit log has told: `life()`."""

    def read() -> list[tuple[str, str, dict[str, Any]]]:
        mine = [each for each in caplog.records if each.name == "django_phone_otp.audit"]
        return [(each.levelname, each.event, each.phone_otp) for each in mine]

    return read


def who(**fields: Any) -> dict[str, Any]:
    return {"challenge": PhoneChallenge.objects.get().pk, "phone": MASKED, **fields}


@pytest.mark.django_db(transaction=True)
def test_a_login_from_beginning_to_end(post, life):
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=challenge, code=local.outbox[-1].code)
    user = get_user_model().objects.get()
    sent, *rest = life()
    assert sent[2].pop("duration_ms") >= 0
    assert [sent, *rest] == [
        (
            "INFO",
            "code_sent",
            who(region="RU", account="memory", provider="locmem", channel="sms"),
        ),
        ("DEBUG", "code_requested", who(purpose="login", channel="sms", region="RU", resend=False)),
        ("INFO", "phone_verified", who(purpose="login", account="memory", channel="sms")),
        ("INFO", "logged_in", who(user=user.pk, created=True)),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_refused(post, life):
    post("request", phone=PHONE)
    post("request", phone=PHONE, channel="sms")
    assert life()[-1] == (
        "DEBUG",
        "request_refused",
        {"purpose": "login", "channel": "sms", "resend": False, "refusal": "resend_too_soon"},
    )


@pytest.mark.django_db(transaction=True)
def test_a_resend_that_comes_too_soon_names_its_challenge(post, life):
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("resend", challenge=challenge)
    assert life()[-1] == (
        "DEBUG",
        "request_refused",
        who(purpose="login", resend=True, refusal="resend_too_soon"),
    )


@pytest.mark.django_db(transaction=True)
def test_a_wrong_code(post, life):
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=challenge, code="not it")
    refused = who(purpose="login", refusal="wrong_code")
    assert life()[-1] == ("DEBUG", "answer_refused", refused)


@pytest.mark.django_db(transaction=True)
def test_an_answer_to_nothing(post, life):
    post("confirm", challenge="nothing", code="not it")
    assert life() == [("DEBUG", "answer_refused", {"refusal": "unknown_challenge"})]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("most", "level", "scope"), [(100, "INFO", "challenge"), (1, "WARNING", "phone")]
)
def test_one_wrong_code_too_many(post, phone_otp, life, most, level, scope):
    phone_otp(MAX_ATTEMPTS=1, LIMITS={"fail_phone_total": most})
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=challenge, code="not it")
    assert (level, "phone_locked", who(scope=scope)) in life()


@pytest.mark.django_db(transaction=True)
def test_phones_of_a_user(life):
    user = get_user_model().objects.create(username="ann")
    old = UserPhone.objects.create(user=user, phone="+79244501004")
    flow.link_phone(answer(ask(purpose="link", user=user), user=user))
    new = UserPhone.objects.get(phone=PHONE)
    flow.make_primary(user, new.pk)
    flow.unlink_phone(user, old.pk)
    other = "+7•••••••004"
    assert life()[-3:] == [
        ("INFO", "phone_linked", {"phone": MASKED, "previous_phone": other, "user": user.pk}),
        (
            "INFO",
            "primary_phone_changed",
            {"phone": MASKED, "previous_phone": other, "user": user.pk},
        ),
        ("INFO", "phone_unlinked", {"phone": other, "user": user.pk}),
    ]


@pytest.mark.django_db(transaction=True)
def test_what_a_stranger_repeats_is_no_more_than_debug(post, life, phone_otp):
    """No log is flooded from outside at the level that sites keep."""
    phone_otp(LIMITS={"request_ip": "3/h"})
    challenge = post("request", phone=PHONE).json()["challenge"]
    for _ in range(3):
        post("request", phone=PHONE)
        post("resend", challenge=challenge)
        post("confirm", challenge=challenge, code="not it")
    assert [event for level, event, _fields in life() if level != "DEBUG"] == ["code_sent"]


# Breakers


@pytest.mark.django_db
def test_a_breaker_that_opens_and_closes(post, phone_otp, clock, caplog):
    phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "99/h"})
    phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderUnavailable"}))
    for _ in range(5):
        post("request", phone=PHONE)
    phone_otp(PROVIDERS=fakes.providers(only={}))
    clock.shift(61)
    post("request", phone=PHONE)
    clock.shift(61)
    post("request", phone=PHONE)
    lines = [each for each in caplog.messages if each.startswith("breaker_")]
    assert lines == ["breaker_opened account=only failures_count=5", "breaker_closed account=only"]


@pytest.mark.django_db
def test_a_failure_that_opened_no_breaker_closes_none(post, phone_otp, caplog):
    phone_otp(RESEND_WAITS=[0])
    phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderUnavailable"}))
    post("request", phone=PHONE)
    phone_otp(PROVIDERS=fakes.providers(only={}))
    post("request", phone=PHONE)
    assert [each for each in caplog.messages if each.startswith("breaker_")] == []


# Operators


@pytest.fixture
def acts(caplog) -> Any:
    """Give what operators did: `acts()`."""
    return lambda: [
        vars(each)["phone_otp"]
        for each in caplog.records
        if vars(each).get("event") == "operator_acted"
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("command", "action"),
    [
        (("phone_otp_unlock", PHONE), "unlock"),
        (("phone_otp_revoke_devices", PHONE), "revoke_devices"),
        (("phone_otp_erase", PHONE, "--no-input", "--unlock"), "erase"),
        (("phone_otp_export", PHONE), "export"),
    ],
    ids=["unlock", "revoke_devices", "erase", "export"],
)
def test_a_command_of_an_operator(acts, command, action):
    make_ledger(DAY, disabled_at=DAY_AGO)
    call_command(*command, stdout=io.StringIO())
    assert acts() == [{"action": action, "phone": MASKED}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("action", "logged"),
    [
        ("disable_accounts", "disable_account"),
        ("delete_selected", "delete_account"),
    ],
)
def test_an_operator_at_an_account(admin_client, admin_user, acts, action, logged):
    account = ProviderAccount.objects.create(alias="texts", backend="locmem")
    chosen = {"action": action, "_selected_action": [account.pk], "post": "yes"}
    admin_client.post("/admin/phone_otp/provideraccount/", chosen)
    assert acts() == [{"action": logged, "operator": admin_user.pk, "account": "texts"}]


NEW_ACCOUNT = {
    "alias": "texts",
    "enabled": "on",
    "priority": "1",
    "option_token": "a-s3cret",
    "option_base_url": "https://api.telefon-ip.ru",
    "option_timeout": "10.0",
}
ADD_ACCOUNT = "/admin/phone_otp/provideraccount/add/?backend=telefon-ip-flash"
NEW_BLOCK = {"prefix": "+7924450", "until": "2026-03-02T12:00"}
ADD_BLOCK = "/admin/phone_otp/blockedprefix/add/"


@pytest.mark.django_db(transaction=True)
def test_an_operator_adds_an_account(admin_client, admin_user, acts):
    answered = admin_client.post(ADD_ACCOUNT, NEW_ACCOUNT)
    assert answered.status_code == 302
    assert acts() == [{"action": "add_account", "operator": admin_user.pk, "account": "texts"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clock")
def test_an_operator_closes_a_prefix_and_opens_it_again(admin_client, admin_user, acts):
    admin_client.post(ADD_BLOCK, NEW_BLOCK)
    pk = BlockedPrefix.objects.get().pk
    admin_client.post(f"/admin/phone_otp/blockedprefix/{pk}/delete/", {"post": "yes"})
    known = {"operator": admin_user.pk, "scope": "+7924450"}
    assert acts() == [{"action": "block_prefix", **known}, {"action": "lift_prefix", **known}]


@pytest.fixture
def _history_that_breaks() -> Iterator[None]:
    """Have the admin's own log, which is written last, fail."""

    def fail(**_kwargs: Any) -> None:
        raise OSError("no room for history")

    pre_save.connect(fail, sender=LogEntry)
    yield
    pre_save.disconnect(fail, sender=LogEntry)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_history_that_breaks", "clock")
@pytest.mark.parametrize(
    ("page", "body"), [(ADD_ACCOUNT, NEW_ACCOUNT), (ADD_BLOCK, NEW_BLOCK)], ids=["account", "block"]
)
def test_what_is_rolled_back_was_not_done(admin_client, acts, page, body):
    with pytest.raises(OSError, match="no room for history"):
        admin_client.post(page, body)
    assert (ProviderAccount.objects.count(), BlockedPrefix.objects.count()) == (0, 0)
    assert acts() == []


@pytest.mark.django_db(transaction=True)
def test_an_operator_unlocks_a_phone_of_the_list(admin_client, admin_user, acts):
    ledger = make_ledger(DAY, disabled_at=DAY_AGO)
    chosen = {"action": "unlock_phones", "_selected_action": [ledger.pk]}
    admin_client.post("/admin/phone_otp/phoneledger/", chosen)
    assert acts() == [{"action": "unlock", "operator": admin_user.pk, "phone": MASKED}]


@pytest.mark.django_db(transaction=True)
def test_an_operator_exports_challenges(admin_client, admin_user, acts):
    admin_client.post("/admin/phone_otp/phonechallenge/export/")
    (act,) = acts()
    assert (act["action"], act["operator"]) == ("export_csv", admin_user.pk)
