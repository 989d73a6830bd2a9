"""Limits: what a phone bears, reckoned by pure functions, and what an address may."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp.choices import Refusal, State
from django_phone_otp.conf import Rate, Settings
from django_phone_otp.flow import limits
from django_phone_otp.flow.limits import Denial
from django_phone_otp.models import PhoneChallenge, PhoneLedger
from tests.broken_cache import BrokenCache

NOON = datetime(2025, 3, 30, 12, 0, 0, 123_457, tzinfo=UTC)
DEFAULT = Settings()
WIDE = {"send_phone": "1000/d", "fail_phone": "1000/d"}


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@dataclass
class Phone:
    """A phone whose row goes through the pure functions, and a clock that stands still."""

    settings: Settings = DEFAULT
    now: datetime = NOON
    ledger: PhoneLedger = field(default_factory=lambda: PhoneLedger(phone="+79244501003"))

    def change(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            setattr(self.ledger, name, value)

    def send(self) -> None:
        self.change(limits.after_send(self.ledger, self.settings, self.now))

    def fail(self, count: int = 1) -> None:
        for _ in range(count):
            self.answer(is_right=False)

    def confirm(self) -> None:
        self.answer(is_right=True)

    def answer(self, *, is_right: bool) -> None:
        challenge = PhoneChallenge(ledger=self.ledger)
        ((_row, changes),) = limits.after_answer(challenge, is_right, self.settings, self.now)
        self.change(changes)

    def wait(self, count: float) -> None:
        self.now += seconds(count)

    def denial(self, after: float = 0) -> Denial | None:
        return limits.deny_send(self.ledger, self.settings, self.now + seconds(after))

    def answer_denial(self, after: float = 0) -> Denial | None:
        return limits.deny_answer(self.ledger, self.settings, self.now + seconds(after))

    @property
    def wait_seconds(self) -> int:
        return limits.seconds_until_send(self.ledger, self.settings, self.now)


# The ladder


def test_first_message_needs_no_wait():
    assert Phone().denial() is None


def test_waits_climb_the_ladder_and_the_last_repeats():
    phone, waits = Phone(Settings(limits=WIDE)), []
    for _ in range(8):
        phone.send()
        waits.append(phone.wait_seconds)
        phone.wait(phone.wait_seconds)
    assert waits == [30, 60, 120, 300, 600, 600, 600, 600]


@pytest.mark.parametrize(
    ("passed", "left"), [(0, 30), (0.1, 30), (1, 29), (29, 1), (29.9, 1), (30, 0), (31, 0)]
)
def test_wait_is_rounded_up(passed, left):
    phone = Phone()
    phone.send()
    phone.wait(passed)
    assert phone.wait_seconds == left


def test_too_soon_says_when():
    phone = Phone()
    phone.send()
    phone.wait(10)
    assert phone.denial() == Denial(Refusal.RESEND_TOO_SOON, 20)


def test_waiting_longer_does_not_lead_down_the_ladder():
    phone = Phone()
    phone.send()
    phone.wait(4 * 3_600)
    phone.send()
    assert phone.wait_seconds == 60


@pytest.mark.parametrize(
    ("hours", "wait"),
    [pytest.param(24, 30, id="a-day"), pytest.param(23.999, 120, id="a-little-less")],
)
def test_ladder_starts_anew_a_day_after_the_last_message(hours, wait):
    phone = Phone()
    phone.send()
    phone.wait(30)
    phone.send()
    phone.wait(hours * 3_600)
    phone.send()
    assert phone.wait_seconds == wait


def test_no_wait_after_a_confirmed_code():
    phone = Phone()
    phone.send()
    phone.confirm()
    assert phone.denial() is None


def test_ladder_starts_anew_after_a_confirmed_code():
    phone = Phone()
    for _ in range(3):
        phone.send()
    phone.confirm()
    phone.send()
    assert phone.wait_seconds == 30


def test_wait_of_zero_is_no_wait():
    phone = Phone(Settings(resend_waits=[0]))
    phone.send()
    assert phone.denial() is None


# The windows of messages


def test_fifth_message_of_an_hour_is_let_through_and_the_sixth_is_not():
    phone = Phone(Settings(resend_waits=[0]))
    for _ in range(4):
        phone.send()
    before = phone.denial()
    phone.send()
    assert (before, phone.denial()) == (None, Denial(Refusal.TOO_MANY_REQUESTS, 3_600))


def test_hour_counts_from_the_oldest_message_that_matters():
    phone = Phone(Settings(resend_waits=[0]))
    for _ in range(5):
        phone.send()
        phone.wait(600)
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 600)


def test_window_slides():
    # A window that begins anew at each full hour would let ten through within ten minutes.
    phone = Phone(Settings(resend_waits=[0]), now=NOON.replace(minute=55))
    for _ in range(5):
        phone.send()
    phone.wait(600)
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 3_000)


def test_tenth_message_of_a_day_is_the_last():
    phone = Phone(Settings(resend_waits=[0]))
    for _ in range(10):
        phone.send()
        phone.wait(3_600)
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 14 * 3_600)


def test_the_fullest_of_several_windows_decides():
    rates = ["2/m", "3/h", "4/d"]
    phone = Phone(Settings(resend_waits=[0], limits={"send_phone": rates}))
    waits = []
    for _ in range(4):
        phone.send()
        waits.append(phone.wait_seconds)
    assert waits == [0, 60, 3_600, 86_400]


def test_confirmed_code_leaves_the_windows_as_they_are():
    phone = Phone(Settings(resend_waits=[0]))
    for _ in range(5):
        phone.send()
    phone.confirm()
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 3_600)


def test_longer_of_cooldown_and_window_is_told():
    phone = Phone(Settings(resend_waits=[90], limits={"send_phone": "1/m"}))
    phone.send()
    assert phone.denial() == Denial(Refusal.RESEND_TOO_SOON, 90)


# Wrong codes


def test_s06_tenth_wrong_code_of_a_day_is_the_last():
    phone = Phone()
    phone.fail(9)
    before = phone.answer_denial()
    phone.fail()
    assert (before, phone.answer_denial()) == (None, Denial(Refusal.TOO_MANY_REQUESTS, 86_400))


def test_s06_phone_without_a_budget_of_wrong_codes_gets_no_message():
    phone = Phone()
    phone.fail(10)
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 86_400)


def test_s06_confirmed_code_does_not_give_the_budget_back():
    phone = Phone()
    phone.fail(9)
    phone.confirm()
    phone.fail()
    assert phone.answer_denial() == Denial(Refusal.TOO_MANY_REQUESTS, 86_400)


def test_s06_message_does_not_give_the_budget_back():
    phone = Phone()
    phone.fail(10)
    phone.send()
    assert phone.answer_denial() == Denial(Refusal.TOO_MANY_REQUESTS, 86_400)


def test_budget_of_wrong_codes_comes_back_one_by_one():
    phone = Phone()
    for _ in range(10):
        phone.fail()
        phone.wait(60)
    assert phone.answer_denial() == Denial(Refusal.TOO_MANY_REQUESTS, 86_400 - 600)


def test_s06_hundred_wrong_codes_in_a_row_disable_the_phone():
    phone = Phone(Settings(limits=WIDE))
    phone.fail(99)
    before = phone.ledger.disabled_at
    phone.fail()
    assert (before, phone.ledger.disabled_at) == (None, NOON)


def test_s06_row_goes_on_over_the_days():
    phone = Phone()
    for _ in range(10):
        phone.fail(10)
        phone.wait(86_400)
    assert phone.ledger.failures_in_row == 100
    assert phone.ledger.disabled_at == NOON + timedelta(days=9)


def test_confirmed_code_ends_the_row():
    phone = Phone(Settings(limits=WIDE))
    phone.fail(99)
    phone.confirm()
    phone.fail(99)
    assert phone.ledger.disabled_at is None


def test_fewer_in_a_row_may_be_set():
    phone = Phone(Settings(limits={"fail_phone_total": 3}))
    phone.fail(3)
    assert phone.ledger.disabled_at == NOON


@pytest.mark.parametrize("days", [0, 1, 365])
def test_s06_disabled_phone_stays_disabled(days):
    phone = Phone(Settings(limits=WIDE))
    phone.fail(100)
    phone.wait(days * 86_400)
    locked = Denial(Refusal.LOCKED, 3_600)
    assert (phone.answer_denial(), phone.denial()) == (locked, locked)


# Closed challenges


@pytest.mark.parametrize(
    ("state", "attempts_left", "expires_in", "denial"),
    [
        pytest.param(State.SENDING, 1, 1, None, id="sending"),
        pytest.param(State.SENT, 1, 1, None, id="sent"),
        pytest.param(State.FAILED, 1, 1, None, id="failed"),
        pytest.param(State.VERIFIED, 1, 1, Denial(Refusal.CHALLENGE_CLOSED), id="verified"),
        pytest.param(State.VERIFIED, 0, -1, Denial(Refusal.CHALLENGE_CLOSED), id="verified-of-old"),
        pytest.param(State.CANCELLED, 1, 1, Denial(Refusal.CHALLENGE_CLOSED), id="cancelled"),
        pytest.param(State.SENT, 1, 0, Denial(Refusal.EXPIRED), id="expired-this-moment"),
        pytest.param(State.SENT, 1, -1, Denial(Refusal.EXPIRED), id="expired"),
        pytest.param(State.SENT, 0, 1, Denial(Refusal.LOCKED, 1), id="locked"),
        pytest.param(State.SENT, 0, -1, Denial(Refusal.LOCKED, 1), id="locked-and-expired"),
    ],
)
def test_closed_challenge(state, attempts_left, expires_in, denial):
    challenge = PhoneChallenge(
        state=state,
        attempts_left=attempts_left,
        expires_at=NOON + seconds(expires_in),
        ledger=Phone().ledger,
    )
    assert limits.deny_closed(challenge, DEFAULT, NOON) == denial


def test_locked_challenge_says_when_a_new_one_may_be_asked_for():
    phone = Phone()
    phone.send()
    challenge = PhoneChallenge(
        state=State.SENT, attempts_left=0, expires_at=NOON + seconds(300), ledger=phone.ledger
    )
    assert limits.deny_closed(challenge, DEFAULT, NOON) == Denial(Refusal.LOCKED, 30)


# Whatever happens

RATES = st.lists(
    st.builds("{}/{}".format, st.integers(1, 5), st.sampled_from(["7s", "m", "10m", "h", "3h"])),
    min_size=1,
    max_size=3,
)
SETTINGS = st.builds(
    lambda waits, sends, fails: Settings(
        resend_waits=waits, limits={"send_phone": sends, "fail_phone": fails}
    ),
    st.lists(st.integers(0, 900), min_size=1, max_size=4),
    RATES,
    RATES,
)
GAPS = st.one_of(
    st.just(0.0),
    st.integers(0, 60).map(float),
    st.integers(0, 4_000_000_000).map(lambda each: each / 1_000_000),
    st.sampled_from([3_600.0, 86_399.0, 86_400.0, 100_000.0]),
)
SENDS = st.lists(st.tuples(GAPS, st.just("send")), max_size=25)
HISTORIES = st.lists(
    st.tuples(GAPS, st.sampled_from(["send", "send", "fail", "fail", "confirm"])), max_size=25
)


Events = list[tuple[datetime, str]]


def live(settings: Settings, history: Iterable[tuple[float, str]]) -> tuple[Phone, Events]:
    """Let a phone through a history of which only what is allowed happens; give what did."""
    phone, happened = Phone(settings), Events()
    acts: dict[str, tuple[Callable[[], Denial | None], Callable[[], None]]] = {
        "send": (phone.denial, phone.send),
        "fail": (phone.answer_denial, phone.fail),
        "confirm": (phone.answer_denial, phone.confirm),
    }
    for gap, act in history:
        phone.wait(gap)
        deny, do = acts[act]
        if deny() is None:
            do()
            happened.append((phone.now, act))
    return phone, happened


def times_of(act: str, happened: Events) -> list[datetime]:
    return [at for at, each in happened if each == act]


def has_room(times: Sequence[datetime], rates: Sequence[Rate], now: datetime) -> bool:
    return all(sum(now - at < seconds(rate.seconds) for at in times) < rate.count for rate in rates)


def is_over(happened: Events, waits: Sequence[int], now: datetime) -> bool:
    """Say whether the wait after the last message is over, by going through all that happened."""
    step, last = 0, now
    for at, act in happened:
        if act == "confirm":
            step = 0
        elif act == "send":
            step = step + 1 if at - last < timedelta(hours=24) else 1
            last = at
    return not step or now - last >= seconds(waits[min(step, len(waits)) - 1])


def fullest(times: Sequence[datetime], rate: Rate) -> int:
    """Count the events of the fullest window of a rate's length, wherever it begins."""
    length = seconds(rate.seconds)
    return max((sum(start <= at < start + length for at in times) for start in times), default=0)


