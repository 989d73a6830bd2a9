"""Challenges: a list that asks operators' questions, and for each its timeline. Layer 5.

A window: nothing is added, changed or deleted here. What operators do is in `actions`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, cast

from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from ..choices import Channel
from ..events import Event, log_event
from ..flow.transactions import outside_transactions
from ..models import (
    ConfirmAttempt,
    DeliveryAttempt,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
)
from .actions import ACTIONS, Action, is_revocation
from .export import describe_choice, write_csv
from .filters import FILTERS, LOOKED_THROUGH, ChallengeChangeList
from .states import TONES, find_state
from .timeline import Act, Trail, tell
from .windows import ReadOnlyAdmin, SearchedByPhone, link_user

logger = logging.getLogger(__name__)

EXPORT = "phone_otp.export_phonechallenge"
MAX_ACTS_COUNT = 100
BREAK = SafeString(":<wbr>")

# What the filters of the list send: our own, which read nothing but the words that they offer, and
# Django's.
OUR_LOOKUPS = {each.parameter_name for each in FILTERS}
DJANGO_LOOKUPS = {
    "channel__exact",
    "purpose__exact",
    "created_at__gte",
    "created_at__lt",
    "created_at__isnull",
}


@admin.register(PhoneChallenge)
class PhoneChallengeAdmin(ReadOnlyAdmin, SearchedByPhone):
    """Who asked for a code, how it went out, how it was answered."""

    list_display = ("created_at", "masked_phone", "present_state", "route", "region", "client_ip")
    list_display_links = ("created_at", "masked_phone")
    list_filter = FILTERS
    sortable_by = ("created_at",)
    ordering = ("-created_at",)
    list_per_page = 50
    show_full_result_count = False
    # Each facet would count rows.
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/phone_otp/phonechallenge/change_list.html"
    change_form_template = "admin/phone_otp/phonechallenge/change_form.html"

    class Media:
        css = {"all": ["phone_otp/timeline.css"]}

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Give the list that counts nothing and looks back as far as it may."""
        return ChallengeChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow what the filters of this page send, and nothing else.

        SECURITY: with `phone__startswith` in the address a phone could be read digit by digit, and
        with `public_id__startswith` a live challenge.
        """
        return lookup in OUR_LOOKUPS or (lookup in DJANGO_LOOKUPS and "\0" not in str(value))

    def choose_phone(self, queryset: Any, phone: str) -> Any:
        """Choose the challenges of a phone."""
        return queryset.to_phone(phone)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tell the page what the operator may do there."""
        context = {
            "may_export": request.user.has_perm(EXPORT),
            "search_url": self.address("search"),
            "export_url": self.address("export"),
            "looked_through_count": LOOKED_THROUGH,
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # SECURITY: none of these can be sorted by: an order tells digits too.
    @admin.display(description=gettext_lazy("phone"))
    def masked_phone(self, challenge: PhoneChallenge) -> str:
        """Show the phone as a stranger may see it."""
        return challenge.masked_phone

    @admin.display(description=gettext_lazy("state"))
    def present_state(self, challenge: PhoneChallenge) -> str:
        """Show the state as it is now."""
        state = find_state(challenge, timezone.now())
        return format_html(
            '<span class="otp-state" data-tone="{}">{}</span>', TONES[state], state.label
        )

    @admin.display(description=gettext_lazy("route"))
    def route(self, challenge: PhoneChallenge) -> str:
        """Show channel and account of the last delivery."""
        channel = challenge.channel
        label = str(Channel(channel).label) if channel in Channel.values else channel
        return format_html("{}<br>{}", label, challenge.account)

    @admin.display(description=gettext_lazy("address"), empty_value="–")
    def client_ip(self, challenge: PhoneChallenge) -> str | None:
        """Show the client's address; a long one may break, between its groups alone."""
        groups = (challenge.ip or "").split(":")
        return format_html_join(BREAK, "{}", ((each,) for each in groups)) or None

    # The timeline

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show no fields: the timeline says it all."""
        return []

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: PhoneChallenge | None = None,
    ) -> HttpResponse:
        """Show the timeline in the place of a form."""
        if obj is None:
            raise Http404
        now = timezone.now()
        trail = self._read_trail(obj)
        state = find_state(obj, now)
        link = partial(link_user, site=self.admin_site)
        context |= {
            "title": _("Phone challenge"),
            "subtitle": None,
            "events": tell(obj, trail, now, link),
            "state": state,
            "tone": TONES[state],
            "is_locked": obj.ledger.disabled_at is not None,
            "owner": link(obj.user_id),
            "phone_url": f"{self.address('changelist')}?of={obj.ledger_id}",
            "acts": [
                (each.label, self.address("act", obj.pk, each.name))
                for each in ACTIONS.values()
                if self._may(request, each) and each.is_possible(obj, now)
            ],
            "media": self.media,
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _read_trail(self, challenge: PhoneChallenge) -> Trail:
        """Read what belongs to a challenge, by one statement for each kind."""
        rows = {"challenge": challenge}
        return Trail(
            objections=list(GuardObjection.objects.filter(**rows).order_by("pk")),
            deliveries=list(DeliveryAttempt.objects.filter(**rows).order_by("pk")),
            pending=list(PendingDelivery.objects.filter(**rows).order_by("pk")),
            answers=list(ConfirmAttempt.objects.filter(**rows).order_by("pk")),
            acts=[
                Act(
                    entry.action_time,
                    entry.user_id,
                    words := entry.get_change_message(),
                    is_revocation=is_revocation(words),
                )
                for entry in self._log_of(challenge)[:MAX_ACTS_COUNT]
            ],
        )

    def _log_of(self, challenge: PhoneChallenge) -> Any:
        content_type = ContentType.objects.get_for_model(PhoneChallenge)
        entries = LogEntry.objects.filter(content_type=content_type, object_id=str(challenge.pk))
        return entries.order_by("pk")

    # What is done

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of actions, and the export; a provider is called outside transactions."""
        wrap = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        act = outside_transactions(wrap(self.act_view))
        export = wrap(self.export_view)
        return [
            path("<int:pk>/act/<slug:action>/", act, name=f"{name}_act"),
            path("export/", export, name=f"{name}_export"),
            *super().get_urls(),
        ]

    def _may(self, request: HttpRequest, action: Action) -> bool:
        return self.has_view_permission(request) and request.user.has_perms(action.permissions)

    def act_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Ask whether it is meant, by GET; do it, by POST."""
        found = ACTIONS.get(action)
        if found is None:
            raise Http404
        # SECURITY: before anything is looked for: nobody else learns which challenges there are.
        if not self._may(request, found):
            raise PermissionDenied
        challenge = self.get_queryset(request).select_related("ledger").filter(pk=pk).first()
        if challenge is None:
            raise Http404
        address = self.address("change", pk)
        if not found.is_possible(challenge, timezone.now()):
            self.message_user(request, _("There is nothing to do any more."), messages.WARNING)
            return redirect(address)
        is_sent = request.method == "POST"
        form = found.form(request.POST if is_sent else None, challenge=challenge)
        if is_sent and form.is_valid():
            done = found.perform(challenge, form)
            if done.written:
                self.log_change(request, challenge, done.written)
                # SECURITY: a prefix beside a mask is nearly a phone, and a challenge leads to one.
                log_event(
                    logger,
                    Event.OPERATOR_ACTED,
                    action=found.name,
                    operator=request.user.pk,
                    challenge=None if done.scope else challenge.pk,
                    phone=None if done.scope else challenge.phone,
                    scope=done.scope or None,
                )
            level = messages.SUCCESS if done.is_done else messages.ERROR
            self.message_user(request, done.told, level)
            return redirect(address)
        request.current_app = self.admin_site.name  # for {% url %}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": found.label,
            "subtitle": str(challenge),
            "action": found,
            "form": form,
            "original": challenge,
            "back_url": address,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/phone_otp/phonechallenge/act.html", context)

    @method_decorator(require_POST)
    def export_view(self, request: HttpRequest) -> Any:
        """Stream what the filters in the address choose; written down before the first row."""
        if not (self.has_view_permission(request) and request.user.has_perm(EXPORT)):
            raise PermissionDenied
        try:
            chosen: Any = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return redirect(self.address("changelist"))
        now = timezone.now()
        self._write_down_export(request, chosen)
        name = f"challenges-{now:%Y%m%d-%H%M%S}.csv"
        return StreamingHttpResponse(
            write_csv(chosen.queryset, now),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _write_down_export(self, request: HttpRequest, chosen: ChallengeChangeList) -> None:
        """Note who has taken what: by the words of the filters, none of which is a phone."""
        filters = describe_choice(chosen)
        with translation.override(django_settings.LANGUAGE_CODE):
            words = _("Exported as CSV: %(filters)s") % {"filters": filters}
            noun = str(self.opts.verbose_name_plural)
        LogEntry.objects.create(
            user_id=cast(int, request.user.pk),  # `admin_view` lets nobody else in
            content_type=ContentType.objects.get_for_model(PhoneChallenge),
            object_repr=noun,
            action_flag=CHANGE,
            change_message=words,
        )
        log_event(
            logger,
            Event.OPERATOR_ACTED,
            action="export_csv",
            operator=request.user.pk,
            scope=filters,
        )
