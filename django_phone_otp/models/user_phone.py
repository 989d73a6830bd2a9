"""The user's phones, for sites whose user model has no phone of its own. Layer 3."""

from django.conf import settings
from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..phone import MAX_E164_LENGTH, mask


class UserPhone(models.Model):
    """A verified phone of a user: a phone belongs to one user, a user may have several.

    The phone is text in E.164 and not a field of django-phonenumber-field: what that one stores
    follows a setting of the site, and the log-in must find the same text for ever.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="verified_phones",
        verbose_name=_("user"),
    )
    phone = models.CharField(_("phone"), max_length=MAX_E164_LENGTH, unique=True)
    verified_at = models.DateTimeField(_("verified"), default=timezone.now)

    class Meta:
        verbose_name = _("user phone")
        verbose_name_plural = _("user phones")
        constraints = (
            # Typed in another way it would never be found: the user would have no login, silently.
            models.CheckConstraint(
                condition=models.Q(phone__startswith="+"), name="phone_otp_user_phone_is_e164"
            ),
        )

    def __str__(self) -> str:
        return mask(self.phone)

    @classmethod
    def primary(cls) -> models.QuerySet["UserPhone"]:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return cls.objects.using(router.db_for_write(cls))
