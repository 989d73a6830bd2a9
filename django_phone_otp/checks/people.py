"""Keys that say who may log in, and what for; and whether a sign-up can make a user. Layer 5."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from inspect import iscoroutinefunction, signature
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models
from rest_framework.settings import DEFAULTS as DRF_DEFAULTS

from ..captcha import load_captcha
from ..conf import Settings
from ..flow.users import new_user
from ..issuers import load_issuer
from ..loading import load_function
from .keys import Problems, checks_key, has_problems, lists_class

ANY_PHONE = "+12025550123"  # one of those that belong to nobody


def check_new_users(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the user model takes what a sign-up fills in, for the second user too."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or not given.get("SIGNUP", True):
        return []
    phone_field = given.get("USER_PHONE_FIELD")
    if has_problems("USER_PHONE_FIELD", given):
        return []
    return [
        Warning(
            problem,
            hint="Give the field null=True or a function as its default, or fill it in a receiver "
            "of pre_save and silence this check; or close SIGNUP.",
            id="phone_otp.W020",
        )
        for problem in _find_gaps(phone_field)
    ]


def _find_gaps(phone_field: str | None) -> Iterator[str]:
    """Say which fields a new user lacks; nothing is stored."""
    try:
        user = new_user(ANY_PHONE, Settings(user_phone_field=phone_field))
    except ImproperlyConfigured as error:
        yield str(error)
        return
    for field in user._meta.concrete_fields:
        # Filled when it is stored: `auto_now_add`, a slug.
        is_filled_late = field.blank and type(field).pre_save is not models.Field.pre_save
        if field.primary_key or field.generated or is_filled_late:
            continue
        value = getattr(user, field.attname)
        if value is None and not field.null:
            yield f"{field} is required, and a new user has none: sign-up fails."
        elif value == "" and field.unique:
            yield f"{field} is unique, and new users have it empty: the second sign-up fails."
        elif field.name == get_user_model().USERNAME_FIELD != phone_field:
            try:
                field.run_validators(value)
            except ValidationError:
                yield f"{field} does not take the user name that a new user gets, such as {value}."


@checks_key("SIGNUP", "E019")
def _check_signup(value: Any) -> Problems:
    if not isinstance(value, bool):
        yield "must be True or False."


@checks_key("SIGNUP_HOOK", "E033")
def _check_signup_hook(value: Any) -> Problems:
    yield from _check_hook("SIGNUP_HOOK", value, "phone_otp.E033", told="phone region client")


@checks_key("SEND_HOOK", "E034")
def _check_send_hook(value: Any) -> Problems:
    told = "phone region purpose channel client user"
    yield from _check_hook("SEND_HOOK", value, "phone_otp.E034", told=told)


def _check_hook(key: str, value: Any, id_: str, *, told: str) -> Problems:
    if value is None:
        return
    if not isinstance(value, str):
        yield "must be the dotted path of a function, or None."
        return
    try:
        hook = load_function(value, setting=f"PHONE_OTP['{key}']")
    except ImproperlyConfigured as error:
        yield Error(str(error), id=id_)
        return
    if iscoroutinefunction(hook):
        yield "must not be an async function: nothing here awaits it."
        return
    try:
        signature(hook).bind(**dict.fromkeys(told.split()))
    except (TypeError, ValueError):  # the latter: a function in C may tell no signature
        names = ", ".join(told.split())
        yield f"must take the arguments {names}, and **kwargs for those that may be added."


@checks_key("USER_PHONE_FIELD", "E020")
def _check_user_phone_field(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, str):
        yield "must be the name of a field, or None."
        return
    model = get_user_model()
    try:
        field = model._meta.get_field(value)
    except FieldDoesNotExist:
        yield f"names {value!r}, which is no field of {model._meta.label}."
        return
    if not isinstance(field, models.CharField):
        yield f"names {value!r}, which must be a CharField: a phone is text in E.164."
    elif not field.unique:
        # SECURITY: two users with one phone would each log in as whichever comes first.
        yield f"names {value!r}, which must be unique=True: a phone belongs to one user."


@checks_key("TOKEN_ISSUER", "E021")
def _check_token_issuer(value: Any) -> Problems:
    if not isinstance(value, str):
        yield "must be the name of an issuer, as text."
        return
    try:
        issuer = load_issuer(value)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E021")
        return
    if issuer.needs_package and find_spec(issuer.needs_package) is None:
        how = f": pip install 'django-phone-otp[{issuer.extra}]'" if issuer.extra else ""
        yield f"is {value!r}, which needs the package {issuer.needs_package!r}{how}."
    elif issuer.needs_app and not apps.is_installed(issuer.needs_app):
        yield f"is {value!r}, which needs {issuer.needs_app!r} in INSTALLED_APPS."
    elif issuer.needs_middleware and not lists_class(
        issuer.needs_middleware, django_settings.MIDDLEWARE
    ):
        yield f"is {value!r}, which needs {issuer.needs_middleware!r} in MIDDLEWARE."
    elif issuer.accepted_by and not lists_class(issuer.accepted_by, _list_authentications()):
        yield Warning(
            f"PHONE_OTP['TOKEN_ISSUER'] is {value!r}, and no class of "
            "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] accepts what it gives.",
            hint=f"Add {issuer.accepted_by!r}, or silence this check where each view names it.",
            id="phone_otp.W021",
        )


def _list_authentications() -> Iterable[Any]:
    given = getattr(django_settings, "REST_FRAMEWORK", None) or {}
    listed: Iterable[Any] = {**DRF_DEFAULTS, **given}["DEFAULT_AUTHENTICATION_CLASSES"]
    return listed


@checks_key("CAPTCHA", "E022")
def _check_captcha(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        yield "must be a dict with BACKEND, or None."
        return
    unknown = set(value) - {"BACKEND", "OPTIONS", "ON_ERROR", "WHEN"}
    if unknown:
        yield f"has keys that do not exist: {', '.join(sorted(map(str, unknown)))}."
    if not isinstance(value.get("OPTIONS", {}), Mapping):
        yield "['OPTIONS'] must be a dict."
        return
    if value.get("ON_ERROR", "deny") not in ("deny", "allow"):
        yield "['ON_ERROR'] must be 'deny' or 'allow'."
    if value.get("WHEN", "always") not in ("always", "suspicious"):
        yield "['WHEN'] must be 'always' or 'suspicious'."
    try:
        load_captcha(value)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E022")
