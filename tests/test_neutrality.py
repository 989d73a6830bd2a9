"""Sign-up closed: an unknown phone is answered like a known one, and gets no message."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp.models import DeliveryAttempt, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

UNKNOWN = "+79244501004"
VARIES = ("challenge", "phone")


@pytest.fixture(autouse=True)
def _closed(phone_otp, django_user_model):
    phone_otp(SIGNUP=False)
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=PHONE)


@pytest.fixture
def walk(post, api, clock):
    """Go through all steps with a phone and note what can be seen from outside."""

    def go(phone):
        seen = []

        def note(send):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                response = send()
            body = {key: value for key, value in response.json().items() if key not in VARIES}
            headers = {k: v for k, v in response.headers.items() if k != "Content-Length"}
            seen.append(
                (
                    response.status_code,
                    body,
                    headers,
                    len(response.content),
                    dict(response.cookies),
                    len(queries),
                )
            )
            return response

        challenge = note(lambda: post("request", phone=phone)).json()["challenge"]
        note(lambda: post("request", phone=phone))
        note(lambda: api.get(f"/api/phone/challenges/{challenge}/"))
        note(lambda: post("confirm", challenge=challenge, code="000000"))
        clock.shift(30)
        note(lambda: post("resend", challenge=challenge))
        note(lambda: post("resend", challenge=challenge))
        for _ in range(5):
            note(lambda: post("confirm", challenge=challenge, code="000000"))
        note(lambda: api.get(f"/api/phone/challenges/{challenge}/"))
        return seen

    return go


@pytest.mark.parametrize("kind", ["memory", "FakeCall"])
def test_every_step_looks_the_same(walk, phone_otp, kind):
    if kind != "memory":
        phone_otp(PROVIDERS=fakes.providers(calls={"kind": kind, "code": "4271"}))
    known, unknown = walk(PHONE), walk(UNKNOWN)
    assert len(known) == 12
    for step, (of_known, of_unknown) in enumerate(zip(known, unknown, strict=True)):
        assert of_known == of_unknown, step


@pytest.mark.parametrize("kind", ["Fake", "FakeCall", "FakeRemote"])
@pytest.mark.parametrize(
    "error",
    ["ProviderUnavailable", "InvalidRecipient", "RecipientLimited", "DeliveryUncertain", "mistake"],
)
def test_a_provider_in_trouble_tells_nothing_either(walk, phone_otp, kind, error):
    options = {"kind": kind, "error": error, "code": "4271"}
    phone_otp(PROVIDERS=fakes.providers(only=options))
    assert walk(PHONE) == walk(UNKNOWN)


def test_a_provider_that_judges_is_not_asked_about_what_it_never_sent(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeRemote", "code": "777777"}))
    for phone in (PHONE, UNKNOWN):
        challenge = post("request", phone=phone).json()["challenge"]
        response = post("confirm", challenge=challenge, code="111111")
        assert (response.status_code, response.json()["code"]) == (400, "wrong_code")
    assert fakes.judged == [PHONE]


def test_operators_see_what_really_happened(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderUnavailable"}))
    assert post("request", phone=PHONE).json()["state"] == "sent"
    assert DeliveryAttempt.objects.get().outcome == "unavailable"


def test_a_code_that_may_have_arrived_still_counts(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(only={"error": "DeliveryUncertain"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    code = fakes.asked[0][1].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_an_unknown_phone_gets_no_message(post):
    assert post("request", phone=UNKNOWN).status_code == 201
    assert not local.outbox
    assert DeliveryAttempt.objects.get().outcome == "withheld"


def test_a_known_phone_gets_its_message_and_logs_in(post):
    challenge = post("request", phone=PHONE).json()["challenge"]
    response = post("confirm", challenge=challenge, code=local.outbox[0].code)
    assert (response.status_code, response.json()["user"]["created"]) == (200, False)