@budget(deadline=None, max_examples=200)
@given(SETTINGS, HISTORIES)
def test_s09_no_window_ever_holds_more_messages_than_its_rate(settings, history):
    _phone, happened = live(settings, history)
    for rate in settings.rates("send_phone"):
        assert fullest(times_of("send", happened), rate) <= rate.count


@budget(deadline=None, max_examples=200)
@given(SETTINGS, HISTORIES)
def test_s06_no_window_ever_holds_more_wrong_codes_than_its_rate(settings, history):
    _phone, happened = live(settings, history)
    for rate in settings.rates("fail_phone"):
        assert fullest(times_of("fail", happened), rate) <= rate.count


@budget(deadline=None, max_examples=300)
@given(SETTINGS, HISTORIES)
def test_a_row_says_what_the_whole_history_would_say(settings, history):
    phone, happened = live(settings, history)
    sends, fails = times_of("send", happened), times_of("fail", happened)
    may_answer = has_room(fails, settings.rates("fail_phone"), phone.now)
    may_send = has_room(sends, settings.rates("send_phone"), phone.now)
    may_send = may_send and is_over(happened, settings.resend_waits, phone.now)
    assert (phone.answer_denial() is None) is may_answer
    assert (phone.denial() is None) is (may_answer and may_send)


