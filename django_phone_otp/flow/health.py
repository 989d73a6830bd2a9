"""Health: what an operator should hear of before people complain. Layer 4.

Reads what `flow.traffic` has counted, accounts and breakers; asks no service, and writes nothing.
Traffic is compared with that of the same hours of the days before. SECURITY: numbers of phones,
addresses and prefixes are not told: what a timer writes ends in mails and chats.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import sqrt

from django.conf import settings as django_settings
from django.db.models import Max, Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..choices import Channel, Guard, Span
from ..conf import Settings
from ..models import AccountLedger, PhoneChallenge, TrafficCount
from .accounts import Entry, list_entries
from .breakers import read_breakers
from .hours import HOUR, Stretch, hour_of, zone
from .sweep import SWEEP_AGE

DAYS_COUNT = 7  # before today, that an hour is compared with
# After the end of an hour: whoever asked in it has logged in by then, or will not.
ANSWERING = timedelta(minutes=15)
# So many logins are to be expected, and none of them coming is no chance: it is 1 to e²⁰.
EXPECTED_LOGINS_COUNT = 20
CERTAINTY = 1.96  # standard deviations: 95 %
MAX_COUNTED = 1_000
WATCHING = (Guard.REGION_TRAFFIC, Guard.ADDRESS_TRAFFIC, Guard.PREFIX_TRAFFIC)


class Trouble(StrEnum):
    """What may be wrong; the words are those of the JSON, and for ever."""

    CONVERSION_DROPPED = "conversion_dropped"
    NO_LOGINS = "no_logins"
    NO_ACCOUNT = "no_account"
    ACCOUNT_BROKEN = "account_broken"
    BREAKER_OPEN = "breaker_open"
    GUARD_SHUT = "guard_shut"
    SWEEP_NEEDED = "sweep_needed"
    TRAFFIC_BEHIND = "traffic_behind"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong: `subject` is an account, channel, region or guard, or empty."""

    trouble: Trouble
    subject: str = ""
    words: str


