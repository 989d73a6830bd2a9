"""The queue: deliveries that a worker makes, off the request. Layer 4.

A request stores a pending delivery and commits; the queue carries its key, and nothing else. A
worker claims it and goes along the route. What the queue loses, the sweep puts in again.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone, translation

from .. import conf
from ..choices import OPEN_STATES, DeliveryOutcome, Refusal
from ..conf import Settings
from ..events import Event, log_event
from ..loading import load_class
from ..models import PendingDelivery, PhoneChallenge
from ..phone import parse
from .accounts import Account, find_accounts, find_test_phone
from .dispatch import close_delivery, dispatch, send_pretended
from .limits import Denial
from .transactions import refuse_transaction

logger = logging.getLogger(__name__)

WRONG_SETTINGS = "the site's settings are wrong"

QUEUES = {
    "tasks": "django_phone_otp.queues.tasks.TasksQueue",
    "celery": "django_phone_otp.queues.celery.CeleryQueue",
}


class Queue(ABC):
    """Carries keys of pending deliveries to workers; they call `deliver_pending`.

    It may lose a key, hand it out twice or late: a delivery is made once, or closed by the sweep.
    """

    @abstractmethod
    def put(self, key: int) -> None:
        """Put the key of a pending delivery in; raises whatever tells that it is not in."""


def load_queue(settings: Settings) -> Queue | None:
    """Make the queue that `DISPATCH` names; None where requests send by themselves.

    Raises `ImproperlyConfigured`.
    """
    if settings.dispatch == "inline":
        return None
    setting = "PHONE_OTP['DISPATCH']"
    return load_class(settings.dispatch, base=Queue, known=QUEUES, setting=setting)()  # type: ignore[type-abstract]


def put_in_queue(pending: PendingDelivery, queue: Queue) -> Denial | None:
    """Hand a pending delivery, which is committed, over to the workers. Writes where that fails.

    Then the delivery is closed, and nobody can make it any more: a queue may have taken it before
    it failed.
    """
    try:
        queue.put(pending.pk)
    except Exception as error:  # noqa: BLE001 (each queue has errors of its own)
        log_event(logger, Event.QUEUE_UNAVAILABLE, error=type(error).__name__)
        detail = "the queue is out of reach"
        if close_delivery(pending, DeliveryOutcome.UNAVAILABLE, detail):
            return Denial(Refusal.DELIVERY_FAILED)
    return None


def deliver_pending(key: int) -> bool:
    """Make a delivery that waits, unless somebody has; say whether it was made here.

    What a worker does. Sends, costs money, writes; call it outside transactions. What comes of it
    is in the attempts, whatever it is: nothing has to be done again.
    """
    # First, for it may raise: what is not taken another worker can make.
    settings, now = conf.read(), timezone.now()
    pending = _claim(key, now)
    if pending is None:
        return False
    if pending.challenge.state_at(now) not in OPEN_STATES:
        close_delivery(pending, DeliveryOutcome.UNAVAILABLE, "too late: nobody waits for it")
        return False
    try:
        with translation.override(pending.language):
            _deliver(pending, settings)
    except PhoneChallenge.DoesNotExist:
        pass  # erased while it was sent: nothing is left to write to
    except ImproperlyConfigured as error:
        # A request tells it to the site; here nobody is there who could be told.
        log_event(logger, Event.QUEUE_MISCONFIGURED, reason=error)
        close_delivery(pending, DeliveryOutcome.MISCONFIGURED, WRONG_SETTINGS)
        return False
    return True


def _claim(key: int, now: datetime) -> PendingDelivery | None:
    """Take a delivery that waits.

    SECURITY: committed before anything is sent. A transaction of the caller's could be rolled back,
    and the claim with it; the message would go out once more.
    """
    waiting = PendingDelivery.primary()
    refuse_transaction(waiting.db)
    return waiting.claim(key, now)


def _deliver(pending: PendingDelivery, settings: Settings) -> None:
    route = _read_route(pending, settings)
    if not pending.route:  # `pretend` found no room
        close_delivery(pending, DeliveryOutcome.OVER_BUDGET, "no account of the route has room")
    elif not route:
        close_delivery(pending, DeliveryOutcome.MISCONFIGURED, "no account of the route is in use")
    elif pending.pretended and pending.withheld:
        close_delivery(pending, DeliveryOutcome.WITHHELD, "")
    elif pending.pretended:
        send_pretended(pending, route[0], settings)
    else:
        dispatch(
            pending.challenge, route, settings, is_wanted=not pending.withheld, pending=pending
        )


def _read_route(pending: PendingDelivery, settings: Settings) -> Sequence[Account]:
    """Find the accounts of the route as they are now; some may be gone since."""
    test_phone = find_test_phone(parse(pending.challenge.phone), settings)
    if test_phone:
        return [test_phone]
    accounts = find_accounts(settings)
    return [accounts[alias] for alias in pending.route if alias in accounts]
