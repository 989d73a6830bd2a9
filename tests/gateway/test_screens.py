"""The phones' screens, for people and programs."""

from datetime import datetime, timedelta

import pytest
import time_machine

from example_project.gateway import Gateway
from tests.gateway.conftest import asker

PHONE = "+79244501003"
ABROAD = "+375291234567"
REVERSE = "/api/v1/authcalls/token/reverse_auth_phone_get"


@pytest.fixture
def number(ask) -> str:
    """A number that PHONE was asked to call."""
    return "+" + ask("GET", REVERSE, phone="89244501003").json["data"]["auth_phone"]


def test_program_reads_calls_and_texts(gateway, ask):
    call = gateway.deliver("call", PHONE, "0427")
    gateway.deliver("sms", PHONE, "0734", text="Code <0734>")
    gateway.deliver("telegram", PHONE, "1003")
    shown = ask("GET", f"/screen/{PHONE}.json").json
    assert all(datetime.fromisoformat(each.pop("at")).tzinfo for each in shown)
    assert shown == [
        {"kind": "call", "code": "0427", "from": call.sender},
        {"kind": "sms", "code": "0734", "text": "Code <0734>"},
        {"kind": "telegram", "code": "1003", "text": "Your code: 1003"},
    ]


@pytest.mark.parametrize(
    ("phone", "written"),
    [
        (PHONE, "+79244501003"),
        (PHONE, "%2B79244501003"),
        (PHONE, "79244501003"),
        (PHONE, "89244501003"),
        (ABROAD, "+375291234567"),
        (ABROAD, "375291234567"),
        ("+15017122661", "+15017122661"),
        ("+8613812345678", "+8613812345678"),
    ],
)
def test_phone_may_be_written_in_several_ways(gateway, ask, phone, written):
    gateway.deliver("sms", phone, "0427")
    assert [each["code"] for each in ask("GET", f"/screen/{written}.json").json] == ["0427"]


def test_phone_without_messages_has_an_empty_screen(gateway, ask):
    assert ask("GET", f"/screen/{PHONE}.json").json == []
    assert gateway.screens == {}


@pytest.mark.parametrize("path", ["x.json", "+0123456789.json", PHONE, f"{PHONE}/x.json", "a/b/c"])
def test_other_paths_are_not_found(ask, path):
    assert ask("GET", f"/screen/{path}").status == 404


def test_page_shows_the_newest_phone_first(gateway, ask):
    gateway.deliver("sms", PHONE, "0427")
    gateway.deliver("sms", ABROAD, "0734", text="<b>0734</b>")
    got = ask("GET", "/screen/")
    page = got.body.decode()
    assert got.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.index("+375 291 234 567") < page.index("+7 924 450 1003")
    assert "&lt;b&gt;0734&lt;/b&gt;" in page


def test_page_shows_the_number_that_calls(gateway, ask):
    sender = gateway.deliver("call", PHONE, "0427").sender
    page = ask("GET", "/screen/").body.decode()
    assert f"{sender[:2]} {sender[2:5]} {sender[5:8]} <strong>0427</strong>" in page


def test_empty_page_says_so(ask):
    assert "Nothing has arrived yet" in ask("GET", "/screen/").body.decode()


def test_home_leads_to_the_screen(ask):
    got = ask("GET", "/")
    assert (got.status, got.headers["Location"]) == (302, "/screen/")


# Calling


def test_page_has_a_button_for_a_reverse_call(ask, number):
    page = ask("GET", "/screen/").body.decode()
    assert f'action="/screen/{PHONE}/call"' in page
    assert f'<button name="to" value="{number}">' in page


@pytest.mark.parametrize("written", ["+{}", "{}", " {}"])
def test_button_calls(ask, number, written):
    got = ask("POST", f"/screen/{PHONE}/call", {"to": written.format(number[1:])})
    assert (got.status, got.headers["Location"]) == (303, "/screen/")
    checked = ask("GET", "/api/v1/authcalls/token/reverse_auth_phone_check/1")
    assert checked.json["data"]["phone"] == "79244501003"


def test_button_goes_after_the_call(gateway, ask, number):
    gateway.call(from_phone=PHONE, to=number)
    assert "<button" not in ask("GET", "/screen/").body.decode()


def test_button_goes_with_the_number(ask):
    with time_machine.travel(0, tick=False) as clock:
        ask("GET", REVERSE, phone="89244501003")
        clock.shift(timedelta(seconds=120))
        assert "<button" not in ask("GET", "/screen/").body.decode()


@pytest.mark.parametrize("form", [{"to": "+78005553535"}, {"to": "x"}, {}])
def test_nobody_answers_at_other_numbers(ask, form):
    got = ask("POST", f"/screen/{PHONE}/call", form)
    assert (got.status, got.json) == (404, {"detail": "Nobody answers at this number."})


def test_looking_does_not_call(ask, number):
    assert ask("GET", f"/screen/{PHONE}/call", to=number).status == 405
    assert ask("GET", "/api/v1/authcalls/token/reverse_auth_phone_check/1").status == 400


def test_latency_does_not_delay_the_screen():
    with Gateway(latency_seconds=3600) as gateway:
        assert asker(gateway)("GET", f"/screen/{PHONE}.json").json == []
