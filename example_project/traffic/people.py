"""Who asks for codes: numbers that belong to nobody, addresses of documentation, clients."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django_phone_otp.models import DeviceLedger, PhoneLedger

BROWSERS = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 Chrome/138.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; SM-A546B) AppleWebKit/537.36 SamsungBrowser/28.0 Mobile",
)
APPS = ("Example/5.2 (Android 15)", "Example/5.1 (Android 14)", "Example/5.2 (iOS 18.5)")
BOT = "python-requests/2.32.4"
APP_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers with a common start and so many digits after it."""

    start: str
    digits_count: int
    first: int = 0

    def pick(self, rng: random.Random) -> str:
        """Give one of them."""
        number = rng.randrange(self.first, 10**self.digits_count)
        return f"{self.start}{number:0{self.digits_count}d}"


@dataclass(frozen=True, slots=True)
class Region:
    """Where people live: their part of all, their clocks, their numbers."""

    name: str
    share: float
    utc_offset: timedelta
    ranges: tuple[Range, ...]


# Germany (Bundesnetzagentur), Sweden (PTS) and North America with the Caribbean (555-0100 to 0199)
# keep numbers for films. Russia, Belarus, Kazakhstan and Ukraine keep none: these begin with codes
# that are assumed to be given to nobody.
REGIONS = (
    Region(
        "RU", 0.80, timedelta(hours=3), tuple(Range(f"+794{digit}", 7) for digit in (2, 4, 5, 6, 8))
    ),
    Region("BY", 0.09, timedelta(hours=3), (Range("+375330", 6),)),
    Region("KZ", 0.06, timedelta(hours=5), (Range("+7760", 7),)),
    Region("UA", 0.035, timedelta(hours=3), (Range("+380940", 6),)),
    Region("DE", 0.01, timedelta(hours=2), (Range("+4917139200", 2), Range("+49176040690", 2))),
    Region("SE", 0.005, timedelta(hours=2), (Range("+46701740", 3, 605),)),
)
FAR = Range("+187655501", 2)  # Jamaica, and all of one prefix
FAR_REGION = "JM"


@dataclass(slots=True, eq=False)
class Person:
    """Somebody with a phone, and what the site has stored about them."""

    phone: str
    region: str
    utc_offset: timedelta
    ip: str
    user_agent: str
    ledger: PhoneLedger
    device: DeviceLedger | None = None
    user: Any = None
    # What is sent to them arrives less often than to others, or never.
    reach: float = 1.0
    verified_at: Any = field(default=None)


def make_people(count: int, rng: random.Random) -> list[Person]:
    """Make people with a phone each."""
    taken: set[str] = set()
    return [_make_person(rng, taken) for _ in range(count)]


def make_neighbours(rng: random.Random) -> list[Person]:
    """Make the numbers of somebody who is paid for each message to them."""
    numbers = list(range(10**FAR.digits_count))
    rng.shuffle(numbers)
    return [
        _person(f"{FAR.start}{number:02d}", FAR_REGION, timedelta(hours=-5), "", BOT, 0.0)
        for number in numbers
    ]


def make_bot_addresses(network: int, count: int) -> list[str]:
    """Give addresses of one of the networks that are for documentation (RFC 5737)."""
    start = ("192.0.2", "198.51.100", "203.0.113")[network]
    return [f"{start}.{11 + 7 * number % 240}" for number in range(min(count, 240))]


def _make_person(rng: random.Random, taken: set[str]) -> Person:
    region = rng.choices(REGIONS, [each.share for each in REGIONS])[0]
    phone = next((each for each in _try_phones(region, rng) if each not in taken), "")
    while not phone or phone in taken:  # what films may use is soon used up
        region = REGIONS[0]
        phone = rng.choice(region.ranges).pick(rng)
    taken.add(phone)
    is_app = rng.random() < APP_SHARE
    reach = 0.2 if rng.random() < 0.03 else 1.0
    return _person(
        phone,
        region.name,
        region.utc_offset,
        _pick_address(rng),
        rng.choice(APPS if is_app else BROWSERS),
        reach,
    )


def _try_phones(region: Region, rng: random.Random) -> Iterator[str]:
    for _ in range(5):
        yield rng.choice(region.ranges).pick(rng)


def _pick_address(rng: random.Random) -> str:
    """Give an address that nobody has: of carriers' inner networks, of benchmarks, of documents."""
    draw = rng.random()
    if draw < 0.6:  # RFC 6598
        return f"100.{rng.randrange(64, 128)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    if draw < 0.85:  # RFC 2544
        return f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    # RFC 3849
    return f"2001:db8:{rng.randrange(1, 65_536):x}:{rng.randrange(1, 65_536):x}::1"


def _person(
    phone: str, region: str, utc_offset: timedelta, ip: str, user_agent: str, reach: float
) -> Person:
    ledger = PhoneLedger(phone=phone)
    return Person(phone, region, utc_offset, ip, user_agent, ledger, reach=reach)
