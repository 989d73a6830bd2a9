"""Along the route: what each error of a provider leads to, for the person and for the operators."""

import logging
from decimal import Decimal

import pytest

from django_phone_otp import signals
from django_phone_otp.exceptions import DeliveryError
from django_phone_otp.flow.deliveries import CONSEQUENCES
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

GOES_ON = [
    "RecipientUnreachable",
    "RecipientLimited",
    "ProviderThrottled",
    "InsufficientFunds",
    "Misconfigured",
    "ProviderRejected",
    "ProviderUnavailable",
]


def outcomes() -> list[str]:
    return list(DeliveryAttempt.objects.order_by("pk").values_list("outcome", flat=True))


def test_every_error_class_has_its_consequence():
    assert set(CONSEQUENCES) == set(DeliveryError.__subclasses__())


def test_every_consequence_has_an_outcome_of_its_own():
    assert len({each.outcome for each in CONSEQUENCES.values()}) == len(CONSEQUENCES)


@pytest.mark.parametrize("error", GOES_ON)
def test_the_next_provider_of_the_route_is_tried(post, phone_otp, error):
    phone_otp(PROVIDERS=fakes.providers(first={"error": error}, second={}))
    assert post("request", phone=PHONE).status_code == 201
    assert outcomes()[1:] == ["sent"]
    assert PhoneChallenge.objects.get().account == "second"


@pytest.mark.parametrize("error", set(GOES_ON) - {"RecipientLimited"})
def test_at_the_end_of_the_route_delivery_has_failed(post, phone_otp, error):
    phone_otp(PROVIDERS=fakes.providers(only={"error": error}))
    response = post("request", phone=PHONE)
    challenge = PhoneChallenge.objects.get()
    assert response.status_code == 503
    assert response.json() == {
        "detail": "The code could not be delivered. Try again later.",
        "code": "delivery_failed",
        "challenge": challenge.public_id,
        "resend_in": 30,
    }
    assert challenge.state == "failed"


