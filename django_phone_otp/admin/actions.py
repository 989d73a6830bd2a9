"""What operators do to a challenge and its phone: each asks first, and is written down. Layer 5.

Each is a page with a form: looked at by GET, done by POST, for those with its permission. The words
in the audit (Django's log of the admin) are in the site's language, whoever did it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from re import Match
from re import compile as regex
from typing import Any

from django import forms
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..choices import OPEN_STATES, State
from ..flow.deliveries import fit_for_column
from ..flow.interventions import (
    RESENT_PURPOSES,
    list_resend_accounts,
    resend_by_operator,
    revoke_challenge,
    unlock_phone,
)
from ..flow.prefixes import block_prefix, list_neighbourhoods
from ..flow.refusals import explain
from ..models import PhoneChallenge
from ..phone import hide, mask
from .numbers import write_count

MAX_REASON_LENGTH = 200
DEFAULT_NEIGHBOURHOOD = 4  # the last digits that ten thousand neighbours differ in
REVOKED = gettext_lazy("Revoked")  # how it is written down
# As long as a phone without its area code, or longer, with whatever people write between digits.
_NUMBER = regex(r"\+?\d(?:[\s()._\-\u2010-\u2015/]*\d){6,}")
DURATIONS = {
    "1": (timedelta(hours=1), gettext_lazy("1 hour")),
    "24": (timedelta(hours=24), gettext_lazy("24 hours")),
    "168": (timedelta(days=7), gettext_lazy("7 days")),
}


def hide_numbers(text: str) -> str:
    """Mask whatever may be a phone, all but its last three digits; dates and tickets may go too."""
    return _NUMBER.sub(_mask_number, text)


def _mask_number(found: Match[str]) -> str:
    written = found.group()
    plus = "+" if written.startswith("+") else ""
    return mask(plus + "".join(each for each in written if each.isdigit()))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an action: what the operator is told, and what is written down, if anything.

    SECURITY: neither holds a digit of the phone: both stand where the phone is masked. The `scope`
    does, the prefix that was closed: it is for the log alone, and there not beside the phone.
    """

    is_done: bool
    told: str
    written: str = ""
    scope: str = ""


