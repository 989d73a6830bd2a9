"""The dashboard's panels: from a report and the state of things to rows of words. Layer 5.

Nothing is asked of a provider here: how accounts do is read from what is known already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..choices import Channel, Guard, Refusal
from ..conf import Settings
from ..flow.accounts import Entry
from ..flow.breakers import Breaker, read_breakers
from ..flow.inspection import find_problems
from ..flow.limits import today
from ..flow.report import Report, SourceTally
from ..flow.tallies import GuardTally, Histogram, Tally
from ..models import AccountLedger, BlockedPrefix, PhoneLedger
from . import numbers
from .accounts import describe_state
from .charts import name_outcome

MAX_COUNTED = 1_000  # of what is only counted: to count on would read the table
MAX_LISTED_COUNT = 10
HIDDEN_DIGITS_COUNT = 3
MIN_COMPARED_COUNT = 30  # codes in the period before: fewer make thousands of percent of nothing
MIN_ACCUSED_COUNT = 10  # messages to a prefix, or for a network: fewer are people who gave up


@dataclass(frozen=True, slots=True)
class Tile:
    """A number to see at a glance, or one for each currency; `change` is since the period before.

    `mood` says whether the change is "good" or "bad"; empty where it is neither.
    """

    title: str
    texts: Sequence[str]
    change: str = ""
    mood: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """A count with its share; `percent` is how far the bar reaches."""

    name: str
    count: str
    share: str
    percent: str
    note: str = ""
    ink: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What an account, a channel or a region has done."""

    name: str
    note: str
    query: str
    bar: Bar
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class GuardLine:
    """A guard: how it acts now, and what it did in the period."""

    name: str
    mode: str
    mode_name: str
    blocked: str
    shadow: str


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where messages went, or came from, that logged nobody in."""

    scope: str
    sent: str
    bar: Bar
    block_url: str = ""
    blocked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountLine:
    """How an account does. `mood` is "good", "warn", "bad" or "off"; `notes` say what is wrong.

    `trouble` is what the top of the page says of one that is "bad", and empty of the others.
    """

    alias: str
    backend: str
    mood: str
    state: str
    balance: str
    inspected_at: datetime | None
    notes: Sequence[str]
    budget: Bar | None
    trouble: str = ""


# What happened


def list_tiles(report: Report) -> list[Tile]:
    """Give the numbers to see first."""
    total, before = report.total, report.previous
    if before.requested_count < MIN_COMPARED_COUNT:
        before = Tally()
    failed, failed_before = _failed_share(total), _failed_share(before)
    wait, answer = total.login_seconds, total.answer_ms
    return [
        Tile(
            _("Conversion"),
            [numbers.write_percent(total.conversion)],
            numbers.write_points(total.conversion, before.conversion),
            _mood(total.conversion, before.conversion, is_more_better=True),
            [_("verified of the sent")],
        ),
        Tile(
            _("Verified"),
            [numbers.write_count(total.verified_count)],
            numbers.write_change(total.verified_count, before.verified_count),
            "",
            [_("of %(count)s asked for") % {"count": numbers.write_count(total.requested_count)}],
        ),
        Tile(
            _("Failed deliveries"),
            [numbers.write_percent(failed)],
            numbers.write_points(failed, failed_before),
            _mood(failed, failed_before, is_more_better=False),
            [
                _("%(count)s of %(whole)s tries")
                % {
                    "count": numbers.write_count(total.failures_count),
                    "whole": numbers.write_count(total.deliveries_count),
                }
            ],
        ),
        Tile(
            _("Time to log in"),
            [numbers.write_seconds(wait.percentile(0.5))],
            notes=_tail(wait, numbers.write_seconds),
        ),
        Tile(
            _("Provider's answer"),
            [numbers.write_milliseconds(answer.percentile(0.5))],
            notes=_tail(answer, numbers.write_milliseconds),
        ),
        Tile(
            _("Cost"),
            numbers.write_costs(total.costs) or [numbers.UNKNOWN],
            notes=[
                _("%(price)s for each verified") % {"price": price}
                for price in _share_costs(total, " + ")
            ],
        ),
    ]


def _share_costs(tally: Tally, plus: str) -> list[str]:
    """Write what one login has cost.

    What was paid in several currencies is a sum: each of them paid for a part of the logins.
    """
    costs = numbers.write_costs(tally.costs, tally.verified_count)
    return [plus.join(costs)] if costs else []


def _tail(histogram: Histogram, write: Any) -> list[str]:
    """Say how long the slow ones took."""
    if not histogram.count:
        return []
    return [
        _("%(share)s within %(time)s")
        % {"share": numbers.write_percent(share, 0), "time": write(histogram.percentile(share))}
        for share in (0.9, 0.99)
    ]


def _failed_share(tally: Tally) -> float | None:
    tries = tally.deliveries_count
    return tally.failures_count / tries if tries else None


def _mood(now: float | None, before: float | None, *, is_more_better: bool) -> str:
    if not numbers.write_points(now, before) or now is None or before is None:
        return ""
    return "good" if (now > before) is is_more_better else "bad"


def list_funnel(total: Tally) -> list[Bar]:
    """Give the steps from the request to the login, each with its share of the step before."""
    steps = (
        (_("Asked for"), total.requested_count, "asked"),
        (_("Sent"), total.sent_count, "sent"),
        (_("Answered"), total.answered_count, "answered"),
        (_("Verified"), total.verified_count, "verified"),
    )
    bars = []
    before = None
    for name, count, ink in steps:
        note = ""
        if before is not None:
            note = _("%(share)s of the step before") % {"share": numbers.write_share(count, before)}
        bars.append(_bar(name, count, total.requested_count, note=note, ink=ink))
        before = count
    return bars


def list_failures(total: Tally) -> list[Bar]:
    """Give the reasons why deliveries failed, most frequent first."""
    return _rank({name_outcome(key): count for key, count in total.failures.items()}, "bad")


def list_refusals(total: Tally) -> list[Bar]:
    """Give the reasons why answers were refused, most frequent first."""
    named = {_name_refusal(key): count for key, count in total.refusals.items() if key}
    return _rank(named, "warn")


def _name_refusal(key: str) -> str:
    return str(Refusal(key).label) if key in Refusal.values else key


def _rank(counts: Mapping[str, int], ink: str) -> list[Bar]:
    whole = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [_bar(name, count, whole, ink=ink) for name, count in ordered if count]


def _bar(name: str, part: int, whole: int, *, note: str = "", ink: str = "") -> Bar:
    share = min(part / whole, 1) if whole else 0
    return Bar(
        name=name,
        count=numbers.write_count(part),
        share=numbers.write_share(part, whole),
        percent=f"{share * 100:.2f}%",
        note=note,
        ink=ink,
    )


def list_accounts(
    tallies: Mapping[str, Tally], backends: Mapping[str, str], chosen: Mapping[str, str]
) -> list[Line]:
    """Give what was done through each account, with its provider."""
    return [
        _line(alias or _("no account"), backends.get(alias, ""), "account", alias, tally, chosen)
        for alias, tally in tallies.items()
    ]


def list_channels(tallies: Mapping[str, Tally], chosen: Mapping[str, str]) -> list[Line]:
    """Give what was done by each channel."""
    return [
        _line(name_channel(key), "", "channel", key, tally, chosen)
        for key, tally in tallies.items()
    ]


def list_regions(tallies: Mapping[str, Tally], chosen: Mapping[str, str]) -> list[Line]:
    """Give what was done in each region."""
    return [
        _line(region or _("unknown"), "", "region", region, tally, chosen)
        for region, tally in tallies.items()
    ]


def name_channel(key: str) -> str:
    """Name a channel; words of a version to come stay as they are."""
    if not key:
        return _("no channel")
    return str(Channel(key).label) if key in Channel.values else key


def _line(
    name: str, note: str, filtered: str, key: str, tally: Tally, chosen: Mapping[str, str]
) -> Line:
    tries, failed = tally.deliveries_count, tally.failures_count
    return Line(
        name=name,
        note=note,
        query=urlencode({**chosen, filtered: key}) if key else "",
        bar=_bar(name, tally.verified_count, tally.sent_count, ink="verified"),
        cells=[
            numbers.write_count(tally.requested_count),
            numbers.write_count(tally.sent_count),
            numbers.write_count(tally.verified_count),
            numbers.write_share(failed, tries),
            numbers.write_milliseconds(tally.answer_ms.percentile(0.9)),
            numbers.write_seconds(tally.login_seconds.percentile(0.5)),
            "\n".join(numbers.write_costs(tally.costs)) or numbers.UNKNOWN,
            *(_share_costs(tally, " +\n") or [numbers.UNKNOWN]),
        ],
    )


def list_guards(total: Tally, settings: Settings) -> list[GuardLine]:
    """Give all guards: what each blocked, and what it would have."""
    modes = {"block": _("blocks"), "shadow": _("watches only"), "off": _("off")}
    lines = []
    for guard in Guard:
        # Prefixes that operators close are in force always: there is no setting.
        mode = "block" if guard is Guard.BLOCKED_PREFIX else settings.guard(guard).mode
        tally = total.guards.get(guard.value, GuardTally())
        lines.append(
            GuardLine(
                name=str(guard.label),
                mode=mode,
                mode_name=modes[mode],
                blocked=numbers.write_count(tally.blocked_count),
                shadow=numbers.write_count(tally.shadow_count),
            )
        )
    return lines


def list_addresses(found: Iterable[SourceTally]) -> list[SourceLine]:
    """Give the networks that asked for messages which logged nobody in, worst first."""
    return [
        SourceLine(
            scope=each.scope, sent=numbers.write_count(each.sent_count), bar=_unverified(each)
        )
        for each in list(found)[:MAX_LISTED_COUNT]
    ]


def list_prefixes(
    found: Iterable[SourceTally],
    blocks: Mapping[str, datetime],
    *,
    may_see: bool,
    add_url: str,
) -> list[SourceLine]:
    """Give the prefixes whose messages logged nobody in, worst first.

    SECURITY: beside the last digits, which the mask of a phone shows, a whole prefix leaves ten
    numbers to choose from. Only who may see the prefixes that are closed sees it whole.
    """
    return [
        SourceLine(
            scope=each.scope if may_see else hide_end(each.scope),
            sent=numbers.write_count(each.sent_count),
            bar=_unverified(each),
            block_url=f"{add_url}?{urlencode({'prefix': each.scope})}"
            if add_url and _is_accused(each)
            else "",
            blocked_until=_find_block(each.scope, blocks),
        )
        for each in list(found)[:MAX_LISTED_COUNT]
    ]


def hide_end(prefix: str) -> str:
    """Hide the last digits of a prefix."""
    return prefix[:-HIDDEN_DIGITS_COUNT] + "•" * min(HIDDEN_DIGITS_COUNT, len(prefix))


def _find_block(prefix: str, blocks: Mapping[str, datetime]) -> datetime | None:
    ends = [until for blocked, until in blocks.items() if prefix.startswith(blocked)]
    return max(ends, default=None)


def _unverified(source: SourceTally) -> Bar:
    ink = "bad" if _is_accused(source) else ""
    return _bar(source.scope, source.unverified_count, source.sent_count, ink=ink)


def _is_accused(source: SourceTally) -> bool:
    return source.sent_count >= MIN_ACCUSED_COUNT


# How things are


def list_account_states(entries: Sequence[Entry], now: datetime) -> list[AccountLine]:
    """Give how each account does, by what is known already: no service is asked."""
    aliases = [each.alias for each in entries]
    ledgers = {each.alias: each for each in AccountLedger.objects.filter(alias__in=aliases)}
    problems, breakers = find_problems(entries, ledgers), read_breakers(aliases)
    return [
        _state_of(
            each,
            breakers[each.alias],
            ledgers.get(each.alias) or AccountLedger(alias=each.alias),
            problem=problems[each.alias],
            now=now,
        )
        for each in entries
    ]


def _state_of(
    entry: Entry,
    breaker: Breaker,
    ledger: AccountLedger,
    *,
    problem: str,
    now: datetime,
) -> AccountLine:
    limit = entry.account.daily_limit if entry.account else None
    used = ledger.sent_count if ledger.day == today() else 0
    # What is the state already is no note; of one that is switched off it is.
    notes = [ledger.problem] if ledger.problem and ledger.problem != problem else []
    if limit is not None and used >= limit:
        notes.append(_("The budget of the day is used up."))
    if problem and entry.enabled:
        mood = "bad"
    elif not entry.enabled:
        mood = "off"
    elif breaker.is_open(now):
        mood = "bad"
    elif breaker.failures_count or notes:
        mood = "warn"
    else:
        mood = "good"
    return AccountLine(
        alias=entry.alias,
        backend=entry.backend,
        mood=mood,
        state=describe_state(enabled=entry.enabled, problem=problem, breaker=breaker),
        balance=_write_balance(ledger),
        inspected_at=ledger.inspected_at,
        notes=notes,
        budget=None if limit is None else _budget(used, limit),
        trouble=_tell_trouble(entry.alias, problem) if mood == "bad" else "",
    )


def _tell_trouble(alias: str, problem: str) -> str:
    """Name an account that needs somebody, with the reason where it is not its failures."""
    return f"{alias} ({problem})" if problem else alias


def _write_balance(ledger: AccountLedger) -> str:
    if ledger.balance is None:
        return numbers.UNKNOWN
    if ledger.currency:
        return numbers.write_money(ledger.balance, ledger.currency)
    count = int(ledger.balance)
    text = ngettext("%(count)s message", "%(count)s messages", count)
    return text % {"count": numbers.write_count(count)}


def _budget(used: int, limit: int) -> Bar:
    bar = _bar("", used, limit, ink="bad" if used >= limit else "sent")
    return replace(bar, note=numbers.write_count(limit))


def find_blocks(now: datetime) -> dict[str, datetime]:
    """Give the prefixes that are closed now, those that end first at the top.

    Of very many, no more than `write_bounded` needs.
    """
    rows = BlockedPrefix.objects.filter(until__gt=now).order_by("until", "prefix")
    return dict(rows.values_list("prefix", "until")[: MAX_COUNTED + 1])


def count_locked_phones() -> str:
    """Count the phones that are locked until somebody lifts it."""
    locked = PhoneLedger.objects.filter(disabled_at__isnull=False)
    return write_bounded(locked[: MAX_COUNTED + 1].count())


def write_bounded(count: int) -> str:
    """Write how many there are; many are only told as many."""
    if count > MAX_COUNTED:
        return _("more than %(count)s") % {"count": numbers.write_count(MAX_COUNTED)}
    return numbers.write_count(count)
