"""The stand-in as a provider of this app, reached by its dotted path."""

from typing import ClassVar

from benchmarks.sign_in import stand_in
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions


class StandIn(Provider[ProviderOptions]):
    """Delivers a code of ours."""

    key: ClassVar[str] = "stand-in"
    channel = Channel.SMS
    custody = Custody.LOCAL

    def start(self, request: StartRequest) -> Started:
        """Hand it to the stand-in."""
        stand_in.send(request.phone, request.code)
        return Started()
