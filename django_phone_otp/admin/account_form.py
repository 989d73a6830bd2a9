"""The form of an account, made from the schema of its provider's options. Layer 5."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ..exceptions import BrokenSeal
from ..models import ProviderAccount
from ..phone import is_region
from ..providers import find_provider_class
from ..providers.options import ProviderOptions

if TYPE_CHECKING:
    AccountModelForm = forms.ModelForm[ProviderAccount]
else:
    AccountModelForm = forms.ModelForm

_SHARED_HELP = {each.name: each.metadata["help"] for each in dataclasses.fields(ProviderOptions)}
# So that an option may have the name of a column.
PREFIX = "option_"


class RegionsField(forms.CharField):
    """Regions as people write them: "RU, BY"."""

    def prepare_value(self, value: Any) -> Any:
        """Write a list as text."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Read a list; raises `ValidationError` for what is no region."""
        regions = [each.upper() for each in str(value or "").replace(",", " ").split()]
        for region in regions:
            if not is_region(region):
                raise ValidationError(
                    _("%(region)s is no ISO 3166 region such as RU.") % {"region": region}
                )
        return list(dict.fromkeys(regions))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare lists, not the ways to write them."""
        try:
            return bool(self.to_python(data) != (initial or []))
        except ValidationError:
            return True


class AccountForm(AccountModelForm):
    """What all accounts have; `make_form` adds the options of a provider.

    After validation `options` holds what is to be stored: what differs from the defaults.
    """

    regions = RegionsField(
        label=_("Regions"),
        required=False,
        help_text=_("ISO 3166 codes such as RU, BY. Empty: all that the provider serves."),
    )

    class Meta:
        model = ProviderAccount
        fields = (
            "alias",
            "enabled",
            "priority",
            "regions",
            "daily_limit",
            "phone_daily_limit",
        )
        help_texts = {
            "alias": _(
                "A short name for ever: routes and the history of challenges refer to it. An "
                "account of the settings with this name is replaced."
            ),
            "priority": _("The lowest is tried first, where no route is set."),
            "daily_limit": _("Empty: no limit."),
            "phone_daily_limit": _("In any 24 hours. Empty: the provider's own limit."),
        }

    backend: ClassVar[str]
    schema: ClassVar[type[ProviderOptions]]
    stored: ClassVar[dict[str, Any]]
    options: dict[str, Any]

    @classmethod
    def option_names(cls) -> list[str]:
        """Name the fields of the options: the provider's own, then those that all have."""
        shared = {each.name for each in dataclasses.fields(ProviderOptions)}
        names = [each.name for each in dataclasses.fields(cls.schema)]
        return [f"{PREFIX}{name}" for name in sorted(names, key=shared.__contains__)]

    def clean(self) -> dict[str, Any]:
        """Check the options against their schema; what is wrong is said at its field."""
        cleaned = super().clean() or self.cleaned_data
        self.options = {}
        for each in dataclasses.fields(self.schema):
            value = cleaned.get(f"{PREFIX}{each.name}")
            if each.metadata.get("secret") and not value:
                value = self.stored.get(each.name)
            if value not in (None, "") and value != each.default:
                self.options[each.name] = value
        if not self.errors:
            for problem in self.schema.parse(self.options)[1]:
                self.add_error(self._field_of(problem), problem)
        return cleaned

    def _field_of(self, problem: str) -> str | None:
        """Find the field that a problem is about: it begins with the option's name in quotes."""
        name = f"{PREFIX}{problem.split(chr(34))[1]}" if problem.startswith('"') else ""
        return name if name in self.fields else None


def make_form(backend: str, account: ProviderAccount | None) -> type[AccountForm]:
    """Make the form for accounts of a provider, with what is stored of this one."""
    schema = find_provider_class(backend).Options
    stored, lost = _read(account)
    types = get_type_hints(schema)
    made: dict[str, Any] = {
        f"{PREFIX}{each.name}": _make_field(each, types[each.name], stored, lost)
        for each in dataclasses.fields(schema)
    }
    return type(
        "AccountForm",
        (AccountForm,),
        {**made, "backend": backend, "schema": schema, "stored": stored},
    )


def _read(account: ProviderAccount | None) -> tuple[dict[str, Any], str]:
    """Open what is stored; what no key opens any more has to be entered anew."""
    try:
        return (account.options if account else {}), ""
    except BrokenSeal as error:
        return {}, str(error)


def _make_field(
    each: dataclasses.Field[Any], kind: Any, stored: dict[str, Any], lost: str
) -> forms.Field:
    is_required = each.default is dataclasses.MISSING
    is_secret = bool(each.metadata.get("secret"))
    default = None if is_required else each.default
    common: dict[str, Any] = {
        "label": each.name,
        "help_text": each.metadata.get("help") or _SHARED_HELP.get(each.name, ""),
        "required": is_required and not (is_secret and each.name in stored),
        "initial": stored.get(each.name, default),
    }
    if is_secret:
        return _make_secret(common, is_stored=each.name in stored, lost=lost)
    choices = each.metadata.get("choices")
    if choices:
        return forms.ChoiceField(**common, choices=[(word, word) for word in choices])
    allowed = get_args(kind) or (kind,)
    if bool in allowed:
        return forms.BooleanField(**{**common, "required": False})
    if float in allowed:
        return forms.FloatField(**common)
    if int in allowed:
        return forms.IntegerField(**common)
    return forms.CharField(**common, widget=forms.TextInput(attrs={"class": "vTextField"}))


def _make_secret(common: dict[str, Any], *, is_stored: bool, lost: str) -> forms.Field:
    """Make a field that takes a secret and never shows one.

    SECURITY: without `render_value=False` a form that comes back with an error holds the secret.
    """
    note: Any = ""
    if is_stored:
        note = _("Stored. Leave empty to keep it.")
    elif lost:
        note = _("What was stored cannot be opened (%(reason)s). Enter it again.") % {
            "reason": lost
        }
    attrs = {"autocomplete": "new-password", "class": "vTextField"}
    return forms.CharField(
        **{**common, "initial": None, "help_text": format_lazy("{} {}", common["help_text"], note)},
        widget=forms.PasswordInput(attrs=attrs, render_value=False),
    )
