"""Providers that send nothing."""

import pytest

from django_phone_otp.choices import Channel, Custody
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.local import (
    Console,
    FixedCode,
    FixedCodeOptions,
    LocMem,
    Message,
    outbox,
)
from django_phone_otp.providers.options import ProviderOptions

REQUEST = StartRequest(phone="+79244501003", code="012345", text="012345 is your code.")


def test_console_prints_the_text(capsys):
    Console(ProviderOptions()).start(REQUEST)
    assert capsys.readouterr().out == "Text message to +79244501003: 012345 is your code.\n"


def test_console_tells_no_code_of_its_own(capsys):
    assert Console(ProviderOptions()).start(REQUEST) == Started()


def test_locmem_keeps_the_message():
    LocMem(ProviderOptions()).start(REQUEST)
    assert outbox == [Message("+79244501003", "012345", "012345 is your code.")]


def test_locmem_keeps_messages_in_their_order():
    provider = LocMem(ProviderOptions())
    for code in ("111111", "222222"):
        provider.start(StartRequest(phone="+79244501003", code=code, text=code))
    assert [each.code for each in outbox] == ["111111", "222222"]


def test_s13_repr_of_a_kept_message_does_not_show_the_code():
    assert repr(Message("+79244501003", "012345", "x 012345")) == "Message(phone='+79244501003')"


@pytest.mark.parametrize(("provider", "key"), [(Console, "console"), (LocMem, "locmem")])
def test_they_deliver_codes_that_we_make(provider, key):
    made: Provider = provider(ProviderOptions())
    declared = (made.key, made.channel, made.custody, made.code_length)
    assert declared == (key, Channel.SMS, Custody.LOCAL, None)


@pytest.mark.parametrize("provider", [Console, LocMem])
def test_they_serve_any_number(provider):
    assert provider(ProviderOptions()).supports("+6834002")


def test_fixed_code_is_always_the_same():
    provider = FixedCode(FixedCodeOptions(code="012345"))
    request = StartRequest(phone="+79244501003")
    assert [provider.start(request).code for _ in range(2)] == ["012345", "012345"]


def test_fixed_code_sends_nothing(capsys):
    FixedCode(FixedCodeOptions(code="012345")).start(StartRequest(phone="+79244501003"))
    assert (capsys.readouterr().out, outbox) == ("", [])


def test_fixed_code_stands_for_a_provider_that_makes_codes():
    assert FixedCode(FixedCodeOptions(code="012345")).custody is Custody.RETURNED


@pytest.mark.parametrize("code", ["012345", "0", "0" * 16])
def test_fixed_code_that_can_be_typed(code):
    assert FixedCodeOptions.parse({"code": code}) == (FixedCodeOptions(code=code), [])


def test_fixed_code_may_not_be_empty():
    assert FixedCodeOptions.parse({"code": ""})[0] is None


@pytest.mark.parametrize("code", ["0" * 17, "abc", "٠١٢", " 012"], ids=ascii)
def test_fixed_code_that_nobody_could_type(code):
    assert FixedCodeOptions.parse({"code": code}) == (None, ['"code" must be at most 16 digits.'])


def test_s13_repr_of_the_options_does_not_show_the_code():
    assert "012345" not in repr(FixedCodeOptions(code="012345"))
