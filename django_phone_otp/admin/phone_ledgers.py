"""Locked phones: which took too many wrong codes in a row, until an operator lifts it. Layer 5."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..events import Event, log_event
from ..flow.interventions import unlock_phone
from ..models import PhoneLedger
from .actions import Unlock
from .paging import UncountedChangeList
from .windows import PHONE_PARAMETER, PhoneFilter, ReadOnlyAdmin, SearchedByPhone

logger = logging.getLogger(__name__)


class LockedPhoneList(UncountedChangeList):
    """The locked phones, the latest first."""

    indexed_ordering = ("disabled_at",)


@admin.register(PhoneLedger)
class PhoneLedgerAdmin(ReadOnlyAdmin, SearchedByPhone):
    """The phones that are locked. Nothing else of a ledger is anybody's business."""

    list_display = ("masked_phone", "disabled_at", "failures_in_row", "last_sent_at")
    list_filter = (PhoneFilter,)
    sortable_by = ("disabled_at",)
    ordering = ("-disabled_at",)
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("unlock_phones",)
    change_list_template = "admin/phone_otp/uncounted_list.html"
    fields = ("masked_phone", "disabled_at", "failures_in_row", "last_sent_at", "challenges_link")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[PhoneLedger]:
        """Show those that are locked."""
        return super().get_queryset(request).filter(disabled_at__isnull=False)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Give the list that counts nothing."""
        return LockedPhoneList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say what the list is of."""
        context = {"title": _("Locked phones"), "search_url": self.address("search")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow no filter in the address but ours: `phone__startswith` would undo the masks."""
        return lookup == PHONE_PARAMETER

    @admin.display(description=gettext_lazy("phone"))
    def masked_phone(self, ledger: PhoneLedger) -> str:
        """Show the phone as a stranger may see it."""
        return str(ledger)

    @admin.display(description=gettext_lazy("challenges"))
    def challenges_link(self, ledger: PhoneLedger) -> str:
        """Point to what was asked for with this phone."""
        try:
            url = reverse(f"{self.admin_site.name}:phone_otp_phonechallenge_changelist")
        except NoReverseMatch:  # this site keeps them out of the admin
            return self.get_empty_value_display()
        return format_html('<a href="{}?{}={}">{}</a>', url, PHONE_PARAMETER, ledger.pk, _("Show"))

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        """Say whether somebody may lift locks."""
        return request.user.has_perms(Unlock.permissions)

    @admin.action(description=gettext_lazy("Unlock the phones"), permissions=["unlock"])
    def unlock_phones(self, request: HttpRequest, queryset: QuerySet[PhoneLedger]) -> None:
        """Lift the locks and forget the wrong codes; each is written down."""
        unlocked = [each for each in queryset if unlock_phone(each.phone)]
        with translation.override(django_settings.LANGUAGE_CODE):
            words = _("Phone unlocked")
        for ledger in unlocked:
            self.log_change(request, ledger, words)
            self._log_unlock(request, ledger.phone)
        count = len(unlocked)
        text = ngettext("%(count)d phone unlocked.", "%(count)d phones unlocked.", count)
        level = messages.SUCCESS if count else messages.WARNING
        self.message_user(request, text % {"count": count}, level)

    def _log_unlock(self, request: HttpRequest, phone: str) -> None:
        def log() -> None:
            operator = request.user.pk
            log_event(logger, Event.OPERATOR_ACTED, action="unlock", operator=operator, phone=phone)

        transaction.on_commit(log, using=PhoneLedger.primary().db, robust=True)