@budget(deadline=None, max_examples=300)
@given(SETTINGS, SENDS)
def test_retry_after_of_messages_is_true_to_the_second(settings, history):
    phone, _happened = live(settings, history)
    denial = phone.denial()
    if denial is None:
        return
    event("denied")
    assert denial.retry_after_seconds
    assert phone.denial(after=denial.retry_after_seconds) is None
    assert phone.denial(after=denial.retry_after_seconds - 1) is not None


@budget(deadline=None, max_examples=300)
@given(SETTINGS, HISTORIES)
def test_retry_after_of_answers_is_true_to_the_second(settings, history):
    phone, _happened = live(settings, history)
    denial = phone.answer_denial()
    if denial is None:
        return
    event("denied")
    assert denial.retry_after_seconds
    assert phone.answer_denial(after=denial.retry_after_seconds) is None
    assert phone.answer_denial(after=denial.retry_after_seconds - 1) is not None


@budget(deadline=None, max_examples=300)
@given(SETTINGS, HISTORIES)
def test_retry_after_is_true_whatever_stands_in_the_way(settings, history):
    phone, _happened = live(settings, history)
    denial = phone.denial()
    if denial is None:
        return
    event("denied")
    assert denial.retry_after_seconds
    assert phone.denial(after=denial.retry_after_seconds) is None
    assert phone.denial(after=denial.retry_after_seconds - 1) is not None


