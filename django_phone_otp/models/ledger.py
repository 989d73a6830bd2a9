"""The ledger: one row per phone with what was sent to it and what went wrong. Layer 3.

A row is read, a new one is reckoned (in `flow.limits`, by pure functions), and written only if
nobody wrote in between. So any number of limits over any windows hold exactly under any number of
processes, on any database, and the arithmetic is plain Python.
"""

from typing import Any

from django.db import IntegrityError, models, router, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..phone import MAX_E164_LENGTH, mask


class PhoneLedgerQuerySet(models.QuerySet["PhoneLedger"]):
    """Questions and transitions of ledgers."""

    def write(self, ledger: "PhoneLedger", changes: dict[str, Any]) -> bool:
        """Write the changes if the row is still as `ledger` was read; say whether it was.

        A ledger that was not there when it was looked for is inserted, if it is still not there. On
        success `ledger` holds the changes. On failure read it anew and reckon again.
        """
        if ledger._state.adding:
            return self._insert(ledger, changes)
        happened = self.filter(pk=ledger.pk, revision=ledger.revision).update(
            **changes, revision=F("revision") + 1
        )
        if happened:
            ledger.revision += 1
            for name, value in changes.items():
                setattr(ledger, name, value)
        return bool(happened)

    def _insert(self, ledger: "PhoneLedger", changes: dict[str, Any]) -> bool:
        for name, value in changes.items():
            setattr(ledger, name, value)
        try:
            with transaction.atomic(using=self.db):
                ledger.save(force_insert=True, using=self.db)
        except IntegrityError:
            return False
        return True

    def of_phone(self, phone: str) -> "PhoneLedger":
        """Read a phone's ledger as it is now; a fresh one, not yet stored, for a new phone."""
        return self.filter(phone=phone).first() or PhoneLedger(phone=phone)

    def enable(self, phone: str) -> bool:
        """Lift the lock of a phone and forget its wrong codes; say whether there was a lock."""
        return bool(
            self.filter(phone=phone, disabled_at__isnull=False).update(
                disabled_at=None, failures_in_row=0, failures=[], revision=F("revision") + 1
            )
        )


class PhoneLedger(models.Model):
    """What counts for a phone over all its challenges.

    `sends` and `failures` are the times (seconds since the epoch, oldest first) of the messages and
    of the wrong codes that still count in some window; `account_sends` are such times by the alias
    of accounts with a daily limit of their own for one phone. `ladder_step` is the number of
    messages since the last confirmed code, from which the wait before the next follows.
    """

    phone = models.CharField(_("phone"), max_length=MAX_E164_LENGTH, unique=True)
    revision = models.PositiveBigIntegerField(_("revision"), default=0)
    sends = models.JSONField(_("messages"), default=list, blank=True)
    ladder_step = models.PositiveIntegerField(_("step of the ladder"), default=0)
    last_sent_at = models.DateTimeField(_("last message"), null=True, blank=True)
    failures = models.JSONField(_("wrong codes"), default=list, blank=True)
    failures_in_row = models.PositiveIntegerField(_("wrong codes in a row"), default=0)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True)
    account_sends = models.JSONField(_("messages by account"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = PhoneLedgerQuerySet.as_manager()

    class Meta:
        verbose_name = _("phone ledger")
        verbose_name_plural = _("phone ledgers")
        constraints = (
            # Typed in another way it would be a second row, with budgets of its own.
            models.CheckConstraint(
                condition=models.Q(phone__startswith="+"), name="phone_otp_ledger_is_e164"
            ),
        )

    def __str__(self) -> str:
        return mask(self.phone)

    @classmethod
    def primary(cls) -> PhoneLedgerQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return cls.objects.using(router.db_for_write(cls))