def test_a_providers_limit_for_the_number_says_when_to_come_back(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(only={"error": "RecipientLimited"}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert response.json()["retry_after"] == 30


def test_a_number_that_cannot_work_ends_the_route(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(first={"error": "InvalidRecipient"}, second={}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert outcomes() == ["invalid_recipient"]


@pytest.mark.parametrize("error", ["DeliveryUncertain", "a mistake of the class"])
def test_after_an_uncertain_delivery_nothing_more_goes_out(post, phone_otp, error):
    phone_otp(PROVIDERS=fakes.providers(first={"error": error}, second={}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["state"]) == (201, "sending")
    assert outcomes() == ["uncertain"]
    assert len(fakes.asked) == 1


def test_a_code_of_ours_can_be_answered_although_its_delivery_is_uncertain(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(first={"error": "DeliveryUncertain"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    code = fakes.asked[0][1].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_a_code_that_we_were_not_told_is_a_failed_delivery(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(c={"kind": "FakeCall", "error": "DeliveryUncertain"}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "delivery_failed")
    assert PhoneChallenge.objects.get().state == "failed"


def test_a_provider_that_tells_no_code_is_uncertain(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": ""}, texts={}))
    assert post("request", phone=PHONE).json()["code"] == "delivery_failed"
    assert outcomes() == ["uncertain"]


def test_a_code_that_the_provider_echoes_is_the_one_that_counts(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(texts={"code": "424242"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code="424242").status_code == 200


def test_each_try_is_noted_with_the_providers_words(post, phone_otp):
    phone_otp(
        PROVIDERS=fakes.providers(
            first={"error": "ProviderRejected", "words": "HTTP 400 blocked\nby us"}, second={}
        )
    )
    post("request", phone=PHONE)
    first, second = DeliveryAttempt.objects.order_by("pk")
    assert (first.account, first.provider, first.outcome) == ("first", "fake", "rejected")
    assert first.detail == "HTTP 400 blocked by us"
    assert (second.account, second.provider_ref, second.detail) == ("second", "fake-1", "")


@pytest.mark.parametrize(
    ("told", "stored"),
    [("2.5", "2.50000"), ("0.123456789", "0.12346"), ("1e9", None), ("NaN", None), ("-1", None)],
)
def test_a_cost_that_cannot_be_stored_costs_nobody_the_login(post, phone_otp, told, stored):
    phone_otp(PROVIDERS=fakes.providers(only={"cost": told}))
    assert post("request", phone=PHONE).status_code == 201
    assert DeliveryAttempt.objects.get().cost == (stored and Decimal(stored))


def test_words_that_repeat_the_code_or_a_secret_are_redacted(post, phone_otp, caplog):
    caplog.set_level(logging.DEBUG)
    options = {
        "error": "DeliveryUncertain",
        "words": "{code} with hunter2-key",
        "code": "hunter2-key",
    }
    phone_otp(PROVIDERS=fakes.providers(first=options))
    post("request", phone=PHONE)
    assert DeliveryAttempt.objects.get().detail == "*** with ***"
    assert fakes.asked[0][1].code not in caplog.text
    assert "hunter2-key" not in caplog.text


@pytest.mark.parametrize("written", ["+79244501003", "79244501003"])
def test_words_that_repeat_the_phone_are_masked(post, phone_otp, caplog, written):
    words = f"number {written} is blocked"
    phone_otp(PROVIDERS=fakes.providers(first={"error": "ProviderRejected", "words": words}))
    post("request", phone=PHONE)
    assert DeliveryAttempt.objects.get().detail == "number +7•••••••003 is blocked"
    assert written not in caplog.text


def test_a_code_is_redacted_before_words_are_cut(post, phone_otp):
    words = "x" * 197 + "{code}"
    phone_otp(PROVIDERS=fakes.providers(first={"error": "DeliveryUncertain", "words": words}))
    post("request", phone=PHONE)
    assert DeliveryAttempt.objects.get().detail == "x" * 197 + "***"


@pytest.mark.parametrize(
    "odd",
    [
        "None",
        "1234",
        "Started(code=1234)",
        "Started(code=' - ')",
        "Started(code='1' * 17)",
    ],
)
def test_a_provider_that_gives_nonsense_is_uncertain(post, phone_otp, odd):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeOdd", "words": odd}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "delivery_failed")
    assert outcomes() == ["uncertain"]


def test_what_is_odd_beside_the_code_costs_nobody_the_login(post, phone_otp):
    odd = "Started(code='0427', reference=None, currency=7, cost=1.5)"
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeOdd", "words": odd}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    delivery = DeliveryAttempt.objects.get()
    assert (delivery.provider_ref, delivery.currency, delivery.cost) == ("", "7", None)
    assert post("confirm", challenge=challenge, code="0427").status_code == 200


def test_an_uncertain_message_stays_so_when_another_fails(post, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(first={"error": "DeliveryUncertain"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    phone_otp(PROVIDERS=fakes.providers(first={"error": "ProviderUnavailable"}))
    clock.shift(30)
    post("resend", challenge=challenge)
    assert PhoneChallenge.objects.get().state == "sending"


def test_operators_are_told_of_trouble_with_an_account(post, phone_otp, caplog):
    phone_otp(PROVIDERS=fakes.providers(first={"error": "InsufficientFunds", "words": "0 RUB"}))
    post("request", phone=PHONE)
    logged = [each for each in caplog.records if each.name == "django_phone_otp.flow.deliveries"]
    assert [(each.levelname, each.getMessage()) for each in logged] == [
        ("ERROR", 'delivery_failed account=first outcome=no_funds detail="0 RUB"')
    ]


def test_routes_go_by_region(post, phone_otp):
    accounts = fakes.providers(a={}, b={}, c={})
    phone_otp(PROVIDERS=accounts, ROUTES={"BY": ["a"], "RU": ["c", "b"], "*": ["a"]})
    post("request", phone=PHONE)
    assert PhoneChallenge.objects.get().account == "c"


def test_a_region_without_a_route_of_its_own_takes_the_star(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(a={}, b={}), ROUTES={"BY": ["a"], "*": ["b"]})
    post("request", phone=PHONE)
    assert PhoneChallenge.objects.get().account == "b"


def test_deliveries_are_announced_after_commit(post, phone_otp, django_capture_on_commit_callbacks):
    heard = []

    def hear(signal, delivery, **_arguments):
        heard.append((signal is signals.code_sent, delivery.outcome))

    signals.code_sent.connect(hear)
    signals.delivery_failed.connect(hear)
    phone_otp(PROVIDERS=fakes.providers(first={"error": "ProviderUnavailable"}, second={}))
    with django_capture_on_commit_callbacks(execute=True):
        post("request", phone=PHONE)
    assert heard == [(False, "unavailable"), (True, "sent")]
