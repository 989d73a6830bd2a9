"""What Prometheus reads of logins: exact samples, labels that no stranger can make more of."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from django_phone_otp import audit, metrics, signals
from django_phone_otp.choices import Channel, DeliveryOutcome, Guard, Purpose, Refusal
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge
from django_phone_otp.phone import is_region
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes_admin import make_account

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent
Samples = dict[tuple[str, ...], float]


def read_all() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read what Prometheus would: each sample of ours, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(REGISTRY).decode())
        for sample in family.samples
        if sample.name.startswith("phone_otp_") and not sample.name.endswith("_created")
    }


@pytest.fixture
def added() -> Callable[[str], Samples]:
    """Give what has been added to a metric since the test began, by the labels' values."""
    before = read_all()

    def read(name: str) -> Samples:
        declared = [*vars(REGISTRY)["_names_to_collectors"][f"phone_otp_{name}"]._labelnames, "le"]
        return {
            tuple(dict(labels)[each] for each in declared if each in dict(labels)): more
            for (found, labels), value in read_all().items()
            if found == f"phone_otp_{name}" and (more := value - before.get((found, labels), 0))
        }

    return read


def log_in(post: Any, **asked: Any) -> None:
    challenge = post("request", phone=PHONE, **asked).json()["challenge"]
    assert post("confirm", challenge=challenge, code=local.outbox[-1].code).status_code == 200


# Real logins


def test_a_request_that_is_accepted(post, added):
    log_in(post)
    assert added("requests_total") == {("request", "login", "sms", "accepted"): 1}


def test_a_request_that_is_refused(post, added):
    post("request", phone=PHONE)
    post("request", phone=PHONE)
    refused = ("request", "login", "", "resend_too_soon")
    assert added("requests_total")[refused] == 1


def test_a_resend(post, added, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("resend", challenge=challenge)
    post("resend", challenge="unknown")
    resends = {
        labels[1:]: n for labels, n in added("requests_total").items() if labels[0] == "resend"
    }
    assert resends == {("login", "sms", "accepted"): 1, ("", "", "unknown_challenge"): 1}


def test_a_request_that_is_repeated_counts_once(api, added):
    for _ in range(2):
        body = {"phone": PHONE}
        api.post("/api/phone/request/", body, format="json", HTTP_IDEMPOTENCY_KEY="k" * 20)
    assert added("requests_total") == {("request", "login", "sms", "accepted"): 1}
    assert sum(added("messages_total").values()) == 1


def test_a_message(post, added):
    log_in(post)
    assert added("messages_total") == {("memory", "locmem", "sms", "RU", "sent"): 1}


def test_messages_that_fail_on_the_way(post, added, phone_otp):
    accounts = fakes.providers(
        first={"error": "ProviderUnavailable"}, second={"error": "InsufficientFunds"}, third={}
    )
    phone_otp(PROVIDERS=accounts)
    post("request", phone=PHONE)
    outcomes = {(labels[0], labels[4]): n for labels, n in added("messages_total").items()}
    assert outcomes == {
        ("first", "unavailable"): 1,
        ("second", "no_funds"): 1,
        ("third", "sent"): 1,
    }


def test_a_message_that_is_withheld_is_none(post, added, phone_otp):
    phone_otp(SIGNUP=False)
    post("request", phone=PHONE)
    assert added("messages_total") == {}
    assert added("requests_total") == {("request", "login", "sms", "accepted"): 1}


def test_the_right_code(post, added, clock):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(17)
    post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert added("answers_total") == {("login", "sms", "verified"): 1}
    assert added("verified_total") == {("login", "memory", "locmem", "sms", "RU"): 1}
    assert added("logins_total") == {("true",): 1}
    sums = added("sent_to_verified_seconds_sum")
    assert sums == {("memory", "locmem", "sms"): pytest.approx(17)}
    buckets = {labels[-1] for labels in added("sent_to_verified_seconds_bucket")}
    assert buckets == {"20.0", "30.0", "60.0", "90.0", "120.0", "180.0", "300.0", "600.0", "+Inf"}


def test_a_login_of_a_user_who_was_there(post, added, clock):
    log_in(post)
    clock.shift(60)
    log_in(post)
    assert added("logins_total") == {("true",): 1, ("false",): 1}


def test_answers_that_are_refused(post, added):
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=challenge, code="not it")
    post("confirm", challenge="nothing", code="not it")
    assert added("answers_total") == {
        ("login", "sms", "wrong_code"): 1,
        ("", "", "unknown_challenge"): 1,
    }


