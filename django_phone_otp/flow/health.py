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
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db.models import Max, Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..choices import Channel, DeliveryOutcome, Guard, Span
from ..conf import Settings
from ..models import AccountLedger, PendingDelivery, TrafficCount
from .accounts import list_entries
from .breakers import MAX_OPEN_SECONDS, read_breakers
from .counts import ANSWERING
from .guards import WATCHING
from .hours import HOUR, Stretch, hour_of, zone
from .inspection import find_problems
from .sweep import QUEUE_AGE, SWEEP_AGE, find_abandoned
from .tallies import NO_TRIES

DAYS_COUNT = 7  # before today, that an hour is compared with
# So many logins are to be expected, and none of them coming is no chance: it is 1 to e²⁰.
EXPECTED_LOGINS_COUNT = 20
CERTAINTY = 1.96  # standard deviations: 95 %
MAX_COUNTED = 1_000
# So often an hour an account is tried that does nothing but fail: its breaker lets no more through.
MIN_TRIES_COUNT = int(HOUR.total_seconds()) // MAX_OPEN_SECONDS
NOT_ASKED = NO_TRIES | {DeliveryOutcome.OVER_BUDGET, DeliveryOutcome.PHONE_OVER_BUDGET}


class Trouble(StrEnum):
    """What may be wrong; the words are those of the JSON, and for ever."""

    CONVERSION_DROPPED = "conversion_dropped"
    DELIVERIES_FAILING = "deliveries_failing"
    NO_LOGINS = "no_logins"
    NO_ACCOUNT = "no_account"
    ACCOUNT_BROKEN = "account_broken"
    BREAKER_OPEN = "breaker_open"
    GUARD_SHUT = "guard_shut"
    SWEEP_NEEDED = "sweep_needed"
    QUEUE_WAITING = "queue_waiting"
    TRAFFIC_BEHIND = "traffic_behind"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong: `subject` is an account, channel, region or guard, or empty."""

    trouble: Trouble
    subject: str = ""
    words: str


@dataclass(frozen=True, slots=True)
class Share:
    """Of `all_count` so many went well: of challenges that were sent, of tries to deliver."""

    good_count: int = 0
    all_count: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.good_count + other.good_count, self.all_count + other.all_count)

    @property
    def part(self) -> float | None:
        """Give it as a number from 0 to 1, None of nothing.

        A code may be right of which nobody knows that it was sent: there are no more than all.
        """
        return min(1.0, self.good_count / self.all_count) if self.all_count else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Give what it stands for at the least and at the most, with a certainty of 95 %.

        Wilson's interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927): it holds for small numbers,
        and near 0 and 1.
        """
        n, z, p = self.all_count, CERTAINTY, self.part
        if p is None:
            return 0.0, 1.0
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What went well in some hours, beside the same hours of the days before."""

    subject: str
    now: Share
    before: Share

    @property
    def drop_percent(self) -> float | None:
        """Give by how much of itself the share fell; negative where it rose."""
        now, before = self.now.part, self.before.part
        return (1 - now / before) * 100 if now is not None and before else None

    def has_dropped(
        self, max_percent: float, min_count: int, min_count_before: int | None = None
    ) -> bool:
        """Say whether it certainly fell by more than so much; of too few nothing is said.

        Chance is held against us on both sides: the best that the hours may mean is less than
        what is allowed of the worst that the days before may mean.
        """
        least_count_before = min_count if min_count_before is None else min_count_before
        if self.now.all_count < min_count or self.before.all_count < least_count_before:
            return False
        _least_now, most_now = self.now.bounds
        least_before, _most_before = self.before.bounds
        return most_now < least_before * (1 - max_percent / 100)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What is wrong, if anything, and the hours from `since` to `until` that were compared.

    `deliveries` are the tries of each account. Without `sees_breakers` the cache is that of one
    process, and nobody else knows which breakers are open.
    """

    since: datetime
    until: datetime
    problems: Sequence[Problem] = ()
    comparisons: Sequence[Comparison] = ()
    deliveries: Sequence[Comparison] = ()
    sees_breakers: bool = True


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
    since = hour_of(until - hours_count * HOUR).start  # a day may end with a short hour
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
        deliveries=tuple(traffic.deliveries),
        # Breakers are in this cache, whichever one counts the limits.
        sees_breakers=not isinstance(caches["default"], LocMemCache),
    )


# Traffic


