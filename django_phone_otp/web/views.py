"""The login pages: the phone, the code, one more message; and whether a call came in. Layer 5.

Shape in, the flow's outcome out, no policy.
"""

from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..choices import Refusal, State
from ..devices import COOKIE_NAME
from ..door import STATUS, keep_device, log_in, tell_refused
from ..exceptions import ChannelNotOffered, CodeRequired, InvalidPhone
from ..flow import (
    Answer,
    Asked,
    Client,
    confirm_code,
    find_challenge,
    give_device,
    look_at_challenge,
    request_code,
    resend_code,
    seconds_until_resend,
)
from ..flow.refusals import explain
from ..flow.ways import find_ways
from ..issuers.session import SessionIssuer
from ..models import PhoneChallenge
from .captcha import find_widget, is_shown_always, read_token
from .forms import CodeForm, PhoneLoginForm, ResendForm
from .memory import forget, recall, remember
from .pages import MAX_NEXT_LENGTH, Page
from .words import write_mark, write_wrong_code

# After these there is no answer to the challenge any more.
_ENDING = frozenset(
    {
        Refusal.EXPIRED,
        Refusal.CHALLENGE_CLOSED,
        Refusal.UNKNOWN_CHALLENGE,
        Refusal.LOCKED,
    }
)


class PhoneLoginView(Page):
    """The first page: ask for the phone."""

    form_class = PhoneLoginForm
    template_name = "phone_otp/login.html"
    redirect_authenticated_user = False

    def turn_away(self) -> HttpResponseBase | None:
        """Send away who is logged in, where the site wants that; never back to this page."""
        if not (self.redirect_authenticated_user and self.request.user.is_authenticated):
            return None
        url = self.get_success_url()
        return None if url.partition("?")[0] == self.request.path else HttpResponseRedirect(url)

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Give the address in `next`, if it is safe."""
        url = super(Page, self).get_redirect_url()
        return url if len(url) <= MAX_NEXT_LENGTH else ""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the form."""
        return self.show_form(self.make_form())

    @sensitive_variables("token")
    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for a code, and go on to the second page."""
        form = self.make_form(request.POST)
        if not form.is_valid():
            return self.show_form(form, status=400)
        token = read_token(request)
        try:
            asked = request_code(
                form.cleaned_data["phone"],
                client=Client.from_request(request),
                captcha_token=token,
                device=request.COOKIES.get(COOKIE_NAME, ""),
            )
        except InvalidPhone as error:
            form.add_error("phone", str(error))
            return self.show_form(form, status=400)
        challenge = asked.challenge or asked.kept_challenge
        if challenge is None:
            return self.refuse(form, asked, has_token=bool(token))
        remember(request, challenge, self.get_redirect_url())
        # Of a failed delivery the second page tells: Django keeps no session with a 503.
        return redirect("phone_otp_web:code")

    def make_form(self, data: Any = None) -> PhoneLoginForm:
        """Make the form for the phone."""
        form = self.form_class(data)
        form.fields["phone"].widget.attrs["autofocus"] = True
        return form

    def refuse(self, form: PhoneLoginForm, asked: Asked, *, has_token: bool) -> HttpResponse:
        """Say why there is no code: at the phone what is about it, the rest above."""
        refusal = asked.refusal or Refusal.UNAVAILABLE
        field = "phone" if refusal is Refusal.PHONE_NOT_ALLOWED else None
        form.add_error(field, explain(refusal, asked.retry_after_seconds))
        return self.show_form(
            form,
            status=STATUS[refusal],
            retry_after_seconds=asked.retry_after_seconds,
            # A token is used up by asking, whatever came of it.
            shows_captcha=has_token or refusal is Refusal.CAPTCHA_REQUIRED,
            kept=self.find_kept() if refusal is Refusal.RESEND_TOO_SOON else None,
        )

    def find_kept(self) -> PhoneChallenge | None:
        """Find the challenge that this browser may still answer."""
        found = find_challenge(recall(self.request).public_id)
        is_open = found and found.state_at(timezone.now()) in (State.SENDING, State.SENT)
        return found if is_open else None

    def show_form(
        self,
        form: PhoneLoginForm,
        *,
        status: int = 200,
        retry_after_seconds: int | None = None,
        shows_captcha: bool = False,
        kept: PhoneChallenge | None = None,
    ) -> HttpResponse:
        """Show the page; `kept` is a challenge whose code may have arrived."""
        settings = conf.read()
        has_captcha = shows_captcha or is_shown_always(settings)
        return self.show(
            self.template_name,
            status=status,
            retry_after_seconds=retry_after_seconds,
            form=form,
            captcha=find_widget(settings) if has_captcha else None,
            kept_phone=kept.masked_phone if kept else "",
            next_name=self.redirect_field_name,
            next_url=self.get_redirect_url(),
        )


class ChallengePage(Page):
    """A page about the challenge that this browser has started."""

    def turn_away(self) -> HttpResponseBase | None:
        """Send back to the first page who has not asked for a code."""
        return None if recall(self.request).public_id else redirect("phone_otp_web:login")


class CodeView(ChallengePage):
    """The second page: ask for the code, or wait for the call; log in."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Show how to answer; where a call was awaited and came in, log in."""
        public_id = recall(request).public_id
        challenge = look_at_challenge(public_id, client=Client.from_request(request))
        if challenge is None:
            return self.show_over(Refusal.UNKNOWN_CHALLENGE, is_answer=False)
        if challenge.awaits_call and challenge.state == State.VERIFIED and not challenge.spent_at:
            return self.answer(challenge, "")
        is_sent = "sent" in request.GET and not challenge.awaits_call
        notice = _("Another code is on its way.") if is_sent else ""
        return self.show_challenge(challenge, notice=notice)

    @sensitive_variables("code", "form")
    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the code that was entered, or with the call that was made."""
        public_id = recall(request).public_id
        challenge = find_challenge(public_id)
        if challenge is None:
            return self.show_over(Refusal.UNKNOWN_CHALLENGE)
        has_code = bool(request.POST.get("code", "").strip())
        if challenge.awaits_call and not (has_code and challenge.has_earlier_code(timezone.now())):
            return self.answer(challenge, "")
        form = self.make_code_form(challenge, find_ways(challenge), request.POST)
        if not form.is_valid():
            return self.show_challenge(challenge, form=form, status=400)
        return self.answer(challenge, form.cleaned_data["code"], form)

    @sensitive_variables("code", "form")
    def answer(
        self, challenge: PhoneChallenge, code: str, form: CodeForm | None = None
    ) -> HttpResponseBase:
        """Answer the challenge, and log in if that was right."""
        request = self.request
        try:
            answer = confirm_code(challenge.public_id, code, client=Client.from_request(request))
        except CodeRequired:  # a code is awaited since, in the place of the call
            return redirect("phone_otp_web:code")
        if answer.challenge is None:
            if answer.refusal is not Refusal.CALL_AWAITED:
                tell_refused(request)
            return self.refuse(challenge, answer, form)
        # A login in the place of another user's empties the session.
        next_url = self.get_redirect_url()
        login = log_in(request, answer.challenge, SessionIssuer())
        forget(request)
        if isinstance(login, Refusal):
            return self.show_over(login, next_url=next_url)
        response = HttpResponseRedirect(next_url or self.get_default_redirect_url())
        keep_device(request, response, give_device(answer.challenge))
        return response

    @sensitive_variables("form")
    def refuse(
        self, challenge: PhoneChallenge, answer: Answer, form: CodeForm | None
    ) -> HttpResponse:
        """Say why nobody was logged in, and what to do next."""
        refusal = answer.refusal or Refusal.UNAVAILABLE
        seconds = answer.retry_after_seconds
        if refusal is Refusal.WRONG_CODE:
            challenge = find_challenge(challenge.public_id) or challenge
            if not answer.attempts_left:
                wait = max(1, seconds_until_resend(challenge))
                return self.show_over(Refusal.LOCKED, wait)
            if form:
                form.add_error("code", write_wrong_code(answer.attempts_left))
            return self.show_challenge(challenge, form=form, status=STATUS[refusal])
        is_too_late = (seconds or 0) >= challenge.seconds_left(timezone.now())
        if refusal in _ENDING or (refusal is Refusal.TOO_MANY_REQUESTS and is_too_late):
            return self.show_over(refusal, seconds)
        return self.show_challenge(
            challenge, form=form, refusal=refusal, retry_after_seconds=seconds
        )


class ResendView(ChallengePage):
    """Ask for one more message. Has no page of its own: that of the code is shown."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """Show the page of the code to whoever loads the address of a refusal anew: 405."""
        challenge = find_challenge(recall(request).public_id)
        if challenge is None:
            return self.show_over(Refusal.UNKNOWN_CHALLENGE)
        response = self.show_challenge(challenge, status=405)
        response.headers["Allow"] = "POST, OPTIONS"
        return response

    @sensitive_variables("token")
    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Send once more, and show the page of the code."""
        public_id = recall(request).public_id
        form = ResendForm(request.POST)
        if not form.is_valid():
            return self.refuse_channel(str(form.errors["channel"][0]))
        token = read_token(request)
        try:
            asked = resend_code(
                public_id,
                channel=form.cleaned_data["channel"] or None,
                client=Client.from_request(request),
                captcha_token=token,
            )
        except ChannelNotOffered as error:
            return self.refuse_channel(str(error))
        if asked.refusal is None:
            return HttpResponseRedirect(f"{reverse('phone_otp_web:code')}?sent")
        challenge = find_challenge(public_id)
        if challenge is None or asked.refusal in _ENDING:
            return self.show_over(asked.refusal, asked.retry_after_seconds)
        return self.show_challenge(
            challenge, refusal=asked.refusal, retry_after_seconds=asked.retry_after_seconds
        )

    def refuse_channel(self, message: str) -> HttpResponse:
        """Say that no message goes this way."""
        challenge = find_challenge(recall(self.request).public_id)
        if challenge is None:
            return self.show_over(Refusal.UNKNOWN_CHALLENGE)
        return self.show_challenge(challenge, notice=message, status=400)


class StatusView(Page):
    """How the message, or the call that is awaited, stands, for the scripts of the pages."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """Tell the state of this browser's challenge, what its page is about, and nothing else."""
        public_id = recall(request).public_id
        client = Client.from_request(request)
        challenge = look_at_challenge(public_id, client=client) if public_id else None
        if challenge is None:
            return JsonResponse({"state": None}, status=404)
        state = challenge.state_at(timezone.now())
        return JsonResponse({"state": state, "page": write_mark(challenge)})
