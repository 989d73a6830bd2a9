"""Known and unknown phones side by side: whatever is asked, nothing tells them apart.

A journey is a series of requests about one phone. It is made twice in the same world, once with a
phone that a user has and once with one that nobody has, and what can be seen from outside has to be
the same at every step: status, body, headers, cookies, and the number of queries. The two phones
end in the same three digits, so that even the masks are equal; challenges' identifiers are random
and are replaced by a word, their length counts (`Content-Length`).

No code in here is right. Excepted are the known limits of `docs/operations.md`: the time of an
answer, and an account's daily limit, which known phones alone use up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from django_phone_otp import devices
from django_phone_otp.models import AccountLedger, PhoneLedger, UserPhone
from django_phone_otp.providers.base import Started, StartRequest
from tests import fakes
from tests.conftest import NOW, PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.long]

KNOWN, UNKNOWN = PHONE, "+79244502003"
GENEROUS = {"request_ip": "1000/h", "confirm_ip": "1000/h"}


@dataclass(frozen=True)
class Seen:
    """What one answer shows."""

    status: int
    body: Any
    headers: dict[str, str]
    cookies: dict[str, str]
    queries_count: int


@dataclass
class Traveller:
    """Asks about one phone, step by step, and keeps what is seen."""

    phone: str
    clock: Any
    client: APIClient = field(default_factory=APIClient)
    challenge: str = "none"
    seen: list[Seen] = field(default_factory=list)

    def request(self, **body: str) -> None:
        """Ask for a code; a challenge that comes back is the one to go on with."""
        self._post("request", phone=self.phone, **body)

    def resend(self, **body: str) -> None:
        """Ask for another code."""
        self._post("resend", challenge=self.challenge, **body)

    def answer(self, code: str = "000000", count: int = 1) -> None:
        """Answer with a wrong code, so many times."""
        for _ in range(count):
            self._post("confirm", challenge=self.challenge, code=code)

    def look(self) -> None:
        """Look at the challenge."""
        self._note(lambda: self.client.get(f"/api/phone/challenges/{self.challenge}/"))

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.shift(seconds)

    def wait_as_told(self) -> None:
        """Let so much time pass as the last answer asked for."""
        body = self.seen[-1].body
        self.wait(body.get("retry_after", body.get("resend_in", 0)))

    @property
    def codes(self) -> list[str]:
        """Give the words and states that were seen, in order."""
        return [each.body.get("code", each.body.get("state")) for each in self.seen]

    def _post(self, name: str, **body: str) -> None:
        self._note(lambda: self.client.post(f"/api/phone/{name}/", body, format="json"))

    def _note(self, send: Callable[[], Any]) -> None:
        with CaptureQueriesContext(connection) as queries:
            response = send()
        is_json = response.headers["Content-Type"] == "application/json"
        body = response.json() if is_json else {"text": response.content.decode()}
        if "challenge" in body:
            self.challenge, body["challenge"] = body["challenge"], "one"
        cookies = {name: str(morsel) for name, morsel in response.cookies.items()}
        headers = dict(response.headers)
        self.seen.append(Seen(response.status_code, body, headers, cookies, len(queries)))


Journey = Callable[[Traveller], None]


@pytest.fixture(params=["sign-up-open", "sign-up-closed"])
def sign_up(request, phone_otp):
    phone_otp(SIGNUP=request.param == "sign-up-open")
    return request.param


@pytest.fixture(params=["session", "token"])
def issuer(request, phone_otp):
    phone_otp(TOKEN_ISSUER=request.param)
    return request.param


@pytest.fixture
def compare(clock, phone_otp, sign_up, issuer, django_user_model):
    """Make a journey with both phones; give what was seen of the known one."""
    phone_otp(LIMITS=GENEROUS, PROVIDERS=fakes.providers(texts={}))
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=KNOWN)

    def go(phone: str, journey: Journey) -> Traveller:
        PhoneLedger.objects.all().delete()
        cache.clear()
        clock.move_to(NOW)
        traveller = Traveller(phone, clock)
        journey(traveller)
        return traveller

    def both(journey: Journey) -> Traveller:
        known, unknown = go(KNOWN, journey), go(UNKNOWN, journey)
        assert known.codes == unknown.codes
        for step, pair in enumerate(zip(known.seen, unknown.seen, strict=True)):
            assert pair[0] == pair[1], (step, known.codes[step])
        return known

    return both


# Journeys


def whole(it: Traveller) -> None:
    """Go from the first request to the last wrong code, and on."""
    it.request()
    it.request()  # too soon
    it.look()
    it.answer()
    it.resend()  # too soon
    it.wait(30)
    it.resend()
    it.resend()
    it.look()
    it.answer("no code at all")
    it.answer(count=6)  # the last try, and locked
    it.resend()
    it.look()
    it.request()
    it.wait_as_told()
    it.request()
    it.answer()


def too_late(it: Traveller) -> None:
    """Come when the code is too old."""
    it.request()
    it.answer()
    it.wait(301)
    it.look()
    it.answer()
    it.resend()
    it.request()
    it.answer()


def without_messages(it: Traveller) -> None:
    """Ask until the phone's messages of the hour and of the day are used up."""
    for _ in range(14):
        it.request()
        it.wait_as_told()
    it.answer()
    it.look()


