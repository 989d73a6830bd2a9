"""The pages of the example site, and the one address of its API: what a site writes itself.

They call the flow's functions and say what came out. Whether a phone, a code or a pace is
right is never decided here.
"""

from typing import Final, cast

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_phone_otp.choices import Channel
from django_phone_otp.exceptions import InvalidPhone
from django_phone_otp.flow import Client, Refusal, confirm_code, request_code, resend_code
from django_phone_otp.models import PhoneChallenge, UserPhone

from .forms import CodeForm, PhoneForm

# Where the session remembers which challenge this browser is answering. It holds no code.
CHALLENGE: Final = "challenge"


# SECURITY: under ATOMIC_REQUESTS messages and wrong codes would be counted in a transaction that an
# error later in the request takes back: guesses without end. The flow sees to its own transactions.
@transaction.non_atomic_requests
@never_cache
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Show who is logged in; otherwise ask for a phone and send it a code."""
    if request.user.is_authenticated:
        phones = UserPhone.objects.filter(user=request.user).order_by("pk")
        return render(
            request, "example/home.html", {"phones": phones.values_list("phone", flat=True)}
        )
    form = PhoneForm(request.POST or None)
    if form.is_valid():
        try:
            asked = request_code(
                form.cleaned_data["phone"],
                purpose="login",
                client=Client.from_request(request),
            )
        except InvalidPhone as error:
            form.add_error("phone", str(error))
        else:
            # After a failed delivery the challenge is kept, and may be sent by other means.
            challenge = asked.challenge or asked.kept_challenge
            told = _tell(asked.refusal, asked.retry_after_seconds) if asked.refusal else ""
            if challenge is not None:
                request.session[CHALLENGE] = challenge.public_id
                if told:
                    messages.error(request, told)
                return redirect("code")
            form.add_error(None, told)
    return render(request, "example/log_in.html", {"form": form})


@transaction.non_atomic_requests  # as above
@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("code")
@sensitive_variables("form")
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code, and log in the person who knows it."""
    challenge = PhoneChallenge.objects.filter(public_id=request.session.get(CHALLENGE)).first()
    if challenge is None:
        return redirect("home")
    form = CodeForm(request.POST or None)
    if form.is_valid():
        answer = confirm_code(
            challenge.public_id, form.cleaned_data["code"], client=Client.from_request(request)
        )
        if answer.refusal is Refusal.WRONG_CODE and answer.attempts_left:
            form.add_error("code", _wrong_code(answer.attempts_left))
        elif answer.refusal in (Refusal.TOO_MANY_REQUESTS, Refusal.UNAVAILABLE):
            # The challenge lives on: the same code may be entered again later.
            form.add_error(None, _tell(answer.refusal, answer.retry_after_seconds))
        elif answer.refusal is Refusal.WRONG_CODE:  # and it was the last try
            return _start_again(request, Refusal.LOCKED.message)
        elif answer.refusal is not None:
            return _start_again(request, answer.refusal.message)
        else:
            user = authenticate(request, phone_challenge=answer.challenge)
            if user is None:
                # The phone is proven but nobody may log in with it: an account that is switched
                # off, for one.
                return _start_again(request, _("You cannot log in with this phone."))
            login(request, user)
            request.session.pop(CHALLENGE, None)
            return redirect("home")
    return render(request, "example/code.html", {"form": form, "challenge": challenge})


@transaction.non_atomic_requests  # as above
@require_POST
def send_again(request: HttpRequest) -> HttpResponse:
    """Send another code for the same challenge: as a call, or as a text for those who missed it."""
    public_id = request.session.get(CHALLENGE)
    if public_id is None:
        return redirect("home")
    channel = Channel.SMS if request.POST.get("channel") == Channel.SMS else Channel.FLASH_CALL
    asked = resend_code(public_id, channel=channel, client=Client.from_request(request))
    if asked.refusal is not None:
        messages.error(request, _tell(asked.refusal, asked.retry_after_seconds))
    return redirect("code")


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


def _tell(refusal: Refusal, retry_after_seconds: int | None) -> str:
    """Say a refusal, and how long it lasts where that is known."""
    if not retry_after_seconds:
        return refusal.message
    minutes, seconds = divmod(retry_after_seconds, 60)
    left = _("Time left: %(minutes)d:%(seconds)02d") % {"minutes": minutes, "seconds": seconds}
    return f"{refusal.message} {left}"


def _wrong_code(attempts_left: int) -> str:
    left = ngettext("You have %(count)d more try.", "You have %(count)d more tries.", attempts_left)
    return f"{Refusal.WRONG_CODE.message} {left % {'count': attempts_left}}"


def _start_again(request: HttpRequest, message: str) -> HttpResponse:
    request.session.pop(CHALLENGE, None)
    messages.error(request, message)
    return redirect("home")
