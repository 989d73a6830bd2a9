"""How likely a guess is right: simulated attacks on one phone, over HTTP, at the default settings.

The attacker has as many addresses as he wants and moves the clock. What a guess is worth is not
reckoned from the rules but observed: a witness in the servers notes how many codes each answer was
compared with. The sum over the guesses that counted is the expected number of right ones; these are
the numbers of `docs/compliance.md`.

`best` plays the strategy that is thought to be the best one and reaches the bound exactly, so the
bound is no idle one. `Wild` does everything at once and at random, and may not exceed it.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest

from django_phone_otp import devices
from django_phone_otp.models import ConfirmAttempt, PhoneLedger
from tests.conftest import PHONE

from .attacker import Attacker, Call, Told, wrong_code

pytestmark = pytest.mark.django_db(transaction=True)

SEED = int(os.environ.get("PHONE_OTP_ATTACK_SEED", "20260301"))
OWN_PHONE = "+79244501999"  # the attacker's
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400

# What ten wrong codes are worth: of four digits one code is valid, of six digits the two newest.
FOUR_DIGITS = Fraction(10, 10**4)
SIX_DIGITS = Fraction(2 * 10, 10**6)
# Three calls a day to one phone are three times three tries; one guess is left for two texts.
THREE_CALLS = Fraction(3 * 3, 10**4) + Fraction(2, 10**6)
# A text after a call is alone, and keeps the three tries of the call.
A_TEXT_AND_CALLS = Fraction(3, 10**6) + Fraction(7, 10**4)

TEXT = {"BACKEND": "tests.attack.providers.Text"}
CALL = {"BACKEND": "tests.attack.providers.Call"}
UNDECLARED = {"BACKEND": "tests.attack.providers.Undeclared"}
JUDGE = {"BACKEND": "tests.attack.providers.Judge", "OPTIONS": {"code": "271828"}}
BOTH = {"calls": CALL, "texts": TEXT}
BOTH_LIMITED = {"calls": {**CALL, "PHONE_DAILY_LIMIT": 3}, "texts": TEXT}  # as telefon-ip-flash


# The best attack

# One step is a challenge: the channels of its messages, and the guesses at one moment, which are
# more than there are tries. Of two texts both codes are valid, if they are early ones of a day, for
# later ones are too far apart; beside a call nothing is.
Plan = list[tuple[list[str], int]]
CALL_ALONE: tuple[list[str], int] = (["flash_call"], 5)
ON_TEXTS: Plan = [(["sms", "sms"], 8)] * 2
ON_CALLS: Plan = [CALL_ALONE] * 4
ON_BOTH: Plan = [(["sms", "sms"], 1), *[CALL_ALONE] * 3]
TO_CALLS: Plan = [(["flash_call", "flash_call"], 5), (["sms", "flash_call"], 5), *[CALL_ALONE] * 2]
TO_A_TEXT: Plan = [(["flash_call", "sms"], 5), *[CALL_ALONE] * 3]


def best(attacker: Attacker, plan: Plan, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Spend the wrong codes of a day; `meanwhile` happens after the first guesses."""
    for channels, guesses_count in plan:
        asked = ask(attacker, channels[0])
        if not asked:
            return
        challenge = asked.body["challenge"]
        for channel in channels[1:]:
            attacker.wait(asked.body["resend_in"])
            asked = attacker.send("resend", challenge=challenge, channel=channel)
        attacker.guess(challenge, guesses_count, asked.body["code_length"])
        meanwhile()
        meanwhile = list


def ask(attacker: Attacker, channel: str, **body: str) -> Told | None:
    """Ask for a code as soon as it is allowed; None where it is not for hours."""
    told = attacker.ask(channel=channel, **body)
    while told.code != "locked" and told.body.get("retry_after", DAY_SECONDS) <= HOUR_SECONDS:
        attacker.wait(told.body["retry_after"])
        told = attacker.ask(channel=channel, **body)
    return told if told.status == 201 else None


