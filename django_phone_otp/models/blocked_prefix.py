"""Prefixes that an operator has closed for a while. Layer 3."""

from django.core.validators import RegexValidator
from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..phone import MAX_E164_LENGTH


class BlockedPrefix(models.Model):
    """Numbers that get no message until a time: all that begin with `prefix`, which is E.164."""

    prefix = models.CharField(
        _("prefix"),
        max_length=MAX_E164_LENGTH,
        unique=True,
        validators=[
            RegexValidator(
                r"^\+[1-9][0-9]{0,14}\Z", _("Write it with + and country code, such as +7924450.")
            )
        ],
    )
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("blocked prefix")
        verbose_name_plural = _("blocked prefixes")

    def __str__(self) -> str:
        return self.prefix

    @classmethod
    def primary(cls) -> models.QuerySet["BlockedPrefix"]:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return models.QuerySet(cls, using=router.db_for_write(cls))
