"""What happens in the month, and when: ordinary days, a bad one, an attack, a bot that guesses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from django.utils import timezone

from django_phone_otp.choices import Channel, DeliveryOutcome, Guard
from django_phone_otp.conf import Settings

from .flow import Made, Site
from .people import BOT, FAR, Person, make_bot_addresses, make_neighbours, make_people
from .services import Services, Trouble

REQUESTS_A_MONTH = 50_000
MIN_DAYS = 7
# How many ask in each hour where they live, and on each day of the week from Monday.
HOURS = (9, 5, 3, 2, 2, 5, 14, 30, 48, 58, 62, 64, 66, 63, 60, 61, 64, 70, 78, 84, 80, 62, 38, 19)
WEEKDAYS = (1.0, 1.01, 1.0, 1.04, 1.12, 0.9, 0.8)
PEOPLE_SHARE = 0.4  # people for each request: most come several times
REVERSE_SHARE = 0.03  # of people in Russia who choose to call
PUMPED_MESSAGES = 1_300
PER_ADDRESS_AND_HOUR = 18  # just under what an address may
GUESSED_NIGHTS = 12
# Nothing begins so close to the end that it would be over after it.
LAST_SECONDS = 30

Show = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened when: for the words at the end, and for tests."""

    since: datetime
    until: datetime
    bad_day: Trouble
    unpaid: Trouble
    shadow_night: tuple[datetime, datetime]
    blocked_night: tuple[datetime, datetime]
    attacked_prefix: str
    guessed_phones: tuple[str, ...]
    made: Made

    @property
    def hours_count(self) -> int:
        """Give the number of hours in which anybody asked."""
        hours = {each.created_at.timestamp() // 3_600 for each in self.made.challenges}
        return len(hours)


@dataclass(frozen=True, order=True, slots=True)
class _Event:
    """Something that happens; of two at one moment the one that was planned first."""

    at: datetime
    number: int
    happen: Callable[[], None]


class _Plan:
    """What is to happen, put into its order."""

    def __init__(self) -> None:
        self._numbers = count()
        self._events: list[_Event] = []

    def add(self, at: datetime, happen: Callable[[], None]) -> None:
        """Plan something."""
        self._events.append(_Event(at, next(self._numbers), happen))

    def play(self, show: Show) -> None:
        """Have all of it happen."""
        for done, event in enumerate(sorted(self._events), 1):
            event.happen()
            if done % 250 == 0:
                show(done)
        show(len(self._events))

    def __len__(self) -> int:
        return len(self._events)


def tell_story(
    settings: Settings,
    now: datetime,
    *,
    days: int,
    seed: int,
    scale: float,
    begin: Callable[[int], Show],
) -> Story:
    """Make the month up to now; `begin` is told how much there is to do. Writes nothing."""
    rng = random.Random(seed)  # noqa: S311 (no secret: a month that can be made again)
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    since, until = today - timedelta(days=days), now - timedelta(seconds=LAST_SECONDS)

    def on_day(part: float, hour: float) -> datetime:
        return since + timedelta(days=round(days * part), hours=hour)

    bad_day = Trouble(
        "calls",
        on_day(0.7, 9.7),
        on_day(0.7, 15.5),
        {DeliveryOutcome.UNCERTAIN: 0.7, DeliveryOutcome.UNAVAILABLE: 0.25},
    )
    unpaid = Trouble("world", until - timedelta(hours=5), now, {DeliveryOutcome.NO_FUNDS: 1.0})
    nights = [(on_day(part, -1), on_day(part, 6)) for part in (0.45, 0.85)]
    site = Site(settings, Services([bad_day, unpaid], rng), until, rng)
    plan = _Plan()
    requests_count = round(REQUESTS_A_MONTH * scale * days / 30)
    # One of them logs in once and does not come back: somebody else guesses at the phone.
    absent, *people = make_people(max(40, round(requests_count * PEOPLE_SHARE)), rng)
    for at, person in _spread(people, requests_count, since, days, rng):
        _plan_login(plan, site, person, at, rng)
    neighbours = make_neighbours(rng)
    for network, night in enumerate(nights):
        messages_count = max(200, round(PUMPED_MESSAGES * scale))
        _plan_attack(plan, site, night, neighbours, messages_count, network, rng)
    # What the shadow showed is believed in the morning.
    plan.add(nights[0][1], lambda: site.guards.modes.update({Guard.PREFIX_TRAFFIC: "block"}))
    guessed = [absent, *(each for each in people if each.region == "RU")][:3]
    _plan_login(plan, site, absent, since + timedelta(hours=12), rng)
    first_night = max(0, days - GUESSED_NIGHTS)
    for number, person in enumerate(guessed):
        _plan_guesses(plan, site, person, number, since, range(first_night, days), rng)
    plan.play(begin(len(plan)))
    return Story(
        since=since,
        until=until,
        bad_day=bad_day,
        unpaid=unpaid,
        shadow_night=nights[0],
        blocked_night=nights[1],
        attacked_prefix=(FAR.start + "00")[:-4],
        guessed_phones=tuple(each.phone for each in guessed),
        made=site.made,
    )


def _spread(
    people: list[Person], requests_count: int, since: datetime, days: int, rng: random.Random
) -> Iterator[tuple[datetime, Person]]:
    """Spread requests over days and hours, where people live, the site growing a little."""
    starts = [since + timedelta(days=day) for day in range(days + 1)]
    weights = [
        WEEKDAYS[start.weekday()] * (1 + 0.2 * day / days) * rng.uniform(0.95, 1.05)
        for day, start in enumerate(starts)
    ]
    for start in rng.choices(starts, weights, k=requests_count):
        grown = 0.35 + 0.65 * (start - since).days / days
        # A few come often, most of them seldom.
        person = people[int(len(people) * grown * rng.random() ** 1.6)]
        hour = rng.choices(range(24), HOURS)[0]
        seconds = hour * 3_600 + rng.randrange(3_600)
        yield start + timedelta(seconds=seconds) - _ahead(person, start), person


def _ahead(person: Person, start: datetime) -> timedelta:
    """Give how much earlier a day begins where somebody lives than where the site is."""
    return person.utc_offset - (start.utcoffset() or timedelta())


def _plan_login(plan: _Plan, site: Site, person: Person, at: datetime, rng: random.Random) -> None:
    calls = person.region == "RU" and rng.random() < REVERSE_SHARE
    channel = Channel.REVERSE_CALL if calls else ""
    plan.add(at, lambda: site.log_in(person, at, channel))


def _plan_attack(
    plan: _Plan,
    site: Site,
    night: tuple[datetime, datetime],
    neighbours: list[Person],
    messages_count: int,
    network: int,
    rng: random.Random,
) -> None:
    """Plan a night of messages to neighbouring numbers, from as few addresses as limits allow."""
    since, until = night
    hours = (until - since).total_seconds() / 3_600
    addresses = make_bot_addresses(
        network, max(2, round(messages_count / hours / PER_ADDRESS_AND_HOUR))
    )
    for number in range(messages_count):
        at = since + (until - since) * (number + rng.random()) / messages_count
        person = neighbours[number * 37 % len(neighbours)]
        ip = addresses[number % len(addresses)]
        plan.add(at, lambda person=person, ip=ip, at=at: site.pump(person, ip, at))  # type: ignore[misc]


def _plan_guesses(
    plan: _Plan,
    site: Site,
    person: Person,
    number: int,
    since: datetime,
    days: range,
    rng: random.Random,
) -> None:
    """Plan nights in which a bot tries codes at one phone, a little later each night."""
    ip = make_bot_addresses(2, number + 1)[number]
    for day in days:
        at = since + timedelta(days=day, hours=1 + number * 0.6, minutes=5 * (day - days[0]))
        for _ask in range(8):
            plan.add(at, lambda at=at: site.guess(person, ip, BOT, at))  # type: ignore[misc]
            at += timedelta(seconds=rng.uniform(620, 900))  # as long as the ladder lets it
