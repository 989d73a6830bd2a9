"""Numbers as operators read them: in words of the active language, grouped as it groups. Layer 5.

What is not known is a dash: a share of nothing is not 0 %.
"""

from collections.abc import Mapping
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

UNKNOWN = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
MINUTE_SECONDS = 60
HOUR_MINUTES = 60
DAY_HOURS = 24


def write_count(count: int) -> str:
    """Write a count: 12,345."""
    return _write(count)


def write_share(part: float, whole: float) -> str:
    """Write a part of a whole in percent; a dash where there is no whole."""
    return write_percent(part / whole if whole else None)


def write_percent(share: float | None, places: int = 1) -> str:
    """Write a share from 0 to 1 in percent: 87.3%."""
    if share is None:
        return UNKNOWN
    return _("%(number)s%%") % {"number": _write(share * 100, places)}


def write_change(now: float, before: float) -> str:
    """Write how much more or less than before, in percent; empty where there is nothing to say."""
    change = (now - before) / before if before else 0.0
    if round(change * 100, 1) == 0:
        return ""
    return _sign(change) + write_percent(abs(change))


def write_points(now: float | None, before: float | None) -> str:
    """Write the difference of two shares in percentage points; empty where one is unknown."""
    if now is None or before is None:
        return ""
    points = (now - before) * 100
    if round(points, 1) == 0:
        return ""
    return _sign(points) + _("%(number)s points") % {"number": _write(abs(points), 1)}


def write_milliseconds(milliseconds: float | None) -> str:
    """Write a short time: 340 ms, 2.4 s."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1_000:
        return pgettext("milliseconds", "%(number)s ms") % {"number": _write(milliseconds, 0)}
    return write_seconds(milliseconds / 1_000)


def write_seconds(seconds: float | None) -> str:
    """Write a time: 2.4 s, 18 s, 3 min 20 s, 2 h 5 min, 3 d 15 h."""
    if seconds is None:
        return UNKNOWN
    if seconds < MINUTE_SECONDS:
        places = 1 if seconds < 10 else 0
        return pgettext("seconds", "%(number)s s") % {"number": _write(seconds, places)}
    minutes, rest = divmod(round(seconds), MINUTE_SECONDS)
    hours, minutes_rest = divmod(minutes, HOUR_MINUTES)
    if hours >= DAY_HOURS:
        days, hours_rest = divmod(hours, DAY_HOURS)
        return pgettext("days and hours", "%(days)s d %(hours)s h") % {
            "days": _write(days),
            "hours": _write(hours_rest),
        }
    if hours:
        return pgettext("hours and minutes", "%(hours)s h %(minutes)s min") % {
            "hours": _write(hours),
            "minutes": _write(minutes_rest),
        }
    return pgettext("minutes and seconds", "%(minutes)s min %(seconds)s s") % {
        "minutes": _write(minutes),
        "seconds": _write(rest),
    }


def write_money(amount: Decimal, currency: str) -> str:
    """Write a sum: 1,234.50 RUB; prices of one message need more places."""
    is_small = amount and abs(amount) < 1
    return f"{_write(amount, 4 if is_small else 2)}{NO_BREAK}{currency}".strip()


def write_costs(costs: Mapping[str, Decimal], share: int = 1) -> list[str]:
    """Write sums by currency, each divided by `share`; none where there is nothing to divide by."""
    if not share:
        return []
    return [write_money(costs[currency] / share, currency) for currency in sorted(costs)]


def _sign(difference: float) -> str:
    return "+" if difference > 0 else "−"


def _write(number: float | Decimal, places: int | None = None) -> str:
    rounded = number if places is None else round(Decimal(number), places)
    return number_format(rounded, decimal_pos=places, force_grouping=True)
