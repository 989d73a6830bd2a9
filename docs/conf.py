"""How Sphinx builds these pages. It needs no Django: nothing of the package is imported."""

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "django_phone_otp"
_VERSION = re.search(r'^__version__ = "([^"]+)"$', (_PACKAGE / "__init__.py").read_text(), re.M)
if _VERSION is None:
    raise RuntimeError("django_phone_otp/__init__.py names no version")

project = "django-phone-otp"
author = "The django-phone-otp authors"
copyright = "The django-phone-otp authors"
version = release = _VERSION[1]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"{project} {release}"
html_show_sourcelink = False
pygments_style = "default"
pygments_dark_style = "github-dark"
