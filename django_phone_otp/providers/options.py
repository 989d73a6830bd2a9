"""The typed schema of a provider's options. Layer 3.

A frozen dataclass is the schema: settings are checked against it, the admin's form is made from it,
and the provider reads typed attributes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self, get_args, get_type_hints

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from ..transport import is_safe_address

MAX_TIMEOUT_SECONDS = 60.0


def option(
    *,
    default: Any = MISSING,
    help: str | Promise = "",
    secret: bool = False,
    choices: Sequence[str] = (),
) -> Any:
    """Declare one option; without a default it is required, a secret is never shown again.

    `choices` are the words that it may be.
    """
    metadata = {"help": help, "secret": secret, "choices": tuple(choices)}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class ProviderOptions:
    """Base of all schemas; a subclass adds fields with `option()` and overrides defaults.

    Options are `str`, `bool`, `int` or `float`, or a union of these and `None`.
    """

    base_url: str = option(default="", help=_("Scheme and host of the service, with any prefix."))
    timeout: float = option(default=10.0, help=_("Seconds for the whole exchange."))

    @classmethod
    @sensitive_variables("given", "parsed")
    def parse(cls, given: Mapping[str, Any]) -> tuple[Self | None, list[str]]:
        """Check a mapping and make the options from it.

        Gives the options and an empty list, or None and one translated sentence for each problem,
        which begins with the option's name in quotes. No sentence has a value: it may be a secret.
        """
        known = {each.name: each for each in fields(cls)}
        types = get_type_hints(cls)
        problems = [
            gettext('"%(name)s" is not an option; known: %(known)s.')
            % {"name": name, "known": ", ".join(sorted(known))}
            for name in given
            if name not in known
        ]
        for name, each in known.items():
            is_required = each.default is MISSING and each.default_factory is MISSING
            if is_required and given.get(name, "") == "":
                problems.append(gettext('"%(name)s" is missing.') % {"name": name})
            elif name in given and not _fits(given[name], types[name]):
                wanted = " or ".join(
                    each.__name__ for each in get_args(types[name]) or [types[name]]
                )
                must_be = gettext('"%(name)s" must be %(wanted)s.')
                problems.append(must_be % {"name": name, "wanted": wanted})
            choices = each.metadata.get("choices")
            if choices and given.get(name) is not None and given[name] not in choices:
                must_be = gettext('"%(name)s" must be one of %(choices)s.')
                problems.append(must_be % {"name": name, "choices": ", ".join(choices)})
        if problems:
            return None, problems
        parsed = cls(**given)
        problems = list(parsed.find_problems())
        return (None, problems) if problems else (parsed, [])

    def find_problems(self) -> list[str]:
        """Check values that have the right types; a subclass adds what it knows."""
        problems = []
        if not 0 < self.timeout <= MAX_TIMEOUT_SECONDS:
            must_be = gettext('"timeout" must be above 0 and at most %(most)s seconds.')
            problems.append(must_be % {"most": MAX_TIMEOUT_SECONDS})
        if self.base_url != type(self).base_url and not is_safe_address(self.base_url):
            problems.append(gettext('"base_url" must be https:// with a host and at most a path.'))
        return problems


def check_range(name: str, value: int | None, least: int, most: int) -> list[str]:
    """Give the problem of a whole number that is out of range, in a list; none for None."""
    if value is None or least <= value <= most:
        return []
    must_be = gettext('"%(name)s" must be from %(least)d to %(most)d.')
    return [must_be % {"name": name, "least": least, "most": most}]


def _fits(value: Any, wanted: Any) -> bool:
    allowed = get_args(wanted) or (wanted,)
    if isinstance(value, bool):
        return bool in allowed
    return isinstance(value, allowed) or (isinstance(value, int) and float in allowed)
