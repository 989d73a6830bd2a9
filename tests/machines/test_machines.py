"""Two sites and two workers under load, each of them killed, and what they stand on restarted.

`PHONE_OTP_MACHINES_SECONDS` is how long the trouble goes on. `PHONE_OTP_MACHINES_SEED` makes the
callers and the trouble do the same again (the machine does not). With `-s`, or where it fails, a
table says what happened.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from typing import cast

import pytest
from django.db.models import F

from django_phone_otp.models import DeliveryAttempt, PendingDelivery, PhoneChallenge
from tests.stress.people import PATIENCE_SECONDS, Journal, fresh_numbers
from tests.stress.promises import (
    FAILURES_IN_A_DAY,
    MAX_ATTEMPTS,
    SENDS_IN_AN_HOUR,
    WAITS,
    halfway_logins,
)
from tests.stress.services import Services

from .callers import Caller
from .database import Postgres
from .machines import Cluster, Site, wait_until
from .promises import ADDRESS_LIMIT, PROMISES, Storm
from .trouble import Trouble

CALLERS_COUNT = 12
SECONDS = float(os.environ.get("PHONE_OTP_MACHINES_SECONDS", "14"))
SEED = int(os.environ.get("PHONE_OTP_MACHINES_SEED", str(random.randrange(10**6))))
LOGINS_AFTERWARDS_COUNT = 5
ANSWER_SECONDS = 0.1
SETTLED_SECONDS = 2.0  # a worker tells within this time what became of what it has taken
QUEUES = {
    "database": "tests.machines.twice.TasksTwice",
    "celery-threads": "tests.machines.twice.CeleryTwice",
}
KEYS = {
    "RESEND_WAITS": WAITS,
    "MAX_ATTEMPTS": MAX_ATTEMPTS,
    "LIMITS": {
        **{name: [f"{SENDS_IN_AN_HOUR}/h", "10/d"] for name in ("send_phone", "send_device")},
        **dict.fromkeys(("fail_phone", "fail_device"), f"{FAILURES_IN_A_DAY}/d"),
        # So long a window does not end while somebody looks.
        "request_ip": f"{ADDRESS_LIMIT}/365d",
        **dict.fromkeys(("confirm_ip", "fail_all"), "1000000/h"),
    },
}


def go(cluster: Cluster, postgres: Postgres) -> Storm:
    """Let callers log in while there is trouble, and for some logins more; then clean up."""
    enough = threading.Event()
    callers = [
        Caller(cluster, SEED * CALLERS_COUNT + number, enough) for number in range(CALLERS_COUNT)
    ]
    with Trouble(cluster, postgres, SEED, SECONDS) as trouble:
        try:
            for caller in callers:
                caller.start()
            trouble.wait()
            wanted_count = count_logins(callers) + LOGINS_AFTERWARDS_COUNT
            wait_until(lambda: count_logins(callers) >= wanted_count, "people log in afterwards")
        finally:
            enough.set()
        journal, let_through = Journal(), Counter[str]()
        for caller in callers:
            caller.join()
            journal.add(caller.journal)
            let_through += caller.let_through
        count_logins(callers)
        clean_up(cluster)
    return Storm(
        port=cluster.sites[0].port,
        services=cast(Services, cluster.post),
        journal=journal,
        kills=trouble.kills,
        log=cluster.sites[0].log,
        cluster=cluster,
        trouble=trouble,
        let_through=let_through,
    )


def count_logins(callers: list[Caller]) -> int:
    """Count the logins so far; raises what has stopped a caller."""
    for caller in callers:
        if caller.error:
            raise caller.error
    return sum(len(caller.journal.logins) for caller in callers)


def clean_up(cluster: Cluster) -> None:
    """Sweep as cron does, with more time between than there was: what is lost is put in again."""
    wait_until_settled()
    waiting = PendingDelivery.objects.filter(claimed_at=None)
    waiting.update(queued_at=F("queued_at") - timedelta(minutes=1))
    print("\n", cluster.run("phone_otp_sweep"))
    wait_until(lambda: not waiting.exists(), "workers take what was put in again")
    wait_until_settled()
    print(cluster.run("phone_otp_sweep", "--older-than", "0"))


def wait_until_settled() -> None:
    """Wait until nobody is at any delivery: what is left now is left for good."""
    left, since = None, time.monotonic()
    while time.monotonic() < since + SETTLED_SECONDS:
        now = list(PendingDelivery.objects.order_by("pk").values_list("pk", "claimed_at"))
        if now != left:
            left, since = now, time.monotonic()
        time.sleep(0.2)


def describe(run: Storm) -> str:
    """Write down what happened."""
    told = run.journal.told
    took = sorted(each.ended - each.began for each in told)
    statuses = Counter(f"{each.name} {each.status} {each.code}".strip() for each in told)
    outcomes = Counter(DeliveryAttempt.objects.values_list("outcome", flat=True))
    lines = {
        "seed": SEED,
        "seconds": SECONDS,
        "requests answered": len(told),
        "answers lost": len(run.journal.lost),
        "answered in, median / 95 % / longest": f"{took[len(took) // 2]:.3f} / "
        f"{took[len(took) * 95 // 100]:.3f} / {took[-1]:.3f} s",
        "challenges": PhoneChallenge.objects.count(),
        "logins told": len(run.journal.logins),
        "logins whose answer was lost": run.journal.closed_after_loss_count,
        "codes right, login cut off": halfway_logins(),
        "wrong codes told": len(run.journal.wrong),
        "messages sent": sum(len(run.services.messages(each)) for each in run.services.phones()),
        "ended by themselves": dict(run.trouble.returns),
    }
    table = [f"{name:<40}{value}" for name, value in lines.items()]
    table += ["", *run.trouble.happened]
    table += ["", *(f"{name:<40}{count}" for name, count in sorted(statuses.items()))]
    table += ["", *(f"{name:<40}{count}" for name, count in sorted(outcomes.items()))]
    return "\n".join(table)


def ask_from(address: str, site: Site) -> int:
    """Ask for a code for a phone that nobody has asked for; give the status."""
    client = HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE_SECONDS)
    try:
        body = json.dumps({"phone": f"+7924{next(fresh_numbers)}"})
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        client.request("POST", "/api/phone/request/", body, headers)
        return client.getresponse().status
    finally:
        client.close()


@pytest.mark.parametrize(("kind", "queue"), QUEUES.items())
def test_s22_nothing_is_lost_and_nothing_done_twice_while_machines_fail(
    open_cluster, postgres, kind, queue
):
    given = {"answer_seconds": ANSWER_SECONDS, "log_level": "WARNING", "DISPATCH": queue}
    with open_cluster(kind, **given, **KEYS) as cluster:
        for site in [cluster.add_site(), cluster.add_site()]:
            site.wait()
        for _ in range(2):
            cluster.add_worker()
        run = go(cluster, postgres)
        print(f"\n{describe(run)}\n")
        broken = {each.__name__: found for each in PROMISES if (found := list(each(run)))}
        # And the limit of an address, counted by both sites at one moment.
        asked = [("203.0.113.9", site) for site in cluster.sites] * ADDRESS_LIMIT
        with ThreadPoolExecutor(len(asked)) as pool:
            statuses = Counter(pool.map(lambda each: ask_from(*each), asked))

    assert broken == {}
    assert statuses == {201: ADDRESS_LIMIT, 429: ADDRESS_LIMIT}