def without_tries(it: Traveller) -> None:
    """Guess until the phone's wrong codes of the day are used up, in challenge after challenge."""
    for _ in range(5):
        it.request()
        it.answer(count=4)
        it.wait(300)
    it.look()
    it.resend()
    it.answer()


def until_locked(it: Traveller) -> None:
    """Go on with a phone that is locked for good."""
    it.request()
    PhoneLedger.objects.filter(phone=it.phone).update(disabled_at=NOW, failures_in_row=100)
    it.answer()
    it.look()
    it.resend()
    it.request()
    it.wait(86_400)
    it.request()


def with_the_hundredth(it: Traveller) -> None:
    """Give the wrong code that locks the phone."""
    it.request()
    PhoneLedger.objects.filter(phone=it.phone).update(failures_in_row=99)
    it.answer(count=2)
    it.look()
    it.request()


def with_devices(it: Traveller) -> None:
    """Show a device string of this phone, of another one, a forged one and none."""
    own = devices.make_device("k" * 22, it.phone)
    it.request(device=own)
    it.answer(count=2)
    it.request(device=own)
    it.request()  # the phone itself has not been asked for
    it.request(device=devices.make_device("k" * 22, "+79244509999"))
    it.request(device=own[:-1])
    it.wait(60)
    it.request(device=own)
    it.answer(count=6)
    it.look()
    it.client.cookies[devices.COOKIE_NAME] = own
    it.wait_as_told()
    it.request()


def by_other_channels(it: Traveller) -> None:
    """Ask for a channel that there is not, and for one that there is."""
    it.request(channel="telegram")
    it.request(channel="sms")
    it.wait(30)
    it.resend(channel="telegram")
    it.resend(channel="sms")
    it.answer()


JOURNEYS = [
    whole,
    too_late,
    without_messages,
    without_tries,
    until_locked,
    with_the_hundredth,
    with_devices,
    by_other_channels,
]

