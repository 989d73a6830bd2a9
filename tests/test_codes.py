"""Codes: how they are made, digested and compared."""

import ast
import random
import secrets
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

import django_phone_otp
from django_phone_otp.codes import (
    MAX_CODE_LENGTH,
    MAX_DIGEST_LENGTH,
    Alphabet,
    make_code,
    make_digest,
    matches_any,
)

BOUND_TO = "challenge\n+79244501003\nlogin"
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
ALPHABETS = st.sampled_from(Alphabet)


def digest(code: str, alphabet: Alphabet = Alphabet.DIGITS, bound_to: str = BOUND_TO) -> str:
    return make_digest(code, alphabet=alphabet, bound_to=bound_to)


def is_right(answer: str, *digests: str, bound_to: str = BOUND_TO) -> bool:
    return matches_any(answer, digests, bound_to=bound_to)


# Making


@pytest.mark.parametrize("length", [4, 6, 16])
def test_code_has_its_length(length):
    assert {len(make_code(length)) for _ in range(200)} == {length}


def test_code_is_text_of_ascii_digits():
    assert set("".join(make_code(6) for _ in range(500))) == set("0123456789")


def test_s01_every_digit_comes_at_every_place():
    # By chance a place lacks a digit in one of 10^91 runs.
    codes = [make_code(6) for _ in range(2_000)]
    assert [len(set(column)) for column in zip(*codes, strict=True)] == [10] * 6


def test_s01_every_digit_comes_as_often():
    counts = Counter("".join(make_code(16) for _ in range(2_500)))
    # 4000 are expected with a deviation of 60: eight times that never happens by chance.
    assert all(abs(count - 4_000) < 480 for count in counts.values()), counts


def test_code_keeps_leading_zeros():
    assert any(make_code(6).startswith("00") for _ in range(5_000))


def test_s01_codes_do_not_repeat():
    assert len({make_code(16) for _ in range(1_000)}) == 1_000


def test_s01_a_seed_does_not_foretell_codes():
    state = random.getstate()
    first = make_code(16)
    random.setstate(state)
    assert make_code(16) != first


def test_s01_no_module_imports_random():
    package = Path(django_phone_otp.__file__).parent
    imported = {
        alias.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in [*node.names, ast.alias(getattr(node, "module", None) or "")]
    }
    assert "secrets" in imported
    assert "random" not in imported


# The digest


def test_digest_tells_alphabet_and_length():
    assert digest("012345").rpartition("$")[0] == "digits$6"


def test_s12_stored_digests_go_on_counting_after_an_upgrade(settings):
    settings.SECRET_KEY = "a-key"
    stored = "digits$6$ea7874078c650a917e9173f5d3a8f88bf0740b4211dbe9c6d5ef00a2ed38fcfb"
    assert digest("012345") == stored


def test_s12_digest_is_hmac_sha256_in_hex():
    assert len(bytes.fromhex(digest("012345").rpartition("$")[2])) == 32


def test_s13_digest_does_not_show_the_code():
    assert "012345" not in digest("012345")


def test_s12_digest_depends_on_the_key(settings):
    before = digest("012345")
    settings.SECRET_KEY = "another"
    assert digest("012345") != before


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("another\n+79244501003\nlogin", id="challenge"),
        pytest.param("challenge\n+79244501004\nlogin", id="phone"),
        pytest.param("challenge\n+79244501003\nlink", id="purpose"),
    ],
)
def test_s10_code_is_worth_nothing_under_another(other):
    assert not is_right("012345", digest("012345"), bound_to=other)


@pytest.mark.parametrize("alphabet", Alphabet)
def test_digest_of_the_longest_code_fits_its_column(alphabet):
    assert len(digest("0" * MAX_CODE_LENGTH, alphabet)) <= MAX_DIGEST_LENGTH


def test_digest_of_a_withheld_message_fits_its_column():
    assert len(digest(secrets.token_hex())) <= MAX_DIGEST_LENGTH


# Keys


def test_s12_code_made_before_a_rotation_is_right(settings):
    old_key, stored = settings.SECRET_KEY, digest("012345")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["older", old_key]
    assert is_right("012345", stored)


def test_s12_wrong_code_is_wrong_under_every_key(settings):
    old_key, stored = settings.SECRET_KEY, digest("012345")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [old_key]
    assert not is_right("012346", stored)


def test_s12_code_is_wrong_once_its_key_is_gone(settings):
    stored = digest("012345")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", []
    assert not is_right("012345", stored)


