"""From a name in the settings to a class or a function: a key, an entry point or a dotted path.

Layer 2, one of the two seams. Errors are `ImproperlyConfigured`, name the setting and list what
exists: a person reads them who has just mistyped something.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

Base = TypeVar("Base")


def load_class(
    name: str, *, base: type[Base], known: Mapping[str, str], setting: str, group: str | None = None
) -> type[Base]:
    """Find the class that `name` means and make sure that it is a `base`.

    `known` maps our own keys to dotted paths; `group` is the entry-point group where other packages
    add theirs. A name with a dot that is no key is a dotted path. Our own keys win: an installed
    package must not be able to take one over.
    """
    path = known.get(name) or (entry_points(group).get(name) if group else None)
    if path is None and "." in name:
        path = name
    if path is None:
        existing = sorted({*known, *(entry_points(group) if group else ())})
        choice = f"one of {', '.join(existing)}, or " if existing else ""
        raise ImproperlyConfigured(
            f'{setting} names "{name}", which does not exist. '
            f"Use {choice}the dotted path of a class."
        )
    found = _import(path, name, setting)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ImproperlyConfigured(
            f'{setting} names "{name}", which is no subclass of {base.__module__}.{base.__name__}.'
        )
    return found


def load_function(path: str, *, setting: str) -> Callable[..., Any]:
    """Find the function with this dotted path; raises `ImproperlyConfigured`."""
    found = _import(path, path, setting)
    if not callable(found):
        raise ImproperlyConfigured(f'{setting} names "{path}", which is no function.')
    return found  # type: ignore[no-any-return]  # callable() has just said so


def _import(path: str, name: str, setting: str) -> Any:
    try:
        return import_string(path)
    except (ImportError, ValueError, TypeError) as error:  # the latter two: "..name" and the like
        raise ImproperlyConfigured(
            f'{setting} names "{name}", which cannot be imported: {error}'
        ) from error


@cache
def entry_points(group: str) -> Mapping[str, str]:
    """Read the installed packages' entry points once: they do not change while a process runs."""
    return {
        point.name: f"{point.module}.{point.attr}" for point in metadata.entry_points(group=group)
    }