@dataclass(kw_only=True, slots=True)
class _Traffic:
    """The hours that are looked at, and the same ones of the days before."""

    now: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    before: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    tries_now: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    tries_before: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
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

    @property
    def deliveries(self) -> list[Comparison]:
        """Compare the tries to deliver, by account."""
        return [
            Comparison(subject=each, now=self.tries_now[each], before=self.tries_before[each])
            for each in sorted({*self.tries_now, *self.tries_before})
        ]

    def find_problems(self, max_percent: float, min_sent_count: int) -> Iterator[Problem]:
        """Give what dropped, what fails, and what was blocked."""
        for each in self.comparisons:
            if each.has_dropped(max_percent, min_sent_count):
                yield _tell_drop(each)
        for each in self.deliveries:
            if each.has_dropped(max_percent, MIN_TRIES_COUNT, min_sent_count):
                yield _tell_failing(each)
        expected = self.before[""].good_count / max(1, len(self.days))
        if not self.now[""].good_count and expected >= EXPECTED_LOGINS_COUNT:
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
    stretches = [hours, *(_days_before(hours, days) for days in range(1, DAYS_COUNT + 1))]
    is_then = Q()
    for each in stretches:
        is_then |= Q(starts_at__gte=each.start, starts_at__lt=each.end)
    rows = TrafficCount.primary().filter(is_then, span=Span.HOUR).order_by()
    since = TrafficCount.primary().filter(span=Span.HOUR, starts_at__gte=hours.start)
    counted_at = since.aggregate(newest=Max("counted_at"))["newest"]
    traffic.is_behind = counted_at is None or counted_at < hours.end + ANSWERING
    for row in rows:
        share, tries = Share(row.verified_count, row.sent_count), _read_tries(row)
        subjects = _name_subjects(row)
        if hours.start <= row.starts_at < hours.end:
            is_fresh = row.counted_at >= hour_of(row.starts_at).end + ANSWERING
            traffic.is_behind |= not is_fresh
            for subject in subjects:
                traffic.now[subject] += share
            if tries.all_count:
                traffic.tries_now[row.account] += tries
            for guard, count in row.details.get("blocked", {}).items():
                if guard in WATCHING:
                    traffic.blocked[guard] += count
            continue
        traffic.days.update(
            days for days, each in enumerate(stretches) if each.start <= row.starts_at < each.end
        )
        for subject in subjects:
            traffic.before[subject] += share
        if tries.all_count:
            traffic.tries_before[row.account] += tries
    return traffic


def _read_tries(row: TrafficCount) -> Share:
    """Give how many tries of an account were taken; what may have gone out was not, for certain."""
    outcomes = row.details.get("outcomes", {}) if row.account else {}
    tried = sum(count for outcome, count in outcomes.items() if outcome not in NOT_ASKED)
    return Share(outcomes.get(DeliveryOutcome.SENT, 0), tried)


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
        "now": round(100 * (now.part or 0)),
        "now_verified": now.good_count,
        "now_sent": now.all_count,
        "before": round(100 * (before.part or 0)),
        "before_verified": before.good_count,
        "before_sent": before.all_count,
    }
    return Problem(trouble=Trouble.CONVERSION_DROPPED, subject=comparison.subject, words=told)


def _tell_failing(comparison: Comparison) -> Problem:
    words = _(
        "%(account)s: %(now)d%% of the tries to deliver failed (%(now_failed)d of %(now_tried)d), "
        "on the days before %(before)d%% (%(before_failed)d of %(before_tried)d)."
    )
    now, before = comparison.now, comparison.before
    told = words % {
        "account": comparison.subject,
        "now": round(100 * (1 - (now.part or 0))),
        "now_failed": now.all_count - now.good_count,
        "now_tried": now.all_count,
        "before": round(100 * (1 - (before.part or 0))),
        "before_failed": before.all_count - before.good_count,
        "before_tried": before.all_count,
    }
    return Problem(trouble=Trouble.DELIVERIES_FAILING, subject=comparison.subject, words=told)


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
    problems, breakers = find_problems(entries, ledgers), read_breakers(aliases)
    for entry in entries:
        problem = _tell_since(problems[entry.alias], ledgers.get(entry.alias))
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


def _tell_since(problem: str, ledger: AccountLedger | None) -> str:
    """Say of what a service said when it said so."""
    if ledger is None or problem != ledger.problem or not problem or not ledger.inspected_at:
        return problem
    return f"{problem} ({_write_time(ledger.inspected_at)})"


def _examine_deliveries(now: datetime) -> Iterator[Problem]:
    before = now - SWEEP_AGE
    pending = PendingDelivery.primary()
    count = find_abandoned(before)[:MAX_COUNTED].count()
    count += pending.abandoned(before)[:MAX_COUNTED].count()
    if count:
        words = ngettext(
            "%(count)d delivery was abandoned by its worker: run phone_otp_sweep.",
            "%(count)d deliveries were abandoned by their workers: run phone_otp_sweep.",
            count,
        )
        yield Problem(trouble=Trouble.SWEEP_NEEDED, words=words % {"count": count})
    count = pending.unclaimed(now - QUEUE_AGE)[:MAX_COUNTED].count()
    if count:
        words = ngettext(
            "%(count)d delivery has waited for longer than a minute: is a worker running?",
            "%(count)d deliveries have waited for longer than a minute: is a worker running?",
            count,
        )
        yield Problem(trouble=Trouble.QUEUE_WAITING, words=words % {"count": count})


def _write_time(at: datetime) -> str:
    return date_format(at.astimezone(zone()), "Y-m-d H:i")
