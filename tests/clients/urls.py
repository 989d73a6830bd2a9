"""The API, and the login page that the documentation shows, with the addresses that it shows."""

import os
import runpy
from pathlib import Path

from django.contrib.staticfiles.views import serve
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.urls import urlpatterns as urlpatterns_of_suite

from .pages import SITE


def home(request: HttpRequest) -> HttpResponse:
    """Stand where the login page leads to."""
    return HttpResponse("<title>Home</title>")


urlpatterns = [
    path("", home),
    *urlpatterns_of_suite,
    # As `runserver` does it.
    path("static/<path:path>", serve, {"insecure": True}),
]
runpy.run_path(str(Path(os.environ[SITE], "urls.py")), {"urlpatterns": urlpatterns})
