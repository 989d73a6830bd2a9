"""Codes that their providers judge: what they are asked, and what becomes of each verdict."""

import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp.models import ConfirmAttempt, PhoneChallenge, PhoneLedger, UserPhone
from tests import fakes
from tests.conftest import PHONE
from tests.fakes import providers, store_account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CODE = "012345"
JUDGE = {"kind": "FakeJudge", "code": CODE}


@pytest.fixture(autouse=True)
def _judge(phone_otp):
    fakes.questions.clear()
    fakes.meanwhile.clear()
    phone_otp(PROVIDERS=providers(judge=JUDGE), RESEND_WAITS=[0])


@pytest.fixture
def configure(phone_otp):
    """Give the account that judges other options."""
    return lambda **options: phone_otp(PROVIDERS=providers(judge={**JUDGE, **options}))


@pytest.fixture
def challenge(post) -> str:
    return post("request", phone=PHONE).json()["challenge"]


@pytest.fixture
def confirm(post, challenge):
    """Answer the challenge: `confirm("012345")`."""
    return lambda code: post("confirm", challenge=challenge, code=code)


def stored() -> PhoneChallenge:
    return PhoneChallenge.objects.get()


def failures_count() -> int:
    return len(PhoneLedger.objects.get().failures)


# The question


def test_the_provider_is_asked_about_its_reference_and_this_phone(confirm):
    assert confirm(CODE).status_code == 200
    assert fakes.questions == [("judge-1", PHONE, CODE)]


def test_a_wrong_code_is_counted_like_any_other(confirm):
    response = confirm("999999")
    assert response.status_code == 400
    assert response.json() == {
        "detail": "This code is not right.",
        "code": "wrong_code",
        "attempts_left": 4,
    }
    assert (failures_count(), ConfirmAttempt.objects.get().refusal) == (1, "wrong_code")


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param(" 01 23 45 ", id="blanks"),
        pytest.param("012-345", id="dash"),
        pytest.param("０１２３４５", id="full-width"),
        pytest.param("٠١٢٣٤٥", id="arabic"),
        pytest.param("12345", id="lost-zero"),
        pytest.param(12345, id="number"),
    ],
)
def test_the_provider_is_asked_about_what_people_mean(confirm, typed):
    assert confirm(typed).status_code == 200
    assert fakes.questions == [("judge-1", PHONE, CODE)]


@pytest.mark.parametrize("typed", ["abc def", "ABC-def", "aBcDeF", "ａｂｃｄｅｆ"])
def test_letters_are_cleaned_the_way_of_their_provider(post, phone_otp, typed):
    phone_otp(PROVIDERS=providers(judge={"kind": "FakeCapitalJudge", "code": "ABCDEF"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code=typed).status_code == 200


def test_zeros_are_given_back_up_to_the_length_of_its_codes(post, phone_otp):
    phone_otp(PROVIDERS=providers(judge={**JUDGE, "code": "00012345"}), CODE_LENGTH=8)
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code="12345").status_code == 200
    assert fakes.questions == [("judge-1", PHONE, "00012345")]


@pytest.mark.parametrize("typed", ["-", "12 34!", "1" * 17, "../x", "1&Code=2"])
def test_nobody_is_asked_about_what_is_no_code(confirm, typed):
    response = confirm(typed)
    assert (response.json()["code"], response.json()["attempts_left"]) == ("wrong_code", 4)
    assert fakes.questions == []
    assert failures_count() == 1


def test_s04_nobody_is_asked_when_no_try_is_left(confirm):
    for _ in range(5):
        confirm("999999")
    assert confirm(CODE).json()["code"] == "locked"
    assert len(fakes.questions) == 5


def test_s02_nobody_is_asked_when_the_code_is_too_old(confirm, clock):
    clock.shift(300)
    assert confirm(CODE).json()["code"] == "expired"
    assert fakes.questions == []


def test_s06_nobody_is_asked_about_a_phone_with_too_many_wrong_codes(confirm):
    PhoneLedger.objects.update(failures=[stored().created_at.timestamp()] * 10)
    assert confirm(CODE).json()["code"] == "too_many_requests"
    assert fakes.questions == []


def test_s03_a_code_that_is_judged_twice_at_one_moment_logs_in_once(post, challenge, confirm):
    fakes.meanwhile.append(lambda: confirm(CODE))
    assert confirm(CODE).json()["code"] == "challenge_closed"
    assert get_user_model().objects.count() == 1


def test_s04_the_try_is_taken_before_the_provider_is_asked(confirm):
    left = []
    fakes.meanwhile.append(lambda: left.append(stored().attempts_left))
    confirm(CODE)
    assert left == [4]


# The verdict


def test_a_code_that_is_gone_is_too_old(confirm, configure):
    configure(verdict="CodeGone")
    response = confirm(CODE)
    assert response.status_code == 400
    assert response.json() == {
        "detail": "This code is too old. Ask for a new one.",
        "code": "expired",
    }


def test_a_number_without_answers_left_is_told_when_the_code_is_over(confirm, configure, clock):
    configure(verdict="RecipientLimited")
    clock.shift(100)
    response = confirm(CODE)
    assert response.status_code == 429
    assert response.json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": 200,
    }
    assert response["Retry-After"] == "200"


