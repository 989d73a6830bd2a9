"""Counts of traffic at one moment: whatever they do to each other, all is counted once."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from django_phone_otp.choices import Span
from django_phone_otp.flow.traffic import count_traffic
from django_phone_otp.models import TrafficCount
from tests.parallel.conftest import PATIENCE_SECONDS, ROOT
from tests.rows import make_challenges, make_ledger

pytestmark = pytest.mark.django_db(transaction=True)

COUNTERS_COUNT, ROUNDS_COUNT = 4, 8

# Counts again and again, and tells how each count ended.
COUNT = """
import json, sys
import django
django.setup()
from django.utils import timezone
from django_phone_otp.flow.traffic import count_traffic
print("ready", flush=True)
sys.stdin.readline()
steps = [count_traffic(timezone.now()) for _ in range(int(sys.argv[1]))]
print(json.dumps([[each.is_complete, each.gave_way] for each in steps]))
"""


def test_counts_at_one_moment_count_all_once():
    for number in range(6):
        age = timedelta(hours=number * 5)
        make_challenges(age, make_ledger(age, f"+7924450700{number}"), 20)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.parallel.settings",
        "PHONE_OTP_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PHONE_OTP_TEST_KEYS": "{}",
    }
    command = [sys.executable, "-c", COUNT, str(ROUNDS_COUNT)]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        counters = [
            stack.enter_context(
                subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
                )
            )
            for _ in range(COUNTERS_COUNT)
        ]
        for each in counters:
            assert each.stdout
            assert each.stdout.readline() == "ready\n"
        for each in counters:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        told = [json.loads(each.communicate(timeout=PATIENCE_SECONDS)[0]) for each in counters]

    assert [each.returncode for each in counters] == [0] * COUNTERS_COUNT
    ends = [tuple(end) for ends in told for end in ends]
    assert set(ends) <= {(True, False), (False, True)}  # each is complete, or gave way
    assert (True, False) in ends

    assert count_traffic(timezone.now()).is_complete
    hours = TrafficCount.objects.filter(span=Span.HOUR)
    assert hours.aggregate(all=Sum("requested_count")) == {"all": 120}
    assert sum(each["outcomes"]["sent"] for each in _details(hours)) == 120
    markers = hours.filter(channel="").values_list("starts_at", flat=True)
    assert len(markers) == len(set(hours.values_list("starts_at", flat=True)))


def _details(hours):
    return [each for each in hours.values_list("details", flat=True) if "outcomes" in each]
