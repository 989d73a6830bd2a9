"""The site that a browser walks through: the login pages, the admin, and one page behind them."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from django_phone_otp.models import UserPhone
from tests.urls import urlpatterns as urlpatterns_of_suite

PAGE = """<!doctype html><html lang="en"><title>{title}</title>
<main><h1>{title}</h1><p>Logged in: {phones}</p></main>"""


def show(request: HttpRequest, title: str) -> HttpResponse:
    """Show a page that says who is looking at it."""
    phones = UserPhone.objects.filter(user_id=request.user.pk or 0).values_list("phone", flat=True)
    return HttpResponse(PAGE.format(title=title, phones=", ".join(phones) or "nobody"))


@login_required
def show_orders(request: HttpRequest) -> HttpResponse:
    """Show what only somebody who is logged in may see."""
    return show(request, "Orders")


urlpatterns = [
    path("", show, {"title": "Home"}),
    path("orders/", show_orders),
    path("account/", include("django_phone_otp.web.urls")),
    *urlpatterns_of_suite,
]
