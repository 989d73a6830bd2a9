"""The census: what became of the challenges of a stretch of time, counted by the database. Layer 4.

No challenge is loaded, and nothing is written. Everything belongs to the time of the request,
however late the login.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Case, Count, ExpressionWrapper, F, Max, Min, Q, Sum, Value, When
from django.db.models.functions import Left, Length

from ..choices import DeliveryOutcome, Purpose, Source, State
from ..models import ConfirmAttempt, DeliveryAttempt, GuardObjection, PhoneChallenge
from ..providers.local import FixedCode
from .counts import KEPT_SOURCES_COUNT, SETTLING, Scope, Sums
from .deliveries import COST_STEP
from .guards import PREFIX_TAIL_LENGTH
from .hours import HOUR, Stretch
from .limits import network_of
from .tallies import ABOVE, ANSWER_BOUNDS_MS, LOGIN_BOUNDS_SECONDS, WENT_OUT

# No provider was asked, so none took its time.
NOT_ASKED = (
    DeliveryOutcome.WITHHELD,
    DeliveryOutcome.OVER_BUDGET,
    DeliveryOutcome.PHONE_OVER_BUDGET,
)
# What a delivery is closed with that no provider has answered: it is noted as having taken no time.
CLOSED_AS = (
    DeliveryOutcome.UNCERTAIN,
    DeliveryOutcome.UNAVAILABLE,
    DeliveryOutcome.MISCONFIGURED,
)
_KEY_OF_CHALLENGE = ("challenge__account", "challenge__channel", "challenge__region")


def count_challenges(stretch: Stretch) -> tuple[Sums, list[Scope]]:
    """Count all of a stretch, and find the worst of its sources."""
    sums, asked = Sums(), _find_asked(stretch)
    if asked is None:
        return sums, []
    _count_funnel(asked, sums)
    _count_deliveries(asked, sums)
    _count_refusals(asked, sums)
    _count_objections(asked, sums)
    return sums, _find_worst(asked)


def find_sources(stretch: Stretch) -> list[Scope]:
    """Find the worst of the challenges that are there, in one statement for each kind."""
    asked = _find_asked(stretch)
    return _find_worst(asked) if asked else []


@dataclass(frozen=True, slots=True)
class _Asked:
    """The challenges of a stretch, and what belongs to them.

    `first` and `last` are the least and the greatest of their keys. Keys rise with time, or nearly
    so: a database that is told the range finds the trails of ten thousand challenges side by side,
    and reads no table of ten million from end to end. It is right whatever the keys.
    """

    stretch: Stretch
    first: int
    last: int

    @property
    def challenges(self) -> models.QuerySet[Any]:
        """Give those that people asked for: no trials of operators, no test phones."""
        return _rows(PhoneChallenge).filter(self._asked_for(), pk__range=(self.first, self.last))

    def trail(self, model: type[models.Model]) -> models.QuerySet[Any]:
        """Give what belongs to all challenges of the stretch, and maybe to some others."""
        return _rows(model).filter(challenge_id__gte=self.first, challenge_id__lte=self.last)

    def trail_asked_for(self, model: type[models.Model]) -> models.QuerySet[Any]:
        """Give what belongs to the challenges that people asked for."""
        return self.trail(model).filter(self._asked_for("challenge__"))

    @property
    def sent(self) -> Q:
        """Choose the challenges with a delivery that went out, or may have."""
        deliveries = self.trail(DeliveryAttempt).filter(
            outcome__in=WENT_OUT,
            # SQLite prefers the index on outcome and time, and would go through all that was ever
            # sent; all went out before their hour settles, and clocks differ by less.
            created_at__gte=self.stretch.start - SETTLING,
            created_at__lt=self.stretch.end + HOUR + SETTLING,
        )
        return Q(pk__in=deliveries.values("challenge_id"))

    @property
    def answered(self) -> Q:
        """Choose the challenges for which a code was entered, or a call came in."""
        return Q(pk__in=self.trail(ConfirmAttempt).values("challenge_id"))

    def then(self, to_challenge: str = "") -> Q:
        """Choose what was asked for in the stretch."""
        at = f"{to_challenge}created_at"
        return Q((f"{at}__gte", self.stretch.start), (f"{at}__lt", self.stretch.end))

    def _asked_for(self, to_challenge: str = "") -> Q:
        is_trial = Q((f"{to_challenge}purpose", Purpose.TRIAL))
        is_test = Q((f"{to_challenge}provider", FixedCode.key))
        return self.then(to_challenge) & ~is_trial & ~is_test


def _rows(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using(PhoneChallenge.primary().db).order_by()


def _find_asked(stretch: Stretch) -> _Asked | None:
    """Find the range of keys of what was asked for; None for nothing."""
    rows = _rows(PhoneChallenge)
    # PostgreSQL would look for the least key alone from the first challenge of all on; where it has
    # to count as well, it goes by the index on their time.
    keys = rows.filter(created_at__gte=stretch.start, created_at__lt=stretch.end).aggregate(
        count=Count("pk"), first=Min("pk"), last=Max("pk")
    )
    return _Asked(stretch, keys["first"], keys["last"]) if keys["count"] else None


def _count_funnel(asked: _Asked, sums: Sums) -> None:
    """Count how far the challenges came.

    Of the steps each is a part of the one before: a code that somebody tries at a message that was
    withheld is no answer.
    """
    rows = (
        asked.challenges.annotate(
            sent=ExpressionWrapper(asked.sent, models.BooleanField()),
            answered=ExpressionWrapper(asked.answered, models.BooleanField()),
            bound=_login_bound(),
        )
        .values("account", "channel", "region", "sent", "answered", "bound")
        .annotate(requested=Count("pk"), verified=Count("pk", filter=Q(state=State.VERIFIED)))
    )
    for *key, sent, answered, bound, requested, verified in rows.values_list(
        *("account", "channel", "region", "sent", "answered", "bound", "requested", "verified")
    ):
        adder = sums.at(*key)
        sent_count = requested if sent else 0
        adder.add(requested, sent_count, sent_count if answered else 0, verified, {})
        if bound:
            adder.login_seconds[bound] += verified


def _login_bound() -> Case:
    """Give the bound under which the time from the last message to the right code counts."""
    known = [
        When(verified_at__lte=F("sent_at") + timedelta(seconds=bound), then=Value(str(bound)))
        for bound in LOGIN_BOUNDS_SECONDS
    ]
    is_unknown = Q(verified_at__isnull=True) | Q(sent_at__isnull=True)
    return Case(When(is_unknown, then=Value("")), *known, default=Value(ABOVE))


def _answer_bound() -> Case:
    """Give the bound under which the time counts that the provider took to answer."""
    known = [When(duration_ms__lte=bound, then=Value(str(bound))) for bound in ANSWER_BOUNDS_MS]
    is_closed = Q(outcome__in=CLOSED_AS, duration_ms=0)
    is_unknown = Q(outcome__in=NOT_ASKED) | is_closed
    return Case(When(is_unknown, then=Value("")), *known, default=Value(ABOVE))


def _count_deliveries(asked: _Asked, sums: Sums) -> None:
    """Count the tries, those of operators too: they cost money."""
    rows = (
        asked.trail(DeliveryAttempt)
        .filter(asked.then("challenge__"))
        .exclude(provider=FixedCode.key)
        .annotate(bound=_answer_bound())
        .values("account", "channel", "challenge__region", "outcome", "currency", "bound")
        .annotate(tries=Count("pk"), total_cost=Sum("cost"))
    )
    for account, channel, region, outcome, currency, bound, tries, cost in rows.values_list(
        *("account", "channel", "challenge__region", "outcome", "currency", "bound"),
        *("tries", "total_cost"),
    ):
        adder = sums.at(account, channel, region)
        adder.outcomes[outcome] += tries
        if cost is not None:
            # SQLite adds up as floating point.
            adder.costs[currency] += cost.quantize(COST_STEP)
        if bound:
            adder.answer_ms[bound] += tries


def _count_refusals(asked: _Asked, sums: Sums) -> None:
    rows = (
        asked.trail_asked_for(ConfirmAttempt)
        .exclude(refusal="")
        .values(*_KEY_OF_CHALLENGE, "refusal")
        .annotate(total=Count("pk"))
    )
    for *key, refusal, count in rows.values_list(*_KEY_OF_CHALLENGE, "refusal", "total"):
        sums.at(*key).refusals[refusal] += count


def _count_objections(asked: _Asked, sums: Sums) -> None:
    rows = (
        asked.trail_asked_for(GuardObjection)
        .values(*_KEY_OF_CHALLENGE, "guard", "blocked")
        .annotate(total=Count("pk"))
    )
    for *key, guard, blocked, count in rows.values_list(
        *_KEY_OF_CHALLENGE, "guard", "blocked", "total"
    ):
        adder = sums.at(*key)
        (adder.blocked if blocked else adder.shadow)[guard] += count


# Sources


class Network(models.Func):
    """What a column's address is counted as, found by the database: see `limits.network_of`."""

    arity = 1
    output_field = models.CharField()

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Take the network of an address of IPv6; `host` leaves the length of the mask out."""
        template = (
            "CASE family(%(expressions)s) WHEN 6"
            " THEN network(set_masklen(%(expressions)s, 64))::text ELSE host(%(expressions)s) END"
        )
        return self.as_sql(compiler, connection, template=template)

    def as_mysql(self, compiler: Any, connection: Any) -> Any:
        """Put nothing in the place of the second half of an address of IPv6."""
        half = "CONCAT(LEFT(INET6_ATON(%(expressions)s), 8), REPEAT(CHAR(0), 8))"
        template = (
            f"IF(IS_IPV6(%(expressions)s), CONCAT(INET6_NTOA({half}), '/64'), %(expressions)s)"
        )
        return self.as_sql(compiler, connection, template=template)

    def as_sqlite(self, compiler: Any, connection: Any, **_context: Any) -> Any:
        """Have Python asked: it has no words for addresses."""
        name = "phone_otp_network"
        connection.ensure_connection()
        connection.connection.create_function(name, 1, network_of, deterministic=True)
        return self.as_sql(compiler, connection, function=name)


def _find_worst(asked: _Asked) -> list[Scope]:
    prefix = Left("phone", Length("phone") - PREFIX_TAIL_LENGTH)
    with_address = asked.challenges.exclude(ip=None)
    return [
        *_find_worst_of(Source.PREFIX, asked.challenges.annotate(scope=prefix), asked.sent),
        *_find_worst_of(Source.ADDRESS, with_address.annotate(scope=Network("ip")), asked.sent),
    ]


def _find_worst_of(kind: Source, challenges: models.QuerySet[Any], sent: Q) -> list[Scope]:
    """Find the worst by their `scope`; no more are read than are kept, however many there are."""
    counted = (
        challenges.filter(sent)
        .values("scope")
        .annotate(sent=Count("pk"), verified=Count("pk", filter=Q(state=State.VERIFIED)))
    )
    unverified = counted.annotate(badness=F("verified") - F("sent")).filter(badness__lt=0)
    worst = unverified.order_by("badness", "scope")[:KEPT_SOURCES_COUNT]
    return [Scope(kind, *row) for row in worst.values_list("scope", "sent", "verified")]
