"""Deliveries that are not over: those that wait in a queue, and those that somebody is at. Layer 3.

The row is gone as soon as it is known what became of the delivery; then there are attempts.
"""

from datetime import datetime

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..codes import MAX_DIGEST_LENGTH
from ..statements import Update, compiled_select, compiled_update
from .challenge import PhoneChallenge


class PendingDeliveryQuerySet(models.QuerySet["PendingDelivery"]):
    """Questions and transitions of pending deliveries."""

    def claim(self, pk: int, now: datetime) -> "PendingDelivery | None":
        """Take a delivery that waits; None when it is taken, closed, or over.

        SECURITY: this is what makes a message go out once. However often a queue hands a delivery
        out, and to however many workers, one of them gets past this UPDATE.
        """
        # Read first: what cannot be read stays for others.
        found = self._of_pk(pk)
        if found is None:
            return None
        found.challenge.read_device()
        found.claimed_at = now
        return found if self._take(pk, claimed_at=now) else None

    @compiled_select()
    def _of_pk(self, pk: int) -> "PendingDeliveryQuerySet":
        return self.select_related("challenge__ledger").filter(pk=pk)

    @compiled_update()
    def _take(self, pk: int, *, claimed_at: datetime) -> Update:
        return self.filter(pk=pk, claimed_at__isnull=True), {"claimed_at": claimed_at}

    def close(self, pending: "PendingDelivery") -> bool:
        """Remove a delivery that is still as it was read; say whether it was."""
        found = self.filter(pk=pending.pk, claimed_at=pending.claimed_at)
        return bool(found._raw_delete(self.db))

    def unclaimed(self, before: datetime) -> "PendingDeliveryQuerySet":
        """Choose those that were put into a queue before, and that nobody has taken."""
        return self.filter(claimed_at__isnull=True, queued_at__lt=before)

    def queue_again(self, pending: "PendingDelivery", now: datetime) -> bool:
        """Note that a delivery is put in again; say whether nobody else did, or has taken it."""
        found = self.filter(pk=pending.pk, queued_at=pending.queued_at, claimed_at__isnull=True)
        return bool(found.update(queued_at=now))

    def abandoned(self, before: datetime) -> "PendingDeliveryQuerySet":
        """Choose those that somebody has taken before, and of which nothing was heard since."""
        return self.filter(claimed_at__lt=before)


class PendingDelivery(models.Model):
    """One delivery on its way, and all that a worker has to know to make it; never a code.

    `route` are the aliases of the accounts to try, in order, and `language` that of the text. Of
    what is `withheld` nothing is sent: it only looks the same from outside. With `pretended` it
    shows as sent from the start, and nothing that a worker writes shows: that is the digest of no
    code, which its challenge has in the place of the one to come. `queued_at` is when it was put
    into the queue, the last time where that was done again.
    """

    challenge = models.ForeignKey(
        PhoneChallenge,
        on_delete=models.CASCADE,
        related_name="pending_deliveries",
        verbose_name=_("challenge"),
    )
    route = models.JSONField(_("route"), default=list)
    language = models.CharField(_("language"), max_length=35)
    withheld = models.BooleanField(_("withheld"), default=False)
    pretended = models.CharField(max_length=MAX_DIGEST_LENGTH, blank=True, editable=False)
    queued_at = models.DateTimeField(_("queued"), default=timezone.now, editable=False)
    claimed_at = models.DateTimeField(_("taken"), null=True, blank=True)

    objects = PendingDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("pending delivery")
        verbose_name_plural = _("pending deliveries")

    def __str__(self) -> str:
        return f"{self.challenge_id}: {', '.join(self.route)}"

    @classmethod
    def primary(cls) -> PendingDeliveryQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return PendingDeliveryQuerySet(cls, using=router.db_for_write(cls))

    @property
    def only_account(self) -> str:
        """Give the alias of the account that is asked, where there is but one; empty otherwise."""
        return self.route[0] if len(self.route) == 1 else ""