@pytest.mark.parametrize(
    "verdict", ["ProviderUnavailable", "DeliveryUncertain", "Misconfigured", "a mistake"]
)
def test_a_provider_in_trouble_gives_no_verdict(confirm, configure, verdict):
    configure(verdict=verdict)
    response = confirm(CODE)
    assert response.status_code == 503
    assert response.json() == {
        "detail": "The service is not available right now. Try again later.",
        "code": "unavailable",
    }


@pytest.mark.parametrize("verdict", ["CodeGone", "RecipientLimited", "ProviderUnavailable"])
def test_without_a_verdict_the_try_is_used_and_no_code_was_wrong(confirm, configure, verdict):
    configure(verdict=verdict)
    confirm(CODE)
    assert (stored().attempts_left, failures_count()) == (4, 0)
    assert not ConfirmAttempt.objects.exists()


def test_after_the_trouble_the_code_is_as_good_as_before(confirm, configure):
    configure(verdict="ProviderUnavailable")
    first = confirm(CODE).status_code
    configure()
    assert (first, confirm(CODE).status_code) == (503, 200)


def test_s13_trouble_is_told_without_the_code(confirm, configure, caplog):
    caplog.set_level(logging.DEBUG)
    configure(verdict="ProviderUnavailable")  # its words are the code
    confirm(CODE)
    mine = [each for each in caplog.records if each.name == "django_phone_otp.flow.confirm"]
    assert [(each.levelname, each.getMessage()) for each in mine] == [
        ("ERROR", "judge_unavailable account=judge reason=ProviderUnavailable")
    ]
    assert CODE not in caplog.text


def test_an_account_that_is_gone_gives_no_verdict(confirm, phone_otp, caplog):
    phone_otp(PROVIDERS=providers(texts={}))
    assert confirm(CODE).json()["code"] == "unavailable"
    assert 'judge_unavailable account=judge reason="the account is gone"' in caplog.text


def test_a_row_may_judge(post, phone_otp):
    phone_otp(PROVIDERS=None)
    store_account("row", {"code": CODE}, kind="FakeJudge")
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code=CODE).status_code == 200


# The code before the newest


OLD, NEW = "111111", "222222"


def on_a_route(phone_otp: Any, *kinds: dict[str, Any]) -> None:
    """Set up one account for each message: the first sends first, and so on."""
    phone_otp(PROVIDERS=providers(**{f"no{place}": each for place, each in enumerate(kinds, 1)}))


def judge(code: str, **options: Any) -> dict[str, Any]:
    return {"kind": "FakeJudge", "code": code, **options}


