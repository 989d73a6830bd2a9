"""A site under attack, its owner's phone, and the score: what the guesses were worth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from django_phone_otp.models import ConfirmAttempt, UserPhone
from tests.conftest import PHONE
from tests.parallel.conftest import running_site

from . import clock, witness
from .attacker import Attacker

DAY_SECONDS = 86_400

Open = Callable[..., Any]


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Start a site to attack: `with attack(PROVIDERS=...) as attacker:`; its owner is known."""
    owner = get_user_model().objects.create_user("owner")
    UserPhone.objects.create(user=owner, phone=PHONE)
    notes = tmp_path / "notes"
    monkeypatch.setenv(clock.FILE, str(tmp_path / "clock"))
    monkeypatch.setenv(witness.FILE, str(notes))

    @contextmanager
    def open_site(**keys: Any) -> Iterator[Attacker]:
        hand = clock.Clock(tmp_path / "clock")
        with running_site(tmp_path / "log", "tests.attack.settings", **keys) as site:
            yield Attacker(port=site.port, clock=hand, notes=notes, phone=PHONE)

    return open_site


class Score:
    """What guesses were worth: for each that was compared and counted, when, and its chance."""

    def __init__(self, notes: Path) -> None:
        worth: dict[str, Fraction] = {}
        for each in witness.read_notes(notes):
            if each["event"] == "compared":
                address = each["address"]
                worth[address] = worth.get(address, Fraction()) + Fraction(1, 10 ** each["length"])
        self.compared_count = len(worth)
        rows = ConfirmAttempt.objects.filter(challenge__phone=PHONE, refusal="wrong_code")
        self.guesses = [
            (at.timestamp() - clock.BEGIN, worth.get(str(ip), Fraction()))
            for at, ip in rows.order_by("created_at").values_list("created_at", "ip")
        ]

    @property
    def total(self) -> Fraction:
        """Give the expected number of right guesses of the whole attack."""
        return sum((each for _, each in self.guesses), Fraction())

    def worst(self, seconds: float = DAY_SECONDS) -> Fraction:
        """Give that of the worst time of this length, whenever it begins."""
        return max(
            (
                sum((worth for at, worth in self.guesses if 0 <= at - begin < seconds), Fraction())
                for begin, _ in self.guesses
            ),
            default=Fraction(),
        )


@pytest.fixture
def score(tmp_path: Path) -> Callable[[], Score]:
    """Reckon what the attack has come to so far."""
    return lambda: Score(tmp_path / "notes")
