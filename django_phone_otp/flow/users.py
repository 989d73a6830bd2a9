"""Users: whose phone it is, and who is made for a new one. Layer 4."""

import math
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import EmailValidator
from django.db import IntegrityError, models, router, transaction
from django.utils import timezone

from .. import conf
from ..choices import Purpose
from ..conf import Settings
from ..models import PhoneChallenge, UserPhone
from ..providers.local import FixedCode
from .hooks import may_sign_up


@dataclass(frozen=True, slots=True)
class Login:
    """Who a spent challenge logs in, and whether this login made the user."""

    user: AbstractBaseUser
    created: bool


def is_known(phone: str, settings: Settings) -> bool:
    """Say whether a user has this phone."""
    if settings.user_phone_field:
        return _users_by_field(phone, settings.user_phone_field).exists()
    return UserPhone.primary().filter(phone=phone).exists()


def spend_challenge(challenge: PhoneChallenge) -> Login | None:
    """Spend a verified login challenge, once, and find or make its user.

    None when it is not verified, was spent before, is older than `CODE_TTL`, is for something else,
    when the phone is unknown and may not sign up, or when the code was fixed and the user is staff;
    `spent_at` of the challenge tells whether it was spent here. Writes. Whether the user may log in
    is for the authentication backend to say.
    """
    settings = conf.read()
    challenges = PhoneChallenge.primary()
    # Part of the transaction in which a door logs in: what fails here takes all of it back, but for
    # a hook that raises `PermissionDenied`, which Django takes for a refusal.
    has_hook = settings.signup_hook is not None
    with transaction.atomic(using=challenges.db, savepoint=has_hook):
        # A write comes first: SQLite lets none that follows a read wait for its turn.
        if not spend(challenge, Purpose.LOGIN, settings, for_owner=not settings.user_phone_field):
            return None
        known, is_noted = _find_owner(challenge, settings)
        if known is None and not may_sign_up(challenge, settings):
            return None
        user, created = (known, False) if known else _create_user(challenge.phone, settings)
        if not is_noted:
            challenges.note_user(challenge.pk, user.pk)
        return None if opens_too_much(challenge, user) else Login(user, created)


def opens_too_much(challenge: PhoneChallenge, user: AbstractBaseUser) -> bool:
    """Say whether a fixed code was to open the account of somebody who may do more than others.

    SECURITY: strangers are told the code of a test phone, and could enter the admin with it.
    """
    is_privileged = getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
    # The fixed code goes on counting beside that of a resend, which a real provider may have sent.
    return is_privileged and FixedCode.key in (challenge.provider, challenge.previous_account)


def spend(
    challenge: PhoneChallenge,
    purpose: Purpose,
    settings: Settings,
    *,
    user_id: Any = None,
    for_owner: bool = False,
) -> bool:
    """Spend a challenge that was verified within `CODE_TTL`, once; say whether it happened.

    It notes the user, or the one who has a `UserPhone` with its phone.
    """
    now = timezone.now()
    challenges = PhoneChallenge.primary()
    since = now - timedelta(seconds=settings.code_ttl)
    if for_owner:
        happened = challenges.spend_for_owner(challenge.pk, purpose, since, now)
    else:
        happened = challenges.spend(challenge.pk, purpose, since, now, user_id=user_id)
    if happened:
        challenge.spent_at = now
    return happened


def _find_owner(
    challenge: PhoneChallenge, settings: Settings
) -> tuple[AbstractBaseUser | None, bool]:
    """Find whose phone it is, and say whether spending the challenge has noted so.

    A parallel login may have made the user in between.
    """
    if settings.user_phone_field:
        return _find_user(challenge.phone, settings), False
    owned = UserPhone.primary().of_phone(challenge.phone)
    return (owned.user, owned.verified_at < challenge.created_at) if owned else (None, False)


def _find_user(phone: str, settings: Settings) -> AbstractBaseUser | None:
    if settings.user_phone_field:
        return _users_by_field(phone, settings.user_phone_field).first()
    owned = UserPhone.primary().of_phone(phone)
    return owned.user if owned else None


def _users_by_field(phone: str, field: str) -> models.QuerySet[Any]:
    model = get_user_model()
    return model._default_manager.using(router.db_for_write(model)).filter(**{field: phone})


def _create_user(phone: str, settings: Settings) -> tuple[AbstractBaseUser, bool]:
    """Make a user with this phone, or find the one that a parallel login has just made."""
    try:
        with transaction.atomic(using=PhoneChallenge.primary().db):
            user = new_user(phone, settings)
            user.save()
            if not settings.user_phone_field:
                UserPhone.primary().create(user_id=user.pk, phone=phone)
            return user, True
    except IntegrityError:
        found = _find_user(phone, settings)
        if found is None:  # the conflict was about something else, which only the site can mend
            raise
        return found, False


def new_user(phone: str, settings: Settings) -> AbstractBaseUser:
    """Make a user, not yet stored, with no password and a user name of no meaning.

    The model fills what it can by itself: a user name that may be null, or that has a function as
    its default, is left to it. Raises `ImproperlyConfigured` where no user name can be made.

    SECURITY: the name is not the phone: somebody may have registered with this phone as a name.
    """
    model = get_user_model()
    username: Any = model._meta.get_field(model.USERNAME_FIELD)
    values: dict[str, Any] = {}
    if settings.user_phone_field:
        values[settings.user_phone_field] = phone
    makes_itself = username.null or (username.has_default() and callable(username.default))
    if username.name not in values and not makes_itself:
        values[username.name] = _make_username(username)
    user: AbstractBaseUser = model(**values)
    user.set_unusable_password()
    return user


def _make_username(field: "models.Field[Any, Any]") -> str:
    """Make a user name that nobody can guess; where the field asks for one, an e-mail address.

    SECURITY: mail to `.invalid` can never be delivered (RFC 2606, 2): at a domain that somebody may
    register, a stranger would read what the site writes to the user.
    """
    wants_email = any(isinstance(each, EmailValidator) for each in field.validators)
    random = secrets.token_hex(8) + ("@phone.invalid" if wants_email else "")
    longest = field.max_length or math.inf
    if not isinstance(field, models.CharField | models.TextField) or longest < len(random):
        raise ImproperlyConfigured(
            f"No user name can be made for {field}: the field must be text of {len(random)} "
            "characters, null=True, or have a function as its default."
        )
    named = f"phone-{random}"
    return named if len(named) <= longest else random
