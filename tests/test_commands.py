"""Commands for operators."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_phone_otp.models import PhoneLedger
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db


def test_unlock_lifts_the_lock_and_forgets_the_wrong_codes():
    PhoneLedger.objects.create(
        phone=PHONE, disabled_at=timezone.now(), failures_in_row=100, failures=[1.0]
    )
    out = StringIO()
    call_command("phone_otp_unlock", "8 924 450-10-03", stdout=out)
    ledger = PhoneLedger.objects.get()
    assert (ledger.disabled_at, ledger.failures_in_row, ledger.failures) == (None, 0, [])
    assert out.getvalue() == "+7•••••••003 is unlocked.\n"


def test_unlock_says_when_there_is_no_lock():
    with pytest.raises(CommandError, match=r"\+7•••••••003 is not locked\."):
        call_command("phone_otp_unlock", PHONE)


def test_unlock_says_when_it_is_no_phone():
    with pytest.raises(CommandError, match="This phone number does not exist"):
        call_command("phone_otp_unlock", "12")


def test_s07_devices_of_a_phone_are_revoked():
    PhoneLedger.objects.create(phone=PHONE)
    out = StringIO()
    call_command("phone_otp_revoke_devices", "8 924 450-10-03", stdout=out)
    assert PhoneLedger.objects.get().devices_valid_after is not None
    assert out.getvalue() == "The devices of +7•••••••003 are revoked.\n"


def test_revoking_says_when_it_is_no_phone():
    with pytest.raises(CommandError, match="This phone number does not exist"):
        call_command("phone_otp_revoke_devices", "12")