@pytest.mark.parametrize(("most", "scope"), [(100, "challenge"), (1, "phone")])
def test_one_wrong_code_too_many(post, added, phone_otp, most, scope):
    phone_otp(MAX_ATTEMPTS=1, LIMITS={"fail_phone_total": most})
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=challenge, code="not it")
    assert added("locked_total") == {(scope,): 1}


@pytest.mark.parametrize(("mode", "blocked"), [("block", "true"), ("shadow", "false")])
def test_a_guard_that_objects(post, added, phone_otp, mode, blocked):
    phone_otp(DENIED_REGIONS=["RU"], GUARDS={"region": {"MODE": mode}})
    post("request", phone=PHONE)
    assert added("guard_objections_total") == {("region", blocked): 1}


def test_an_alarm(post, added, phone_otp):
    phone_otp(LIMITS={"fail_all": "1/h"}, RESEND_WAITS=[0])
    challenge = post("request", phone=PHONE).json()["challenge"]
    for _ in range(3):
        post("confirm", challenge=challenge, code="not it")
    assert added("alarms_total") == {("fail_all",): 1}


def test_a_breaker_that_opens_and_closes(post, added, phone_otp, clock):
    phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "99/h"})
    phone_otp(PROVIDERS=fakes.providers(shaky={"error": "ProviderUnavailable"}))
    for _ in range(5):
        post("request", phone=PHONE)
    gauge = ("phone_otp_breaker_open_until_timestamp_seconds", (("account", "shaky"),))
    assert read_all()[gauge] == NOW.timestamp() + 60
    assert added("breaker_opened_total") == {("shaky",): 1}
    phone_otp(PROVIDERS=fakes.providers(shaky={}))
    clock.shift(61)
    post("request", phone=PHONE)
    assert read_all()[gauge] == 0


# Deliveries that tests cannot make by a login


def deliver(**columns: Any) -> None:
    delivery = DeliveryAttempt(
        **{
            "account": "calls",
            "provider": "telefon-ip-flash",
            "channel": Channel.FLASH_CALL,
            "outcome": DeliveryOutcome.SENT,
            "duration_ms": 250,
            **columns,
        }
    )
    signal = signals.code_sent if delivery.outcome == "sent" else signals.delivery_failed
    signal.send(PhoneChallenge, challenge=PhoneChallenge(region="RU"), delivery=delivery)


def test_the_cost_adds_up(added):
    deliver(cost=Decimal("1.25"), currency="RUB")
    deliver(cost=Decimal("0.75"), currency="rub")
    deliver(cost=None)
    assert added("cost_total") == {("calls", "RUB"): pytest.approx(2)}


def test_the_time_of_a_provider(added):
    deliver(duration_ms=250)
    deliver(duration_ms=1_500, outcome=DeliveryOutcome.UNCERTAIN)
    labels = ("calls", "telefon-ip-flash", "flash_call")
    assert added("provider_answer_seconds_sum") == {labels: pytest.approx(1.75)}
    assert added("provider_answer_seconds_bucket")[(*labels, "0.5")] == 1
    assert added("provider_answer_seconds_bucket")[(*labels, "2.0")] == 2


def test_a_provider_that_was_not_asked_has_no_time(added):
    deliver(duration_ms=0, outcome=DeliveryOutcome.OVER_BUDGET)
    assert added("provider_answer_seconds_count") == {}
    assert sum(added("messages_total").values()) == 1


# Inspections


def inspect(alias: str, **options: str) -> dict[str, float]:
    """Have an account inspected; give its gauges, the balance under its currency."""
    make_account(alias, options={"key": "k", **options})
    with suppress(CommandError):
        call_command("phone_otp_providers", stdout=io.StringIO())
    return {
        dict(labels).get("currency") or name.removeprefix("phone_otp_"): value
        for (name, labels), value in read_all().items()
        if dict(labels).get("account") == alias
    }


