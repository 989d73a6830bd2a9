"""The form of an account: made from a schema, and what it makes of what an operator enters."""

import dataclasses

import pytest
from django import forms
from django.utils import translation

from django_phone_otp.admin.account_form import AccountForm, make_form
from django_phone_otp.models import ProviderAccount
from django_phone_otp.providers import REGISTRY, find_provider_class
from tests import fakes_admin
from tests.fakes_admin import SECRET, make_account

WIDE = "tests.fakes_admin.Wide"
RARE = "tests.fakes_admin.Rare"
# What a browser sends for an account of `Wide` with nothing but what has to be entered.
ENTERED = {
    "alias": "texts",
    "enabled": "on",
    "priority": "100",
    "option_key": SECRET,
    "option_sender": "Shop",
    "option_polite": "on",
    "option_count": "3",
    "option_ratio": "0.5",
    "option_mode": "fast",
    "option_timeout": "10.0",
}
REQUIRED = {"key": SECRET, "sender": "Shop"}


def fill_in(account: ProviderAccount | None = None, /, **changes: str | None) -> AccountForm:
    """Enter what is required and the changes; None leaves a field out, as an empty checkbox is."""
    entered = {name: text for name, text in {**ENTERED, **changes}.items() if text is not None}
    return make_form(WIDE, account)(entered, instance=account)


def errors_of(form: AccountForm) -> dict[str, list[str]]:
    return {name: [str(each) for each in errors] for name, errors in form.errors.items()}


def options_of(**changes: str | None) -> dict[str, object]:
    form = fill_in(**changes)
    assert errors_of(form) == {}
    return form.options


def blank(backend: str = WIDE) -> AccountForm:
    return make_form(backend, None)()


class TestFields:
    """Each option has a field of its kind."""

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("key", forms.CharField),
            ("pin", forms.CharField),
            ("sender", forms.CharField),
            ("note", forms.CharField),
            ("loud", forms.BooleanField),
            ("polite", forms.BooleanField),
            ("count", forms.IntegerField),
            ("most", forms.IntegerField),
            ("ratio", forms.FloatField),
            ("mode", forms.ChoiceField),
            ("timeout", forms.FloatField),
            ("base_url", forms.CharField),
        ],
    )
    def test_each_option_has_a_field_of_its_type(self, name, kind):
        assert type(blank().fields[f"option_{name}"]) is kind

    @pytest.mark.parametrize("name", ["key", "sender"])
    def test_an_option_without_a_default_is_required(self, name):
        assert blank().fields[f"option_{name}"].required

    def test_every_other_option_may_be_left_out(self):
        fields = blank().fields
        required = {name for name in fields if name.startswith("option_") and fields[name].required}
        assert required == {"option_key", "option_sender"}

    @pytest.mark.parametrize(
        ("name", "initial"),
        [
            ("sender", None),
            ("note", None),
            ("loud", False),
            ("polite", True),
            ("count", 3),
            ("ratio", 0.5),
            ("mode", "fast"),
            ("timeout", 10.0),
        ],
    )
    def test_fields_begin_with_the_defaults(self, name, initial):
        assert blank().fields[f"option_{name}"].initial == initial

    def test_a_field_is_labelled_with_the_name_of_its_option(self):
        assert blank().fields["option_sender"].label == "sender"

    def test_a_field_has_the_help_of_its_option(self):
        assert blank().fields["option_sender"].help_text == "Who the text is from."

    def test_an_option_that_all_have_keeps_its_help_where_a_provider_changes_the_default(self):
        field = blank("telefon-ip-flash").fields["option_base_url"]
        assert field.initial == "https://api.telefon-ip.ru"
        assert field.help_text == "Scheme and host of the service, with any prefix."

    def test_help_is_in_the_language_of_the_reader(self):
        form = blank("telefon-ip-flash")
        with translation.override("ru"):
            assert "Секунды на весь обмен." in form["option_timeout"].help_text
            assert "Ключ доступа из личного кабинета." in form["option_token"].help_text

    def test_choices_are_the_words_of_the_schema(self):
        field = blank().fields["option_mode"]
        assert isinstance(field, forms.ChoiceField)
        assert field.choices == [("fast", "fast"), ("slow", "slow")]

    def test_the_providers_own_options_come_first(self):
        names = [name.removeprefix("option_") for name in make_form(WIDE, None).option_names()]
        own = "key, pin, sender, note, loud, polite, count, most, ratio, mode, alias"
        assert ", ".join(names) == f"{own}, base_url, timeout"

    @pytest.mark.parametrize("key", REGISTRY)
    def test_every_provider_of_ours_has_a_form_with_all_its_options(self, key):
        names = {each.name for each in dataclasses.fields(find_provider_class(key).Options)}
        shown = {name for name in blank(key).fields if name.startswith("option_")}
        assert shown == {f"option_{name}" for name in names}

    @pytest.mark.parametrize("name", ["backend", "sealed_options", "options", "id"])
    def test_there_is_no_field_for_what_the_form_decides(self, name):
        assert name not in blank().fields


