"""A user's phones: listed, linked, made primary, unlinked. Layer 4.

They are rows of `UserPhone`, any number of them, or the one in the field that `USER_PHONE_FIELD`
names: that one is number 0, is always primary, and a link puts another in its place.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, models, router, transaction
from django.db.models import F
from django.utils import timezone

from .. import conf, signals
from ..choices import Purpose, Refusal
from ..conf import Settings
from ..models import PhoneChallenge, UserPhone
from .users import opens_too_much, spend

FIELD_PHONE_ID = 0


@dataclass(frozen=True, slots=True)
class OwnedPhone:
    """A phone of a user, in E.164; `verified_at` is None where only the user's field is known."""

    id: int
    phone: str
    is_primary: bool
    verified_at: datetime | None


def list_phones(user: AbstractBaseUser) -> list[OwnedPhone]:
    """List the phones that a user can log in with, the primary one first."""
    field = conf.read().user_phone_field
    if field:
        phone = _as_text(_users(user).values_list(field, flat=True).first())
        only = OwnedPhone(FIELD_PHONE_ID, phone, is_primary=True, verified_at=None)
        return [only] if phone else []
    return [
        OwnedPhone(owned.pk, owned.phone, is_primary=not place, verified_at=owned.verified_at)
        for place, owned in enumerate(UserPhone.of_user(user.pk))
    ]


def link_phone(challenge: PhoneChallenge) -> Refusal | None:
    """Spend a verified link challenge and give the phone to the user who asked for it.

    `PHONE_NOT_ALLOWED` when another user has the phone, `CHALLENGE_CLOSED` when there is nothing to
    spend. Writes; sends `phone_linked` after commit.
    """
    settings = conf.read()
    user = challenge.read_user()
    if user is None:
        return Refusal.CHALLENGE_CLOSED
    using = PhoneChallenge.primary().db
    with transaction.atomic(using=using):
        if not spend(challenge, Purpose.LINK, settings, user_id=user.pk):
            return Refusal.CHALLENGE_CLOSED
        if opens_too_much(challenge, user):
            return Refusal.PHONE_NOT_ALLOWED
        try:
            with transaction.atomic(using=using):
                previous = _give_phone(user, challenge.phone, settings)
        except IntegrityError:
            return Refusal.PHONE_NOT_ALLOWED
        signals.send_after_commit(
            signals.phone_linked,
            sender=PhoneChallenge,
            using=using,
            user=user,
            phone=challenge.phone,
            previous_phone=previous if previous != challenge.phone else None,
        )
    return None


def make_primary(user: AbstractBaseUser, phone_id: int) -> Refusal | None:
    """Make one of a user's phones the primary one; `UNKNOWN_PHONE` when it is none of them.

    Writes; sends `primary_phone_changed` after commit.
    """
    if conf.read().user_phone_field:
        is_owned = phone_id in [each.id for each in list_phones(user)]
        return None if is_owned else Refusal.UNKNOWN_PHONE
    owned = UserPhone.of_user(user.pk)
    before = owned.first()
    phone = owned.filter(pk=phone_id).first()
    if before is None or phone is None:
        return Refusal.UNKNOWN_PHONE
    if phone == before:
        return None
    # No transaction: SQLite bars one that has read from writing when somebody else has written.
    if not owned.filter(pk=phone_id).update(made_primary_at=timezone.now()):
        return Refusal.UNKNOWN_PHONE  # unlinked meanwhile
    signals.send_after_commit(
        signals.primary_phone_changed,
        sender=UserPhone,
        using=owned.db,
        user=user,
        phone=phone.phone,
        previous_phone=before.phone,
    )
    return None


def unlink_phone(
    user: AbstractBaseUser, phone_id: int, *, even_last: bool = False
) -> Refusal | None:
    """Take a phone from a user; it is free for others then.

    `LAST_PHONE` when the user has neither another phone nor a password, unless `even_last` says
    that this is meant, and always where the user's field takes no NULL; `UNKNOWN_PHONE` when it is
    none of the user's. Writes; sends `phone_unlinked` after commit.
    """
    settings = conf.read()
    # An empty one, as `User.objects.create()` leaves it, opens nothing, and yet counts as usable.
    may_be_last = even_last or (bool(user.password) and user.has_usable_password())
    using = UserPhone.primary().db
    with transaction.atomic(using=using):
        # Of two that are unlinked at one moment the second waits here, and sees what is left then.
        # An UPDATE that changes nothing locks the row on every database; and SQLite bars one that
        # has read from writing when somebody else has written.
        name = get_user_model().USERNAME_FIELD  # the one field that every user model has
        _users(user).update(**{name: F(name)})
        if settings.user_phone_field:
            phone = _empty_field(user, settings.user_phone_field, phone_id, may_be_last)
        else:
            phone = _remove_row(user, phone_id, may_be_last)
        if isinstance(phone, Refusal):
            return phone
        signals.send_after_commit(
            signals.phone_unlinked, sender=UserPhone, using=using, user=user, phone=phone
        )
    return None


def _remove_row(user: AbstractBaseUser, phone_id: int, may_be_last: bool) -> str | Refusal:
    owned = UserPhone.of_user(user.pk)
    found = owned.filter(pk=phone_id).first()
    if found is None:
        return Refusal.UNKNOWN_PHONE
    if not may_be_last and not owned.exclude(pk=phone_id).exists():
        return Refusal.LAST_PHONE
    owned.filter(pk=phone_id).delete()
    return found.phone


def _empty_field(
    user: AbstractBaseUser, field: str, phone_id: int, may_be_last: bool
) -> str | Refusal:
    users = _users(user)
    phone = _as_text(users.values_list(field, flat=True).first())
    if phone_id != FIELD_PHONE_ID or not phone:
        return Refusal.UNKNOWN_PHONE
    # Without a phone two users would have the same one, where the field takes no NULL.
    if not may_be_last or not get_user_model()._meta.get_field(field).null:
        return Refusal.LAST_PHONE
    users.update(**{field: None})
    return phone


def _users(user: AbstractBaseUser) -> models.QuerySet[Any]:
    model = get_user_model()
    return model._default_manager.using(router.db_for_write(model)).filter(pk=user.pk)


def _as_text(value: Any) -> str:
    # django-phonenumber-field gives an object whose text follows a setting of the site.
    return str(getattr(value, "as_e164", value) or "")


def _give_phone(user: AbstractBaseUser, phone: str, settings: Settings) -> str | None:
    """Note the phone as the user's; raises `IntegrityError` when it is somebody else's.

    Gives the phone that was the primary one until then.
    """
    if settings.user_phone_field:
        field = settings.user_phone_field
        locked = _users(user).select_for_update().values_list(field, flat=True)
        previous = _as_text(locked.first())
        setattr(user, field, phone)
        user.save(update_fields=[field])
        return previous or None
    owned = UserPhone.of_user(user.pk)
    before = owned.first()
    linked, created = UserPhone.primary().get_or_create(phone=phone, defaults={"user_id": user.pk})
    if not created:
        if linked.user_id != user.pk:
            raise IntegrityError("the phone belongs to another user")
        owned.filter(pk=linked.pk).update(verified_at=timezone.now())
    return before.phone if before else None