@pytest.mark.parametrize(
    ("providers", "plan", "expected"),
    [
        pytest.param({"texts": TEXT}, ON_TEXTS, SIX_DIGITS, id="six-digits"),
        pytest.param({"judge": JUDGE}, ON_TEXTS, SIX_DIGITS, id="six-digits-judged"),
        pytest.param({"calls": CALL}, ON_CALLS, FOUR_DIGITS, id="four-digits"),
        pytest.param(BOTH, TO_CALLS, FOUR_DIGITS, id="calls-after-texts"),
        pytest.param(BOTH, TO_A_TEXT, A_TEXT_AND_CALLS, id="text-after-a-call"),
        pytest.param(BOTH_LIMITED, ON_BOTH, THREE_CALLS, id="three-calls"),
    ],
)
def test_s06_best_attack_of_a_day_is_worth_what_is_documented(
    attack, score, providers, plan, expected
):
    with attack(PROVIDERS=providers) as attacker:
        best(attacker, plan)
        for hours in (0, 1, 12, 10):
            attacker.wait(hours * HOUR_SECONDS)
            assert attacker.ask().code == "too_many_requests"

    found = score()
    assert (found.total, len(found.guesses)) == (expected, 10)


# What is shown while sign-up is closed is what the account declares, whatever the code is like.
@pytest.mark.parametrize("sign_up", [True, False], ids=["sign-up-open", "sign-up-closed"])
def test_s06_short_codes_that_nobody_declared_are_worth_no_more(attack, score, sign_up):
    with attack(PROVIDERS={"texts": UNDECLARED}, SIGNUP=sign_up) as attacker:
        best(attacker, ON_TEXTS)

    assert score().total <= FOUR_DIGITS


def test_s06_challenges_of_both_purposes_share_the_guesses(attack, score):
    with attack(PROVIDERS={"texts": TEXT}) as attacker:
        attacker.token = attacker.as_other(phone=OWN_PHONE).log_in()["token"]
        asked = [ask(attacker, "sms", purpose=each) for each in ("login", "link") * 2]
        live = [each.body["challenge"] for each in asked if each]
        attacker.send_all(
            ("confirm", {"challenge": each, "code": wrong_code(6, attacker.codes())})
            for each in live * 6
        )

    assert (score().total, len(score().guesses)) == (Fraction(10, 10**6), 10)


def test_s06_a_login_of_the_owner_gives_no_guess_back(attack, score):
    with attack(PROVIDERS={"calls": CALL}) as attacker:
        best(attacker, ON_CALLS, meanwhile=attacker.as_other().log_in)

    assert ConfirmAttempt.objects.filter(refusal="").count() == 1
    assert PhoneLedger.objects.get().failures_in_row == 7
    assert score().total == FOUR_DIGITS


def test_s06_three_days_are_worth_three_times_a_day(attack, score):
    with attack(PROVIDERS={"texts": TEXT}) as attacker:
        for _ in range(3):
            best(attacker, ON_TEXTS)
            attacker.wait(DAY_SECONDS)  # a day after the last message the waits begin anew
        best(attacker, ON_TEXTS)

    found = score()
    assert found.worst(DAY_SECONDS) == SIX_DIGITS
    assert found.worst(3 * DAY_SECONDS) == 3 * SIX_DIGITS


def test_s06_days_of_guesses_end_with_the_hundredth_in_a_row(attack, score):
    with attack(PROVIDERS={"calls": CALL}) as attacker:
        for _ in range(11):
            best(attacker, ON_CALLS)
            attacker.wait(DAY_SECONDS)
        assert attacker.ask().code == "locked"

    assert (score().total, len(score().guesses)) == (Fraction(1, 100), 100)


