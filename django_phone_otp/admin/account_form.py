"""The form of an account, made from the schema of its provider's options. Layer 5."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

from django import forms
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

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
NO_CHOICE = ("", "---------")


class RegionsField(forms.CharField):
    """Regions as people write them: "RU, BY"."""

    def prepare_value(self, value: Any) -> Any:
        """Write a list as text."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value

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
    schema: ClassVar[type[ProviderOptions] | None]  # None: the provider is gone
    stored: ClassVar[dict[str, Any]]
    options: dict[str, Any]

    @classmethod
    def schema_fields(cls) -> tuple[dataclasses.Field[Any], ...]:
        """List the options of the provider."""
        return dataclasses.fields(cls.schema) if cls.schema else ()

    @classmethod
    def option_names(cls) -> list[str]:
        """Name the fields of the options: the provider's own, then those that all have."""
        shared = {each.name for each in dataclasses.fields(ProviderOptions)}
        names = [each.name for each in cls.schema_fields()]
        return [f"{PREFIX}{name}" for name in sorted(names, key=shared.__contains__)]

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Check the options against their schema; what is wrong is said at its field."""
        cleaned = super().clean() or self.cleaned_data
        if self.schema is None:
            return cleaned  # nobody knows what the options mean: they stay as they are
        self.options = {}
        is_readable = not self.errors
        default_url = self.schema.base_url
        given_url = cleaned.get(f"{PREFIX}base_url") or default_url
        is_same_service = given_url == self.stored.get("base_url", default_url)
        for each in self.schema_fields():
            value = cleaned.get(f"{PREFIX}{each.name}")
            if each.metadata.get("secret") and value in (None, "") and each.name in self.stored:
                # SECURITY: else whoever may change an account could have its secret sent to a
                # server of his own, and read there what no page shows.
                if not is_same_service:
                    self.add_error(
                        f"{PREFIX}{each.name}",
                        _("Enter it again: it goes to another address than before."),
                    )
                value = self.stored[each.name]
            if value not in (None, "") and value != each.default:
                self.options[each.name] = value
        if is_readable:
            self._check_options(self.schema)
        return cleaned

    def _check_options(self, schema: type[ProviderOptions]) -> None:
        try:
            parsed, problems = schema.parse(self.options)
            if parsed and find_provider_class(self.backend)(parsed).has_weak_codes:
                problems = [str(_("Codes must have six digits at least."))]
            # SECURITY: what listens on the server's own loopback is nobody's business here; the
            # site's code may name it, for tests.
            if parsed and parsed.base_url.startswith("http://") and not django_settings.DEBUG:
                problems = ['"base_url": ' + _("http:// is for development alone.")]
        except Exception as error:  # noqa: BLE001 (a mistake of a third party's class may be any)
            # SECURITY: its words may hold a secret.
            self.add_error(None, type(error).__name__)
            return
        for problem in problems:
            self.add_error(self._field_of(problem), problem)

    def _field_of(self, problem: str) -> str | None:
        """Find the field that a problem is about: it begins with the option's name in quotes."""
        name = f"{PREFIX}{problem.split(chr(34))[1]}" if problem.startswith('"') else ""
        return name if name in self.fields else None


@sensitive_variables()
def make_form(backend: str, account: ProviderAccount | None) -> type[AccountForm]:
    """Make the form for accounts of a provider, with what is stored of this one."""
    schema = _find_schema(backend)
    stored, lost = _read(account)
    types = get_type_hints(schema) if schema else {}
    made: dict[str, Any] = {
        f"{PREFIX}{each.name}": _make_field(each, types[each.name], stored, lost)
        for each in (dataclasses.fields(schema) if schema else ())
    }
    return type(
        "AccountForm",
        (AccountForm,),
        {**made, "backend": backend, "schema": schema, "stored": stored},
    )


def _find_schema(backend: str) -> type[ProviderOptions] | None:
    """Find the options of a provider; None for one that is gone, whose accounts can be seen."""
    try:
        return find_provider_class(backend).Options
    except Exception:  # noqa: BLE001 (a package that is broken may raise anything)
        return None


@sensitive_variables()
def _read(account: ProviderAccount | None) -> tuple[dict[str, Any], str]:
    """Open what is stored; what no key opens any more has to be entered anew."""
    try:
        return (account.options if account else {}), ""
    except BrokenSeal as error:
        return {}, str(error)


@sensitive_variables()
def _make_field(
    each: dataclasses.Field[Any], kind: Any, stored: dict[str, Any], lost: str
) -> forms.Field:
    is_required = each.default is dataclasses.MISSING
    is_secret = bool(each.metadata.get("secret"))
    default = None if is_required else each.default
    arguments: dict[str, Any] = {
        "label": each.name,
        "help_text": each.metadata.get("help") or _SHARED_HELP.get(each.name, ""),
        "required": is_required and not (is_secret and each.name in stored),
        "initial": stored.get(each.name, default),
    }
    if is_secret:
        arguments |= _hide(arguments, is_stored=each.name in stored, lost=lost)
    allowed = get_args(kind) or (kind,)
    choices = each.metadata.get("choices")
    if choices:
        none = [] if default in choices else [NO_CHOICE]
        return forms.ChoiceField(**arguments, choices=[*none, *((word, word) for word in choices)])
    if bool in allowed:
        is_open = type(None) in allowed
        field = forms.NullBooleanField if is_open else forms.BooleanField
        return field(**{**arguments, "required": False})
    if float in allowed:
        return forms.FloatField(**arguments)
    if int in allowed:
        return forms.IntegerField(**arguments)
    text = {"widget": forms.TextInput(attrs={"class": "vTextField"})}
    return forms.CharField(**{**text, **arguments})


@sensitive_variables()
def _hide(arguments: dict[str, Any], *, is_stored: bool, lost: str) -> dict[str, Any]:
    """Give what makes a field take a secret and never show one.

    SECURITY: without `render_value=False` a form that comes back with an error holds the secret.
    """
    note: Any = ""
    if is_stored:
        note = _("Stored. Leave empty to keep it.")
    elif lost:
        note = _("What was stored cannot be opened (%(reason)s). Enter it again.") % {
            "reason": escape(lost)
        }
    attrs = {"autocomplete": "new-password", "class": "vTextField"}
    return {
        "initial": None,
        "help_text": format_lazy("{} {}", arguments["help_text"], note),
        "widget": forms.PasswordInput(attrs=attrs, render_value=False),
    }
