"""The dashboard as Django's admin knows it. Layer 3."""

from django.utils.translation import gettext_lazy as _

from .traffic import TrafficCount


class Dashboard(TrafficCount):
    """All counts of traffic as one page.

    A proxy, with no table and no permission of its own: an admin site gives each model an address
    and a line in its lists, and this is how the page gets its own on every admin site.
    """

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
