"""Texts that we write: whether they can be written, and how many messages each takes. Layer 5."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Warning
from django.utils import translation
from django.utils.functional import Promise

from ..conf import Settings
from ..flow.accounts import Account
from ..flow.messages import write_sample
from ..segments import Coding, count_segments
from .keys import Problems, checks_key, has_problems
from .sending import load_accounts

# What decides about the text that we write, and has to be right before that is judged.
OUR_TEXT_KEYS = ("MESSAGE", "WEBOTP_DOMAIN", "ANDROID_APP_HASH")
TEXT_KEYS = (*OUR_TEXT_KEYS, "CODE_LENGTH")
MAX_RETRIEVER_BYTES = 140  # https://developers.google.com/identity/sms-retriever/verify
MAX_STRANGE_COUNT = 3  # characters worth naming; more are an alphabet, and meant


def check_texts(**_kwargs: Any) -> list[CheckMessage]:
    """Check how long the texts of messages are: a service charges for each segment.

    Knows the accounts of the settings alone. What cannot be written is for `check_settings` to say.
    """
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or any(has_problems(key, given) for key in TEXT_KEYS):
        return []
    settings = Settings(**{key.lower(): given[key] for key in TEXT_KEYS if key in given})
    accounts = [Account(alias, provider) for alias, provider in load_accounts(given)]
    messages: list[CheckMessage] = []
    lengths = [each.code_length(settings) for each in accounts if each.provider.sends_our_text]
    for text, languages in _write_samples(max(lengths), settings) if lengths else ():
        messages += _check_our_text(text, languages, settings)
    for account in accounts:
        text = account.provider.own_text("0" * account.code_length(settings))
        where = f"The text in PHONE_OTP['PROVIDERS']['{account.alias}']"
        messages += _check_segments(text, where, "Shorten it.") if text else ()
    in_vain = [key for key in OUR_TEXT_KEYS if given.get(key)]
    if in_vain and accounts and not lengths:
        messages.append(_complain_of(in_vain))
    return messages


def _complain_of(keys: Sequence[str]) -> CheckMessage:
    return Warning(
        f"PHONE_OTP has {', '.join(keys)}, and no account in PROVIDERS sends a text of ours.",
        hint="The services write their own, as their pages say. Leave the keys out, or silence "
        "this check where accounts in rows send it.",
        id="phone_otp.W024",
    )


def _write_samples(code_length: int, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """Write the text in each language of the site; each text comes with those that share it."""
    samples: dict[str, list[str]] = {}
    for language in _find_languages(settings.message):
        with translation.override(language):
            samples.setdefault(write_sample(code_length, settings), []).append(language)
    yield from samples.items()


def _find_languages(message: str | Promise | None) -> list[str]:
    """Give the languages that a text may differ in; one alone where it is the same in all."""
    if isinstance(message, str) or not django_settings.USE_I18N:
        return [django_settings.LANGUAGE_CODE]
    return [code for code, _name in django_settings.LANGUAGES]


def _check_our_text(
    text: str, languages: Sequence[str], settings: Settings
) -> Iterator[CheckMessage]:
    where, hint = "The text of PHONE_OTP['MESSAGE']", "Shorten it."
    if settings.message is None:
        where, hint = "The built-in text", "Set PHONE_OTP['MESSAGE'] to a shorter one."
    if languages != _find_languages(settings.message):
        where += f" in {', '.join(languages)}"
    if settings.webotp_domain or settings.android_app_hash:
        hint += " Leave out the line for autofill that no app or page of yours reads."
    yield from _check_segments(text, where, hint)
    # Nobody says of which encoding these bytes are: of the air, or of UTF-8 on the phone.
    size = max(count_segments(text).octets_count, len(text.encode(errors="replace")))
    if settings.android_app_hash and size > MAX_RETRIEVER_BYTES:
        yield Warning(
            f"{where} is {size} bytes long: Android's SMS Retriever takes "
            f"{MAX_RETRIEVER_BYTES} at most.",
            hint=f"Without that the app is not given the code. {hint}",
            id="phone_otp.W025",
        )


def _check_segments(text: str, where: str, hint: str) -> Iterator[CheckMessage]:
    found = count_segments(text)
    if found.count == 1:
        return
    if 0 < len(found.strange) <= MAX_STRANGE_COUNT:
        signs = " ".join(found.strange)
        hint += f" Without {signs} as many as {Coding.GSM7.alone_count} characters fit into one."
    yield Warning(
        f"{where} takes {found.count} messages: its length is {found.length}, and "
        f"{found.coding.alone_count} fit into one ({found.coding}).",
        hint=f"Each code is charged as {found.count} messages. {hint}",
        id="phone_otp.W023",
    )


@checks_key("MESSAGE", "E023")
def _check_message(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, str | Promise):
        yield "must be text, or None for the built-in one."
        return
    languages = _find_languages(value)
    mistakes: dict[str, list[str]] = {}
    for language in languages:
        with translation.override(language):
            mistakes.setdefault(_find_mistake(str(value)), []).append(language)
    mistakes.pop("", None)
    for mistake, found in mistakes.items():
        where = "" if found == languages else f" Mend its translation into {', '.join(found)}."
        yield f"{mistake}{where}"


def _find_mistake(template: str) -> str:
    try:
        written = template.format(code="012345", site="example.org")
    except (AttributeError, LookupError, TypeError, ValueError):
        return "may use {code} and {site} and nothing else in braces."
    return "" if "012345" in written else "must contain {code}."


@checks_key("WEBOTP_DOMAIN", "E024")
def _check_webotp_domain(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, str) and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", value)
    ):
        yield "must be a bare domain such as 'example.org', or None."


@checks_key("ANDROID_APP_HASH", "E025")
def _check_android_app_hash(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9+/]{11}", value)
    ):
        yield "must be the app's hash of 11 characters, or None."