class ReasonForm(forms.Form):
    """Why it is done."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON_LENGTH,
        required=False,
        help_text=gettext_lazy("Kept in the history. May be left empty."),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, data: Any = None, *, challenge: PhoneChallenge) -> None:
        super().__init__(data)
        self.challenge = challenge

    def clean_reason(self) -> str:
        """Keep phones out of it that an operator has copied in, and make it one line."""
        reason = unicodedata.normalize("NFKC", str(self.cleaned_data["reason"]))
        # The mask may be longer than what it hides, and half a phone is none that could be found.
        hidden = hide(fit_for_column(reason, len(reason)), self.challenge.phone)
        return hide_numbers(hidden)[:MAX_REASON_LENGTH]


class BlockForm(ReasonForm):
    """How much is closed, and for how long."""

    size = forms.TypedChoiceField(
        label=gettext_lazy("Numbers"), coerce=int, widget=forms.RadioSelect
    )
    duration = forms.ChoiceField(
        label=gettext_lazy("For"),
        choices=[(key, words) for key, (_span, words) in DURATIONS.items()],
        initial="24",
        widget=forms.RadioSelect,
    )
    field_order = ("size", "duration", "reason")

    def __init__(self, data: Any = None, *, challenge: PhoneChallenge) -> None:
        super().__init__(data, challenge=challenge)
        sizes = sorted(list_neighbourhoods(challenge.phone))
        size: Any = self.fields["size"]
        size.choices = [(each, _describe_size(each)) for each in sizes]
        size.initial = DEFAULT_NEIGHBOURHOOD if DEFAULT_NEIGHBOURHOOD in sizes else sizes[-1]


class ResendForm(ReasonForm):
    """By which account."""

    account = forms.ChoiceField(label=gettext_lazy("Account"), widget=forms.RadioSelect)
    field_order = ("account", "reason")

    def __init__(self, data: Any = None, *, challenge: PhoneChallenge) -> None:
        super().__init__(data, challenge=challenge)
        account: Any = self.fields["account"]
        account.choices = [
            (each.alias, f"{each.alias} ({each.provider.channel.label})")
            for each in list_resend_accounts(challenge)
        ]
        others = [key for key, _words in account.choices if key != challenge.account]
        account.initial = next(iter(others), None)


class Action:
    """Base: one thing that an operator may do."""

    name: str
    permissions: tuple[str, ...]
    label: Promise
    question: Promise
    form: type[ReasonForm] = ReasonForm

    def is_possible(self, challenge: PhoneChallenge, now: datetime) -> bool:
        """Say whether there is anything to do."""
        raise NotImplementedError

    def perform(self, challenge: PhoneChallenge, form: ReasonForm) -> Done:
        """Do it; the form is valid."""
        raise NotImplementedError


class Revoke(Action):
    """Close a challenge."""

    name = "revoke"
    permissions = ("phone_otp.revoke_phonechallenge",)
    label = gettext_lazy("Revoke")
    question = gettext_lazy(
        "The challenge takes no answer any more, and one that is verified logs nobody in. Whoever "
        "is logged in already stays so."
    )

    def is_possible(self, challenge: PhoneChallenge, now: datetime) -> bool:
        """Say whether it could still log somebody in."""
        is_unspent = challenge.state == State.VERIFIED and challenge.spent_at is None
        return challenge.state_at(now) in OPEN_STATES or is_unspent

    def perform(self, challenge: PhoneChallenge, form: ReasonForm) -> Done:
        """Close it, unless it was spent meanwhile."""
        if not revoke_challenge(challenge.pk):
            return Done(False, _("The challenge is closed already."))
        return Done(True, _("The challenge is revoked."), _write_down(REVOKED, form))


class Unlock(Action):
    """Lift the lock of the phone."""

    name = "unlock"
    permissions = ("phone_otp.unlock_phoneledger",)
    label = gettext_lazy("Unlock the phone")
    question = gettext_lazy(
        "The phone took too many wrong codes in a row. It may ask for codes and answer them again, "
        "and its wrong codes are forgotten. This challenge stays as it is."
    )

    def is_possible(self, challenge: PhoneChallenge, now: datetime) -> bool:
        """Say whether the phone is locked."""
        return challenge.ledger.disabled_at is not None

    def perform(self, challenge: PhoneChallenge, form: ReasonForm) -> Done:
        """Lift the lock, unless somebody else was faster."""
        if not unlock_phone(challenge.phone):
            return Done(False, _("The phone is not locked."))
        written = _write_down(gettext_lazy("Phone unlocked"), form)
        return Done(True, _("The phone is unlocked."), written)


class Block(Action):
    """Close the numbers around the phone."""

    name = "block_prefix"
    # SECURITY: what is blocked already shows in what this does.
    permissions = ("phone_otp.view_blockedprefix", "phone_otp.add_blockedprefix")
    label = gettext_lazy("Block the prefix")
    question = gettext_lazy(
        "No number that begins like this one gets a message for a while; clients that have logged "
        "in before do. The block stands in the list of blocked prefixes, and is lifted there."
    )
    form = BlockForm

    def is_possible(self, challenge: PhoneChallenge, now: datetime) -> bool:
        """Say whether there are neighbours that are not a whole network."""
        return bool(list_neighbourhoods(challenge.phone))

    def perform(self, challenge: PhoneChallenge, form: ReasonForm) -> Done:
        """Close them from now on, unless they are closed for longer already."""
        size, duration = form.cleaned_data["size"], form.cleaned_data["duration"]
        span, _words = DURATIONS[duration]
        prefix, until = list_neighbourhoods(challenge.phone)[size], timezone.now() + span
        row = block_prefix(prefix, until, form.cleaned_data["reason"])
        said = {
            "time": date_format(timezone.localtime(row.until), "SHORT_DATETIME_FORMAT"),
            "numbers": _describe_size(size),
        }
        if row.until > until:
            return Done(False, _("Blocked already, until %(time)s: %(numbers)s.") % said)
        told = _("Blocked until %(time)s: %(numbers)s.") % said
        with translation.override(django_settings.LANGUAGE_CODE):
            words = _("Prefix blocked (%(duration)s): %(numbers)s") % {
                "duration": DURATIONS[duration][1],
                "numbers": _describe_size(size),
            }
        return Done(True, told, _write_down(words, form), scope=prefix)


class Resend(Action):
    """Send another code by another route."""

    name = "resend"
    permissions = ("phone_otp.resend_phonechallenge",)
    label = gettext_lazy("Send by another route")
    question = gettext_lazy(
        "The person gets another code for the same challenge. The message costs money, and the "
        "phone's budgets hold."
    )
    form = ResendForm

    def is_possible(self, challenge: PhoneChallenge, now: datetime) -> bool:
        """Say whether it still takes an answer."""
        return challenge.state_at(now) in OPEN_STATES and challenge.purpose in RESENT_PURPOSES

    def perform(self, challenge: PhoneChallenge, form: ReasonForm) -> Done:
        """Send it, and say what was tried and what came of it."""
        alias = form.cleaned_data["account"]
        try:
            asked = resend_by_operator(challenge.pk, alias)
        except ImproperlyConfigured as error:
            return Done(False, str(error))
        tried = [", ".join(filter(None, [str(each), each.detail])) for each in asked.attempts]
        why = explain(asked.refusal, asked.retry_after_seconds) if asked.refusal else ""
        told = " ".join(filter(None, ["; ".join(tried) + "." if tried else "", why]))
        if not tried:
            return Done(False, told)
        with translation.override(django_settings.LANGUAGE_CODE):
            words = _("Sending through another route: %(account)s") % {"account": alias}
        return Done(asked.refusal is None, told, _write_down(words, form))


ACTIONS: dict[str, Action] = {each.name: each for each in (Resend(), Revoke(), Unlock(), Block())}


def is_revocation(words: str) -> bool:
    """Say whether what was written down is that a challenge was revoked."""
    with translation.override(django_settings.LANGUAGE_CODE):
        return words.partition(": ")[0] == str(REVOKED)


def _describe_size(size: int) -> str:
    """Say how many numbers a prefix has that leaves so many digits open."""
    count = 10**size
    text = ngettext(
        "%(count)s number that begins alike", "%(count)s numbers that begin alike", count
    )
    return text % {"count": write_count(count)}


def _write_down(words: Any, form: ReasonForm) -> str:
    with translation.override(django_settings.LANGUAGE_CODE):
        return ": ".join(filter(None, [str(words), form.cleaned_data["reason"]]))
