"""Users: whose phone it is, who is made for a new one, and linking a phone. Layer 4."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, models, router, transaction
from django.utils import timezone

from .. import conf, signals
from ..choices import Purpose, Refusal
from ..conf import Settings
from ..models import PhoneChallenge, UserPhone


@dataclass(frozen=True, slots=True)
class Login:
    """Who a spent challenge logs in, and whether this login made the user."""

    user: AbstractBaseUser
    created: bool


def is_known(phone: str, settings: Settings) -> bool:
    """Say whether a user has this phone."""
    return _owners(phone, settings).exists()


def spend_challenge(challenge: PhoneChallenge) -> Login | None:
    """Spend a verified login challenge, once, and find or make its user.

    None when it is not verified, was spent before, is older than `CODE_TTL`, is for something else,
    or when the phone is unknown and sign-up is closed; `spent_at` of the challenge tells whether it
    was spent here. Writes. Whether the user may log in is for
    the authentication backend to say.
    """
    settings = conf.read()
    challenges = PhoneChallenge.primary()
    owner = models.Subquery(_owners(challenge.phone, settings)[:1])
    with transaction.atomic(using=challenges.db):
        if not _spend(challenge, Purpose.LOGIN, settings, user_id=owner):
            return None
        user = _find_user(challenge.phone, settings)
        if user is not None:
            return Login(user, created=False)
        if not settings.signup:
            return None
        user, created = _create_user(challenge.phone, settings)
        challenges.filter(pk=challenge.pk).update(user=user)
        return Login(user, created)


def link_phone(challenge: PhoneChallenge) -> Refusal | None:
    """Spend a verified link challenge and give the phone to the user who asked for it.

    `PHONE_NOT_ALLOWED` when another user has the phone, `CHALLENGE_CLOSED` when there is nothing to
    spend. Writes; sends `phone_linked` after commit.
    """
    settings = conf.read()
    user = challenge.user
    if user is None:
        return Refusal.CHALLENGE_CLOSED
    using = PhoneChallenge.primary().db
    with transaction.atomic(using=using):
        if not _spend(challenge, Purpose.LINK, settings, user_id=user.pk):
            return Refusal.CHALLENGE_CLOSED
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
            previous_phone=previous,
        )
    return None


def _spend(
    challenge: PhoneChallenge,
    purpose: Purpose,
    settings: Settings,
    *,
    user_id: models.Subquery | Any,
) -> bool:
    now = timezone.now()
    happened = PhoneChallenge.primary().spend(
        challenge.pk,
        purpose=purpose,
        verified_after=now - timedelta(seconds=settings.code_ttl),
        now=now,
        user_id=user_id,
    )
    if happened:
        challenge.spent_at = now
    return happened


def _owners(phone: str, settings: Settings) -> models.QuerySet[Any, Any]:
    """Choose the primary keys of the users with this phone; there is one at most."""
    if settings.user_phone_field:
        return _users_by_field(phone, settings.user_phone_field).order_by().values("pk")
    return UserPhone.primary().filter(phone=phone).values("user_id")


def _find_user(phone: str, settings: Settings) -> AbstractBaseUser | None:
    if settings.user_phone_field:
        return _users_by_field(phone, settings.user_phone_field).first()
    owned = UserPhone.primary().select_related("user").filter(phone=phone).first()
    return owned.user if owned else None


def _users_by_field(phone: str, field: str) -> models.QuerySet[Any]:
    model = get_user_model()
    return model._default_manager.using(router.db_for_write(model)).filter(**{field: phone})


def _create_user(phone: str, settings: Settings) -> tuple[AbstractBaseUser, bool]:
    """Make a user with this phone, or find the one that a parallel login has just made."""
    try:
        with transaction.atomic(using=PhoneChallenge.primary().db):
            user = _new_user(phone, settings)
            user.save()
            if not settings.user_phone_field:
                UserPhone.primary().create(user_id=user.pk, phone=phone)
            return user, True
    except IntegrityError:
        found = _find_user(phone, settings)
        if found is None:  # the conflict was about something else, which only the site can mend
            raise
        return found, False


def _new_user(phone: str, settings: Settings) -> AbstractBaseUser:
    """Make a user with no password and a user name of no meaning.

    SECURITY: the name is not the phone: somebody may have registered with this phone as a name.
    """
    model = get_user_model()
    values: dict[str, Any] = {}
    if settings.user_phone_field:
        values[settings.user_phone_field] = phone
    if model.USERNAME_FIELD not in values:
        values[model.USERNAME_FIELD] = f"phone-{secrets.token_hex(8)}"
    user: AbstractBaseUser = model(**values)
    user.set_unusable_password()
    return user


def _give_phone(user: AbstractBaseUser, phone: str, settings: Settings) -> str | None:
    """Note the phone as the user's; raises `IntegrityError` when it is somebody else's."""
    if settings.user_phone_field:
        previous = getattr(user, settings.user_phone_field)
        setattr(user, settings.user_phone_field, phone)
        user.save(update_fields=[settings.user_phone_field])
        # django-phonenumber-field gives an object whose text follows a setting of the site.
        return str(getattr(previous, "as_e164", previous)) if previous else None
    phones = UserPhone.primary()
    owned, created = phones.get_or_create(phone=phone, defaults={"user_id": user.pk})
    if not created:
        if owned.user_id != user.pk:
            raise IntegrityError("the phone belongs to another user")
        phones.filter(pk=owned.pk).update(verified_at=timezone.now())
    return None
