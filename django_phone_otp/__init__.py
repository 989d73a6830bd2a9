"""Log in by phone: one flow, many doors, thin providers.

The public names live in `flow` (ask for a code, answer with it), `backends`, `signals`, `models`
and `testing`. Nothing is imported here, so that the package can be named before Django is set up.
"""

__version__ = "0.1.0"
