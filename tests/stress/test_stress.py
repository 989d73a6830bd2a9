"""Sixteen people, a service that fails half of its calls, and a killer of workers; then the audit.

`PHONE_OTP_STRESS_SECONDS` is how long it goes on, `PHONE_OTP_STRESS_SEED` makes the people do the
same again (the machine does not). With `-s`, or where it fails, a table says what happened.
"""

import json
import os
import random
import time
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from django_phone_otp.flow.breakers import close_breaker
from django_phone_otp.models import DeliveryAttempt, DeviceLedger, PhoneChallenge
from tests.parallel.conftest import running_site
from tests.redis_server import RedisServer

from .people import Journal, Person
from .promises import (
    FAILURES_IN_A_DAY,
    MAX_ATTEMPTS,
    PROMISES,
    SENDS_IN_AN_HOUR,
    WAITS,
    Run,
    halfway_logins,
    messages_without_a_row,
)
from .services import Services
from .workers import Killer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="workers are found in /proc"),
]

PEOPLE_COUNT = 16
SECONDS = float(os.environ.get("PHONE_OTP_STRESS_SECONDS", "6"))
SEED = int(os.environ.get("PHONE_OTP_STRESS_SEED", str(random.randrange(10**6))))
KILL_EVERY_SECONDS = 10 if SECONDS >= 30 else 2
DAILY_LIMIT = round(4 + SECONDS)  # is used up before the run is half over
KEYS = {
    "RESEND_WAITS": WAITS,
    "MAX_ATTEMPTS": MAX_ATTEMPTS,
    "LIMITS": {
        **{name: [f"{SENDS_IN_AN_HOUR}/h", "10/d"] for name in ("send_phone", "send_device")},
        **dict.fromkeys(("fail_phone", "fail_device"), f"{FAILURES_IN_A_DAY}/d"),
        # All come from one address, and many of them guess.
        **dict.fromkeys(("request_ip", "confirm_ip", "fail_all"), "1000000/h"),
    },
}


def go(port: int, services: Services) -> tuple[Journal, list[float]]:
    """Let people log in and the killer kill, until the time is over."""
    # An operator trusts the shaky account again and again: else its breaker would spare it.
    killer = Killer(port, KILL_EVERY_SECONDS, afterwards=lambda: close_breaker("shaky"))
    began = time.monotonic()
    people = [
        Person(port, services, SEED * PEOPLE_COUNT + number, began, began + SECONDS)
        for number in range(PEOPLE_COUNT)
    ]
    for each in (killer, *people):
        each.start()
    journal = Journal()
    for person in people:
        person.join()
        if person.error:
            raise person.error
        journal.add(person.journal)
    killer.stop()
    return journal, killer.kills


def describe(run: Run, stuck_count: int, swept: str) -> str:
    """Write down what happened."""
    told, journal = run.journal.told, run.journal
    took = sorted(each.ended - each.began for each in told)
    statuses = Counter(f"{each.name} {each.status} {each.code}".strip() for each in told)
    outcomes = Counter(
        f"{account or 'swept'} {outcome}"
        for account, outcome in DeliveryAttempt.objects.values_list("account", "outcome")
    )
    sent = [len(run.services.messages(phone)) for phone in run.services.phones()]
    lines = {
        "seed": SEED,
        "seconds": SECONDS,
        "kills": len(run.kills),
        "requests answered": len(told),
        "answers lost": len(journal.lost),
        "answered in, median / 95 % / longest": f"{took[len(took) // 2]:.3f} / "
        f"{took[len(took) * 95 // 100]:.3f} / {took[-1]:.3f} s",
        "challenges": PhoneChallenge.objects.count(),
        "logins told": len(journal.logins),
        "  of them sign-ups": sum(each.body["user"]["created"] for each in journal.logins),
        "logins whose answer was lost": journal.closed_after_loss_count,
        "codes right, login cut off": halfway_logins(),
        "wrong codes told": len(journal.wrong),
        "known devices that asked": DeviceLedger.objects.count(),
        "messages sent": sum(sent),
        "  most to one phone": max(sent, default=0),
        "messages without a row": messages_without_a_row(run),
        "faults of the shaky service": run.services.shaky.failure_count,
        "stuck in sending before the sweep": stuck_count,
        "the sweep": swept,
    }
    table = [f"{name:<40}{value}" for name, value in lines.items()]
    table += ["", *(f"{name:<40}{count}" for name, count in sorted(statuses.items()))]
    table += ["", *(f"{name:<40}{count}" for name, count in sorted(outcomes.items()))]
    return "\n".join(table)


def test_s22_nothing_is_lost_under_stress(tmp_path, settings, monkeypatch):
    log, swept = tmp_path / "log", StringIO()
    with RedisServer() as redis, Services(DAILY_LIMIT) as services:
        settings.CACHES, settings.RATELIMIT_USE_CACHE = redis.caches, "limits"
        monkeypatch.setenv("PHONE_OTP_TEST_CACHES", json.dumps(redis.caches))
        keys = {"PROVIDERS": services.providers, **KEYS}
        with running_site(log, settings="tests.stress.settings", **keys) as site:
            journal, kills = go(site.port, services)
            stuck_count = PhoneChallenge.objects.filter(state="sending", code_digest="").count()
            call_command("phone_otp_sweep", "--older-than", "0", stdout=swept)
            run = Run(port=site.port, services=services, journal=journal, kills=kills, log=log)
            print(f"\n{describe(run, stuck_count, swept.getvalue().strip())}\n")
            broken = {each.__name__: found for each in PROMISES if (found := list(each(run)))}

    assert broken == {}
