"""The account: how this site uses a provider, as an operator set it up. Layer 3."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, router
from django.utils.translation import gettext_lazy as _

from ..exceptions import BrokenSeal
from ..sealing import seal, unseal
from ..statements import compiled_list

MAX_PHONE_DAILY_LIMIT = 1_000  # the phone's ledger keeps the time of each


def sealed_nothing() -> str:
    """Seal an account without options."""
    return seal({})


class ProviderAccountQuerySet(models.QuerySet["ProviderAccount"]):
    """Questions about accounts in rows."""

    @compiled_list
    def in_order(self) -> "ProviderAccountQuerySet":
        """Read all rows, those with the lowest priority first; each request does."""
        return self.order_by("priority", "alias")


class ProviderAccount(models.Model):
    """Settings of a provider in a row; they count beside those of `PHONE_OTP["PROVIDERS"]`.

    `backend` is a registry key or an entry point's name, `regions` a list of ISO 3166 codes (empty:
    all), `priority` the place in the order when no route is set, the lowest first. `daily_limit`
    are the messages that may go through it in a day, `phone_daily_limit` those to one phone in any
    24 hours; empty is no limit for the former and the provider's own for the latter.
    """

    alias = models.SlugField(_("alias"), max_length=64, unique=True)
    backend = models.CharField(_("provider"), max_length=64)
    sealed_options = models.TextField(default=sealed_nothing, editable=False, db_column="options")
    enabled = models.BooleanField(_("enabled"), default=True)
    priority = models.SmallIntegerField(_("priority"), default=100)
    regions = models.JSONField(_("regions"), default=list, blank=True)
    daily_limit = models.PositiveIntegerField(
        _("messages a day"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    phone_daily_limit = models.PositiveSmallIntegerField(
        _("messages a day to one phone"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_PHONE_DAILY_LIMIT)],
    )

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("provider account")
        verbose_name_plural = _("provider accounts")
        ordering = ("priority", "alias")
        permissions = (("send_trial", "Can send a test code"),)

    def __str__(self) -> str:
        return self.alias

    @property
    def options(self) -> dict[str, Any]:
        """Open the options, secrets among them; raises `BrokenSeal` with the account's name."""
        try:
            return unseal(self.sealed_options)
        except BrokenSeal as error:
            raise BrokenSeal(f'account "{self.alias}": {error}') from None

    @options.setter
    def options(self, options: dict[str, Any]) -> None:
        self.sealed_options = seal(options)

    @classmethod
    def primary(cls) -> ProviderAccountQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return ProviderAccountQuerySet(cls, using=router.db_for_write(cls))
