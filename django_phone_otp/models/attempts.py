"""The audit trails of a challenge: what guards said, tries to deliver, codes entered. Layer 3.

Rows are written once and never changed. None holds a code.
"""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..choices import Channel, DeliveryOutcome, Guard, Refusal
from .challenge import PhoneChallenge


class DeliveryAttempt(models.Model):
    """One try at one provider.

    `account` is the alias of the settings or of a `ProviderAccount`, `provider` the key of its
    class, `cost` the price of the message in `currency`, where the provider told it.
    """

    challenge = models.ForeignKey(
        PhoneChallenge,
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("challenge"),
    )
    account = models.CharField(_("account"), max_length=64)
    provider = models.CharField(_("provider"), max_length=64)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel.listed)
    outcome = models.CharField(_("outcome"), max_length=24, choices=DeliveryOutcome.listed)
    detail = models.CharField(_("provider's words"), max_length=200, blank=True)
    provider_ref = models.CharField(_("provider's reference"), max_length=128, blank=True)
    cost = models.DecimalField(_("cost"), max_digits=12, decimal_places=5, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    duration_ms = models.PositiveIntegerField(_("duration, ms"))
    created_at = models.DateTimeField(_("time"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")
        indexes = (
            # The admin's filter of challenges by what became of a delivery.
            models.Index(fields=["outcome", "-created_at"], name="phone_otp_delivery_outcome"),
        )

    def __str__(self) -> str:
        return f"{self.account}: {self.get_outcome_display()}"


class GuardObjection(models.Model):
    """One guard that objected to a message; `blocked` says whether it was heeded.

    A guard in shadow is not: its objections show what it would have blocked.
    """

    challenge = models.ForeignKey(
        PhoneChallenge,
        on_delete=models.CASCADE,
        related_name="objections",
        verbose_name=_("challenge"),
    )
    guard = models.CharField(_("guard"), max_length=24, choices=Guard.listed)
    blocked = models.BooleanField(_("blocked"))
    detail = models.CharField(_("reason"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("time"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("guard's objection")
        verbose_name_plural = _("guards' objections")
        indexes = (
            # The admin's filter of challenges by the guard that objected.
            models.Index(fields=["guard", "-created_at"], name="phone_otp_objection_guard"),
        )

    def __str__(self) -> str:
        return str(self.get_guard_display())


class ConfirmAttempt(models.Model):
    """One code entered and compared; `refusal` is empty for the right one."""

    challenge = models.ForeignKey(
        PhoneChallenge,
        on_delete=models.CASCADE,
        related_name="confirmations",
        verbose_name=_("challenge"),
    )
    refusal = models.CharField(_("refusal"), max_length=24, choices=Refusal.listed, blank=True)
    ip = models.GenericIPAddressField(_("address"), null=True, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("time"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("confirm attempt")
        verbose_name_plural = _("confirm attempts")

    def __str__(self) -> str:
        return str(self.get_refusal_display() or _("accepted"))
