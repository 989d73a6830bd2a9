"""The account's ledger: what was sent through it today, and what it keeps. Layer 3.

One row per alias, made when there is something to write: for accounts of the settings as well as
for rows of `ProviderAccount`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import models, router
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _

from ..sealing import seal, unseal


class AccountLedgerQuerySet(models.QuerySet["AccountLedger"]):
    """Questions and transitions of accounts' ledgers."""

    def take_message(self, alias: str, *, limit: int, today: date, count: int = 1) -> bool:
        """Take a message from the account's budget of the day; say whether there was one left.

        With a `count` of 0 nothing is taken, by the same statements. A day that is over does not
        come back: where the clocks of two servers differ, the later date counts.
        """
        return limit > 0 and self._take_or_make(alias, limit, today, count)

    def _take_or_make(self, alias: str, limit: int, today: date, count: int) -> bool:
        if self._take(alias, limit, today, count):
            return True
        if self.filter(alias=alias, sent_count__gte=limit).exists():
            return False
        self.get_or_create(alias=alias)  # whoever makes the row, all who found none take from it
        return self._take(alias, limit, today, count)

    def _take(self, alias: str, limit: int, today: date, count: int) -> bool:
        is_new_day = Q(day__isnull=True) | Q(day__lt=today)
        return bool(
            self.filter(is_new_day | Q(sent_count__lt=limit), alias=alias).update(
                # The count comes first: MariaDB assigns from left to right.
                sent_count=Case(
                    When(is_new_day, then=Value(count)), default=F("sent_count") + count
                ),
                day=Case(When(is_new_day, then=Value(today)), default=F("day")),
            )
        )

    def keep(self, alias: str, options: Mapping[str, Any], made_for: Mapping[str, Any]) -> None:
        """Keep options that were made at the service for an account with the options `made_for`."""
        kept = seal({"options": dict(options), "made_for": dict(made_for)})
        self.update_or_create(alias=alias, defaults={"sealed_kept": kept})


class AccountLedger(models.Model):
    """What counts for an account, be it of the settings or a row.

    `sent_count` messages went out on `day`, a date in the site's time zone. `balance` and `problem`
    are what its service said at `inspected_at`; without a `currency` a balance counts messages.
    """

    alias = models.CharField(_("alias"), max_length=64, unique=True)
    day = models.DateField(_("day"), null=True, blank=True)
    sent_count = models.PositiveIntegerField(_("messages of the day"), default=0)
    sealed_kept = models.TextField(blank=True, editable=False)
    inspected_at = models.DateTimeField(_("inspected"), null=True, blank=True)
    balance = models.DecimalField(
        _("balance"), max_digits=14, decimal_places=4, null=True, blank=True
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    problem = models.CharField(_("problem"), max_length=200, blank=True)

    objects = AccountLedgerQuerySet.as_manager()

    class Meta:
        verbose_name = _("account ledger")
        verbose_name_plural = _("account ledgers")

    def __str__(self) -> str:
        return self.alias

    @classmethod
    def primary(cls) -> AccountLedgerQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return AccountLedgerQuerySet(cls, using=router.db_for_write(cls))

    def kept_options(self, made_for: Mapping[str, Any]) -> dict[str, Any]:
        """Open what was kept for an account with these options; empty when there is nothing.

        Raises `BrokenSeal`.
        """
        kept = unseal(self.sealed_kept) if self.sealed_kept else {}
        return dict(kept["options"]) if kept and kept["made_for"] == dict(made_for) else {}
