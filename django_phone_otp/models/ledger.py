"""Ledgers: what was sent and what went wrong, in one row for each phone and each device. Layer 3.

A row is read, a new one is reckoned (in `flow.limits`, by pure functions), and written only if
nobody wrote in between. So any number of limits over any windows hold exactly under any number of
processes, on any database, and the arithmetic is plain Python.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

from django.db import IntegrityError, models, router, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..phone import MAX_E164_LENGTH, mask
from ..statements import Update, compiled_select, compiled_update


class LedgerQuerySet(models.QuerySet[Any]):
    """The transition that both ledgers have."""

    @compiled_update()
    def replace(self, /, pk: int, revision: int, **changes: Any) -> Update:
        """Change a row that is still as it was read."""
        changes["revision"] = F("revision") + 1
        return self.filter(pk=pk, revision=revision), changes


class Ledger(models.Model):
    """What both ledgers have: messages and wrong codes, and the step of the ladder.

    `sends` and `failures` are the times (seconds since the epoch, oldest first) of the messages and
    of the wrong codes that still count in some window. `ladder_step` is the number of messages
    since the last confirmed code, from which the wait before the next follows.
    """

    # Names the limits: `send_phone`, `fail_device`.
    counts_for: ClassVar[str]

    revision = models.PositiveBigIntegerField(_("revision"), default=0)
    sends = models.JSONField(_("messages"), default=list, blank=True)
    ladder_step = models.PositiveIntegerField(_("step of the ladder"), default=0)
    last_sent_at = models.DateTimeField(_("last message"), null=True, blank=True)
    failures = models.JSONField(_("wrong codes"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def write(self, changes: dict[str, Any]) -> bool:
        """Write the changes if the row is still as it was read; say whether it was.

        A row that was not there when it was looked for is inserted, if it is still not there. On
        success this object holds the changes. On failure read it anew and reckon again.
        """
        using = router.db_for_write(type(self))
        if self._state.adding:
            return self._insert(changes, using)
        rows: Any = type(self)._default_manager.using(using)
        happened: bool = rows.replace(self.pk, self.revision, **changes)
        if happened:
            self.revision += 1
            for name, value in changes.items():
                setattr(self, name, value)
        return happened

    def _insert(self, changes: dict[str, Any], using: str) -> bool:
        for name, value in changes.items():
            setattr(self, name, value)
        try:
            with transaction.atomic(using=using):
                self.save(force_insert=True, using=using)
        except IntegrityError:
            return False
        return True


class PhoneLedgerQuerySet(LedgerQuerySet):
    """Questions and transitions of phones' ledgers."""

    def of_phone(self, phone: str) -> "PhoneLedger":
        """Read a phone's ledger as it is now; a fresh one, not yet stored, for a new phone."""
        return self._find(phone) or PhoneLedger(phone=phone)

    @compiled_select()
    def _find(self, phone: str) -> "PhoneLedgerQuerySet":
        return self.filter(phone=phone)

    def enable(self, phone: str) -> bool:
        """Lift the lock of a phone and forget its wrong codes; say whether there was a lock."""
        happened = self.filter(phone=phone, disabled_at__isnull=False).update(
            disabled_at=None, failures_in_row=0, failures=[], revision=F("revision") + 1
        )
        if happened:
            devices = DeviceLedger.primary().filter(ledger__phone=phone)
            devices.update(failures=[], revision=F("revision") + 1)
        return bool(happened)

    def revoke_devices(self, phone: str, now: datetime) -> None:
        """Let no device string of a phone count that was given out up to now."""
        revoked = {"devices_valid_after": now, "revision": F("revision") + 1}
        while not self.filter(phone=phone).update(**revoked):
            self.get_or_create(phone=phone)  # strings outlive a ledger that was purged
        # The strings are dead by now; the row of one that is used at this moment may stay.
        with suppress(IntegrityError):
            DeviceLedger.primary().filter(ledger__phone=phone).delete()


class PhoneLedger(Ledger):
    """What counts for a phone over all its challenges.

    `failures_in_row` are the wrong codes since the last right one, whoever gave them;
    `account_sends` the times of messages by the alias of accounts with a daily limit of their own
    for one phone. Device strings given out up to `devices_valid_after` count for nothing.
    """

    counts_for = "phone"

    phone = models.CharField(_("phone"), max_length=MAX_E164_LENGTH)
    failures_in_row = models.PositiveIntegerField(_("wrong codes in a row"), default=0)
    disabled_at = models.DateTimeField(_("disabled"), null=True, blank=True)
    account_sends = models.JSONField(_("messages by account"), default=dict, blank=True)
    devices_valid_after = models.DateTimeField(_("devices valid after"), null=True, blank=True)

    objects = PhoneLedgerQuerySet.as_manager()

    class Meta:
        verbose_name = _("phone ledger")
        verbose_name_plural = _("phone ledgers")
        permissions = (("unlock_phoneledger", "Can unlock a phone"),)
        indexes = (
            # The admin's list of locked phones.
            models.Index(fields=["-disabled_at"], name="phone_otp_ledger_disabled"),
        )
        constraints = (
            # With `unique=True` PostgreSQL would keep a second index, for LIKE.
            models.UniqueConstraint(fields=["phone"], name="phone_otp_ledger_phone"),
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
        return PhoneLedgerQuerySet(cls, using=router.db_for_write(cls))


class DeviceLedgerQuerySet(LedgerQuerySet):
    """Questions about devices' ledgers."""

    def of_device(self, key: str, ledger: PhoneLedger) -> "DeviceLedger":
        """Read a device's ledger as it is now; a fresh one, not yet stored, for a new device."""
        found = self._find(ledger.pk, key) if ledger.pk else None
        device = found or DeviceLedger(key=key)
        device.ledger = ledger
        return device

    @compiled_select()
    def _find(self, ledger_id: int, key: str) -> "DeviceLedgerQuerySet":
        return self.filter(ledger_id=ledger_id, key=key)

    @compiled_select()
    def of_pk(self, pk: int) -> "DeviceLedgerQuerySet":
        """Read a device's ledger; None if it is gone."""
        return self.filter(pk=pk)

    def count_busy(self, ledger: PhoneLedger, since: datetime) -> int:
        """Count the devices of a phone that have asked for messages since."""
        return self.filter(ledger_id=ledger.pk, last_sent_at__gt=since).count() if ledger.pk else 0


class DeviceLedger(Ledger):
    """What counts for one client that has logged in with a phone before (`devices`).

    Made when its device string is used for the first time. `key` is the part of the string that
    names the device; without the signature that belongs to it, it opens nothing.
    """

    counts_for = "device"

    ledger = models.ForeignKey(
        PhoneLedger, on_delete=models.CASCADE, related_name="devices", verbose_name=_("ledger")
    )
    key = models.CharField(_("key"), max_length=32)

    objects = DeviceLedgerQuerySet.as_manager()

    class Meta:
        verbose_name = _("device ledger")
        verbose_name_plural = _("device ledgers")
        constraints = (
            models.UniqueConstraint(fields=["ledger", "key"], name="phone_otp_device_is_one"),
        )

    def __str__(self) -> str:
        return f"{self.ledger}, {timezone.localtime(self.created_at):%Y-%m-%d %H:%M}"

    @property
    def disabled_at(self) -> datetime | None:
        """Say since when its phone is locked: that holds for every device."""
        return self.ledger.disabled_at

    @classmethod
    def primary(cls) -> DeviceLedgerQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return DeviceLedgerQuerySet(cls, using=router.db_for_write(cls))