# A stranger has no string of this phone. Who held the number before may have some.
def test_s07_each_string_of_a_former_holder_adds_ten_guesses(attack, score):
    with attack(PROVIDERS={"calls": CALL}) as attacker:
        best(attacker, ON_CALLS)
        for key in ("a" * 22, "b" * 22):
            best(attacker.as_other(device=devices.make_device(key, PHONE)), ON_CALLS)

    assert (score().total, len(score().guesses)) == (3 * FOUR_DIGITS, 30)


# Everything at once


class Wild:
    """Does whatever the API allows, in bursts, with old challenges and new ones."""

    def __init__(self, attacker: Attacker, string: str) -> None:
        self._attacker = attacker
        self._string = string
        self._challenges: list[str] = []
        self._random = random.Random(SEED)

    def go_on(self, hours: float) -> None:
        """Attack until so many hours are over."""
        end = self._attacker.clock.seconds + hours * HOUR_SECONDS
        while self._attacker.clock.seconds < end:
            told = self._attacker.send_all(self._burst())
            found = [each.body["challenge"] for each in told if "challenge" in each.body]
            self._challenges += [each for each in found if each not in self._challenges]
            self._attacker.wait(self._random.choice(self._waits(told)))

    def _burst(self) -> list[Call]:
        draw, known = self._random, self._attacker.codes()
        calls = [self._request() for _ in range(draw.randint(1, 3))]
        some = draw.sample(self._challenges, min(2, len(self._challenges)))
        for challenge in {*some, *self._challenges[-1:]}:
            calls.append(("resend", {"challenge": challenge, **self._channel()}))
        for challenge in {*some, *self._challenges[-3:]}:
            for _ in range(draw.randint(1, 6)):
                code = wrong_code(draw.choice([4, 6]), known)
                calls.append(("confirm", {"challenge": challenge, "code": code}))
        draw.shuffle(calls)
        return calls

    def _request(self) -> Call:
        body = {"phone": self._random.choice([PHONE, "8 924 450-10-03"]), **self._channel()}
        if self._random.random() < 0.3:
            body["purpose"] = "link"
        if self._random.random() < 0.6:
            body["device"] = self._device()
        return "request", body

    def _channel(self) -> dict[str, str]:
        return self._random.choice([{}, {"channel": "sms"}, {"channel": "flash_call"}])

    def _device(self) -> str:
        """Show what is no string of this phone: another's, a part of one, a forged one."""
        key, stamp, signature = self._string.split(":")
        return self._random.choice(
            [
                self._string,
                key,
                f"{key}:{stamp}:{'A' * len(signature)}",
                f"{key[::-1]}:{stamp}:{signature}",
                "x" * 200,
            ]
        )

    def _waits(self, told: list[Told]) -> list[float]:
        shortest = min((each.body["retry_after"] for each in told if each.status == 429), default=0)
        return [1, 30, 299.9, shortest, shortest, shortest]


@pytest.mark.parametrize(
    ("providers", "bound"),
    [
        pytest.param({"texts": TEXT, "judge": JUDGE}, SIX_DIGITS, id="six-digits"),
        pytest.param(BOTH, FOUR_DIGITS, id="calls-and-texts"),
        pytest.param(BOTH_LIMITED, THREE_CALLS, id="three-calls"),
    ],
)
def test_s06_wild_attack_stays_within_the_bound(attack, score, providers, bound):
    with attack(PROVIDERS=providers) as attacker:
        own = attacker.as_other(phone=OWN_PHONE).log_in()
        attacker.token = own["token"]  # he can ask to link the phone to his own user
        wild = Wild(attacker, own["device"])
        wild.go_on(hours=4)
        # The owner, whom he cannot keep out, and who ends the row of wrong codes.
        attacker.as_other(device=devices.make_device("o" * 22, PHONE)).log_in()
        wild.go_on(hours=22)

    found = score()
    assert 0 < found.worst(DAY_SECONDS) <= bound
    told = Counter(each.code for each in attacker.told if "attempts_left" in each.body)
    assert told == {"wrong_code": len(found.guesses)}
    assert not [each for each in attacker.told if "user" in each.body]
