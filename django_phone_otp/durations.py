"""Durations: how long something lasts, as people say it. Layer 1."""

from math import ceil

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def write_wait(seconds: float) -> str:
    """Write when something will be, in the active language: "in 30 seconds", "in 2 minutes".

    In one unit, and rounded up: whoever waits as long as that has waited long enough.
    """
    if seconds < _MINUTE:
        count = max(1, ceil(seconds))
        return ngettext("in %(count)d second", "in %(count)d seconds", count) % {"count": count}
    if seconds < _HOUR:
        count = ceil(seconds / _MINUTE)
        return ngettext("in %(count)d minute", "in %(count)d minutes", count) % {"count": count}
    if seconds <= _DAY:
        count = ceil(seconds / _HOUR)
        return ngettext("in %(count)d hour", "in %(count)d hours", count) % {"count": count}
    count = ceil(seconds / _DAY)
    return ngettext("in %(count)d day", "in %(count)d days", count) % {"count": count}


def advise_wait(seconds: float) -> str:
    """Say when to try again: "Try again in 2 minutes."."""
    return _("Try again %(wait)s.") % {"wait": write_wait(seconds)}
