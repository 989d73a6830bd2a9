"""Real workers of each kind of queue: killed, handed a delivery twice, without their queue."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F

from django_phone_otp.models import (
    DeliveryAttempt,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
)
from tests.parallel.test_faults import GENEROUS, Browser
from tests.stress.people import fresh_numbers

from .machines import KINDS, Cluster, wait_until
from .places import overheard, read_all
from .post import Letter

# So long that no number of anything else is one by chance.
CODE_LENGTH = 14
MAX_ATTEMPTS = 5
PUT_IN_AGAIN = ["0 deliveries closed.", "1 delivery put into the queue again."]
KEYS = {"CODE_LENGTH": CODE_LENGTH, "MAX_ATTEMPTS": MAX_ATTEMPTS, "LIMITS": GENEROUS}
# One of Celery's ways to run a task is enough where nobody is killed.
SOME = ["database", "rq", "celery-prefork"]
# Where the queue can be away while the database is there.
IN_REDIS = ["rq", "celery-prefork"]


@pytest.fixture(scope="module", params=SOME)
def site_and_queue(request, open_cluster) -> Iterator[Cluster]:
    """A site without any worker."""
    with open_cluster(request.param, **KEYS) as cluster:
        cluster.add_site().wait()
        yield cluster


@pytest.fixture
def cluster(site_and_queue: Cluster) -> Iterator[Cluster]:
    yield site_and_queue
    site_and_queue.post.release()
    site_and_queue.lose_workers()


class Visitor:
    """Logs in at the site with a phone of their own."""

    def __init__(self, cluster: Cluster) -> None:
        self.phone = f"+7924{next(fresh_numbers)}"
        self.browser = Browser(cluster.sites[0].port)
        self._post = cluster.post
        self._challenge = ""

    def ask(self) -> tuple[int, str]:
        """Ask for a code; give status and word of the answer."""
        answer = self.browser.post("request", phone=self.phone)
        self._challenge = self.browser.body["challenge"]
        return answer

    def ask_again(self) -> tuple[int, str]:
        """Ask for another code when the wait is over."""
        PhoneLedger.objects.update(last_sent_at=None)
        return self.browser.post("resend", challenge=self._challenge)

    @property
    def state(self) -> str:
        self.browser.look(self._challenge)
        return str(self.browser.body["state"])

    @property
    def letters(self) -> list[Letter]:
        return self._post.messages(self.phone)

    @property
    def outcomes(self) -> list[str]:
        """Give what the operators see of the deliveries."""
        attempts = DeliveryAttempt.objects.filter(challenge__phone=self.phone)
        return list(attempts.order_by("pk").values_list("outcome", flat=True))

    def type_code(self) -> tuple[int, str]:
        """Answer with the newest code."""
        code = self.letters[-1].code
        return self.browser.post("confirm", challenge=self._challenge, code=code)

    def log_in(self) -> None:
        """Wait for the code and type it."""
        wait_until(lambda: self.state == "sent", "the code is sent")
        assert self.type_code() == (200, "")
        assert self.browser.body["user"]["phone"] == self.phone


def sweep_later(cluster: Cluster, *, minutes: float) -> list[str]:
    """Sweep as it would be done after some time; give what the command says."""
    age = timedelta(minutes=minutes)
    PendingDelivery.objects.update(queued_at=F("queued_at") - age, claimed_at=F("claimed_at") - age)
    return cluster.run("phone_otp_sweep").splitlines()


def kill_sender(cluster: Cluster, letter: Letter) -> None:
    """Kill the process that has sent a message, and wait until it is gone.

    To one that is about to die Redis would still give what is put in, and nobody would know.
    """

    def is_gone() -> bool:
        # Where it was the worker itself, /proc shows it until somebody asks.
        is_worker = not all(worker.is_running for worker in cluster.workers)
        return is_worker or not Path(f"/proc/{letter.pid}").exists()

    os.kill(letter.pid, signal.SIGKILL)
    wait_until(is_gone, "the sender ends")


def let_the_queue_run_empty(cluster: Cluster) -> None:
    """Wait until workers have done all that was in the queue before, by doing one thing more."""
    last = Visitor(cluster)
    assert last.ask() == (201, "")
    wait_until(lambda: last.state == "sent", "the workers come to the end of the queue")


def lose_contents(cluster: Cluster) -> None:
    """Empty the queue."""
    if cluster.kind is KINDS["database"]:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE django_tasks_database_dbtaskresult")
    else:
        cluster.queue.stop()
        cluster.queue.start()


# The way of a delivery


@pytest.mark.parametrize("site_and_queue", KINDS, indirect=True)
def test_a_request_is_answered_before_the_provider_and_the_code_logs_in(cluster):
    cluster.add_worker()
    visitor = Visitor(cluster)
    cluster.post.hold(visitor.phone)
    assert visitor.ask() == (201, "")
    assert visitor.browser.body["state"] == "sending"
    wait_until(lambda: visitor.letters, "the provider is asked")
    assert visitor.state == "sending"
    cluster.post.release()
    visitor.log_in()
    assert (len(visitor.letters), visitor.outcomes) == (1, ["sent"])
    assert not PendingDelivery.objects.filter(challenge__phone=visitor.phone).exists()


@pytest.mark.parametrize("site_and_queue", ["database"], indirect=True)
def test_a_code_that_is_faster_than_the_providers_answer_costs_no_try(cluster):
    cluster.add_worker()
    visitor = Visitor(cluster)
    cluster.post.hold(visitor.phone)
    visitor.ask()
    wait_until(lambda: visitor.letters, "the provider is asked")
    assert visitor.type_code() == (503, "unavailable")
    cluster.post.release()
    visitor.log_in()
    assert PhoneChallenge.objects.get(phone=visitor.phone).attempts_left == MAX_ATTEMPTS - 1


def test_a_resend_goes_the_same_way(cluster):
    cluster.add_worker()
    visitor = Visitor(cluster)
    visitor.ask()
    wait_until(lambda: visitor.state == "sent", "the first code is sent")
    cluster.post.hold(visitor.phone)
    assert visitor.ask_again() == (200, "")
    assert visitor.browser.body["state"] == "sending"
    cluster.post.release()
    visitor.log_in()
    assert (len(visitor.letters), visitor.outcomes) == (2, ["sent", "sent"])


@pytest.mark.parametrize("site_and_queue", KINDS, indirect=True)
def test_s22_a_worker_killed_while_it_sends_has_sent_once_and_its_delivery_is_uncertain(cluster):
    cluster.add_worker()
    visitor = Visitor(cluster)
    cluster.post.hold(visitor.phone)
    visitor.ask()
    wait_until(lambda: visitor.letters, "the provider is asked")
    kill_sender(cluster, visitor.letters[0])
    cluster.post.release()
    cluster.add_worker()  # some kinds hand the delivery out again
    let_the_queue_run_empty(cluster)
    assert visitor.state == "sending"

    assert sweep_later(cluster, minutes=2) == ["1 delivery closed."]
    assert visitor.state == "failed"
    let_the_queue_run_empty(cluster)
    assert (len(visitor.letters), visitor.outcomes) == (1, ["uncertain"])


def test_a_delivery_that_is_in_the_queue_thrice_is_made_once(cluster):
    visitor = Visitor(cluster)
    visitor.ask()
    for _ in range(2):
        assert sweep_later(cluster, minutes=1) == PUT_IN_AGAIN
    cluster.post.hold(visitor.phone)  # while one worker is at it, the other one is handed it again
    cluster.add_worker()
    cluster.add_worker()
    wait_until(lambda: visitor.letters, "the provider is asked")
    let_the_queue_run_empty(cluster)
    cluster.post.release()
    visitor.log_in()
    let_the_queue_run_empty(cluster)
    assert (len(visitor.letters), visitor.outcomes) == (1, ["sent"])


# The queue


def test_what_the_queue_has_lost_is_put_in_again_by_the_sweep(cluster):
    visitor = Visitor(cluster)
    visitor.ask()
    lose_contents(cluster)
    cluster.add_worker()
    let_the_queue_run_empty(cluster)
    assert (visitor.state, visitor.letters) == ("sending", [])

    assert sweep_later(cluster, minutes=1) == PUT_IN_AGAIN
    visitor.log_in()
    assert (len(visitor.letters), visitor.outcomes) == (1, ["sent"])


@pytest.mark.parametrize("site_and_queue", IN_REDIS, indirect=True)
def test_s15_a_queue_out_of_reach_is_503_and_nothing_goes_out_later(cluster):
    visitor = Visitor(cluster)
    cluster.queue.stop()
    assert visitor.ask() == (503, "delivery_failed")
    cluster.queue.start()
    cluster.add_worker()
    assert sweep_later(cluster, minutes=1) == ["0 deliveries closed."]
    let_the_queue_run_empty(cluster)
    assert (visitor.letters, visitor.outcomes) == ([], ["unavailable"])
    assert visitor.ask_again() == (200, "")
    visitor.log_in()


# Secrets


def test_s13_the_code_stands_in_no_place_of_the_site_in_clear(cluster):
    visitor, places = Visitor(cluster), {}
    with overheard(cluster.cache, cluster.queue) as heard:
        visitor.ask()
        key = PendingDelivery.objects.get().pk
        places["waiting"] = read_all(cluster)
        cluster.post.hold(visitor.phone)
        cluster.add_worker()
        wait_until(lambda: visitor.letters, "the provider is asked")
        places["sending"] = read_all(cluster)
        cluster.post.release()
        visitor.log_in()
        let_the_queue_run_empty(cluster)
        places["over"] = read_all(cluster)
    places["on the wire"] = heard()

    code = visitor.letters[0].code.encode()
    assert len(code) == CODE_LENGTH
    assert [name for name, text in places.items() if code in text] == []
    # What does stand there is found.
    assert visitor.phone.encode() in places["over"]
    if cluster.kind.dispatch == "celery":
        assert f"[[{key}]".encode() in places["waiting"]
        assert f"[[{key}]".encode() in places["on the wire"]
    else:
        assert b"django_phone_otp.queues.tasks.deliver" in places["waiting"]
