"""The dashboard: what the traffic came to, and how accounts, guards and phones do. Layer 5.

It reads what was counted and is asked for by address alone, so it works without JavaScript; the
charts are drawn of the same numbers by a script. No provider is asked by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from .. import conf
from ..choices import Period
from ..flow.accounts import list_entries
from ..flow.hours import zone
from ..flow.report import Report, read_report
from ..flow.traffic import count_if_due, count_traffic
from ..flow.transactions import outside_transactions
from ..models import Dashboard
from . import charts, panels
from .windows import ReadOnlyAdmin

if TYPE_CHECKING:
    DashboardModelAdmin = admin.ModelAdmin[Dashboard]
else:
    DashboardModelAdmin = admin.ModelAdmin

VIEW_CHALLENGES = "phone_otp.view_phonechallenge"
FILTERS = ("account", "channel", "region")
MAX_FILTER_LENGTH = 64  # no account has a longer name

STEP_FORMATS = {Period.DAY: "H:i", Period.WEEK: "j E, H:i"}
DAY_FORMAT = "j E"  # the month as a date has it: in Russian in the genitive, and small
# Whole sentences: in many languages the words for a time depend on those around them.
NOTHING = {
    Period.DAY: _("No code was asked for in these 24 hours."),
    Period.WEEK: _("No code was asked for in these 7 days."),
    Period.MONTH: _("No code was asked for in these 30 days."),
    Period.QUARTER: _("No code was asked for in these 90 days."),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator wants to see: a period, and filters that are empty for all."""

    period: Period
    account: str = ""
    channel: str = ""
    region: str = ""

    @classmethod
    def read(cls, given: QueryDict) -> Choice:
        """Read it from an address; what makes no sense there is left out."""
        asked = given.get("period")
        period = Period(asked) if asked in Period.values else Period.DAY
        filters = {name: str(given.get(name, "")) for name in FILTERS}
        # No database has a column for the others, and PostgreSQL takes no NUL.
        sane = {
            name: value
            for name, value in filters.items()
            if len(value) <= MAX_FILTER_LENGTH and "\0" not in value
        }
        return cls(period, **sane)

    @property
    def filters(self) -> dict[str, str]:
        """Give the filters that are set."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}

    @property
    def query(self) -> dict[str, str]:
        """Give it as an address has it."""
        return {"period": self.period.value, **self.filters}


@admin.register(Dashboard)
class DashboardAdmin(ReadOnlyAdmin, DashboardModelAdmin):
    """One page, for staff who may view challenges."""

    count_seconds = 10.0  # of “Count now”: a worker of the site waits all the time

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show it in the lists of the admin to those who may open it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask for the permission to view challenges: it is made of them."""
        return request.user.has_perm(VIEW_CHALLENGES)

    def get_urls(self) -> list[URLPattern]:
        """Have this page in place of the pages that a model has."""
        page = outside_transactions(self.admin_site.admin_view(self.dashboard_view))
        count = outside_transactions(self.admin_site.admin_view(self.count_view))
        return [
            path("", page, name="phone_otp_dashboard"),
            # By this name the lists of the admin find it.
            path("", page, name="phone_otp_dashboard_changelist"),
            path("count/", count, name="phone_otp_dashboard_count"),
        ]

    @method_decorator(require_safe)
    def dashboard_view(self, request: HttpRequest) -> HttpResponse:
        """Show the dashboard, with counts as fresh as they can be without making anybody wait."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        counted = count_if_due(now)
        choice = Choice.read(request.GET)
        report = read_report(choice.period, now, **choice.filters)
        request.current_app = self.admin_site.name  # for {% url %}
        return TemplateResponse(
            request,
            "admin/phone_otp/dashboard/page.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": _("Dashboard"),
                "zone": zone(),
                "choice": choice,
                "report": report,
                # Else it is complete, or was counted too short a while ago to look again.
                "is_behind": counted is not None and not (counted.is_complete or counted.gave_way),
                **_describe_choice(choice, report),
                **_describe_traffic(choice, report),
                **self._describe_state(request, choice, report, now),
            },
        )

    @method_decorator(require_POST)
    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Count what has happened up to now, and go back."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        counted = count_traffic(timezone.now(), deadline_seconds=self.count_seconds)
        if counted.is_complete:
            self.message_user(request, _("Counted up to now."), messages.SUCCESS)
        else:
            text = _("There was too much to count at once. Count again to go on.")
            if counted.gave_way:
                text = _("Another count is at work.")
            self.message_user(request, text, messages.WARNING)
        query = urlencode(Choice.read(request.POST).query)
        return redirect(f"{self._find_url('dashboard')}?{query}")

    def _describe_state(
        self, request: HttpRequest, choice: Choice, report: Report, now: datetime
    ) -> dict[str, Any]:
        """Give how things are now, whatever the period."""
        settings = conf.read()
        entries = list_entries(settings)
        states = panels.list_account_states(entries, now)
        blocks = panels.find_blocks(now)
        # SECURITY: a prefix can be as long as a whole phone.
        may_see_prefixes = request.user.has_perm("phone_otp.view_blockedprefix")
        may_block = may_see_prefixes and request.user.has_perm("phone_otp.add_blockedprefix")
        may_see_phones = request.user.has_perm("phone_otp.view_phoneledger")
        return {
            "by_account": panels.list_accounts(
                report.by_account,
                {each.alias: each.backend for each in entries},
                choice.query,
            ),
            "account_states": states,
            "trouble": ", ".join(each.trouble for each in states if each.trouble),
            "accounts_url": self._find_url("provideraccount_changelist")
            if request.user.has_perm("phone_otp.view_provideraccount")
            else "",
            "guards": panels.list_guards(report.total, settings),
            "prefixes": panels.list_prefixes(
                report.prefixes,
                blocks,
                may_see=may_see_prefixes or may_block,
                add_url=self._find_url("blockedprefix_add") if may_block else "",
            ),
            "addresses": panels.list_addresses(report.addresses),
            "blocks": list(blocks.items())[: panels.MAX_LISTED_COUNT] if may_see_prefixes else [],
            "blocks_count": panels.write_bounded(len(blocks)),
            "blocks_url": self._find_url("blockedprefix_changelist") if may_see_prefixes else "",
            "locked_count": panels.count_locked_phones(),
            "locked_url": self._find_url("phoneledger_changelist") if may_see_phones else "",
        }

    def _find_url(self, name: str) -> str:
        """Find a page of this admin site; empty where the site has it not."""
        try:
            return reverse(f"{self.admin_site.name}:phone_otp_{name}")
        except NoReverseMatch:
            return ""


def _describe_choice(choice: Choice, report: Report) -> dict[str, Any]:
    """Give the periods and filters to choose from."""
    offered = {
        "account": [(each, each) for each in report.accounts],
        "channel": [(each, panels.name_channel(each)) for each in report.channels],
        "region": [(each, each) for each in report.regions],
    }
    titles = {"account": _("Account"), "channel": _("Channel"), "region": _("Region")}
    every = {"account": _("all accounts"), "channel": _("all channels"), "region": _("all regions")}
    for name, value in choice.filters.items():  # one that has no traffic any more can be taken off
        if value not in dict(offered[name]):
            offered[name].append((value, value))
    return {
        "periods": [
            {
                "label": each.label,
                "query": urlencode({**choice.filters, "period": each.value}),
                "is_chosen": each is choice.period,
            }
            for each in Period
        ],
        "filters": [
            {
                "name": name,
                "title": titles[name],
                "every": every[name],
                "chosen": getattr(choice, name),
                "options": [pair for pair in offered[name] if pair[0]],
            }
            for name in FILTERS
        ],
        "all_query": urlencode({"period": choice.period.value}) if choice.filters else "",
    }


def _describe_traffic(choice: Choice, report: Report) -> dict[str, Any]:
    """Give what happened in the period."""
    steps = _name_steps(choice.period, report)
    drawn = [
        charts.draw_codes(steps),
        charts.draw_conversion(steps),
        charts.draw_failures(steps),
        charts.draw_waits(steps),
        charts.draw_day(report.by_hour_of_day),
    ]
    is_empty = not report.total.requested_count
    shown = [] if is_empty else [each for each in drawn if each.has_values]
    return {
        "is_empty": is_empty,
        "nothing": NOTHING[choice.period],
        "tiles": panels.list_tiles(report),
        "funnel": panels.list_funnel(report.total),
        "charts": shown,
        "charts_data": [each.for_script() for each in shown],
        "failures": panels.list_failures(report.total),
        "refusals": panels.list_refusals(report.total),
        "by_channel": panels.list_channels(report.by_channel, choice.query),
        "by_region": panels.list_regions(report.by_region, choice.query),
    }


def _name_steps(period: Period, report: Report) -> charts.TimeSteps:
    form = STEP_FORMATS.get(period, DAY_FORMAT)
    return charts.TimeSteps(
        names=[date_format(at.astimezone(zone()), form) for at, _tally in report.over_time],
        tallies=[tally for _at, tally in report.over_time],
    )
