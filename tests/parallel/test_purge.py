"""Purges at one moment, and requests for the phones whose rows they are about to remove."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from django_phone_otp.models import PhoneChallenge, PhoneLedger
from tests.parallel.conftest import PATIENCE_SECONDS, ROOT
from tests.rows import DAY, TRAILS, make_challenges, make_ledger

pytestmark = pytest.mark.django_db(transaction=True)

PHONES = [f"+79244504{number:03}" for number in range(60)]

# Waits for the first row of a request, purges until there is nothing more, and tells how much.
PURGE = """
import json, sys
from datetime import timedelta
import django
django.setup()
from django.utils import timezone
from django_phone_otp import conf
from django_phone_otp.flow.retention import Purged, purge
from django_phone_otp.models import PhoneChallenge
batch_size, waits = json.loads(sys.argv[1])
day_ago = timezone.now() - timedelta(days=1)
print("ready", flush=True)
while waits and not PhoneChallenge.objects.filter(created_at__gt=day_ago).exists():
    pass
removed = [0, 0]
for _ in range(3):
    last = Purged()
    for last in purge(conf.read(), timezone.now(), batch_size=batch_size):
        pass
    removed = [removed[0] + last.challenges_count, removed[1] + last.phone_ledgers_count]
print(json.dumps(removed))
"""


@contextmanager
def purging(batch_size: int, *, waits: bool) -> Iterator[subprocess.Popen[str]]:
    """Run a purge in a process of its own, on the database of the running test."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.parallel.settings",
        "PHONE_OTP_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PHONE_OTP_TEST_KEYS": "{}",
    }
    command = [sys.executable, "-c", PURGE, json.dumps([batch_size, waits])]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Wait for its end; gives how many challenges and phones' ledgers it has removed."""
    written, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    challenges_count, ledgers_count = json.loads(written)
    return challenges_count, ledgers_count


# The moments that matter are short: `tests/test_retention.py` stops the clock at each of them. This
# shows that real processes neither wait for each other crosswise nor come upon another one.
def test_s23_no_request_is_lost_to_a_purge(site):
    for phone in PHONES:
        make_ledger(31 * DAY, phone)
    with ExitStack() as stack:
        purges = [stack.enter_context(purging(size, waits=True)) for size in (1, 7, 60)]
        answers = site([("request", {"phone": phone}) for phone in PHONES])
        for each in purges:
            end(each)

    assert {each.status for each in answers} == {201}
    assert PhoneLedger.objects.count() == PhoneChallenge.objects.count() == len(PHONES)
    for ledger in PhoneLedger.objects.all():
        assert (len(ledger.sends), ledger.challenges.count()) == (1, 1)


def test_s23_two_purges_share_the_work(site):
    for phone in PHONES[:10]:
        make_challenges(31 * DAY, make_ledger(31 * DAY, phone), 60)
    young = make_challenges(timedelta(0), make_ledger(timedelta(0)), 10)
    with ExitStack() as stack:
        purges = [stack.enter_context(purging(size, waits=False)) for size in (7, 11)]
        removed = [end(each) for each in purges]

    assert [sum(counts) for counts in zip(*removed, strict=True)] == [600, 10]
    assert set(PhoneChallenge.objects.all()) == set(young)
    assert [trail._default_manager.count() for trail in TRAILS] == [10, 10, 10]