def test_the_balance_as_of_the_last_inspection():
    assert inspect("in-roubles", balance="7.50 RUB") == {
        "account_works": 1,
        "RUB": 7.5,
        "breaker_open_until_timestamp_seconds": 0,
    }


def test_a_balance_of_messages_has_no_currency():
    assert inspect("in-messages", balance="12")["balance"] == 12


def test_an_account_that_does_not_work():
    assert inspect("broken", error="ProviderUnavailable")["account_works"] == 0


# Strangers


def make_hostile(number: int) -> dict[str, Any]:
    return {"phone": f"+7924450{number:04}", "channel": f"channel-{number}", "device": f"d{number}"}


def test_strangers_make_no_labels(api, phone_otp):
    """Phones, user agents, channels and challenges that strangers type: no series more."""
    # They would be news, once: a guard has shut.
    phone_otp(GUARDS={each: {"MODE": "off"} for each in Guard if each.endswith("_traffic")})

    def attack(numbers: range) -> None:
        for number in numbers:
            api.credentials(
                HTTP_USER_AGENT=f"agent {number}", REMOTE_ADDR=f"203.0.113.{number % 250}"
            )
            hostile = make_hostile(number)
            api.post("/api/phone/request/", hostile, format="json")
            api.post("/api/phone/request/", {**hostile, "channel": "sms"}, format="json")
            challenge = {"challenge": f"c{number}", "code": f"{number:06}"}
            api.post("/api/phone/confirm/", challenge, format="json")
            signals.code_requested.send(
                PhoneChallenge,
                challenge=None,
                refusal=Refusal.UNAVAILABLE,
                purpose=f"purpose-{number}",
                channel=f"channel-{number}",
                is_resend=False,
                client=None,
            )

    attack(range(20))
    before = set(read_all())
    attack(range(20, 60))
    assert set(read_all()) == before


CLOSED: dict[str, set[str]] = {
    "kind": {"request", "resend"},
    "purpose": {"", *Purpose.values},
    "channel": {"", *Channel.values},
    "guard": set(Guard.values),
    "blocked": {"true", "false"},
    "created": {"true", "false"},
    "scope": {"challenge", "phone"},
    "outcome": {"accepted", "verified", *Refusal.values, *DeliveryOutcome.values},
    "limit": {"fail_all", "send_all", "send_region", *Guard.values},
}
OF_OPERATORS = {"account", "provider"}


def test_each_label_is_a_closed_set(post, phone_otp):
    phone_otp(DENIED_REGIONS=["BY"])
    log_in(post)
    post("request", phone="+375291234567")
    deliver(cost=Decimal(1), currency="€?")
    for _name, labels in read_all():
        for label, value in labels:
            if label in OF_OPERATORS or label == "le":
                continue
            if label == "region":
                assert not value or is_region(value)
            elif label == "currency":
                assert not value or (len(value) == 3 and value.isupper())
            else:
                assert value in CLOSED[label]


# Listening


def test_names_begin_with_the_app():
    made = [each for each in vars(metrics).values() if hasattr(each, "_name")]
    assert {each._name.split("_")[:2] == ["phone", "otp"] for each in made} == {True}


def test_all_metrics_have_labels():
    """One without is written when it is made, and a site could not start without a place for it."""
    assert [
        each for each in vars(metrics).values() if getattr(each, "_labelnames", None) == ()
    ] == []


def test_to_listen_twice_counts_once(post, added):
    metrics.connect()
    apps.get_app_config("phone_otp").ready()
    log_in(post)
    assert added("logins_total") == {("true",): 1}


BEGINS = """
import django
django.setup()
from django.core.signals import request_started
from prometheus_client import generate_latest
def find():
    lines = generate_latest().decode().splitlines()
    return [line for line in lines if line.startswith("phone_otp_alarms_total{")]
print(len(find()))
request_started.send(None)
print(len(find()))
request_started.send(None)
print(len(find()))
print(find()[0])
"""


def test_what_alerts_wait_for_begins_at_zero_with_the_first_request():
    *counts, first = run(BEGINS).stdout.splitlines()
    assert counts == ["0", "6", "6"]
    assert first == 'phone_otp_alarms_total{limit="send_region"} 0.0'


