"""The user's phones, for sites whose user model has no phone of its own. Layer 3."""

from typing import Any

from django.conf import settings
from django.db import models, router
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..phone import MAX_E164_LENGTH, mask
from ..statements import compiled_select


class UserPhoneQuerySet(models.QuerySet["UserPhone"]):
    """Questions about users' phones."""

    @compiled_select()
    def of_phone(self, phone: str) -> models.QuerySet["UserPhone"]:
        """Read a phone and its user."""
        return self.select_related("user").filter(phone=phone)


class UserPhone(models.Model):
    """A verified phone of a user: a phone belongs to one user, a user may have several.

    The primary one is that which was made primary last, or else the first. So one UPDATE changes
    it, and no user can ever have two.

    The phone is text in E.164 and not a field of django-phonenumber-field: what that one stores
    follows a setting of the site, and the log-in must find the same text for ever.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="verified_phones",
        verbose_name=_("user"),
    )
    phone = models.CharField(_("phone"), max_length=MAX_E164_LENGTH)
    verified_at = models.DateTimeField(_("verified"), default=timezone.now)
    made_primary_at = models.DateTimeField(_("made primary"), null=True, blank=True, editable=False)

    objects = UserPhoneQuerySet.as_manager()

    class Meta:
        verbose_name = _("user phone")
        verbose_name_plural = _("user phones")
        constraints = (
            # With `unique=True` PostgreSQL would keep a second index, for LIKE.
            models.UniqueConstraint(fields=["phone"], name="phone_otp_user_phone_phone"),
            # Typed in another way it would never be found: the user would have no login, silently.
            models.CheckConstraint(
                condition=models.Q(phone__startswith="+"), name="phone_otp_user_phone_is_e164"
            ),
        )

    def __str__(self) -> str:
        return mask(self.phone)

    @classmethod
    def of_user(cls, user_pk: Any) -> UserPhoneQuerySet:
        """Give a user's phones, the primary one first."""
        newest_first = F("made_primary_at").desc(nulls_last=True)
        return cls.primary().filter(user_id=user_pk).order_by(newest_first, "pk")

    @classmethod
    def primary(cls) -> UserPhoneQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return UserPhoneQuerySet(cls, using=router.db_for_write(cls))
