"""Writing the month into the database, and taking it out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, models, transaction

from django_phone_otp.flow.limits import today
from django_phone_otp.flow.retention import remove_challenges
from django_phone_otp.models import (
    AccountLedger,
    BlockedPrefix,
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
    TrafficSource,
    UserPhone,
)

from .flow import MARK
from .month import Show, Story

BATCH_SIZE = 1_000
REASON = "example traffic: messages are pumped to these numbers"
# What the services said when they were asked last: amount, currency, problem.
BALANCES = {
    "calls": ("1834.60", "RUB", ""),
    "texts": ("212.40", "RUB", ""),
    "reverse": ("1834.60", "RUB", ""),
    "minsk": ("96.75", "BYN", ""),
    "world": ("0", "EUR", "no money in the account"),
}


def find_strangers() -> bool:
    """Say whether there are challenges that this command did not make."""
    return PhoneChallenge.objects.exclude(public_id__startswith=MARK).exists()


def write(story: Story, begin: Callable[[int], Show]) -> None:
    """Write all rows, or none of them; `begin` is told how many there are."""
    made = story.made
    members = [each for each in made.people if each.user]
    owned = [
        UserPhone(user=each.user, phone=each.phone, verified_at=each.verified_at)
        for each in members
    ]
    # Each after those that it refers to.
    parts: list[Sequence[Any]] = [
        [each.user for each in members],
        [each.ledger for each in made.people],
        made.devices,
        owned,
        made.challenges,
        made.deliveries,
        made.confirmations,
        made.objections,
    ]
    show, done = begin(sum(map(len, parts))), 0
    with transaction.atomic():
        for rows in parts:
            for first in range(0, len(rows), BATCH_SIZE):
                batch = rows[first : first + BATCH_SIZE]
                type(batch[0])._default_manager.bulk_create(batch)
                done += len(batch)
                show(done)
        _write_accounts(story)
        BlockedPrefix.objects.update_or_create(
            prefix=story.attacked_prefix,
            defaults={
                "until": story.until + timedelta(days=4),
                "reason": REASON,
                "created_at": story.blocked_night[1],
            },
        )
    if connection.vendor in ("postgresql", "sqlite"):
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # so many rows at once: the planner knows none of them


def _write_accounts(story: Story) -> None:
    for alias, (balance, currency, problem) in BALANCES.items():
        AccountLedger.objects.update_or_create(
            alias=alias,
            defaults={
                "balance": Decimal(balance),
                "currency": currency,
                "problem": problem,
                "inspected_at": story.until - timedelta(minutes=7),
            },
        )
    counted = {"day": today(), "sent_count": _count_today(story, "texts")}
    AccountLedger.objects.filter(alias="texts").update(**counted)


def _count_today(story: Story, alias: str) -> int:
    return sum(
        each.account == alias and each.outcome == "sent" and each.created_at.date() == today()
        for each in story.made.deliveries
    )


def clear(begin: Callable[[int], Show]) -> int:
    """Take out what this command has written; give the number of challenges.

    The counts go whole: what is left of challenges is counted again.
    """
    marked = PhoneChallenge.objects.filter(public_id__startswith=MARK)
    ledgers = list(marked.order_by().values_list("ledger", flat=True).distinct())
    pks = list(marked.values_list("pk", flat=True))
    users = get_user_model()._default_manager.filter(username__startswith=MARK)
    show = begin(len(pks) + len(ledgers))
    for done, batch in _batches(pks):
        remove_challenges(batch)
        show(done)
    _delete(users)
    for done, batch in _batches(ledgers):
        DeviceLedger.objects.filter(ledger__in=batch).delete()
        PhoneLedger.objects.filter(pk__in=batch).delete()
        show(len(pks) + done)
    BlockedPrefix.objects.filter(reason=REASON).delete()
    AccountLedger.objects.filter(alias__in=BALANCES).update(
        balance=None, currency="", problem="", inspected_at=None, day=None, sent_count=0
    )
    if pks:
        TrafficCount.objects.all().delete()
        TrafficSource.objects.all().delete()
    return len(pks)


def _delete(users: models.QuerySet[Any]) -> None:
    for _done, batch in _batches(list(users.values_list("pk", flat=True))):
        users.filter(pk__in=batch).delete()


def _batches(pks: Sequence[Any]) -> Any:
    for first in range(0, len(pks), BATCH_SIZE):
        batch = pks[first : first + BATCH_SIZE]
        yield first + len(batch), batch
