"""Traffic: what happened in slices, hours and days, counted and kept when challenges go. Layer 3.

The dashboard and the alarms of cron read hours and days, and no challenge. `flow.traffic` writes
them all.
"""

from typing import Any

from django.db import models, router
from django.utils.translation import gettext_lazy as _

from ..choices import Channel, Source, Span


class TrafficCount(models.Model):
    """What became of the challenges asked for in a slice, hour or day.

    By account, channel and region. Everything belongs to the time of the request: a login at 13:02
    upon a code asked for at 12:58 counts for 12 o'clock. `account` is empty where no account was
    come to. A challenge counts once, at the account of its last delivery; what `details` says of
    deliveries counts at each account that was asked. `details` is written and read by
    `flow.tallies`. A row without account, channel and region counts nothing: it marks that the
    slice, hour or day was counted, and knows the sum.
    """

    span = models.CharField(_("span"), max_length=8, choices=Span.listed)
    starts_at = models.DateTimeField(_("from"))
    account = models.CharField(_("account"), max_length=64, blank=True)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel.listed, blank=True)
    region = models.CharField(_("region"), max_length=3, blank=True)
    requested_count = models.PositiveIntegerField(_("requested"), default=0)
    sent_count = models.PositiveIntegerField(_("sent"), default=0)
    answered_count = models.PositiveIntegerField(_("answered"), default=0)
    verified_count = models.PositiveIntegerField(_("verified"), default=0)
    details = models.JSONField(_("details"), default=dict, blank=True)
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("traffic count")
        verbose_name_plural = _("traffic counts")
        constraints = (
            models.UniqueConstraint(
                fields=["span", "starts_at", "account", "channel", "region"],
                name="phone_otp_traffic_is_one",
            ),
        )

    def __str__(self) -> str:
        return f"{self.span} {self.starts_at}: {self.account} {self.channel} {self.region}"

    @classmethod
    def primary(cls) -> models.QuerySet[Any]:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return models.QuerySet(cls, using=router.db_for_write(cls))


class TrafficSource(models.Model):
    """Where the messages of a slice, hour or day went that logged nobody in: the worst alone.

    `scope` is a network of addresses, or the digits that ten thousand neighbouring numbers share.
    """

    span = models.CharField(_("span"), max_length=8, choices=Span.listed)
    starts_at = models.DateTimeField(_("from"))
    kind = models.CharField(_("kind"), max_length=8, choices=Source.listed)
    scope = models.CharField(_("scope"), max_length=64)
    sent_count = models.PositiveIntegerField(_("sent"))
    verified_count = models.PositiveIntegerField(_("verified"))

    class Meta:
        verbose_name = _("traffic source")
        verbose_name_plural = _("traffic sources")
        constraints = (
            models.UniqueConstraint(
                fields=["span", "starts_at", "kind", "scope"], name="phone_otp_source_is_one"
            ),
        )

    def __str__(self) -> str:
        return f"{self.span} {self.starts_at}: {self.scope}"

    @classmethod
    def primary(cls) -> models.QuerySet[Any]:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return models.QuerySet(cls, using=router.db_for_write(cls))