@pytest.mark.django_db
class TestOptions:
    """What is stored is what differs from the defaults."""

    def test_what_is_as_by_default_is_not_stored(self):
        assert options_of() == REQUIRED

    @pytest.mark.parametrize(
        ("name", "typed", "stored"),
        [
            ("note", "soon", "soon"),
            ("loud", "on", True),
            ("polite", None, False),
            ("count", "7", 7),
            ("count", "0", 0),
            ("most", "5", 5),
            ("most", "0", 0),
            ("ratio", "0.25", 0.25),
            ("ratio", "0", 0.0),
            ("mode", "slow", "slow"),
            ("timeout", "2.5", 2.5),
            ("base_url", "https://sms.example/v1", "https://sms.example/v1"),
            ("pin", "0123", "0123"),
        ],
    )
    def test_what_differs_is_stored_with_its_type(self, name, typed, stored):
        options = options_of(**{f"option_{name}": typed})
        assert options == {**REQUIRED, name: stored}
        assert type(options[name]) is type(stored)

    @pytest.mark.parametrize("name", ["note", "count", "ratio", "timeout", "base_url", "alias"])
    def test_an_emptied_field_goes_back_to_the_default(self, name):
        assert options_of(**{f"option_{name}": ""}) == REQUIRED

    def test_an_option_may_have_the_name_of_a_column(self):
        form = fill_in(option_alias="the option")
        assert form.is_valid()
        assert form.options["alias"] == "the option"
        assert form.cleaned_data["alias"] == "texts"

    def test_what_is_stored_is_shown_except_secrets(self):
        account = make_account(options={**REQUIRED, "count": 8, "loud": True}, backend=WIDE)
        html = make_form(WIDE, account)(instance=account).as_p()
        assert 'value="8"' in html
        assert 'value="Shop"' in html
        assert SECRET not in html

    def test_an_option_that_the_schema_has_no_more_is_dropped(self):
        account = make_account(options={**REQUIRED, "gone": "x"}, backend=WIDE)
        form = fill_in(account, alias=None)
        form.is_valid()
        assert form.options == REQUIRED


