"""A small site that logs people in by phone, and a local stand-in for the provider.

Nothing here is part of the installed package: it shows how a site uses it. Start with
`python -m example_project.demo`.
"""

import os

if os.environ.get("EXAMPLE_DISPATCH") == "celery":
    # As Celery's guide has it: the app is there before a message is to be sent.
    from .celery import app as celery_app

    __all__ = ("celery_app",)