def test_retry_after_counts_messages_and_wrong_codes_together():
    # The last wrong code stops counting in a minute, the last message in an hour.
    rates = {"send_phone": "1/h", "fail_phone": "1/m"}
    phone = Phone(Settings(limits=rates))
    phone.send()
    phone.fail()
    assert phone.denial() == Denial(Refusal.TOO_MANY_REQUESTS, 3_600)


@budget(deadline=None, max_examples=200)
@given(SETTINGS, HISTORIES)
def test_row_never_grows_beyond_the_largest_count(settings, history):
    phone, _happened = live(settings, history)
    for events, name in (
        (phone.ledger.sends, "send_phone"),
        (phone.ledger.failures, "fail_phone"),
    ):
        assert len(events) <= max(rate.count for rate in settings.rates(name))


def test_row_shrinks_when_the_limits_do():
    phone = Phone(Settings(limits=WIDE))
    phone.fail(50)
    phone.settings = Settings(limits={"fail_phone": "3/d"})
    phone.fail()
    assert len(phone.ledger.failures) == 3


@budget(deadline=None, max_examples=100)
@given(SETTINGS, HISTORIES)
def test_reckoning_changes_nothing(settings, history):
    phone, _happened = live(settings, history)
    before = deepcopy(dict(vars(phone.ledger), _state=None))
    phone.denial()
    phone.answer_denial()
    limits.after_send(phone.ledger, settings, phone.now)
    challenge = PhoneChallenge(ledger=phone.ledger)
    limits.after_answer(challenge, False, settings, phone.now)
    limits.after_answer(challenge, True, settings, phone.now)
    assert dict(vars(phone.ledger), _state=None) == before


