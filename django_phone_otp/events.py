"""Events: all that the package logs, each under a name that stays. Layer 2.

`log_event` is the only way into a log. A line is `event key=value …` (logfmt); the record has the
same as `event` and `phone_otp`, for formatters that write JSON.
"""

import logging
from enum import Enum
from typing import Self

from .phone import mask

_DEBUG, _INFO = (logging.DEBUG,), (logging.INFO,)
_WARNING, _ERROR = (logging.WARNING,), (logging.ERROR,)


class Event(Enum):
    """What may be logged: the name, its levels (the usual one first), its fields, what it means.

    A field without a value is left out. Names and fields are for ever: alerts are written on them.
    `docs/logs.md` lists the same.
    """

    levels: tuple[int, ...]
    fields: tuple[str, ...]
    meaning: str

    def __new__(cls, name: str, levels: tuple[int, ...], fields: str, meaning: str) -> Self:
        """Make a member whose value is its name in the log."""
        member = object.__new__(cls)
        member._value_ = name
        member.levels, member.fields, member.meaning = levels, tuple(fields.split()), meaning
        return member

    # The life of a challenge. INFO is what happens once in a login; what a stranger can repeat for
    # nothing is DEBUG, so that no log is flooded from outside. What guards and the site's hook have
    # against a message is INFO all the same: somebody has to see them at work.
    CODE_REQUESTED = (
        "code_requested",
        _DEBUG,
        "challenge phone purpose channel region resend",
        "a code was asked for, and is on its way",
    )
    REQUEST_REFUSED = (
        "request_refused",
        _DEBUG,
        "challenge phone purpose channel refusal resend",
        "a code was asked for, and refused",
    )
    CODE_SENT = (
        "code_sent",
        _INFO,
        "challenge phone region account provider channel duration_ms",
        "a provider took the message",
    )
    DELIVERY_FAILED = (
        "delivery_failed",
        (logging.WARNING, logging.INFO, logging.ERROR),
        "account outcome detail",
        "a provider did not take the message, or not certainly",
    )
    DELIVERY_SWEPT = (
        "delivery_swept",
        _WARNING,
        "challenge",
        "the process that was sending has ended before it knew what became of the message",
    )
    QUEUE_UNAVAILABLE = (
        "queue_unavailable",
        _ERROR,
        "error",
        "a delivery could not be handed over to the workers",
    )
    QUEUE_MISCONFIGURED = (
        "queue_misconfigured",
        _ERROR,
        "reason",
        "a worker could not make a delivery: the site's settings are wrong",
    )
    ANSWER_REFUSED = (
        "answer_refused",
        _DEBUG,
        "challenge phone purpose refusal",
        "an answer was not accepted",
    )
    PHONE_VERIFIED = (
        "phone_verified",
        _INFO,
        "challenge phone purpose account channel",
        "the right code, or the awaited call, came in",
    )
    PHONE_LOCKED = (
        "phone_locked",
        (logging.INFO, logging.WARNING),
        "challenge phone scope",
        "a wrong code was one too many, for the challenge or for the phone",
    )
    LOGGED_IN = (
        "logged_in",
        _INFO,
        "challenge phone user created",
        "a verified challenge logged a user in",
    )

    # Phones of users, and what operators do.
    PHONE_LINKED = (
        "phone_linked",
        _INFO,
        "phone previous_phone user",
        "a user has a phone more",
    )
    PHONE_UNLINKED = (
        "phone_unlinked",
        _INFO,
        "phone user",
        "a user has a phone less",
    )
    PRIMARY_PHONE_CHANGED = (
        "primary_phone_changed",
        _INFO,
        "phone previous_phone user",
        "another of a user's phones is the primary one",
    )
    OPERATOR_ACTED = (
        "operator_acted",
        _INFO,
        "action operator challenge phone account scope",
        "an operator did something, in the admin or by a command",
    )

    # Guards, limits, captcha.
    GUARD_OBJECTED = (
        "guard_objected",
        _INFO,
        "guard blocked",
        "a guard has something against a message; in shadow it blocks nothing",
    )
    MESSAGE_DENY_BY_HOOK = (
        "message_deny_by_hook",
        _INFO,
        "region purpose",
        "`SEND_HOOK` refused a message",
    )
    MESSAGE_CAPTCHA_BY_HOOK = (
        "message_captcha_by_hook",
        _INFO,
        "region purpose",
        "`SEND_HOOK` asked for a captcha",
    )
    ALARM = (
        "alarm",
        _ERROR,
        "limit scope count",
        "a limit of many phones is reached, or a guard has shut",
    )
    CAPTCHA_UNAVAILABLE = (
        "captcha_unavailable",
        _ERROR,
        "reason",
        "the captcha's service did not answer",
    )
    CAPTCHA_MISCONFIGURED = (
        "captcha_misconfigured",
        _ERROR,
        "reason",
        "the captcha cannot work as it is set up; requests are answered with `unavailable`",
    )

    # Accounts and what we stand on.
    ACCOUNT_BROKEN = (
        "account_broken",
        _ERROR,
        "account reason",
        "an account cannot be used as it is set up, and is left out",
    )
    NO_ACCOUNT_IN_USE = (
        "no_account_in_use",
        _ERROR,
        "",
        "every account is switched off or broken; requests are answered with `unavailable`",
    )
    BUDGET_USED_UP = (
        "budget_used_up",
        _ERROR,
        "account limit",
        "no more messages through the account today; told once a day",
    )
    BREAKER_OPENED = (
        "breaker_opened",
        _ERROR,
        "account failures_count",
        "the account keeps failing, and is passed over for a while",
    )
    BREAKER_CLOSED = (
        "breaker_closed",
        _INFO,
        "account",
        "the account works again, or was changed by an operator",
    )
    INSPECTION_NOT_KEPT = (
        "inspection_not_kept",
        _ERROR,
        "account error",
        "what the account's service said could not be stored",
    )
    JUDGE_UNAVAILABLE = (
        "judge_unavailable",
        _ERROR,
        "account reason",
        "a provider that judges codes, or waits for calls, gave no verdict",
    )
    CALL_AMBIGUOUS = (
        "call_ambiguous",
        _WARNING,
        "account",
        "two challenges of a phone awaited a call at once; both are closed",
    )
    LIFEPOS_WITHOUT_CODE = (
        "lifepos_without_code",
        _ERROR,
        "account",
        "the account awaits a call, which the LIFE POS door cannot tell",
    )
    CACHE_UNAVAILABLE = (
        "cache_unavailable",
        _ERROR,
        "limit breaker traffic error",
        "the cache is out of reach; what a `limit` counts there is refused meanwhile",
    )
    TRAFFIC_COUNT_GAVE_WAY = (
        "traffic_count_gave_way",
        _WARNING,
        "error",
        "another count of traffic was at work; the next one goes on from there",
    )
    METRICS_LEFT_OUT = (
        "metrics_left_out",
        _WARNING,
        "reason",
        "the installed `prometheus_client` is too old for us; nothing is counted for Prometheus",
    )
    DATABASE_UNAVAILABLE = (
        "database_unavailable",
        _ERROR,
        "error",
        "the database is out of reach, or ended the transaction; the request was refused",
    )


