"""Privacy: all that is stored about one phone, to be handed over or erased. Layer 4.

What is exported is named column by column: a new one stays inside until somebody has thought about
it, and a test asks for that thought.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models, router

from ..conf import Settings
from ..exceptions import InvalidPhone
from ..models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from ..phone import parse
from .limits import MAX_RACES
from .retention import BATCH_SIZE, no_reference, not_counting, remove_challenges, remove_rows

# SECURITY: no digest of a code, and no public identifier: who knows that of a live challenge may
# answer it. What is left out stands in `tests/test_command_privacy.py`, with its reason.
EXPORTED: Mapping[type[models.Model], Sequence[str]] = {
    PhoneChallenge: (
        *("id", "created_at", "purpose", "state", "region", "user_id", "device_id"),
        *("account", "provider", "provider_ref", "channel", "custody", "call_to"),
        *("code_length", "attempts_left", "sent_at", "expires_at", "verified_at", "spent_at"),
        *("ip", "user_agent"),
    ),
    DeliveryAttempt: (
        *("created_at", "account", "provider", "channel", "outcome", "detail", "provider_ref"),
        *("cost", "currency", "duration_ms"),
    ),
    PendingDelivery: (*("queued_at", "claimed_at", "route", "language", "withheld"),),
    ConfirmAttempt: ("created_at", "refusal", "ip", "user_agent"),
    GuardObjection: ("created_at", "guard", "blocked", "detail"),
    PhoneLedger: (
        *("created_at", "last_sent_at", "sends", "ladder_step", "failures", "failures_in_row"),
        *("disabled_at", "account_sends", "devices_valid_after"),
    ),
    DeviceLedger: (
        *("id", "created_at", "key", "last_sent_at", "sends", "ladder_step", "failures"),
    ),
    UserPhone: ("user_id", "verified_at", "made_primary_at"),
}
# Times in JSON columns, in seconds since the epoch.
TIMES = ("sends", "failures")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What is stored about a phone; attempts are not counted beside their challenges.

    `users` have it as a `UserPhone` and can log in with it, `field_users` in a field of the site's
    own. `is_counting` says that its lock, or its wrong codes in a row, would be forgotten with it.
    """

    challenges_count: int
    phone_ledgers_count: int
    device_ledgers_count: int
    users: tuple[Any, ...]
    field_users: tuple[Any, ...]
    is_counting: bool

    @property
    def is_empty(self) -> bool:
        """Say whether this app stores nothing about it."""
        return not (self.challenges_count or self.phone_ledgers_count or self.users)


def find_phone(typed: str, settings: Settings) -> str:
    """Read a phone as a person types it; raises `InvalidPhone` with a message.

    Numbering plans change: what is no number any more is found as it is stored.
    """
    try:
        return parse(typed, settings.default_region).e164
    except InvalidPhone:
        if any(rows.exists() for rows in _rows_of(typed)):
            return typed
        raise


def _rows_of(phone: str) -> tuple[models.QuerySet[Any], ...]:
    """Choose what is found by the phone; all else hangs on a challenge or a ledger."""
    return (
        PhoneChallenge.primary().to_phone(phone),
        PhoneLedger.primary().filter(phone=phone),
        UserPhone.primary().filter(phone=phone),
    )


def survey(phone: str, settings: Settings) -> Stored:
    """Count what is stored about a phone."""
    challenges, ledgers, user_phones = _rows_of(phone)
    return Stored(
        challenges_count=challenges.count(),
        phone_ledgers_count=ledgers.count(),
        device_ledgers_count=_devices_of(phone).count(),
        users=tuple(user_phones.values_list("user_id", flat=True)),
        field_users=tuple(_find_field_users(phone, settings)),
        is_counting=ledgers.exclude(not_counting()).exists(),
    )


def _devices_of(phone: str) -> models.QuerySet[DeviceLedger]:
    return DeviceLedger.primary().filter(
        ledger_id__in=list(PhoneLedger.primary().filter(phone=phone).values_list("pk", flat=True))
    )


def _find_field_users(phone: str, settings: Settings) -> list[Any]:
    if not settings.user_phone_field:
        return []
    model = get_user_model()
    users = model._default_manager.using(router.db_for_write(model))
    return list(users.filter(**{settings.user_phone_field: phone}).values_list("pk", flat=True))


# Handing over