# Addresses


def ask(ip: str, count: int, settings: Settings = DEFAULT) -> list[Denial | None]:
    return [limits.count_address("request_ip", ip, settings) for _ in range(count)]


@pytest.mark.usefixtures("clock")
def test_twenty_first_request_of_an_address_is_denied():
    *allowed, denied = ask("203.0.113.7", 21)
    assert allowed == [None] * 20
    assert denied is not None
    assert denied.refusal is Refusal.TOO_MANY_REQUESTS
    assert 0 < (denied.retry_after_seconds or 0) <= 3_600


def test_address_is_let_through_after_the_time_it_was_told(clock):
    denied = ask("203.0.113.7", 21)[-1]
    assert denied is not None
    clock.shift(denied.retry_after_seconds or 0)
    assert ask("203.0.113.7", 1) == [None]


@pytest.mark.usefixtures("clock")
def test_addresses_are_counted_apart():
    ask("203.0.113.7", 20)
    assert ask("203.0.113.8", 1) == [None]


@pytest.mark.usefixtures("clock")
def test_limits_are_counted_apart():
    ask("203.0.113.7", 20)
    assert limits.count_address("confirm_ip", "203.0.113.7", DEFAULT) is None


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("ip", "is_counted"),
    [
        pytest.param("2001:db8:0:1:ffff:ffff:ffff:ffff", True, id="same-/64"),
        pytest.param("2001:db8:0:2::1", False, id="next-/64"),
    ],
)
def test_s14_customer_with_a_network_is_one_address(ip, is_counted):
    ask("2001:db8:0:1::1", 20)
    assert bool(ask(ip, 1)[0]) is is_counted


@pytest.mark.usefixtures("clock")
def test_those_without_an_address_share_one_budget():
    assert ask("", 21)[-1] is not None


def test_every_window_of_an_address_counts(clock):
    several = Settings(limits={"request_ip": ["2/m", "3/d"]})
    allowed = []
    for _ in range(4):
        allowed.append(ask("203.0.113.7", 1, several) == [None])
        clock.shift(60)
    assert allowed == [True, True, True, False]


class SilentCache(BrokenCache):
    """Fails as a client of memcached does that ignores errors."""

    def add(self, *_args: Any, **_kwargs: Any) -> bool:
        return False

    def incr(self, *_args: Any, **_kwargs: Any) -> int:
        raise ValueError("key not found")


@pytest.mark.parametrize("fails_open", [False, True], ids=["closed", "told-to-fail-open"])
@pytest.mark.parametrize(
    "backend", ["tests.broken_cache.BrokenCache", "tests.test_limits.SilentCache"]
)
def test_s15_without_its_cache_a_limit_lets_nobody_through(settings, backend, fails_open):
    settings.CACHES = {"default": {"BACKEND": backend}}
    settings.RATELIMIT_FAIL_OPEN = fails_open
    assert ask("203.0.113.7", 1) == [Denial(Refusal.UNAVAILABLE)]


def test_limits_by_address_can_be_switched_off_for_tests(settings):
    settings.RATELIMIT_ENABLE = False
    assert ask("203.0.113.7", 30) == [None] * 30
