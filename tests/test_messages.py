"""The text around a code that we made: what it says, who can read it, what it costs."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, Warning, run_checks
from django.test import override_settings
from django.utils import translation
from django.utils.functional import lazystr
from django.utils.translation import get_language, gettext_lazy

import django_phone_otp
from django_phone_otp.checks import check_settings, check_texts
from django_phone_otp.conf import Settings
from django_phone_otp.flow.messages import write_sample, write_text
from django_phone_otp.segments import count_segments
from tests import fakes
from tests.conftest import PHONE
from tests.fakes import Fake, providers

HASH = "FA+9qCX9VSu"
LINES: dict[str, Any] = {"android_app_hash": HASH, "webotp_domain": "example.org"}
TEXTS = {"texts": {"BACKEND": "locmem"}}
CATALOGS = Path(django_phone_otp.__file__).parent.glob("locale/*/LC_MESSAGES/django.mo")
SPOKEN = ["en", *sorted(path.parts[-3].replace("_", "-").lower() for path in CATALOGS)]


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _one_host(settings):
    settings.ALLOWED_HOSTS = ["example.org", "testserver"]
    settings.LANGUAGES = [("en", "English"), ("ru", "Russian")]


def write(**given) -> str:
    return write_text("012345", Settings(**given))


def test_built_in_text_names_the_site():
    assert write() == "012345 is your code for example.org."


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        pytest.param(["a.example", "b.example"], "012345 is your code for a.example.", id="first"),
        pytest.param([".a.example"], "012345 is your code for a.example.", id="with-subdomains"),
        pytest.param(["*", "a.example"], "012345 is your code for a.example.", id="star-before"),
        pytest.param(["*"], "012345 is your code.", id="star-alone"),
        pytest.param([], "012345 is your code.", id="none"),
    ],
)
def test_site_is_the_first_host_that_is_a_name(settings, hosts, text):
    settings.ALLOWED_HOSTS = hosts
    assert write() == text


def test_site_is_that_of_the_sites_framework(settings):
    apps = [*settings.INSTALLED_APPS, "django.contrib.sites"]
    with override_settings(INSTALLED_APPS=apps, SITE_ID=1):
        from django.contrib.sites.models import SITE_CACHE, Site

        SITE_CACHE[1] = Site(pk=1, domain="shop.example", name="The Shop")
        try:
            assert write() == "012345 is your code for The Shop."
        finally:
            SITE_CACHE.clear()


def test_sites_framework_without_a_site_of_its_own(settings):
    # Such a site tells its sites apart by the request, which a message must not depend on.
    apps = [*settings.INSTALLED_APPS, "django.contrib.sites"]
    with override_settings(INSTALLED_APPS=apps):
        assert write() == "012345 is your code for example.org."


def test_template_of_the_site():
    assert write(message="{site}: {code}") == "example.org: 012345"


def test_template_may_leave_the_site_out():
    assert write(message="Code {code}") == "Code 012345"


def test_template_may_be_translated_late():
    assert write(message=gettext_lazy("Code {code}")) == "Code 012345"


def test_leading_zeros_stay():
    assert write_text("000007", Settings(message="{code}")) == "000007"


# Lines for autofill


def test_android_hash_closes_the_text():
    assert write(message="{code}", android_app_hash="FA+9qCX9VS/") == "012345\nFA+9qCX9VS/"


def test_webotp_line_is_the_last():
    text = write(message="Code {code}", webotp_domain="login.example.org")
    assert text == "Code 012345\n\n@login.example.org #012345"


def test_both_lines_for_autofill():
    text = write(message="{code}", **LINES)
    assert text == f"012345\n{HASH}\n\n@example.org #012345"


def test_lines_follow_a_template_that_ends_with_blanks_as_closely():
    assert write(message="{code} \n\n", android_app_hash=HASH) == f"012345\n{HASH}"


def test_without_lines_a_template_is_sent_as_it_is():
    assert write(message="{code} \n") == "012345 \n"


def read_by_the_standard(message: str) -> tuple[str, str] | None:
    """Read domain and code as wicg.github.io/sms-one-time-codes says: from the last line alone."""
    last = message.replace("\r\n", "\n").replace("\r", "\n").split("\n")[-1]
    found = re.match(r"@([^\t\n\f\r ]+) #([^\t\n\f\r ]+)", last)
    return (found[1], found[2]) if found else None


def read_by_chrome(message: str) -> tuple[str, str] | None:
    """Read the first that looks like it, on any line, as Chrome does (observed in its source)."""
    found = re.search(r"(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)", message)
    return (found[1], found[2]) if found else None


def guess(message: str) -> str:
    """Guess as User Consent does (documented): 4 to 10 letters and digits, a digit among them."""
    words = re.findall(r"[A-Za-z0-9]{4,10}", message)
    return next(word for word in words if any(map(str.isdigit, word)))


@pytest.mark.parametrize("read", [read_by_the_standard, read_by_chrome])
@pytest.mark.parametrize("language", SPOKEN)
@pytest.mark.parametrize("message", [None, "Code {code}", gettext_lazy("{code} is your code.")])
def test_with_both_lines_a_browser_finds_domain_and_code(read, language, message):
    with translation.override(language):
        assert read(write(message=message, **LINES)) == ("example.org", "012345")


@pytest.mark.parametrize("language", SPOKEN)
@pytest.mark.parametrize("message", [None, "Code {code}\n", gettext_lazy("{code} is your code.")])
def test_with_both_lines_the_hash_has_a_line_of_its_own(language, message):
    with translation.override(language):
        assert write(message=message, **LINES).split("\n").count(HASH) == 1


@pytest.mark.parametrize("language", SPOKEN)
def test_who_guesses_finds_the_code_before_anything_that_looks_like_one(language):
    with translation.override(language):
        text = write(android_app_hash="9abcde1234x", webotp_domain="4you2.example")
    assert guess(text) == "012345"


@pytest.mark.parametrize(("language", "word"), [("en", "code"), ("ru", "код")])
def test_the_word_for_a_code_stands_on_the_line_of_the_code(language, word):
    with translation.override(language):
        line = write(**LINES).split("\n")[0]
    assert {"012345", word} <= set(re.findall(r"\w+", line))


# Samples


def test_a_sample_is_as_long_as_what_is_sent():
    settings = Settings(**LINES)
    assert len(write_sample(6, settings)) == len(write_text("012345", settings))


def test_a_sample_has_a_code_of_the_length_that_is_asked_for():
    assert write_sample(8, Settings(message="{code}!")) == "00000000!"


def test_a_sample_asks_no_database_for_the_name_of_the_site(settings):
    # No `django_db`: a query would fail.
    apps = [*settings.INSTALLED_APPS, "django.contrib.sites"]
    with override_settings(INSTALLED_APPS=apps, SITE_ID=1):
        assert write_sample(6, Settings()) == "000000 is your code for example.org."


# What a text costs


def judge(**keys: Any) -> list[CheckMessage]:
    with override_settings(PHONE_OTP={"PROVIDERS": TEXTS, **keys}):
        return check_texts()


def ids(**keys: Any) -> list[str | None]:
    return [each.id for each in judge(**keys)]


def in_russian(english: str, russian: str) -> Any:
    class Text:
        def __str__(self) -> str:
            return russian if get_language() == "ru" else english

    return lazystr(Text())


def test_built_in_texts_are_one_message_each():
    assert judge() == []


@pytest.mark.parametrize("language", SPOKEN)
def test_built_in_texts_are_one_message_with_both_lines(language):
    with translation.override(language):
        assert count_segments(write(**LINES)).count == 1


def test_a_text_of_two_messages_is_warned_of():
    assert judge(MESSAGE="x" * 155 + "{code}") == [
        Warning(
            "The text of PHONE_OTP['MESSAGE'] takes 2 messages: its length is 161, and 160 fit "
            "into one (GSM-7).",
            hint="Each code is charged as 2 messages. Shorten it.",
            id="phone_otp.W023",
        )
    ]


def test_a_text_that_just_fits_is_fine():
    assert judge(MESSAGE="x" * 154 + "{code}") == []


def test_signs_that_make_a_text_dear_are_named():
    (found,) = judge(MESSAGE="“{code}” " + "x" * 90)
    assert found.msg.endswith("takes 2 messages: its length is 99, and 70 fit into one (UCS-2).")
    assert found.hint == (
        "Each code is charged as 2 messages. Shorten it. Without “ ” as many as 160 characters fit "
        "into one."
    )


def test_the_letters_of_an_alphabet_are_not_named():
    (found,) = judge(MESSAGE="{code} " + "длинно" * 30)
    assert found.msg.startswith("The text of PHONE_OTP['MESSAGE'] takes 3 messages: ")
    assert found.hint == "Each code is charged as 3 messages. Shorten it."


def test_the_language_that_takes_more_is_named():
    (found,) = judge(MESSAGE=in_russian("Code {code}", "Код {code}" + "!" * 61))
    assert found.msg == (
        "The text of PHONE_OTP['MESSAGE'] in ru takes 2 messages: its length is 71, and 70 fit "
        "into one (UCS-2)."
    )


def test_languages_that_share_a_text_are_told_once(settings):
    settings.LANGUAGES = [("en", "English"), ("de", "German"), ("ru", "Russian")]
    (found,) = judge(MESSAGE=in_russian("x" * 155 + "{code}", "Код {code}"))
    assert found.msg.startswith("The text of PHONE_OTP['MESSAGE'] in en, de takes 2 messages")


def test_a_site_of_one_language_is_told_of_none(settings):
    settings.USE_I18N = False
    (found,) = judge(MESSAGE=gettext_lazy("x" * 155 + "{code}"))
    assert found.msg.startswith("The text of PHONE_OTP['MESSAGE'] takes 2 messages")


def test_the_site_and_the_lines_count(settings):
    settings.ALLOWED_HOSTS = ["a-rather-long-name.example.org"]
    (found,) = judge(WEBOTP_DOMAIN="a-rather-long-name.example.org")
    assert found.msg == (
        "The built-in text in ru takes 2 messages: its length is 93, and 70 fit into one (UCS-2)."
    )
    assert found.hint == (
        "Each code is charged as 2 messages. Set PHONE_OTP['MESSAGE'] to a shorter one. Leave out "
        "the line for autofill that no app or page of yours reads."
    )


def test_the_length_of_codes_counts():
    assert ids(MESSAGE="x" * 154 + "{code}", CODE_LENGTH=7) == ["phone_otp.W023"]


def test_the_longest_code_of_an_account_counts():
    long = {"BACKEND": "tests.test_messages.LongCodes"}
    assert ids(MESSAGE="x" * 152 + "{code}", PROVIDERS={**TEXTS, "long": long}) == [
        "phone_otp.W023"
    ]
    assert ids(MESSAGE="x" * 152 + "{code}", PROVIDERS=TEXTS) == []


class LongCodes(Fake):
    code_length = 9


@pytest.mark.parametrize(
    "accounts",
    [
        pytest.param({}, id="none-yet"),
        pytest.param(None, id="rows-alone"),
        pytest.param({"texts": {"BACKEND": "no.such.Class"}}, id="broken"),
        pytest.param({"texts": {"BACKEND": None}}, id="malformed"),
        pytest.param({"texts": "locmem"}, id="no-dict"),
        pytest.param(["locmem"], id="list"),
    ],
)
def test_where_nobody_is_known_to_send_our_text_there_is_nothing_to_warn_of(accounts):
    assert judge(MESSAGE="x" * 200 + "{code}", PROVIDERS=accounts) == []


@pytest.mark.parametrize(
    "accounts",
    [
        pytest.param(
            {"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": {"token": "t"}}}, id="flash-calls"
        ),
        pytest.param(
            {"own": {"BACKEND": "telefon-ip-sms", "OPTIONS": {"token": "t", "own_code": True}}},
            id="words-of-the-service",
        ),
        pytest.param(providers(made={"kind": "FakeCapitals"}), id="codes-of-the-service"),
        pytest.param(
            {
                "by": {
                    "BACKEND": "sms-by",
                    "OPTIONS": {"token": "t", "message": "%CODE%"},
                }
            },
            id="a-text-of-its-own",
        ),
    ],
)
def test_a_text_that_nobody_sends_is_in_vain(accounts):
    assert judge(MESSAGE="x" * 200 + "{code}", PROVIDERS=accounts) == [
        Warning(
            "PHONE_OTP has MESSAGE, and no account in PROVIDERS sends a text of ours.",
            hint="The services write their own, as their pages say. Leave the keys out, or silence "
            "this check where accounts in rows send it.",
            id="phone_otp.W024",
        )
    ]
    assert judge(PROVIDERS=accounts) == []


@pytest.mark.django_db
def test_a_service_that_makes_the_code_is_given_our_text_with_a_place_for_it(post, phone_otp):
    phone_otp(
        PROVIDERS=providers(by={"kind": "FakePlacing", "code": "012345"}),
        WEBOTP_DOMAIN="example.org",
    )
    post("request", phone=PHONE)
    ((_key, request),) = fakes.asked
    assert request.text == "%CODE% is your code for example.org.\n\n@example.org #%CODE%"


@pytest.mark.parametrize(
    "keys",
    [
        {"MESSAGE": "x" * 200},
        {"MESSAGE": 5},
        {"MESSAGE": "{code}", "CODE_LENGTH": "x" * 200},
        {"MESSAGE": "x" * 200 + "{code}", "WEBOTP_DOMAIN": 5},
        {"MESSAGE": "x" * 200 + "{code}", "ANDROID_APP_HASH": []},
    ],
)
def test_what_is_wrong_is_not_judged_as_well(keys):
    assert judge(**keys) == []


@pytest.mark.parametrize("given", [None, [], "x"])
def test_settings_that_are_none_are_not_judged(settings, given):
    settings.PHONE_OTP = given
    assert check_texts() == []


def test_an_unknown_key_hides_no_warning():
    assert ids(MESSAGE="x" * 155 + "{code}", COLOUR="red") == ["phone_otp.W023"]


def sms_by(message: str, **options: Any) -> dict[str, Any]:
    entry = {"token": "s3cret-value", "message": message, **options}
    return {"by": {"BACKEND": "sms-by", "OPTIONS": entry}}


def test_the_text_that_a_site_gives_sms_by_is_judged():
    assert judge(PROVIDERS=sms_by("Ваш код: %CODE%" + "!" * 56)) == [
        Warning(
            "The text in PHONE_OTP['PROVIDERS']['by'] takes 2 messages: its length is 71, and 70 "
            "fit into one (UCS-2).",
            hint="Each code is charged as 2 messages. Shorten it.",
            id="phone_otp.W023",
        )
    ]


@pytest.mark.parametrize(("length", "expected"), [(8, []), (9, ["phone_otp.W023"])])
def test_the_text_of_sms_by_is_judged_with_the_codes_of_sms_by(length, expected):
    assert ids(PROVIDERS=sms_by("x" * 152 + "%CODE%", len=length), CODE_LENGTH=16) == expected


# Django's own checks of models look at the database where it is PostgreSQL.
@pytest.mark.django_db
def test_django_judges_the_texts(settings):
    settings.PHONE_OTP = {**settings.PHONE_OTP, "MESSAGE": "x" * 155 + "{code}"}
    assert "phone_otp.W023" in [each.id for each in run_checks()]


# What SMS Retriever takes


def test_a_text_of_140_bytes_is_fine_for_sms_retriever():
    assert judge(MESSAGE="x" * 122 + "{code}", ANDROID_APP_HASH=HASH) == []


def test_a_text_of_more_bytes_is_warned_of():
    assert judge(MESSAGE="x" * 123 + "{code}", ANDROID_APP_HASH=HASH) == [
        Warning(
            "The text of PHONE_OTP['MESSAGE'] is 141 bytes long: Android's SMS Retriever takes 140 "
            "at most.",
            hint="Without that the app is not given the code. Shorten it. Leave out the line for "
            "autofill that no app or page of yours reads.",
            id="phone_otp.W025",
        )
    ]


def test_bytes_are_those_of_the_longer_encoding():
    # 69 units of UTF-16 are 138 octets in the air, and 141 bytes of UTF-8.
    (found,) = judge(MESSAGE="—" * 36 + "{code}" + "x" * 15, ANDROID_APP_HASH=HASH)
    assert found.id == "phone_otp.W025"
    assert found.msg.startswith("The text of PHONE_OTP['MESSAGE'] is 141 bytes long")
    # Where it does not fit into the air: 71 units are 142 octets, and 83 bytes of UTF-8.
    dear, found = judge(MESSAGE="я" * 12 + "{code}" + "x" * 41, ANDROID_APP_HASH=HASH)
    assert (dear.id, found.id) == ("phone_otp.W023", "phone_otp.W025")
    assert found.msg.startswith("The text of PHONE_OTP['MESSAGE'] is 142 bytes long")


def test_without_the_hash_nobody_counts_bytes():
    assert judge(MESSAGE="x" * 150 + "{code}") == []


# Translations that cannot be sent


def test_a_translation_without_the_code_is_an_error():
    keys = {"MESSAGE": in_russian("Code {code}", "Код")}
    with override_settings(PHONE_OTP={"PROVIDERS": None, **keys}):
        (found,) = check_settings()
    assert found.id == "phone_otp.E023"
    assert found.msg == ("PHONE_OTP['MESSAGE'] must contain {code}. Mend its translation into ru.")


def test_a_translation_with_other_braces_is_an_error():
    keys = {"MESSAGE": in_russian("Code {code}", "Код {код}")}
    with override_settings(PHONE_OTP={"PROVIDERS": None, **keys}):
        (found,) = check_settings()
    assert found.msg == (
        "PHONE_OTP['MESSAGE'] may use {code} and {site} and nothing else in braces. Mend its "
        "translation into ru."
    )
