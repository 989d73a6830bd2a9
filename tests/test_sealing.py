"""Secrets at rest."""

import base64

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp.exceptions import BrokenSeal
from django_phone_otp.sealing import seal, unseal

OPTIONS = {"token": "4ea13fbf-secret", "sms_fallback": True, "timeout": 2.5, "ключ": None}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_sealed_options_open_again():
    assert unseal(seal(OPTIONS)) == OPTIONS


@budget(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_any_json_object_opens_again(options):
    assert unseal(seal(options)) == options


def test_seal_is_text_in_ascii():
    assert seal(OPTIONS).isascii()


def test_s13_seal_does_not_show_the_secret():
    token = seal(OPTIONS)
    assert b"secret" not in base64.urlsafe_b64decode(token)


def test_s13_equal_options_have_different_seals():
    assert seal(OPTIONS) != seal(OPTIONS)


def test_s12_options_open_with_a_fallback_key(settings):
    old_key, token = settings.SECRET_KEY, seal(OPTIONS)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["older", old_key]
    assert unseal(token) == OPTIONS


def test_s12_options_are_sealed_under_the_new_key(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    token = seal(OPTIONS)
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(token) == OPTIONS


def test_keys_may_be_bytes(settings):
    settings.SECRET_KEY = b"\xff\x00key"
    assert unseal(seal(OPTIONS)) == OPTIONS


def test_without_its_key_a_seal_is_broken(settings):
    token = seal(OPTIONS)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["other"]
    with pytest.raises(BrokenSeal) as caught:
        unseal(token)
    message = "neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options"
    assert str(caught.value) == message


def test_broken_seal_does_not_lead_to_what_the_library_said(settings):
    token = seal(OPTIONS)
    settings.SECRET_KEY = "new"
    with pytest.raises(BrokenSeal) as caught:
        unseal(token)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="never-sealed"),
        pytest.param("Ы" * 200, id="not-ascii"),
        pytest.param("gAAAAA" + "A" * 94, id="forged"),
    ],
)
def test_what_was_never_sealed_is_a_broken_seal(token):
    with pytest.raises(BrokenSeal):
        unseal(token)


def test_changed_seal_is_broken():
    token = seal(OPTIONS)
    middle = len(token) // 2
    changed = "A" if token[middle] != "A" else "B"
    with pytest.raises(BrokenSeal):
        unseal(token[:middle] + changed + token[middle + 1 :])
