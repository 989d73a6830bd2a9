"""A site with the login pages."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from tests.urls import urlpatterns as urlpatterns_of_suite


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


urlpatterns = [
    path("", home, name="home"),
    path("account/", include("django_phone_otp.web.urls")),
    *urlpatterns_of_suite,
]
