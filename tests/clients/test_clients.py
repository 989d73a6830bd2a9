"""What each client of the documentation says at its prompts, and what the server saw of it."""

import json
import re
import uuid

from django.utils import timezone
from rest_framework.authtoken.models import Token

from django_phone_otp.choices import State
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge

from .conftest import BY, CALL_CODE, CODE, GE, KZ, PATIENCE_SECONDS, RU, Client
from .pages import read_page
from .witness import CUT_OFF, LOST, PROXIED

TEXT_HINT = "Enter the code from the text message that we sent you. Another code in 0 s."


def test_right_code_logs_in_and_the_token_opens_the_site(client):
    *said, phones = client(RU, CODE)
    assert said == [TEXT_HINT, f"Logged in: {RU}"]
    (mine,) = json.loads(phones.removeprefix("My phones: "))
    assert mine["phone"] == RU


def test_site_that_gives_no_token_is_told(command, site_with_sessions):
    error = Client(command, site_with_sessions.url).fail(RU, CODE)
    assert "No token in the answer: see TOKEN_ISSUER." in error


def test_wrong_code_may_be_answered_again(client):
    said = client(RU, "543210", CODE)
    assert said[1:4] == ["This code is not right.", "Attempts left: 4", f"Logged in: {RU}"]


def test_after_the_last_wrong_code_the_person_begins_anew(client):
    said = client(RU, *["543210"] * 6, BY)
    assert said[-4:-2] == ["Attempts left: 0", "Too many wrong codes. Ask for a new code later."]
    assert said[-2].startswith("Wait ")
    assert said[-1].startswith("The code could not be delivered.")


def test_another_code_comes_by_the_channel_that_was_named(client, site):
    said = client(RU, "flash_call", CALL_CODE)
    assert said[1].startswith("Your phone is about to ring.")
    assert said[2] == f"Logged in: {RU}"
    assert site.notes("resend/")[0]["body"]["channel"] == "flash_call"


def test_too_early_for_another_code_leaves_the_first_one(client):
    said = client(RU, CODE, RU, *["sms"] * 3, CODE)
    assert said[-4] == "Wait a moment before you ask for another code."
    assert said[-3] in ("Wait 30 s.", "Wait 29 s.", "Wait 28 s.")
    assert said[-2] == f"Logged in: {RU}"


def test_challenge_is_kept_where_nothing_went_out(client, site):
    said = client(BY, "sms", CODE)
    assert said[:3] == [
        "The code could not be delivered. Try again later.",
        TEXT_HINT,
        f"Logged in: {BY}",
    ]
    assert len(site.notes("request/")) == 1


def test_captcha_is_passed_when_it_is_asked_for(client, site):
    said = client(RU, "", RU, "", RU, "robot", "human", CODE)
    assert said[2:4] == [
        "Show first that you are not a robot.",
        "The check that you are not a robot failed. Try again.",
    ]
    assert said[5] == f"Logged in: {RU}"
    tokens = [each["body"].get("captcha_token", "") for each in site.notes("request/")]
    assert tokens == ["", "", "", "robot", "human"]


def test_captcha_of_another_code_is_passed_and_its_token_sent_once(client, site):
    client(RU, "sms", "sms", "human", "sms", "human")
    resent = [each["body"] for each in site.notes("resend/")]
    assert [each.get("captcha_token", "") for each in resent] == ["", "", "human", "", "human"]
    assert {each["channel"] for each in resent} == {"sms"}


def test_call_is_awaited_without_a_code(client, site):
    said = client(GE)
    assert said[0].startswith("Call the number +7 800 555-35-35 from your phone.")
    assert said[1:3] == ["Your call has come in.", f"Logged in: {GE}"]
    assert len(site.notes("challenges/")) == 1


def test_client_looks_again_while_nobody_knows_whether_the_code_went_out(client, site):
    with client.start() as process:
        process.stdin.write(f"{KZ}\n")
        process.stdin.flush()
        site.wait_for(r"/api/phone/challenges/.*")
        PhoneChallenge.objects.update(state=State.SENT, sent_at=timezone.now())
        said = client.finish(process, "0")
    assert said[1:] == ["This code is not right.", "Attempts left: 4"]
    assert len(site.notes("challenges/")) == 2


def test_wrong_phone_is_told_and_another_may_be_typed(client):
    said = client("12", RU, CODE)
    assert said[:3] == [
        "This phone number does not exist. Check its digits.",
        TEXT_HINT,
        f"Logged in: {RU}",
    ]


def test_code_that_cannot_be_one_may_be_typed_again(client):
    said = client(RU, "0" * 65, CODE)
    assert said[1:3] == [
        "Write 64 characters at most.",
        f"Logged in: {RU}",
    ]


def test_word_of_a_later_version_with_429_leaves_the_code(client):
    assert client(RU, "0429", CODE)[1:3] == ["Come back tomorrow.", f"Logged in: {RU}"]


def test_word_of_a_later_version_with_400_leads_back_to_the_phone(client):
    said = client(RU, "0400", RU, CODE)
    assert said[1:4] == ["Come back tomorrow.", TEXT_HINT, f"Logged in: {RU}"]


def test_answer_of_a_proxy_is_told_by_its_status(client):
    assert client(PROXIED) == ["HTTP 502"]


def test_device_of_a_login_goes_with_the_next_request(client, site):
    client(RU, CODE, RU)
    first, second = (each["body"].get("device", "") for each in site.notes("request/"))
    assert first == ""
    assert second.count(":") == 2


def test_each_tap_has_a_key_of_its_own(client, site):
    client(RU, CODE, RU)
    keys = [uuid.UUID(each["key"]) for each in site.notes("request/")]
    assert len(set(keys)) == 2


def test_lost_answer_is_asked_for_again_with_the_same_key(client, site):
    said = client(LOST, CODE)
    assert said[1] == f"Logged in: {LOST}"
    first, second = (each["key"] for each in site.notes("request/"))
    assert first == second
    assert DeliveryAttempt.objects.count() == 1


def test_no_connection_is_told_and_the_person_may_begin_anew(client, site):
    assert client(CUT_OFF, RU, CODE)[:3] == ["No connection.", TEXT_HINT, f"Logged in: {RU}"]
    assert [each["body"]["phone"] for each in site.notes("request/")] == [CUT_OFF, CUT_OFF, RU]


def test_language_of_the_person_is_asked_for(client, site):
    client(RU, "sms", CODE)
    notes = [each for path in ("request/", "resend/", "confirm/") for each in site.notes(path)]
    assert [each["language"] for each in notes] == ["en"] * 3


def test_code_and_token_are_not_said(client):
    said = " ".join(client(RU, CODE))
    assert CODE not in said
    assert Token.objects.get().key not in said


def test_calls_of_curl_work_alone(program, site):
    shell, _login = program("curl")

    def run(*script: str) -> str:
        with Client([shell, "-c", "\n".join(script)], site.url).start() as process:
            return process.communicate(timeout=PATIENCE_SECONDS)[0]

    (calls,) = re.findall(r"^```\n(api=.*?)^```$", read_page("curl"), re.M | re.S)
    calls = calls.replace("https://shop.example", site.url)
    names, request, others = re.split(r"\n\n|^challenge=.*\n", calls, flags=re.M)
    challenge = json.loads(run(names, request))["challenge"]
    said = run(names, f"challenge={challenge}", others)
    assert f'"user":{{"id":{Token.objects.get().user_id},"phone":"{RU}"' in said
    uuid.UUID(site.notes("request/")[0]["key"])