@dataclass(frozen=True, slots=True)
class Share:
    """Of `sent_count` challenges so many were verified."""

    verified_count: int = 0
    sent_count: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.verified_count + other.verified_count, self.sent_count + other.sent_count)

    @property
    def conversion(self) -> float | None:
        """Give verified ÷ sent, None where nothing was sent."""
        return self.verified_count / self.sent_count if self.sent_count else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Give what the conversion is between, with a certainty of 95 %.

        Wilson's interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927): it holds for small numbers,
        and for conversions near 0 and 1.
        """
        n, z = self.sent_count, CERTAINTY
        if not n:
            return 0.0, 1.0
        p = self.verified_count / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The conversion of some hours beside that of the same hours of the days before."""

    subject: str
    now: Share
    before: Share

    @property
    def drop_percent(self) -> float | None:
        """Give by how much of itself the conversion fell; negative where it rose."""
        now, before = self.now.conversion, self.before.conversion
        return (1 - now / before) * 100 if now is not None and before else None

    def has_dropped(self, max_percent: float, min_sent_count: int) -> bool:
        """Say whether it certainly fell by more than so much.

        Chance is held against us on both sides: the best that the hours may mean is less than
        what is allowed of the worst that the days before may mean.
        """
        if min(self.now.sent_count, self.before.sent_count) < min_sent_count:
            return False
        _least_now, most_now = self.now.bounds
        least_before, _most_before = self.before.bounds
        return most_now < least_before * (1 - max_percent / 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What is wrong, if anything, and the hours from `since` to `until` that were compared."""

    since: datetime
    until: datetime
    problems: Sequence[Problem] = ()
    comparisons: Sequence[Comparison] = ()


def examine_health(
    settings: Settings,
    now: datetime,
    *,
    hours_count: int = 1,
    max_drop_percent: float = 30,
    min_sent_count: int = 30,
) -> Health:
    """Find out what is wrong; the last full hours are those whose answers have come in."""
    until = hour_of(now - ANSWERING).start
    since = until - hours_count * HOUR
    traffic = _read_traffic(Stretch(since, until))
    problems = [*_examine_accounts(settings, now), *_examine_deliveries(now)]
    if traffic.is_behind:
        words = _("Traffic has not been counted up to %(time)s: run phone_otp_count_traffic.")
        problems.append(
            Problem(trouble=Trouble.TRAFFIC_BEHIND, words=words % {"time": _write_time(until)})
        )
    else:
        problems += traffic.find_problems(max_drop_percent, min_sent_count)
    return Health(
        since=since,
        until=until,
        problems=tuple(problems),
        comparisons=tuple(traffic.comparisons),
    )


# Traffic


@dataclass(kw_only=True, slots=True)
class _Traffic:
    """The hours that are looked at, and the same ones of the days before."""

    now: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    before: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    blocked: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    days: set[int] = field(default_factory=set)
    is_behind: bool = False

    @property
    def comparisons(self) -> list[Comparison]:
        """Compare all, and then each account, channel and region; the empty subject is all."""
        return [
            Comparison(subject=each, now=self.now[each], before=self.before[each])
            for each in sorted({"", *self.now, *self.before})
        ]

    def find_problems(self, max_percent: float, min_sent_count: int) -> Iterator[Problem]:
        """Give what dropped, and what was blocked."""
        for each in self.comparisons:
            if each.has_dropped(max_percent, min_sent_count):
                yield _tell_drop(each)
        expected = self.before[""].verified_count / max(1, len(self.days))
        if not self.now[""].verified_count and expected >= EXPECTED_LOGINS_COUNT:
            words = _(
                "Nobody has logged in during these hours; on the days before about %(count)d "
                "people did."
            )
            yield Problem(trouble=Trouble.NO_LOGINS, words=words % {"count": round(expected)})
        for guard, count in sorted(self.blocked.items()):
            words = ngettext(
                "A guard has blocked %(count)d message: %(guard)s.",
                "A guard has blocked %(count)d messages: %(guard)s.",
                count,
            )
            told = words % {"guard": Guard(guard).label, "count": count}
            yield Problem(trouble=Trouble.GUARD_SHUT, subject=guard, words=told)


def _read_traffic(hours: Stretch) -> _Traffic:
    """Read it in one query, however many days there are."""
    traffic = _Traffic()
    stretches = [_days_before(hours, days) for days in range(DAYS_COUNT + 1)]
    is_then = Q()
    for each in stretches:
        is_then |= Q(starts_at__gte=each.start, starts_at__lt=each.end)
    rows = TrafficCount.primary().filter(is_then, span=Span.HOUR).order_by()
    since = TrafficCount.primary().filter(span=Span.HOUR, starts_at__gte=hours.start)
    counted_at = since.aggregate(newest=Max("counted_at"))["newest"]
    traffic.is_behind = counted_at is None or counted_at < hours.end + ANSWERING
    for row in rows:
        share = Share(row.verified_count, row.sent_count)
        subjects = _name_subjects(row)
        if hours.start <= row.starts_at < hours.end:
            is_fresh = row.counted_at >= row.starts_at + HOUR + ANSWERING
            traffic.is_behind |= not is_fresh
            for subject in subjects:
                traffic.now[subject] += share
            for guard, count in row.details.get("blocked", {}).items():
                if guard in WATCHING:
                    traffic.blocked[guard] += count
            continue
        traffic.days.update(
            days for days, each in enumerate(stretches) if each.start <= row.starts_at < each.end
        )
        for subject in subjects:
            traffic.before[subject] += share
    return traffic


def _name_subjects(row: TrafficCount) -> list[str]:
    named = {"account": row.account, "channel": row.channel, "region": row.region}
    return ["", *(f"{kind} {name}" for kind, name in named.items() if name)]


def _days_before(hours: Stretch, days: int) -> Stretch:
    """Give the same hours of an earlier day, by the clocks where the site is."""
    start = hours.start.astimezone(zone()) - timedelta(days=days)
    return Stretch(start, start + (hours.end - hours.start))


def _tell_drop(comparison: Comparison) -> Problem:
    words = _(
        "%(subject)s: the conversion fell by %(drop)d%%, to %(now)d%% (%(now_verified)d of "
        "%(now_sent)d) from %(before)d%% (%(before_verified)d of %(before_sent)d)."
    )
    now, before = comparison.now, comparison.before
    told = words % {
        "subject": describe_subject(comparison.subject),
        "drop": round(comparison.drop_percent or 0),
        "now": round(100 * (now.conversion or 0)),
        "now_verified": now.verified_count,
        "now_sent": now.sent_count,
        "before": round(100 * (before.conversion or 0)),
        "before_verified": before.verified_count,
        "before_sent": before.sent_count,
    }
    return Problem(trouble=Trouble.CONVERSION_DROPPED, subject=comparison.subject, words=told)


def describe_subject(subject: str) -> str:
    """Name what is compared, in the active language."""
    kind, _blank, name = subject.partition(" ")
    match kind:
        case "account":
            return _("Account %(account)s") % {"account": name}
        case "channel":
            return str(Channel(name).label) if name in Channel.values else name
        case "region":
            return _("Region %(region)s") % {"region": name}
    return _("All messages")


# Accounts and deliveries


def _examine_accounts(settings: Settings, now: datetime) -> Iterator[Problem]:
    entries = [each for each in list_entries(settings) if each.enabled]
    if not entries and not django_settings.DEBUG:  # else the console is used
        words = _("There is no account that is switched on.")
        yield Problem(trouble=Trouble.NO_ACCOUNT, words=words)
    aliases = [each.alias for each in entries]
    ledgers = {each.alias: each for each in AccountLedger.primary().filter(alias__in=aliases)}
    breakers = read_breakers(aliases)
    for entry in entries:
        problem = _find_problem(entry, ledgers.get(entry.alias))
        named = {"account": entry.alias}
        if problem:
            words = _("%(account)s is broken: %(problem)s") % {**named, "problem": problem}
            yield Problem(trouble=Trouble.ACCOUNT_BROKEN, subject=entry.alias, words=words)
        breaker = breakers[entry.alias]
        if breaker.is_open(now) or breaker.is_half_open(now):
            words = ngettext(
                "%(account)s keeps failing: %(count)d time in a row.",
                "%(account)s keeps failing: %(count)d times in a row.",
                breaker.failures_count,
            )
            told = words % {**named, "count": breaker.failures_count}
            yield Problem(trouble=Trouble.BREAKER_OPEN, subject=entry.alias, words=told)


def _find_problem(entry: Entry, ledger: AccountLedger | None) -> str:
    """Say what is wrong with an account as it is written, or as its service said last."""
    if entry.problem or ledger is None or not ledger.problem or not ledger.inspected_at:
        return entry.problem
    return f"{ledger.problem} ({_write_time(ledger.inspected_at)})"


def _examine_deliveries(now: datetime) -> Iterator[Problem]:
    count = PhoneChallenge.primary().abandoned(now - SWEEP_AGE)[:MAX_COUNTED].count()
    if count:
        words = ngettext(
            "%(count)d delivery was abandoned by its worker: run phone_otp_sweep.",
            "%(count)d deliveries were abandoned by their workers: run phone_otp_sweep.",
            count,
        )
        yield Problem(trouble=Trouble.SWEEP_NEEDED, words=words % {"count": count})


def _write_time(at: datetime) -> str:
    return date_format(at.astimezone(zone()), "Y-m-d H:i")