# SECURITY: these fields hold phones, and no log may tell a whole one.
PHONE_FIELDS = frozenset({"phone", "previous_phone"})


def log_event(
    logger: logging.Logger, event: Event, /, *, level: int | None = None, **fields: object
) -> None:
    """Log an event with its fields; None leaves a field out, phones are masked here.

    `level` is one of the event's, the first without it. `logger` is the module's own.
    """
    level = event.levels[0] if level is None else level
    if not logger.isEnabledFor(level):
        return
    told = {name: _tell(name, value) for name, value in fields.items() if value is not None}
    # The words apart from the values: what groups lines of a log groups them by event.
    line = " ".join([event.value, *(f"{name}=%s" for name in told)])
    logger.log(
        level,
        line,
        *map(_write, told.values()),
        extra={"event": event.value, "phone_otp": told},
        stacklevel=2,
    )


def _tell(name: str, value: object) -> str | int | float:
    """Give a value as JSON knows it, in one line."""
    if name in PHONE_FIELDS:
        return mask(str(value))
    if isinstance(value, int | float) and not isinstance(value, Enum):
        return value
    # SECURITY: a line break in a stranger's or a service's words would forge lines of a log.
    return "".join(each if each.isprintable() else " " for each in str(value))


def _write(value: str | int | float) -> str:
    """Write a value as logfmt has it: in quotes where it would not be one word."""
    text = str(value)
    if text and not any(each in ' "=\\' for each in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
