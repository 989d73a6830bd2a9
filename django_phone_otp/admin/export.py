"""Challenges as CSV, for spreadsheets: in bounded memory, phones masked. Layer 5.

No code, no digest, no public identifier; times in UTC. SECURITY: user agents and providers' words
are strangers' texts, and a spreadsheet runs what looks like a formula.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from re import compile as regex
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ..models import DeliveryAttempt, PhoneChallenge
from .filters import ChallengeChangeList, WhenFilter
from .states import find_state

MAX_ROWS = 100_000
BATCH_SIZE = 1_000
# What a spreadsheet takes for the beginning of a formula, or leaves out in front of one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where lists are separated by semicolons, as in Russian, a spreadsheet splits a cell there whatever
# its quotes, and looks at each part anew.
INNER_FORMULA = regex(r"""([;,|][\s"]*)(?=[=+\-@＝＋－＠])""")
# Without it Excel reads the mask of a phone in some encoding of its own.
BYTE_ORDER_MARK = "\ufeff"

COLUMNS = (
    "asked_at",
    "phone",
    "region",
    "purpose",
    "state",
    "channel",
    "account",
    "provider",
    "door",
    "known_device",
    "user",
    "tries_left",
    "sent_at",
    "expires_at",
    "verified_at",
    "spent_at",
    "deliveries",
    "last_outcome",
    "last_words",
    "last_duration_ms",
    "costs",
    "address",
    "client",
)


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def write_csv(
    challenges: QuerySet[PhoneChallenge], now: datetime, *, max_rows: int = MAX_ROWS
) -> Iterator[str]:
    """Write challenges, the newest first, line by line; the last line says if there were more."""
    writer = csv.writer(_Line())
    yield BYTE_ORDER_MARK + writer.writerow(COLUMNS)
    count = 0
    for batch in _read_batches(challenges):
        deliveries = _read_deliveries(batch)
        for each in batch:
            if count == max_rows:
                cut = _("Cut off: these are the newest %(count)d rows.") % {"count": max_rows}
                yield writer.writerow([cut])
                return
            yield writer.writerow(
                [make_safe(cell) for cell in _write_row(each, deliveries[each.pk], now)]
            )
            count += 1


def describe_choice(chosen: ChallengeChangeList) -> str:
    """Write which filters chose, and the time that is chosen without one; no phone is told."""
    when = {
        each.parameter_name: each.value()
        for each in chosen.filter_specs
        if isinstance(each, WhenFilter)
    }
    asked = {**chosen.params, **when, **({"q": "•••"} if chosen.query else {})}
    said = [f"{name} = {asked[name]}" for name in sorted(asked) if asked[name]]
    return make_printable(", ".join(said))


def make_printable(text: str) -> str:
    """Make a text one line that every database can store."""
    return "".join(each if each.isprintable() else " " for each in text)


def make_safe(cell: str) -> str:
    """Make a cell a text, whatever a spreadsheet would take it for."""
    cell = INNER_FORMULA.sub(r"\1'", make_printable(cell))
    is_formula = cell.lstrip().startswith(FORMULA_STARTS) or cell.startswith(FORMULA_STARTS)
    return f"'{cell}" if is_formula else cell


def _read_batches(challenges: QuerySet[PhoneChallenge]) -> Iterator[Sequence[PhoneChallenge]]:
    """Read on from the row where the batch before ended.

    A cursor would stay open as long as a slow client takes, and MariaDB's client reads it whole.
    """
    rows = challenges.order_by("-created_at", "-pk")
    batch = list(rows[:BATCH_SIZE])
    while batch:
        yield batch
        last = batch[-1]
        left = rows.filter(created_at__lte=last.created_at)
        left = left.exclude(created_at=last.created_at, pk__gte=last.pk)
        batch = list(left[:BATCH_SIZE]) if len(batch) == BATCH_SIZE else []


def _read_deliveries(
    challenges: Sequence[PhoneChallenge],
) -> Mapping[int, Sequence[DeliveryAttempt]]:
    found = defaultdict(list)
    tries = DeliveryAttempt.objects.filter(challenge__in=[each.pk for each in challenges])
    for each in tries.order_by("pk"):
        found[each.challenge_id].append(each)
    return found


def _write_row(
    challenge: PhoneChallenge, deliveries: Sequence[DeliveryAttempt], now: datetime
) -> Iterator[str]:
    last = deliveries[-1] if deliveries else None
    yield _write_time(challenge.created_at)
    yield challenge.masked_phone
    yield challenge.region
    yield challenge.purpose
    yield find_state(challenge, now).value
    yield challenge.channel
    yield challenge.account
    yield challenge.provider
    yield "lifepos" if challenge.client_digest else ""
    yield "yes" if challenge.device_id else "no"
    yield "" if challenge.user_id is None else str(challenge.user_id)
    yield str(challenge.attempts_left)
    yield _write_time(challenge.sent_at)
    yield _write_time(challenge.expires_at)
    yield _write_time(challenge.verified_at)
    yield _write_time(challenge.spent_at)
    yield str(len(deliveries))
    yield last.outcome if last else ""
    yield last.detail if last else ""
    yield str(last.duration_ms) if last else ""
    yield _write_costs(deliveries)
    yield challenge.ip or ""
    yield challenge.user_agent


def _write_time(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else ""


def _write_costs(deliveries: Iterable[DeliveryAttempt]) -> str:
    """Add up what was paid, by currency: "1.50000 RUB"."""
    costs: dict[str, Any] = {}
    for each in deliveries:
        if each.cost is not None:
            costs[each.currency] = costs.get(each.currency, 0) + each.cost
    return "; ".join(f"{costs[each]} {each}".strip() for each in sorted(costs))