@pytest.fixture
def sent_twice(post, phone_otp):
    """Ask for a code twice, by two accounts, and give a function to answer with."""

    def ask(*kinds: dict[str, Any]) -> Any:
        on_a_route(phone_otp, *kinds)
        challenge = post("request", phone=PHONE).json()["challenge"]
        assert post("resend", challenge=challenge).status_code == 200
        return lambda code: post("confirm", challenge=challenge, code=code)

    return ask


@pytest.mark.parametrize("code", [OLD, NEW])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(judge(OLD), {"code": NEW}, id="judged-then-ours"),
        pytest.param({"code": OLD}, judge(NEW), id="ours-then-judged"),
        pytest.param(judge(OLD), judge(NEW), id="both-judged"),
        pytest.param(
            judge(OLD), {"kind": "FakeCapitals", "code": NEW}, id="judged-then-told-to-us"
        ),
    ],
)
def test_the_code_before_the_newest_counts_whoever_judges_it(sent_twice, first, second, code):
    assert sent_twice(first, second)(code).status_code == 200


def test_the_newest_judge_is_asked_first_and_about_its_own_reference(sent_twice):
    sent_twice(judge(OLD), judge(NEW))("999999")
    assert fakes.questions == [("judge-2", PHONE, "999999"), ("judge-1", PHONE, "999999")]


def test_the_judge_before_is_asked_about_its_own_reference(sent_twice):
    sent_twice(judge(OLD), {"code": NEW})("999999")
    assert fakes.questions == [("judge-1", PHONE, "999999")]


def test_nobody_is_asked_about_a_code_of_ours_that_is_right(sent_twice):
    assert sent_twice(judge(OLD), {"code": NEW})(NEW).status_code == 200
    assert fakes.questions == []


def test_the_same_reference_is_asked_about_once(post, configure):
    # Some send the same code again, by the same name.
    configure(reference="same")
    challenge = post("request", phone=PHONE).json()["challenge"]
    post("resend", challenge=challenge)
    post("confirm", challenge=challenge, code="999999")
    assert fakes.questions == [("same", PHONE, "999999")]


def test_two_accounts_may_use_one_reference(sent_twice):
    sent_twice(judge(OLD, reference="same"), judge(NEW, reference="same"))("999999")
    assert len(fakes.questions) == 2


def test_an_answer_to_two_codes_takes_one_try(sent_twice):
    response = sent_twice(judge(OLD), judge(NEW))("999999")
    assert (response.json()["code"], response.json()["attempts_left"]) == ("wrong_code", 4)
    assert failures_count() == 1


def test_the_third_newest_code_does_not_count(post, phone_otp):
    on_a_route(phone_otp, judge(OLD), judge("333333"), judge(NEW))
    challenge = post("request", phone=PHONE).json()["challenge"]
    for _ in range(2):
        post("resend", challenge=challenge)
    assert post("confirm", challenge=challenge, code=OLD).json()["code"] == "wrong_code"
    assert [reference for reference, _phone, _code in fakes.questions] == ["judge-3", "judge-2"]


def test_the_code_before_counts_for_its_own_time(post, phone_otp, clock):
    on_a_route(phone_otp, judge(OLD), {"code": NEW})
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(200)
    post("resend", challenge=challenge)
    clock.shift(99)
    post("confirm", challenge=challenge, code="999999")
    clock.shift(1)
    assert post("confirm", challenge=challenge, code=OLD).json()["code"] == "wrong_code"
    assert len(fakes.questions) == 1


def test_each_answer_is_cleaned_the_way_of_its_judge(sent_twice):
    answer = sent_twice({"kind": "FakeCapitalJudge", "code": "ABCDEF"}, judge(NEW))
    answer("42")
    assert fakes.questions == [("judge-2", PHONE, "000042"), ("judge-1", PHONE, "42")]
    assert answer("abc-def").status_code == 200


@pytest.mark.parametrize("verdict", ["CodeGone", "RecipientLimited", "ProviderUnavailable"])
@pytest.mark.parametrize("silent", ["first", "second"])
def test_one_no_is_a_verdict_whoever_could_not_say_anything(sent_twice, verdict, silent):
    kinds = [judge(OLD), judge(NEW)]
    kinds[silent == "second"]["verdict"] = verdict
    response = sent_twice(*kinds)("999999")
    assert (response.json()["code"], response.json()["attempts_left"]) == ("wrong_code", 4)
    assert failures_count() == 1


