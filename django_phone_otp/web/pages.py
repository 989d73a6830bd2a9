"""What the login pages have in common: their headers, and the page of a challenge. Layer 5."""

import logging
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View

from .. import conf
from ..choices import Channel, Custody, Refusal, State
from ..door import STATUS, leave_broken_session
from ..events import Event, log_event
from ..flow import seconds_until_resend
from ..flow.refusals import explain
from ..flow.transactions import outside_transactions
from ..flow.ways import Ways, find_ways
from ..models import PhoneChallenge
from ..phone import write_spaced
from .captcha import find_widget
from .forms import CodeForm
from .memory import recall
from .words import (
    ENDS,
    write_choices,
    write_expiry,
    write_heading,
    write_mark,
    write_resend_wait,
)

logger = logging.getLogger(__name__)

MAX_NEXT_LENGTH = 2_000  # characters; longer addresses break elsewhere


# Where Django's `LoginRequiredMiddleware` asks for a login everywhere, it would ask for one here.
# SECURITY: whatever is posted here is a phone, a code or a token of a captcha.
@method_decorator(
    [login_not_required, sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch"
)
class Page(RedirectURLMixin, TemplateResponseMixin, ContextMixin, View):
    """A login page. What a site may replace are class attributes, as in Django's `LoginView`.

    `next_page` is where a login goes without a `next`, `LOGIN_REDIRECT_URL` where it is None.
    """

    code_form_class = CodeForm
    code_template_name = "phone_otp/code.html"
    call_template_name = "phone_otp/call.html"
    over_template_name = "phone_otp/over.html"

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Make the view, outside `ATOMIC_REQUESTS`."""
        return outside_transactions(super().as_view(**initkwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer; where nothing but a refusal can be said, say it."""
        if not is_text(request):
            raise BadRequest
        leave_broken_session(request)
        response: HttpResponseBase
        try:
            response = self.turn_away() or super().dispatch(request, *args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            log_event(logger, Event.DATABASE_UNAVAILABLE, error=type(error).__name__)
            # The session may be out of reach as well.
            response = self.show_over(Refusal.UNAVAILABLE, next_url="")
        except PhoneChallenge.DoesNotExist:  # erased while it was answered
            response = self.show_over(Refusal.UNKNOWN_CHALLENGE)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def turn_away(self) -> HttpResponseBase | None:
        """Give the answer to who has no business on this page, None for everybody else."""
        return None

    def get_default_redirect_url(self) -> str:
        """Give the address to go to where nobody asked for another."""
        return resolve_url(self.next_page or django_settings.LOGIN_REDIRECT_URL)

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Give the address that was asked for on the first page, if it is safe.

        SECURITY: it is looked at again. A session may be shared by sites of several names.
        """
        next_url = recall(self.request).next_url
        is_safe = url_has_allowed_host_and_scheme(
            next_url,
            allowed_hosts=self.get_success_url_allowed_hosts(),
            require_https=self.request.is_secure(),
        )
        return next_url if is_safe else ""

    def get_login_url(self, next_url: str | None = None) -> str:
        """Give the address of the first page, from which a login goes where this one would."""
        url = reverse("phone_otp_web:login")
        next_url = self.get_redirect_url() if next_url is None else next_url
        return f"{url}?{urlencode({self.redirect_field_name: next_url})}" if next_url else url

    def show(
        self,
        template_name: str,
        *,
        status: int = 200,
        retry_after_seconds: int | None = None,
        **context: Any,
    ) -> HttpResponse:
        """Show a page; with 429 the header says when to come back."""
        response: HttpResponse = self.response_class(
            request=self.request,
            template=[template_name],
            context=self.get_context_data(**context),
            status=status,
            using=self.template_engine,
        )
        if status == 429:
            response.headers["Retry-After"] = str(max(1, retry_after_seconds or 0))
        return response

    def show_over(
        self,
        refusal: Refusal,
        retry_after_seconds: int | None = None,
        *,
        next_url: str | None = None,
        is_answer: bool = True,
    ) -> HttpResponse:
        """Show the page on which a challenge ends, and what to do next.

        With `is_answer` the status is the refusal's; else somebody merely looked.
        """
        return self.show(
            self.over_template_name,
            status=STATUS[refusal] if is_answer else 200,
            retry_after_seconds=retry_after_seconds,
            refusal=refusal,
            heading=write_heading(refusal),
            message=explain(refusal, retry_after_seconds),
            login_url=self.get_login_url(next_url),
        )

    def show_challenge(
        self,
        challenge: PhoneChallenge,
        *,
        form: CodeForm | None = None,
        refusal: Refusal | None = None,
        retry_after_seconds: int | None = None,
        notice: str = "",
        status: int = 200,
    ) -> HttpResponse:
        """Show the page of a challenge: how to answer it, and how to ask once more."""
        now = timezone.now()
        state = challenge.state_at(now)
        wait = seconds_until_resend(challenge)
        is_proven = challenge.awaits_call and state == State.VERIFIED and not challenge.spent_at
        if state in ENDS and not is_proven:
            seconds = max(1, wait) if state == State.LOCKED else None
            return self.show_over(
                ENDS[state], seconds, is_answer=status != 200 or refusal is not None
            )
        ways = find_ways(challenge)
        if refusal is not None:
            status = STATUS[refusal]
            # The wait for a message stands beside the buttons.
            said_above = retry_after_seconds if retry_after_seconds != wait else None
            notice = explain(refusal, said_above)
        elif state == State.FAILED:
            status = STATUS[Refusal.DELIVERY_FAILED]
            notice = notice or Refusal.DELIVERY_FAILED.message
        is_sending = state == State.SENDING and conf.read().dispatch != "inline"
        # A worker is about to be told the number to call, unless another account sends a code.
        awaits_number = challenge.custody == Custody.PRESENCE and is_sending
        is_call = challenge.awaits_call or awaits_number
        takes_code = challenge.has_earlier_code(now) if is_call else state != State.FAILED
        if form is None and takes_code:
            form = self.make_code_form(challenge, ways)
        is_suspected = refusal in (Refusal.CAPTCHA_REQUIRED, Refusal.CAPTCHA_FAILED)
        expiry = write_expiry(challenge.seconds_left(now), is_call=challenge.awaits_call)
        return self.show(
            self.call_template_name if is_call else self.code_template_name,
            status=status,
            retry_after_seconds=retry_after_seconds,
            challenge=challenge,
            phone=challenge.masked_phone,
            hint="" if state == State.FAILED else challenge.hint,
            form=form,
            notice=notice,
            expiry=expiry,
            is_bad=status >= 400,
            is_sending=is_sending,
            mark=write_mark(challenge),
            is_waiting=is_call and not is_proven,
            looks_again=refusal in (None, Refusal.CALL_AWAITED),
            call_to=write_spaced(challenge.call_to) if challenge.call_to else "",
            hears_texts=challenge.channel == Channel.SMS,
            choices=() if is_proven else write_choices(ways.channels, challenge.channel),
            resend_in=wait,
            resend_wait=write_resend_wait(wait),
            captcha=find_widget(conf.read()) if is_suspected else None,
            login_url=self.get_login_url(),
        )

    def make_code_form(self, challenge: PhoneChallenge, ways: Ways, data: Any = None) -> CodeForm:
        """Make the form for the code of a challenge."""
        form = self.code_form_class(
            data,
            channel=Channel(challenge.channel),
            length=challenge.code_length,
            lengths=ways.code_lengths,
            alphabet=ways.alphabet,
        )
        if not challenge.awaits_call:
            form.fields["code"].widget.attrs["autofocus"] = True
        return form


def is_text(request: HttpRequest) -> bool:
    """Say whether what was posted can be shown and stored: a body names an encoding of its own.

    With `unicode_escape` it may hold halves of characters, which no page and no database takes.
    """
    try:
        for name, words in request.POST.lists():
            "".join([name, *words]).encode()
    except UnicodeEncodeError:
        return False
    return True