@pytest.mark.django_db
class TestSecrets:
    """Secrets go in and never come out."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account(options={**REQUIRED, "pin": "4711-pin"}, backend=WIDE)

    @pytest.mark.parametrize("name", ["option_key", "option_pin"])
    def test_s13_the_field_of_a_secret_has_no_value(self, account, name):
        form = make_form(WIDE, account)(instance=account)
        assert form[name].value() is None
        assert "value=" not in str(form[name])

    def test_s13_a_form_that_comes_back_with_errors_does_not_hold_the_secret(self):
        form = fill_in(option_key="a-new-s3cret", option_count="x")
        assert not form.is_valid()
        assert "a-new-s3cret" not in form.as_p()

    def test_s13_no_error_repeats_a_secret(self):
        form = fill_in(option_key="a-new-s3cret\x00", option_pin="4711-pin\x00")
        assert errors_of(form) == {
            "option_key": ["Null characters are not allowed."],
            "option_pin": ["Null characters are not allowed."],
        }

    def test_browsers_are_asked_to_fill_in_no_password_of_their_own(self):
        assert 'autocomplete="new-password"' in str(blank()["option_key"])
        assert 'type="password"' in str(blank()["option_key"])

    @pytest.mark.parametrize("typed", ["", None, "   "])
    def test_s21_a_secret_that_is_left_empty_is_kept(self, account, typed):
        form = fill_in(account, option_key=typed, option_pin=typed)
        assert errors_of(form) == {}
        assert form.options == {**REQUIRED, "pin": "4711-pin"}

    def test_s21_a_secret_that_is_given_replaces_the_one_before(self, account):
        form = fill_in(account, option_key="a-new-s3cret")
        assert form.is_valid()
        assert form.options == {**REQUIRED, "key": "a-new-s3cret", "pin": "4711-pin"}

    def test_a_new_account_has_no_secret_to_keep(self):
        assert errors_of(fill_in(option_key="")) == {"option_key": ["This field is required."]}

    def test_a_stored_secret_says_so(self, account):
        form = make_form(WIDE, account)(instance=account)
        help_text = str(form.fields["option_key"].help_text)
        assert help_text == "Key of the account. Stored. Leave empty to keep it."

    def test_a_secret_that_is_not_stored_says_nothing(self):
        account = make_account(options=REQUIRED, backend=WIDE)
        form = make_form(WIDE, account)(instance=account)
        assert "Stored" not in str(form.fields["option_pin"].help_text)

    def test_s12_a_fallback_key_still_opens_what_is_stored(self, account, settings):
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another" * 10
        assert fill_in(account, option_key="").is_valid()

    def test_what_no_key_opens_has_to_be_entered_again(self, account, settings):
        settings.SECRET_KEY = "another" * 10
        assert errors_of(fill_in(account, option_key="")) == {
            "option_key": ["This field is required."]
        }

    @pytest.mark.parametrize("name", ["option_key", "option_pin"])
    def test_what_no_key_opens_says_so_and_names_the_account(self, account, settings, name):
        settings.SECRET_KEY = "another" * 10
        help_text = str(make_form(WIDE, account)(instance=account).fields[name].help_text)
        assert help_text.strip().endswith(
            "What was stored cannot be opened (account &quot;texts&quot;: neither SECRET_KEY nor "
            "SECRET_KEY_FALLBACKS opens these options). Enter it again."
        )


@pytest.mark.django_db
class TestProblems:
    """What is wrong is said where it can be mended."""

    @pytest.mark.parametrize(
        ("name", "typed", "problem"),
        [
            ("count", "10", '"count" must be at most 9.'),
            ("count", "many", "Enter a whole number."),
            ("most", "1.5", "Enter a whole number."),
            ("ratio", "half", "Enter a number."),
            ("ratio", "nan", "Enter a number."),
            ("ratio", "1e999", "Enter a number."),
            ("timeout", "0", '"timeout" must be above 0 and at most 60.0 seconds.'),
            ("timeout", "60.5", '"timeout" must be above 0 and at most 60.0 seconds.'),
            (
                "base_url",
                "http://sms.example",
                '"base_url" must be https:// with a host and at most a path.',
            ),
            ("sender", "", "This field is required."),
            (
                "mode",
                "odd",
                "Select a valid choice. odd is not one of the available choices.",
            ),
            ("note", "\x00", "Null characters are not allowed."),
        ],
    )
    def test_a_problem_lands_at_its_field(self, name, typed, problem):
        field = f"option_{name}"
        assert errors_of(fill_in(**{field: typed})) == {field: [problem]}

    def test_each_of_several_problems_lands_at_its_field(self):
        form = fill_in(option_count="10", option_timeout="0")
        assert set(errors_of(form)) == {"option_count", "option_timeout"}

    @pytest.mark.parametrize(
        ("note", "problem"),
        [
            ("general", "The note and the sender do not fit."),
            ("strange", '"nothing" is what there is.'),
        ],
    )
    def test_a_problem_of_no_field_is_said_above_all(self, note, problem):
        assert errors_of(fill_in(option_note=note)) == {"__all__": [problem]}

    def test_the_schema_is_asked_once_each_field_is_in_order(self):
        form = fill_in(option_count="10", priority="x")
        assert set(errors_of(form)) == {"priority"}

    @pytest.mark.parametrize("digits_count", [30, 5_000])
    def test_a_number_of_any_size_is_no_failure_of_ours(self, digits_count):
        form = fill_in(option_count="9" * digits_count)
        assert set(errors_of(form)) == {"option_count"}


@pytest.mark.django_db
class TestRegions:
    """Regions are entered as people write them."""

    @pytest.mark.parametrize(
        ("typed", "regions"),
        [
            ("ru, BY", ["RU", "BY"]),
            ("RU BY", ["RU", "BY"]),
            ("  kz\n\tam ", ["KZ", "AM"]),
            ("BY, RU, by", ["BY", "RU"]),
            ("", []),
            (" , ", []),
            (None, []),
        ],
    )
    def test_they_are_stored_as_a_list(self, typed, regions):
        form = fill_in(regions=typed)
        assert errors_of(form) == {}
        assert form.save(commit=False).regions == regions

    @pytest.mark.parametrize(
        ("typed", "named"),
        [
            ("RU, XX", "XX"),
            ("Россия", "РОССИЯ"),
            ('["RU"]', '["RU"]'),
            ("RUS", "RUS"),
            ("RU;BY", "RU;BY"),
            ("001", "001"),
            ("RU\x00", "RU\x00"),
            ("<b>", "<B>"),
        ],
    )
    def test_what_is_no_region_is_named(self, typed, named):
        assert errors_of(fill_in(regions=typed)) == {
            "regions": [f"{named} is no ISO 3166 region such as RU."]
        }

    def test_what_is_no_region_is_named_without_its_markup(self):
        assert "<B>" not in fill_in(regions="<b>").as_p()

    def test_stored_ones_are_shown_as_people_write_them(self):
        account = make_account(regions=["RU", "BY"], options=REQUIRED, backend=WIDE)
        form = make_form(WIDE, account)(instance=account)
        assert form["regions"].value() == "RU, BY"

    def test_what_was_typed_is_shown_again_as_it_was(self):
        assert fill_in(regions="ru  XX")["regions"].value() == "ru  XX"

    @pytest.mark.parametrize(
        ("typed", "has_changed"), [("ru by", False), ("BY, RU", True), ("", True), ("XX", True)]
    )
    def test_another_way_to_write_them_is_no_change(self, typed, has_changed):
        account = make_account(regions=["RU", "BY"], options=REQUIRED, backend=WIDE)
        assert ("regions" in fill_in(account, regions=typed).changed_data) is has_changed


@pytest.mark.django_db
class TestUse:
    """The alias, the place in the order and the limits."""

    @pytest.mark.parametrize(
        "alias", ["", "two words", "a" * 65, "<b>", "a&b=c", "../a", "a\x00", "псевдоним", "a.b"]
    )
    def test_an_alias_is_a_short_plain_word(self, alias):
        assert set(errors_of(fill_in(alias=alias))) == {"alias"}

    @pytest.mark.parametrize("alias", ["texts", "a" * 64, "Calls_2-b"])
    def test_a_plain_word_is_an_alias(self, alias):
        assert errors_of(fill_in(alias=alias)) == {}

    def test_an_alias_stands_for_one_account(self):
        make_account("texts")
        assert errors_of(fill_in()) == {
            "alias": ["Provider account with this Alias already exists."]
        }

    @pytest.mark.parametrize(
        ("name", "typed"),
        [
            ("daily_limit", "0"),
            ("daily_limit", "-1"),
            ("daily_limit", "9" * 30),
            ("daily_limit", "1.5"),
            ("phone_daily_limit", "0"),
            ("phone_daily_limit", "1001"),
            ("phone_daily_limit", "x"),
            ("priority", ""),
            ("priority", "first"),
            ("priority", "9" * 30),
        ],
    )
    def test_a_number_that_makes_no_sense_is_refused(self, name, typed):
        assert set(errors_of(fill_in(**{name: typed}))) == {name}

    @pytest.mark.parametrize(
        ("name", "typed", "stored"),
        [
            ("daily_limit", "1", 1),
            ("daily_limit", "", None),
            ("phone_daily_limit", "1", 1),
            ("phone_daily_limit", "1000", 1000),
            ("phone_daily_limit", "", None),
            ("priority", "-5", -5),
            ("priority", "0", 0),
        ],
    )
    def test_numbers_that_make_sense_are_stored(self, name, typed, stored):
        form = fill_in(**{name: typed})
        assert errors_of(form) == {}
        assert getattr(form.save(commit=False), name) == stored

    def test_a_box_that_is_not_ticked_switches_the_account_off(self):
        assert fill_in(enabled=None).save(commit=False).enabled is False

    def test_two_forms_know_nothing_of_each_other(self):
        account = make_account(options=REQUIRED, backend=WIDE)
        assert make_form(WIDE, account).stored == REQUIRED
        assert make_form(WIDE, None).stored == {}
        assert make_form("locmem", None).schema is find_provider_class("locmem").Options
        assert make_form(WIDE, None).schema is fakes_admin.WideOptions


@pytest.mark.django_db
class TestRareOptions:
    """What the declaration of options allows, and few schemas have."""

    ENTERED = {"alias": "texts", "priority": "100", "option_kind": "a", "option_token": SECRET}

    def fill_in(self, backend: str = RARE, /, **changes: str) -> AccountForm:
        return make_form(backend, None)({**self.ENTERED, **changes})

    @pytest.mark.parametrize(
        ("backend", "name"),
        [
            ("sms-by", "type_id"),
            (RARE, "kind"),
        ],
    )
    def test_a_choice_that_nobody_made_is_not_stored(self, backend, name):
        shown = fakes_admin.elements_of(str(blank(backend)[f"option_{name}"]), "option")
        chosen = next((each for each in shown if "selected" in each), shown[0])
        form = self.fill_in(backend, **{f"option_{name}": chosen["value"]})
        assert errors_of(form) == {}
        assert name not in form.options

    def test_a_choice_that_was_made_is_stored(self):
        form = self.fill_in("sms-by", option_type_id="both")
        assert errors_of(form) == {}
        assert form.options["type_id"] == "both"

    def test_a_box_without_a_default_may_be_left_empty(self):
        form = self.fill_in()
        assert errors_of(form) == {}
        assert form.options["agreed"] is False

    @pytest.mark.parametrize(("typed", "stored"), [("", None), ("true", True), ("false", False)])
    def test_a_question_may_stay_unanswered(self, typed, stored):
        form = self.fill_in(option_may_call=typed)
        assert errors_of(form) == {}
        assert form.options.get("may_call") is stored

    def test_a_secret_may_be_a_number(self):
        form = self.fill_in(option_pin="4711")
        assert errors_of(form) == {}
        assert form.options["pin"] == 4711
        assert "value=" not in str(form["option_pin"])

    def test_a_mistake_of_a_schema_is_said_without_its_words(self):
        form = self.fill_in("tests.fakes_admin.Rude", option_key=SECRET)
        assert errors_of(form) == {"__all__": ["RuntimeError"]}
        assert SECRET not in form.as_p()

    def test_s13_the_report_of_a_mistake_of_a_schema_holds_no_secret(self):
        with pytest.raises(RuntimeError) as caught:
            fakes_admin.RudeOptions.parse({"key": SECRET})
        assert SECRET not in fakes_admin.report_on(caught.value)

    def test_s01_short_codes_are_refused(self):
        form = self.fill_in("sms-by", option_type_id="numbers", option_len="5")
        assert errors_of(form) == {"__all__": ["Codes must have six digits at least."]}

    def test_without_a_provider_there_are_no_options(self):
        form = make_form("gone", None)
        assert form.option_names() == []
        assert form.schema is None


@pytest.mark.django_db
class TestAddress:
    """A secret that is kept goes to no address but the one that it was entered for."""

    URL = "https://sms.example"
    AGAIN = "Enter it again: it goes to another address than before."

    @pytest.fixture
    def account(self) -> ProviderAccount:
        """Store an account with an address of its own, and both secrets."""
        options = {**REQUIRED, "pin": "4711-pin", "base_url": self.URL}
        return make_account(options=options, backend=WIDE)

    @pytest.mark.parametrize("url", ["https://elsewhere.example", "", None, f"{URL}/x"])
    def test_s21_with_another_one_each_secret_is_asked_for_again(self, account, url):
        form = fill_in(account, option_key="", option_base_url=url)
        assert errors_of(form) == {"option_key": [self.AGAIN], "option_pin": [self.AGAIN]}

    def test_s21_one_that_is_given_saves_no_other(self, account):
        form = fill_in(account, option_base_url="https://elsewhere.example")
        assert errors_of(form) == {"option_pin": [self.AGAIN]}

    def test_with_the_secrets_the_address_may_change(self, account):
        url = "https://elsewhere.example"
        form = fill_in(account, option_pin="4712-pin", option_base_url=url)
        assert errors_of(form) == {}
        assert form.options == {**REQUIRED, "pin": "4712-pin", "base_url": url}

    def test_with_the_same_one_they_are_kept(self, account):
        form = fill_in(account, option_key="", option_base_url=self.URL)
        assert errors_of(form) == {}
        assert form.options["pin"] == "4711-pin"

    @pytest.mark.parametrize("url", ["", "https://api.telefon-ip.ru"])
    def test_the_default_is_the_default_however_it_is_written(self, url):
        account = make_account(options={"token": SECRET}, backend="telefon-ip-flash")
        form = make_form("telefon-ip-flash", account)(
            {"priority": "1", "alias": "texts", "option_base_url": url}, instance=account
        )
        assert errors_of(form) == {}
        assert form.options == {"token": SECRET}

    def test_what_was_never_stored_is_not_asked_for(self):
        account = make_account(options=REQUIRED, backend=WIDE)
        form = fill_in(account, option_base_url=self.URL)
        assert errors_of(form) == {}

    def test_another_problem_is_said_as_well(self, account):
        form = fill_in(account, option_key="", option_base_url="http://elsewhere.example")
        assert set(errors_of(form)) == {"option_key", "option_pin", "option_base_url"}


@pytest.mark.django_db
class TestLoopback:
    """What listens beside the site is not for operators."""

    def test_s21_the_servers_own_loopback_is_not_for_operators(self, settings):
        form = fill_in(option_base_url="http://127.0.0.1:8001")
        assert errors_of(form) == {
            "option_base_url": ['"base_url": http:// is for development alone.']
        }
        settings.DEBUG = True
        assert errors_of(fill_in(option_base_url="http://127.0.0.1:8001")) == {}