@pytest.mark.parametrize("verdict", ["CodeGone", "RecipientLimited", "ProviderUnavailable"])
@pytest.mark.parametrize("silent", ["first", "second"])
def test_one_yes_is_enough_whoever_could_not_say_anything(sent_twice, verdict, silent):
    kinds = [judge(OLD), judge(NEW)]
    kinds[silent == "second"]["verdict"] = verdict
    right = NEW if silent == "first" else OLD
    assert sent_twice(*kinds)(right).status_code == 200


def test_where_neither_could_say_anything_the_newest_is_told(sent_twice):
    answer = sent_twice(judge(OLD, verdict="CodeGone"), judge(NEW, verdict="ProviderUnavailable"))
    assert answer(OLD).json()["code"] == "unavailable"


def test_a_judge_before_that_is_gone_does_not_spoil_a_code_of_ours(sent_twice, phone_otp):
    answer = sent_twice(judge(OLD), {"code": NEW})
    phone_otp(PROVIDERS=providers(no2={"code": NEW}))
    assert answer(NEW).status_code == 200


def test_a_message_that_failed_leaves_the_judge_as_it_was(post, phone_otp):
    on_a_route(phone_otp, judge(OLD), {"kind": "FakeCall", "error": "ProviderUnavailable"})
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("resend", challenge=challenge, channel="flash_call").status_code == 503
    assert post("confirm", challenge=challenge, code=OLD).status_code == 200


@pytest.mark.parametrize("is_newest", [True, False])
def test_s11_no_judge_is_asked_about_what_was_never_sent(post, challenge, is_newest):
    # Where nothing went out but shall look so, there is a digest of nothing beside the reference.
    if not is_newest:
        PhoneChallenge.objects.update(code_digest="digits$6$nothing")
    post("resend", challenge=challenge)
    if is_newest:
        PhoneChallenge.objects.update(code_digest="digits$6$nothing")
    post("confirm", challenge=challenge, code="999999")
    asked_about = [reference for reference, _phone, _code in fakes.questions]
    assert asked_about == (["judge-1"] if is_newest else ["judge-2"])


# What was compared counts


@pytest.mark.parametrize("verdict", ["CodeGone", "RecipientLimited", "Misconfigured"])
def test_s06_a_wrong_code_of_ours_counts_whatever_the_judge_before_it_says(
    post, phone_otp, challenge, verdict
):
    routes = providers(judge={**JUDGE, "verdict": verdict}, texts={})
    phone_otp(PROVIDERS=routes)
    post("resend", challenge=challenge)
    response = post("confirm", challenge=challenge, code="999999")
    assert (response.json()["code"], failures_count()) == ("wrong_code", 1)


def test_s04_four_digits_are_alone_beside_a_judge_too(post, phone_otp, challenge):
    phone_otp(PROVIDERS=providers(judge=JUDGE, calls={"kind": "FakeCall", "code": "4271"}))
    post("resend", challenge=challenge)
    assert post("confirm", challenge=challenge, code=CODE).json()["code"] == "wrong_code"


@pytest.mark.parametrize("verdict", ["", "CodeGone", "RecipientLimited", "Misconfigured"])
def test_s11_a_judge_tells_nothing_while_sign_up_is_closed(
    post, phone_otp, configure, django_user_model, verdict
):
    known, unknown = PHONE, "+79244501004"
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=known)
    phone_otp(SIGNUP=False)
    seen = []
    for phone in (known, unknown):
        configure()
        challenge = post("request", phone=phone).json()["challenge"]
        configure(verdict=verdict)
        with CaptureQueriesContext(connection) as queries:
            response = post("confirm", challenge=challenge, code="999999")
        seen.append((response.status_code, response.json(), len(queries)))
    assert seen[0] == seen[1]
    assert seen[0][1]["code"] == "wrong_code"
