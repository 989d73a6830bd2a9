"""The two steps of a login through the Python API, for tests that begin after them."""

from typing import Any

from django_phone_otp.flow import confirm_code, request_code
from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests.conftest import PHONE


def ask(phone: str = PHONE, **arguments: Any) -> PhoneChallenge:
    """Ask for a code; it comes in."""
    asked = request_code(phone, **arguments)
    assert asked.challenge, asked.refusal
    return asked.challenge


def answer(challenge: PhoneChallenge, **arguments: Any) -> PhoneChallenge:
    """Answer with the code that came last; it is right."""
    answered = confirm_code(challenge.public_id, local.outbox[-1].code, **arguments)
    assert answered.challenge, answered.refusal
    return answered.challenge