ROUTES: dict[str, dict[str, dict[str, str]]] = {
    "text": {"texts": {}},
    "call": {"calls": {"kind": "FakeCall", "code": "4271"}},
    "call-then-text": {"calls": {"kind": "FakeCall", "code": "4271"}, "texts": {}},
    "fails": {"texts": {"error": "ProviderUnavailable"}},
    "fails-then-text": {"calls": {"kind": "FakeCall", "error": "Misconfigured"}, "texts": {}},
    "no-such-number": {"texts": {"error": "InvalidRecipient"}},
    "limited": {"texts": {"error": "RecipientLimited"}},
    "uncertain": {"texts": {"error": "DeliveryUncertain"}},
    "uncertain-call": {"calls": {"kind": "FakeCall", "error": "DeliveryUncertain"}},
    "mistake": {"texts": {"error": "mistake"}},
    "judge": {"judge": {"kind": "FakeJudge", "code": "271828"}},
    "judge-fails": {"judge": {"kind": "FakeJudge", "error": "ProviderUnavailable"}},
    "judge-uncertain": {"judge": {"kind": "FakeJudge", "error": "DeliveryUncertain"}},
    "judge-silent": {"judge": {"kind": "FakeJudge", "verdict": "ProviderUnavailable"}},
    "judge-forgetful": {"judge": {"kind": "FakeJudge", "verdict": "CodeGone"}},
    "judge-limited": {"judge": {"kind": "FakeJudge", "verdict": "RecipientLimited"}},
    "judge-then-text": {"judge": {"kind": "FakeJudge", "code": "271828"}, "texts": {}},
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_s11_the_whole_way_looks_the_same_whatever_the_provider_does(compare, phone_otp, route):
    phone_otp(PROVIDERS=fakes.providers(**route))
    compare(whole)


@pytest.mark.parametrize("route", ["text", "call-then-text", "judge"])
@pytest.mark.parametrize("journey", JOURNEYS[1:], ids=lambda each: each.__name__)
def test_s11_every_journey_looks_the_same(compare, phone_otp, route, journey):
    phone_otp(PROVIDERS=fakes.providers(**ROUTES[route]))
    compare(journey)


def test_s11_the_journeys_meet_every_everyday_refusal(compare):
    met = {code for journey in JOURNEYS for code in compare(journey).codes}
    assert met == {
        *("sent", "locked", "expired", "wrong_code"),
        *("resend_too_soon", "too_many_requests", None),  # None is a field's error
    }


# The day is counted in a row that is there from the account's first message on.
@pytest.mark.parametrize("kind", ["Fake", "FakeCall", "FakeJudge"])
def test_s11_budgets_of_an_account_look_the_same(compare, phone_otp, kind):
    AccountLedger.objects.create(alias="texts", day=NOW.date())
    limited = {"kind": kind, "code": "427100", "PHONE_DAILY_LIMIT": 2, "DAILY_LIMIT": 100}
    phone_otp(PROVIDERS=fakes.accounts(texts=limited))
    compare(without_messages)
    compare(whole)


# Addresses


@pytest.mark.parametrize("limit", ["request_ip", "confirm_ip"])
def test_s11_an_address_without_budget_looks_the_same(compare, phone_otp, limit):
    phone_otp(LIMITS={**GENEROUS, limit: "2/h"})
    assert "too_many_requests" in compare(whole).codes


# Captchas


@pytest.mark.parametrize("on_error", ["deny", "allow"])
@pytest.mark.parametrize("token", ["", "robot", "silence", "human"])
def test_s11_a_captcha_looks_the_same(compare, phone_otp, token, on_error):
    captcha = {"BACKEND": "tests.fakes.FakeCaptcha", "ON_ERROR": on_error}
    phone_otp(CAPTCHA=captcha)

    def ask(it: Traveller) -> None:
        it.request(captcha_token=token)
        it.answer()
        it.wait(30)
        it.request(captcha_token=token)

    compare(ask)


def test_s11_what_is_suspicious_is_suspicious_of_both(compare, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha", "WHEN": "suspicious"})

    def after_two_messages(it: Traveller) -> None:
        it.request()
        it.wait(30)
        it.request()
        it.wait(60)
        it.request()
        it.request(captcha_token="human")
        it.request(device=devices.make_device("k" * 22, it.phone))

    def after_three_wrong_codes(it: Traveller) -> None:
        it.request()
        it.answer(count=3)
        it.wait(30)
        it.request()
        it.request(captcha_token="robot")

    assert compare(after_two_messages).codes == ["sent", "sent", "captcha_required", "sent", "sent"]
    assert compare(after_three_wrong_codes).codes[-2:] == ["captcha_required", "captcha_failed"]


# Regions, types of numbers, and guards


@pytest.mark.parametrize("mode", ["block", "shadow", "off"])
@pytest.mark.parametrize(
    ("guard", "keys"),
    [
        ("region", {"DENIED_REGIONS": ["RU"]}),
        ("region", {"ALLOWED_REGIONS": ["BY"]}),
        ("number_type", {"NUMBER_TYPES": ["fixed_line"]}),
    ],
)
def test_s11_what_is_not_served_looks_the_same(compare, phone_otp, guard, keys, mode):
    phone_otp(**keys, GUARDS={guard: {"MODE": mode}})
    codes = compare(whole).codes
    assert codes[0] == ("phone_not_allowed" if mode == "block" else "sent")


@pytest.mark.parametrize("mode", ["block", "shadow"])
@pytest.mark.parametrize("guard", ["region_traffic", "address_traffic", "prefix_traffic"])
def test_s11_a_guard_of_traffic_looks_the_same(compare, phone_otp, guard, mode):
    phone_otp(GUARDS={guard: {"MODE": mode, "FREE": 2, "WINDOW": 3_600}})

    def ask(it: Traveller) -> None:
        for seconds in (0, 30, 60, 120):
            it.wait(seconds)
            it.request()
        it.answer()

    codes = compare(ask).codes
    assert ("too_many_requests" in codes) == (mode == "block")


@pytest.mark.parametrize("limit", ["send_region", "send_all"])
def test_s11_a_budget_of_messages_looks_the_same(compare, phone_otp, limit):
    phone_otp(LIMITS={**GENEROUS, limit: "2/h"})

    def ask(it: Traveller) -> None:
        for seconds in (0, 30, 60, 120):
            it.wait(seconds)
            it.request()

    assert "too_many_requests" in compare(ask).codes


# Who is logged in


def test_s11_a_user_who_wants_to_link_a_phone_sees_the_same(compare):
    member = get_user_model().objects.create_user("member")

    def link(it: Traveller) -> None:
        it.client.force_login(member)
        it.request(purpose="link")
        it.answer()
        it.wait(30)
        it.resend()
        it.answer(count=5)
        it.look()

    compare(link)


class FakeUnset(fakes.Fake):
    """Notices only when it is asked that an option is missing."""

    key = "fake-unset"

    def start(self, request: StartRequest) -> Started:
        raise ImproperlyConfigured("an option is missing")


def test_s11_an_account_that_is_not_set_up_looks_the_same(compare, phone_otp):
    phone_otp(PROVIDERS={"unset": {"BACKEND": "tests.test_neutrality_matrix.FakeUnset"}})

    def ask(it: Traveller) -> None:
        it.client.raise_request_exception = False
        it.request()

    compare(ask)


# Named in docs/operations.md: while sign-up is closed only messages to known phones open a breaker.
CLOSED_TELLS = [
    pytest.param("sign-up-open"),
    pytest.param("sign-up-closed", marks=pytest.mark.xfail(strict=True, reason="it tells")),
]


@pytest.mark.parametrize("sign_up", CLOSED_TELLS, indirect=True)
def test_s11_a_service_that_is_down_is_passed_over_alike(compare, phone_otp):
    route = {"calls": {"kind": "FakeCall", "error": "ProviderUnavailable"}, "texts": {}}
    phone_otp(PROVIDERS=fakes.providers(**route))

    def ask_and_see_how_others_fare(it: Traveller) -> None:
        it.request()
        for _ in range(4):
            it.wait_as_told()
            it.request()
        it.phone = "+79244503003"
        it.request()

    compare(ask_and_see_how_others_fare)


# The comparison itself


@pytest.mark.parametrize("sign_up", ["sign-up-closed"], indirect=True)
@pytest.mark.parametrize("issuer", ["token"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        {"status": 200},
        {"body": {}},
        {"headers": {}},
        {"cookies": {"a": "b"}},
        {"queries_count": 0},
    ],
    ids=lambda each: next(iter(each)),
)
def test_every_kind_of_difference_is_found(compare, change):
    def differ(it: Traveller) -> None:
        it.request()
        if it.phone == UNKNOWN:
            it.seen[0] = replace(it.seen[0], **change)

    with pytest.raises(AssertionError):
        compare(differ)
