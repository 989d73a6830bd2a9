"""The API, a page for whoever is logged in, and the login page that the documentation shows."""

import os
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from tests.urls import urlpatterns as urlpatterns_of_suite

FOLDER = "PHONE_OTP_CLIENTS_PAGES"


@api_view()
@permission_classes([IsAuthenticated])
def me(request: Request) -> Response:
    return Response({"id": request.user.pk})


@ensure_csrf_cookie
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show a file of the folder that the environment names."""
    kind = "text/html" if name.endswith(".html") else "text/javascript"
    return HttpResponse((Path(os.environ[FOLDER]) / name).read_bytes(), f"{kind}; charset=utf-8")


def home(request: HttpRequest) -> HttpResponse:
    """Stand where the login page leads to."""
    return HttpResponse("<title>Home</title>")


urlpatterns = [
    path("", home),
    *urlpatterns_of_suite,
    path("api/me/", me),
    path("pages/<str:name>", page),
]
