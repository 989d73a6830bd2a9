"""Celery, by whatever broker the site's app has. Layer 5; needs the extra `celery`.

https://docs.celeryq.dev/en/stable/userguide/calling.html
"""

from celery import shared_task

from ..flow.queue import Queue, deliver_pending

# A broker whose connection has broken since is connected to once more, and not waited for: somebody
# waits for the answer.
RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


@shared_task(name="django_phone_otp.deliver", ignore_result=True)  # type: ignore[untyped-decorator]
def deliver(key: int) -> None:
    """Make one pending delivery."""
    deliver_pending(key)


class CeleryQueue(Queue):
    """Sends a message for each delivery."""

    def put(self, key: int) -> None:
        """Send; raises the broker's errors."""
        deliver.apply_async((key,), retry=True, retry_policy=RETRY)
