"""The one page of the example site, and the one address of its API. The login is the app's."""

from typing import cast

from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_phone_otp.models import UserPhone
from django_phone_otp.web import PhoneLoginForm


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show who is logged in; to everybody else the app's form, on a page of the site's own."""
    if not request.user.is_authenticated:
        return render(request, "example/welcome.html", {"form": PhoneLoginForm()})
    phones = UserPhone.objects.filter(user=request.user).order_by("pk")
    return render(request, "example/home.html", {"phones": phones.values_list("phone", flat=True)})


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("home")


class Me(APIView):
    """Say who the token of this request belongs to."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        """Answer with the user and their phone."""
        user = cast(User, request.user)  # IsAuthenticated lets nobody else in
        phones = UserPhone.objects.filter(user=user).order_by("pk")
        return Response(
            {
                "id": user.pk,
                "phone": phones.values_list("phone", flat=True).first(),
                "username": user.get_username(),
            }
        )