def test_s12_new_digests_are_under_the_new_key(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    stored = digest("012345")
    settings.SECRET_KEY_FALLBACKS = []
    assert is_right("012345", stored)


def test_keys_may_be_bytes(settings):
    settings.SECRET_KEY = b"\xff\x00key"
    assert is_right("012345", digest("012345"))


# Comparing


@pytest.mark.parametrize(
    ("alphabet", "code", "answer"),
    [
        pytest.param(Alphabet.DIGITS, "012345", "012345", id="as-it-is"),
        pytest.param(Alphabet.DIGITS, "012345", "12345", id="lost-leading-zero"),
        pytest.param(Alphabet.DIGITS, "000007", "7", id="lost-leading-zeros"),
        pytest.param(Alphabet.DIGITS, "012345", "012 345", id="blank"),
        pytest.param(Alphabet.DIGITS, "012345", "012-345", id="dash"),
        pytest.param(Alphabet.DIGITS, "012345", "  012345\n", id="blanks-around"),
        pytest.param(Alphabet.DIGITS, "012345", "012\u00a0345", id="no-break-space"),
        pytest.param(Alphabet.DIGITS, "012345", "０１２３４５", id="full-width"),
        pytest.param(Alphabet.DIGITS, "012345", "٠١٢٣٤٥", id="arabic-indic"),
        pytest.param(Alphabet.DIGITS, "012345", "१२३४५", id="devanagari-without-zero"),
        pytest.param(Alphabet.CAPITALS, "A1B2", "A1B2", id="capitals"),
        pytest.param(Alphabet.CAPITALS, "A1B2", "a1b2", id="capitals-typed-small"),
        pytest.param(Alphabet.CAPITALS, "a1b2", "A1B2", id="capitals-made-small"),
        pytest.param(Alphabet.CAPITALS, "A1B2", "ａ１ b-2", id="capitals-full-width-blank-dash"),
        pytest.param(Alphabet.MIXED, "9Rs77NuQ", "9Rs77NuQ", id="mixed"),
        pytest.param(Alphabet.MIXED, "9Rs77NuQ", "9Rs7 7NuQ", id="mixed-blank"),
    ],
)
def test_right_answer(alphabet, code, answer):
    assert is_right(answer, digest(code, alphabet))


@pytest.mark.parametrize(
    ("alphabet", "code", "answer"),
    [
        pytest.param(Alphabet.DIGITS, "012345", "", id="nothing"),
        pytest.param(Alphabet.DIGITS, "012345", "012346", id="another"),
        pytest.param(Alphabet.DIGITS, "012345", "01234", id="one-digit-less"),
        pytest.param(Alphabet.DIGITS, "012345", "0012345", id="one-zero-more"),
        pytest.param(Alphabet.DIGITS, "012345", "0123450", id="one-digit-more"),
        pytest.param(Alphabet.DIGITS, "012345", "+12345", id="sign"),
        pytest.param(Alphabet.DIGITS, "012345", "12345.0", id="fraction"),
        pytest.param(Alphabet.DIGITS, "012345", "012345\x00", id="NUL"),
        pytest.param(Alphabet.DIGITS, "012345", "012345 012345", id="twice"),
        pytest.param(Alphabet.DIGITS, "012345", "012345" + " " * 99 + "6", id="more-far-behind"),
        pytest.param(Alphabet.CAPITALS, "A1B2", "A1B3", id="capitals-another"),
        pytest.param(Alphabet.CAPITALS, "0AB2", "AB2", id="capitals-without-zero"),
        pytest.param(Alphabet.MIXED, "9Rs77NuQ", "9rs77nuq", id="mixed-typed-small"),
        pytest.param(Alphabet.MIXED, "9Rs77NuQ", "9RS77NUQ", id="mixed-typed-capital"),
        pytest.param(Alphabet.MIXED, "0123", "123", id="mixed-without-zero"),
    ],
)
def test_wrong_answer(alphabet, code, answer):
    assert not is_right(answer, digest(code, alphabet))


def test_each_of_two_codes_is_right():
    digests = digest("012345"), digest("9Rs7", Alphabet.MIXED)
    assert [is_right(each, *digests) for each in ("012345", "9Rs7", "9RS7")] == [True, True, False]


@pytest.mark.parametrize("answer", ["", "012345"])
def test_without_a_digest_no_answer_is_right(answer):
    assert not is_right(answer)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param("01234\udfff", id="code-with-surrogate"),
        pytest.param("0" * 1_000_000, id="huge"),
        pytest.param("ﷺ" * 64, id="grows-when-normalised"),
        pytest.param("\x00", id="NUL"),
    ],
)
@pytest.mark.parametrize("alphabet", Alphabet)
def test_s19_hostile_answer_is_wrong(alphabet, answer):
    assert not is_right(answer, digest("012345", alphabet))


def test_s19_long_answer_costs_no_time():
    # Normalising takes minutes for a megabyte of these marks: they are put in order one by one.
    began = time.process_time()
    assert not is_right("0" + "\u0315\u0300" * 30_000, digest("012345"))
    assert time.process_time() - began < 0.5


@budget(deadline=None, max_examples=200)
@given(ANY_TEXT, ALPHABETS)
@example("012345" + "\ud800", Alphabet.DIGITS)
def test_s19_any_answer_is_right_or_wrong(answer, alphabet):
    assert is_right(answer, digest("012345", alphabet)) in {True, False}


@budget(deadline=None, max_examples=200)
@given(st.text("0123456789", min_size=4, max_size=MAX_CODE_LENGTH))
def test_any_code_of_digits_is_right_as_text_and_as_number(code):
    assert is_right(code, digest(code))
    assert is_right(str(int(code)), digest(code))


CODES = st.from_regex(r"[0-9A-Za-z]{8}", fullmatch=True)


@budget(deadline=None, max_examples=200)
@given(CODES, CODES, st.sampled_from([str, str.upper, str.lower, str.swapcase]), ALPHABETS)
def test_two_codes_are_never_taken_for_one(code, other, change, alphabet):
    for answer in (other, change(code)):
        is_same = answer == code
        if alphabet is Alphabet.CAPITALS:
            is_same = answer.upper() == code.upper()
        assert is_right(answer, digest(code, alphabet)) is is_same
