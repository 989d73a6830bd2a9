"""Filters of the list of challenges: operators' questions, each with a bound. Layer 5.

SECURITY: an operator must be able to press any of them on a table of ten million rows. Those whose
answer stands in an index look as far back as is asked. All others, and any two together, look
through the newest `LOOKED_THROUGH` challenges of the time that is asked, and the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from .. import conf
from ..choices import Channel, DeliveryOutcome, Guard, Purpose, State
from ..flow.accounts import list_entries, list_providers
from ..models import DeliveryAttempt, GuardObjection, PhoneChallenge
from ..models.challenge import PhoneChallengeQuerySet
from ..phone import is_region
from .paging import UncountedChangeList
from .states import in_state
from .windows import PHONE_PARAMETER, PhoneFilter

LOOKED_THROUGH = 50_000
# As many as tell which regions there are; reading all to find out would read the whole table.
NEWEST_COUNT = 1_000
MAX_NAME_LENGTH = 64  # no account, channel or provider has a longer one

Choices = list[tuple[str, Any]]


class BoundFilter(admin.SimpleListFilter):
    """Base: a filter that knows since when it may look."""

    template = "admin/phone_otp/filter.html"
    # Whether the database finds the newest rows by an index, whatever is asked.
    is_indexed = False
    # Whether it is asked so often that its choices are shown at once.
    is_common = False
    since: datetime | None = None
    now: datetime

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self.now = timezone.now()
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Choices:
        """Offer what can be chosen."""
        return self.list_choices()

    def list_choices(self) -> Choices:
        """List values with their words."""
        raise NotImplementedError

    @property
    def chosen(self) -> str:
        """Give what is chosen, empty for nothing and for what is not offered."""
        value = self.value()
        return value if value in {str(key) for key, _words in self.lookup_choices} else ""

    @property
    def is_open(self) -> bool:
        """Say whether the page shows its choices."""
        return self.is_common or bool(self.chosen)

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[PhoneChallenge]
    ) -> QuerySet[PhoneChallenge]:
        """Choose, where something that is offered is chosen."""
        return self.choose(queryset, self.chosen) if self.chosen else queryset

    def choices(self, changelist: Any) -> Any:
        """Offer all of them first, in a small letter as the others have it."""
        every, *others = super().choices(changelist)
        return [{**every, "display": _("all")}, *others]

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose the rows with a value that is offered."""
        return queryset.filter(**{str(self.parameter_name): value})


class WhenFilter(BoundFilter):
    """Filter by the time of the request: of a day, unless a phone or another time is asked for."""

    title = _("time")
    parameter_name = "when"
    is_common = True
    spans = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        asked = {SEARCH_VAR, PHONE_PARAMETER, "created_at__gte", "created_at__lt"}
        self._default = "all" if asked & set(request.GET) else "day"
        super().__init__(request, *args)
        self.since = self.now - self.spans[self.value()] if self.value() in self.spans else None

    def list_choices(self) -> Choices:
        """List the times."""
        return [
            ("hour", _("last hour")),
            ("day", _("last 24 hours")),
            ("week", _("last 7 days")),
            ("all", _("all")),
        ]

    def value(self) -> str:
        """Give what is chosen, or the default."""
        chosen = str(self.used_parameters.get(self.parameter_name))
        return chosen if chosen in {*self.spans, "all"} else self._default

    def choices(self, changelist: Any) -> Any:
        """Offer the times, and none of them twice."""
        for key, words in self.lookup_choices:
            yield {
                "selected": self.value() == key,
                "query_string": changelist.get_query_string({self.parameter_name: key}),
                "display": words,
            }

    def choose(self, queryset: QuerySet[PhoneChallenge], _value: str) -> QuerySet[PhoneChallenge]:
        """Choose what was asked for since then."""
        return queryset.filter(created_at__gte=self.since) if self.since else queryset


class StateFilter(BoundFilter):
    """Filter by the state that operators see."""

    title = _("state")
    parameter_name = "state"
    is_common = True

    def list_choices(self) -> Choices:
        """List all states."""
        return State.listed()

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose by the state as it is now."""
        return in_state(cast(PhoneChallengeQuerySet, queryset), value, self.now)


class OutcomeFilter(BoundFilter):
    """Filter by what became of a delivery; what went well is no question."""

    title = _("delivery")
    parameter_name = "delivery"

    def list_choices(self) -> Choices:
        """List what may have gone wrong, the uncertain first."""
        rest = [each for each in DeliveryOutcome.listed() if each[0] not in ("sent", "uncertain")]
        return [("uncertain", DeliveryOutcome.UNCERTAIN.label), *rest]

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose those with a delivery that ended so."""
        tries = DeliveryAttempt.objects.filter(outcome=value)
        return _choose_by_trail(queryset, tries, self.since)


