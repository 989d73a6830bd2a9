"""Queues for tests, reached by dotted path as a site's own would be, and a worker."""

from django.utils import timezone, translation

from django_phone_otp.flow.queue import Queue, deliver_pending
from django_phone_otp.models import PendingDelivery

PATH = "tests.fakes_queue.ListQueue"
BROKEN = "tests.fakes_queue.BrokenQueue"
HASTY = "tests.fakes_queue.HastyQueue"
BUSY = "tests.fakes_queue.BusyQueue"

# The keys that wait, the oldest first. Whoever looks here empties it first.
keys: list[int] = []


class ListQueue(Queue):
    """Keeps the keys until `work` takes them."""

    def put(self, key: int) -> None:
        keys.append(key)


class BrokenQueue(Queue):
    """Is out of reach, and says so in words that hold its password."""

    def put(self, key: int) -> None:
        raise ConnectionError("redis://:hunter2@redis.example refused")


class HastyQueue(Queue):
    """Has a worker make the delivery, and fails before it can say that it took the key."""

    def put(self, key: int) -> None:
        deliver_pending(key)
        raise ConnectionError("connection lost")


class BusyQueue(Queue):
    """Has a worker begin the delivery, and fails before it can say that it took the key."""

    def put(self, key: int) -> None:
        PendingDelivery.primary().claim(key, timezone.now())
        raise ConnectionError("connection lost")


def work() -> list[bool]:
    """Take all keys out and make their deliveries, as a worker does that speaks no language."""
    taken = keys.copy()
    keys.clear()
    with translation.override(None):
        return [deliver_pending(key) for key in taken]