def export(phone: str, settings: Settings, now: datetime) -> dict[str, Any]:
    """Gather all that is stored about a phone: dicts and lists, with times as `datetime`.

    The keys are for ever. Addresses and user agents may be those of others who typed this phone.
    """
    challenges, ledgers, user_phones = _rows_of(phone)
    device_rows = _read(DeviceLedger, _devices_of(phone))
    ledger = next(iter(_read(PhoneLedger, ledgers)), None)
    trails = {
        "deliveries": _read_trails(DeliveryAttempt, phone),
        "pending_deliveries": _read_trails(PendingDelivery, phone),
        "confirmations": _read_trails(ConfirmAttempt, phone),
        "objections": _read_trails(GuardObjection, phone),
    }
    return {
        "phone": phone,
        "exported_at": now,
        "users": [
            *({**row, "stored_in": "UserPhone"} for row in _read(UserPhone, user_phones)),
            *(
                {
                    "user": pk,
                    "verified_at": None,
                    "made_primary_at": None,
                    "stored_in": settings.user_phone_field,
                }
                for pk in _find_field_users(phone, settings)
            ),
        ],
        "ledger": {**ledger, "devices": device_rows} if ledger else None,
        "challenges": [
            {**row, **{name: found[row["id"]] for name, found in trails.items()}}
            for row in _read(PhoneChallenge, challenges)
        ],
    }


def _read(model: type[models.Model], rows: models.QuerySet[Any]) -> list[dict[str, Any]]:
    return [_write(row) for row in rows.order_by("pk").values(*EXPORTED[model])]


def _read_trails(model: type[models.Model], phone: str) -> Mapping[int, list[dict[str, Any]]]:
    """Read the trails of all challenges of a phone, by the challenge's key."""
    rows = model._default_manager.using(router.db_for_write(model))
    rows = rows.filter(challenge__in=PhoneChallenge.primary().to_phone(phone))
    found = defaultdict(list)
    for row in rows.order_by("pk").values("challenge_id", *EXPORTED[model]):
        found[row.pop("challenge_id")].append(_write(row))
    return found


def _write(row: Mapping[str, Any]) -> dict[str, Any]:
    written = {name.removesuffix("_id"): value for name, value in row.items()}
    for name in TIMES:
        if name in written:
            written[name] = _as_times(written[name])
    if "account_sends" in written:
        written["account_sends"] = {
            alias: _as_times(times) for alias, times in written["account_sends"].items()
        }
    return written


def _as_times(seconds: Iterable[float]) -> list[datetime]:
    return [datetime.fromtimestamp(each, UTC) for each in seconds]


# Erasing


def erase(
    phone: str,
    settings: Settings,
    *,
    keep_login: bool = False,
    unlock: bool = False,
    batch_size: int = BATCH_SIZE,
) -> bool:
    """Erase what is stored about a phone; say whether all of it went. Writes.

    With `keep_login` its `UserPhone` stays, and its user can log in. A field of the site's own user
    model is never touched. SECURITY: to forget a lock, or wrong codes in a row, is to allow as many
    again, so that takes `unlock`; without it nothing is erased and this says False.

    A request that is going on with this phone fails, or leaves rows of its own. Call it outside
    transactions.
    """
    if not unlock and survey(phone, settings).is_counting:
        return False
    _challenges, ledgers, user_phones = _rows_of(phone)
    erasable = ledgers if unlock else ledgers.filter(not_counting())
    for _ in range(MAX_RACES):  # a request may have added rows meanwhile
        _erase_once(phone, erasable, batch_size)
        if not erasable.exists():
            break
    if ledgers.exists():
        return False
    if not keep_login:
        user_phones.delete()
    return True


def _erase_once(phone: str, erasable: models.QuerySet[PhoneLedger], batch_size: int) -> None:
    challenges = PhoneChallenge.primary()
    found = challenges.to_phone(phone).order_by("pk").values_list("pk", flat=True)
    while pks := list(found[:batch_size]):
        remove_challenges(pks)
    # Devices before their phone, as requests do: nobody waits for somebody who waits for him.
    of_phone = no_reference(challenges, "ledger"), no_reference(DeviceLedger.primary(), "ledger")
    for rows in (
        _devices_of(phone).filter(no_reference(challenges, "device")),
        erasable.filter(*of_phone),
    ):
        sum(remove_rows(rows, batch_size))