def test_a_place_for_many_processes_that_is_not_there_costs_no_request(tmp_path):
    place = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "missing")}
    script = "import django\ndjango.setup()\nfrom django.core.signals import request_started\n"
    assert run(f'{script}request_started.send(None)\nprint("served")', **place).stdout == "served\n"


def test_a_process_that_serves_no_request_leaves_no_file(tmp_path):
    run("import django\ndjango.setup()", PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_second_import_goes_on_where_the_first_was():
    """In a process of its own: the receivers of the first import live until they are collected."""
    script = """
import django, importlib
django.setup()
from django_phone_otp import metrics
before = metrics.LOGINS
importlib.reload(metrics)
print(metrics.LOGINS is before)
"""
    assert run(script).stdout == "True\n"


def test_s22_a_metric_that_fails_costs_nobody_a_login(post, caplog):
    def fail(**_: Any) -> None:
        raise OSError("no room for metrics")

    heard = [*metrics.RECEIVERS, *audit.RECEIVERS]
    for signal in heard:
        signal.connect(fail)
    try:
        log_in(post)
    finally:
        for signal in heard:
            signal.disconnect(fail)
    assert "no room for metrics" in caplog.text


def test_without_the_extra_nothing_is_missed():
    """In a process of its own, in which nobody can import it."""
    script = """
import sys
sys.modules["prometheus_client"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "prometheus_client" else find(name, *a)
import django
django.setup()
from django_phone_otp import signals
assert "django_phone_otp.metrics" not in sys.modules
print(len(signals.breaker_opened.receivers))
"""
    assert run(script).stdout.strip() == "0"


def test_one_that_is_too_old_for_us_stops_no_site():
    """As it is with prometheus_client 0.17, installed for something else."""
    script = """
import prometheus_client
class Gauge(prometheus_client.Gauge):
    _MULTIPROC_MODES = prometheus_client.Gauge._MULTIPROC_MODES - {"mostrecent"}
prometheus_client.Gauge = Gauge
import django
django.setup()
from django_phone_otp import signals
print(len(signals.breaker_opened.receivers))
print("phone_otp" in prometheus_client.generate_latest().decode())
"""
    finished = run(script)
    assert finished.stdout.split() == ["0", "False"]
    assert (
        'metrics_left_out reason="prometheus_client is too old: 0.20 or newer is needed"'
        in finished.stderr
    )


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


# Several processes

WORKER = """
import sys
import django
django.setup()
from datetime import datetime, UTC
from django_phone_otp import signals
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge
delivery = DeliveryAttempt(
    account="calls", provider="fake", channel="sms", outcome="sent", duration_ms=100
)
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 2):
    signals.code_sent.send(None, challenge=PhoneChallenge(region="RU"), delivery=delivery)
"""
READER = """
import json
from prometheus_client import CollectorRegistry, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(json.dumps([
    [sample.name, sample.value]
    for family in registry.collect()
    for sample in family.samples
    if sample.labels.get("account") == "calls" and "le" not in sample.labels
]))
"""
OPENS = """
until = datetime(2026, 3, 1, tzinfo=UTC)
signals.breaker_opened.send(None, account="calls", failures_count=5, open_until=until)
"""
CLOSES = 'signals.breaker_closed.send(None, account="calls")\n'


def test_two_processes_are_read_as_one(tmp_path):
    place = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    run(WORKER + OPENS, **place)
    run(WORKER, **place)
    assert sorted(json.loads(run(READER, **place).stdout)) == [
        ["phone_otp_breaker_open_until_timestamp_seconds", 1_772_323_200],
        ["phone_otp_breaker_opened_total", 1],
        ["phone_otp_messages_total", 4],
        ["phone_otp_provider_answer_seconds_count", 4],
        ["phone_otp_provider_answer_seconds_sum", pytest.approx(0.4)],
    ]


def test_of_a_gauge_the_newest_value_counts_whoever_wrote_it(tmp_path):
    place = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    run(WORKER + OPENS, **place)
    run(WORKER + CLOSES, **place)
    read = json.loads(run(READER, **place).stdout)
    assert [each for each in read if "until" in each[0]] == [
        ["phone_otp_breaker_open_until_timestamp_seconds", 0]
    ]