class GuardFilter(BoundFilter):
    """Filter by a guard that objected, heeded or in shadow."""

    title = _("guard")
    parameter_name = "guard"

    def list_choices(self) -> Choices:
        """List "blocked by any", and all guards."""
        return [("blocked", _("blocked by any of them")), *Guard.listed()]

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose those with such an objection."""
        objections = GuardObjection.objects.all()
        if value == "blocked":
            return _choose_by_trail(queryset, objections.filter(blocked=True), self.since)
        return _choose_by_trail(queryset, objections.filter(guard=value), self.since)


class ChannelFilter(BoundFilter):
    """Filter by the channel of the last delivery."""

    title = _("channel")
    parameter_name = "channel"

    def list_choices(self) -> Choices:
        """List all channels."""
        return Channel.listed()


class AccountFilter(BoundFilter):
    """Filter by the account of the last delivery."""

    title = _("account")
    parameter_name = "account"

    def list_choices(self) -> Choices:
        """List those there are, and one that is gone where it is asked for."""
        aliases = {each.alias for each in list_entries(conf.read())}
        asked = self.value() or ""
        if asked and len(asked) <= MAX_NAME_LENGTH and asked.isprintable():
            aliases.add(asked)
        return [(alias, alias) for alias in sorted(aliases)]


class ProviderFilter(BoundFilter):
    """Filter by the provider of the last delivery."""

    title = _("provider")
    parameter_name = "provider"

    def list_choices(self) -> Choices:
        """List those that can be used: asking for those that were would read the whole table."""
        return [(key, key) for key in list_providers(conf.read())]


class RegionFilter(BoundFilter):
    """Filter by the region of the phone."""

    title = _("region")
    parameter_name = "region"
    is_indexed = True

    def list_choices(self) -> Choices:
        """List those that are served, or were asked for of late."""
        newest = PhoneChallenge.objects.order_by("-created_at").values_list("region", flat=True)
        regions = {*(conf.read().allowed_regions or ()), *newest[:NEWEST_COUNT]} - {""}
        if is_region(self.value() or ""):
            regions.add(str(self.value()))
        return [(region, region) for region in sorted(regions)]


class PurposeFilter(BoundFilter):
    """Filter by purpose."""

    title = _("purpose")
    parameter_name = "purpose"

    def list_choices(self) -> Choices:
        """List all purposes."""
        return Purpose.listed()


class DoorFilter(BoundFilter):
    """Filter by the door: that of LIFE POS keeps no identifier of a challenge."""

    title = _("door")
    parameter_name = "door"

    def list_choices(self) -> Choices:
        """List what can be told apart."""
        return [("lifepos", "LIFE POS"), ("other", _("another one"))]

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose by whether the client is recognised by what it names itself."""
        is_other = queryset.filter(client_digest="")
        return is_other if value == "other" else queryset.exclude(client_digest="")


class DeviceFilter(BoundFilter):
    """Filter by whether the client had logged in with the phone before."""

    title = _("known device")
    parameter_name = "device"

    def list_choices(self) -> Choices:
        """List yes and no."""
        return [("yes", _("Yes")), ("no", _("No"))]

    def choose(self, queryset: QuerySet[PhoneChallenge], value: str) -> QuerySet[PhoneChallenge]:
        """Choose by whether there is a device."""
        return queryset.filter(device__isnull=value == "no")


FILTERS: tuple[type[admin.SimpleListFilter], ...] = (
    PhoneFilter,
    WhenFilter,
    StateFilter,
    OutcomeFilter,
    GuardFilter,
    RegionFilter,
    ChannelFilter,
    AccountFilter,
    ProviderFilter,
    PurposeFilter,
    DoorFilter,
    DeviceFilter,
)


def _choose_by_trail(
    queryset: QuerySet[PhoneChallenge], trail: QuerySet[Any], since: datetime | None
) -> QuerySet[PhoneChallenge]:
    """Choose the challenges of trails; nothing of a challenge is older than itself."""
    bound = trail.filter(created_at__gte=since) if since else trail
    return queryset.filter(pk__in=bound.values("challenge"))


class ChallengeChangeList(UncountedChangeList):
    """The list of challenges; `looked_back_to` is how far, where that is not as far as asked."""

    looked_back_to: datetime | None = None
    since: datetime | None = None

    def get_filters(self, request: HttpRequest) -> Any:
        """Find out how far the filters may look back before they do."""
        found = super().get_filters(request)
        specs: Sequence[Any] = found[0]
        remaining: dict[str, Any] = found[2]
        for name in {"created_at__gte", "created_at__lt"} & set(remaining):
            remaining[name] = [_read_time(str(each)) for each in remaining[name]]
        bound = [each for each in specs if isinstance(each, BoundFilter)]
        when = next(each for each in bound if isinstance(each, WhenFilter))
        self.since = when.since
        if self._reads_rows(specs, remaining):
            self.looked_back_to = self._find_floor(when.since, remaining)
            self.since = self.looked_back_to or when.since
        for each in bound:
            each.since = self.since
        return found

    def _reads_rows(self, specs: Sequence[Any], remaining: dict[str, Any]) -> bool:
        active = [each for each in specs if _is_active(each)]
        if self.query or any(isinstance(each, PhoneFilter) for each in active):
            return False  # the rows of one phone are few
        others = [name for name in remaining if not name.startswith("created_at__")]
        is_one = len(active) == 1 and not others
        return bool(active or others) and not (is_one and getattr(active[0], "is_indexed", False))

    def _find_floor(self, since: datetime | None, remaining: dict[str, Any]) -> datetime | None:
        """Find the time of the last challenge that is looked at; None where all of them are."""
        rows = self.root_queryset.filter(created_at__gte=since) if since else self.root_queryset
        times = {name: each for name, each in remaining.items() if name.startswith("created_at__")}
        for name, values in times.items():
            rows = rows.filter(**{name: values[-1]})
        newest = rows.order_by("-created_at").values_list("created_at", flat=True)
        beyond: datetime | None = newest[LOOKED_THROUGH : LOOKED_THROUGH + 1].first()
        return beyond


def _read_time(text: str) -> datetime:
    """Read a time as an address has it: without a zone it is the operator's."""
    try:
        at = parse_datetime(text)
        if at is None:
            raise IncorrectLookupParameters
        # In UTC it may lie before the first year, or after the last one.
        return (timezone.make_aware(at) if timezone.is_naive(at) else at).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise IncorrectLookupParameters from error


def _is_active(spec: Any) -> bool:
    if isinstance(spec, WhenFilter):
        return False
    if isinstance(spec, PhoneFilter):
        return spec.ledger is not None
    return not isinstance(spec, BoundFilter) or bool(spec.chosen)
