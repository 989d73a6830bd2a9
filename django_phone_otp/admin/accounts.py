"""Provider accounts: set up, tried and switched off without touching code. Layer 5.

The form is made from the provider's own schema of options. Secrets go in and never come out again.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.conf import settings as django_settings
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from .. import conf
from ..events import Event, log_event
from ..exceptions import InvalidPhone
from ..flow import Client, try_account
from ..flow.accounts import list_entries, read_row
from ..flow.breakers import Breaker, close_breaker, read_breakers
from ..flow.inspection import describe, inspect_accounts, needs_preparation
from ..flow.limits import today
from ..flow.refusals import explain
from ..flow.transactions import outside_transactions
from ..models import AccountLedger, ProviderAccount
from ..phone import MAX_TYPED_LENGTH
from ..providers import find_provider_class, list_keys
from ..providers.local import Console, LocMem
from .account_form import make_form

if TYPE_CHECKING:
    AccountModelAdmin = admin.ModelAdmin[ProviderAccount]
else:
    AccountModelAdmin = admin.ModelAdmin

logger = logging.getLogger(__name__)

SEND_TRIAL = "phone_otp.send_trial"
CHECK_SECONDS = 10  # then no further account is asked: a worker of the site waits all the time


class TrialForm(forms.Form):
    """Where the test code goes."""

    phone = forms.CharField(
        label=_("Phone"),
        max_length=MAX_TYPED_LENGTH,
        help_text=_("Your own. The message costs money, and nobody can log in with its code."),
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "class": "vTextField"}),
    )


@admin.register(ProviderAccount)
class ProviderAccountAdmin(AccountModelAdmin):
    """Which providers there are, with which settings, and how they do."""

    list_display = (
        "alias",
        "backend",
        "enabled",
        "state",
        "priority",
        "written_regions",
        "messages_today",
    )
    list_filter = ("enabled",)
    ordering = ("priority", "alias")
    actions = ("check_accounts", "send_trial", "disable_accounts", "enable_accounts")
    change_list_template = "admin/phone_otp/provideraccount/change_list.html"

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow the filter of this page and no other.

        SECURITY: with `sealed_options__startswith` in the address it could be read what no page
        shows.
        """
        return lookup.partition("__")[0] == "enabled"

    # The form

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Keep secrets out of the reports of errors; make no copies, which would hold them too."""
        if "_saveasnew" in request.POST:
            raise PermissionDenied
        return super().changeform_view(request, *args, **kwargs)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for the provider first: the rest of the form follows from it."""
        channels = _list_channels()
        backend = request.GET.get("backend")
        if backend in channels:
            title = _("Add an account of %(provider)s") % {"provider": backend}
            return super().add_view(request, form_url, {"title": title, **(extra_context or {})})
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._render(
            request, "choose.html", title=_("Choose a provider"), choices=channels.items()
        )

    def get_form(
        self,
        request: HttpRequest,
        obj: ProviderAccount | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Make the form from the provider's schema."""
        kwargs["form"] = make_form(self._backend(request, obj), obj)
        return super().get_form(request, obj, change, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take nothing from the address: a link could fill in a server of somebody else's."""
        return {}

    def get_fieldsets(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> list[tuple[Any, Any]]:
        """Show what we do with the account, and what the provider wants to know."""
        known = ["alias", "backend", "state", "messages_today"] if obj else ["alias"]
        if obj and not self.has_change_permission(request, obj):
            options = ["written_options"]
        else:
            options = make_form(self._backend(request, obj), obj).option_names()
        use = ["enabled", "priority", "regions", "daily_limit", "phone_daily_limit"]
        return [
            (None, {"fields": known}),
            (_("Options of the provider"), {"fields": options}),
            (_("Use"), {"fields": use}),
        ]

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> tuple[str, ...]:
        """Keep what other rows know the account by."""
        if obj is None:
            return ()
        return ("alias", "backend", "state", "messages_today", "written_options")

    def _backend(self, request: HttpRequest, obj: ProviderAccount | None) -> str:
        return obj.backend if obj else str(request.GET.get("backend", ""))

    @sensitive_variables("form")
    def save_model(
        self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool
    ) -> None:
        """Seal the options; an account that was changed is given another chance at once."""
        obj.backend = form.backend
        if form.schema is not None:
            obj.options = form.options
        super().save_model(request, obj, form, change)
        transaction.on_commit(lambda: close_breaker(obj.alias), using=obj._state.db)
        _log(request, "change_account" if change else "add_account", obj.alias)

    # What is shown

    @admin.display(description=_("options"))
    def written_options(self, account: ProviderAccount) -> str:
        """List what differs from the defaults; of secrets, that they are there."""
        form = make_form(account.backend, account)
        # SECURITY: what the schema does not know may be a secret that was mistyped.
        shown = {each.name for each in form.schema_fields() if not each.metadata.get("secret")}
        written = (
            f"{name} = {value if name in shown else '•••'}"
            for name, value in sorted(form.stored.items())
        )
        return ", ".join(written) or self.get_empty_value_display()

    @admin.display(description=_("state"))
    def state(self, account: ProviderAccount) -> str:
        """Say whether the account is used, cannot be, or is passed over for a while."""
        entry = read_row(account)
        breaker = read_breakers([account.alias])[account.alias]
        problem = entry.problem
        if entry.enabled and entry.account and needs_preparation(entry.account):
            problem = str(_("choose “Check reachability and balance” first"))
        return describe_state(enabled=entry.enabled, problem=problem, breaker=breaker)

    @admin.display(description=_("regions"))
    def written_regions(self, account: ProviderAccount) -> str:
        """List the regions; a dash for all."""
        regions = account.regions if isinstance(account.regions, list) else [account.regions]
        return ", ".join(map(str, regions)) or self.get_empty_value_display()

    @admin.display(description=_("messages today"))
    def messages_today(self, account: ProviderAccount) -> str:
        """Show what is used of the day's budget, where there is one."""
        if account.daily_limit is None:
            return self.get_empty_value_display()
        ledger = AccountLedger.objects.filter(alias=account.alias).first()
        is_today = ledger is not None and ledger.day == today()
        return f"{ledger.sent_count if ledger and is_today else 0} / {account.daily_limit}"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the accounts of the settings too: they count beside the rows."""
        entries = [each for each in list_entries(conf.read()) if not each.is_row]
        breakers = read_breakers([each.alias for each in entries])
        listed = [
            (
                each,
                describe_state(enabled=True, problem=each.problem, breaker=breakers[each.alias]),
            )
            for each in entries
        ]
        context = {
            "accounts_of_settings": listed,
            "may_send_trial": request.user.has_perm(SEND_TRIAL),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # What is done

    def get_urls(self) -> list[URLPattern]:
        """Add the page for test codes; providers are called outside transactions."""
        page = self.admin_site.admin_view(self.trial_view)
        urls = [path("trial/", page, name="phone_otp_provideraccount_trial"), *super().get_urls()]
        for url in urls:
            if url.name in {
                "phone_otp_provideraccount_trial",
                "phone_otp_provideraccount_changelist",
            }:
                outside_transactions(url.callback)
        return urls

    def has_send_trial_permission(self, request: HttpRequest) -> bool:
        """Say whether somebody may spend money on a test code."""
        return request.user.has_perm(SEND_TRIAL)

    @admin.action(description=_("Check reachability and balance"), permissions=["view"])
    def check_accounts(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Ask the services; whoever may change accounts has made there what has to be made."""
        prepare = self.has_change_permission(request)
        began = monotonic()
        for account in queryset:
            if monotonic() - began > CHECK_SECONDS:
                text = _("%(alias)s: not asked, the others took too long.")
                self.message_user(request, text % {"alias": account.alias}, messages.WARNING)
                continue
            for inspection in inspect_accounts(conf.read(), alias=account.alias, prepare=prepare):
                level = messages.ERROR if inspection.is_broken else messages.SUCCESS
                self.message_user(request, f"{account.alias}: {describe(inspection)}", level)

    @admin.action(description=_("Send a test code"), permissions=["send_trial"])
    def send_trial(
        self, request: HttpRequest, queryset: QuerySet[ProviderAccount]
    ) -> HttpResponse | None:
        """Go to the page that asks for the phone."""
        if len(queryset) != 1:
            self.message_user(request, _("Choose one account."), messages.ERROR)
            return None
        query = urlencode({"account": queryset[0].alias})
        return redirect(f"{self._address('trial')}?{query}")

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable_accounts(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Use them no more, from the next request on."""
        self._switch(request, queryset, enabled=False)

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable_accounts(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Use them again."""
        self._switch(request, queryset, enabled=True)

    def _switch(
        self, request: HttpRequest, queryset: QuerySet[ProviderAccount], *, enabled: bool
    ) -> None:
        switched = list(queryset.exclude(enabled=enabled))
        for account in switched:
            ProviderAccount.primary().filter(pk=account.pk).update(enabled=enabled)
            self.log_change(request, account, [{"changed": {"fields": ["enabled"]}}])
            _log(request, "enable_account" if enabled else "disable_account", account.alias)
        count = len(switched)
        if enabled:
            text = ngettext("%(count)d account enabled.", "%(count)d accounts enabled.", count)
        else:
            text = ngettext("%(count)d account disabled.", "%(count)d accounts disabled.", count)
        self.message_user(request, text % {"count": count})

    def delete_model(self, request: HttpRequest, obj: ProviderAccount) -> None:
        """Delete one, and note it in the log too."""
        super().delete_model(request, obj)
        _log(request, "delete_account", obj.alias)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Delete several, and note each in the log too."""
        aliases = [each.alias for each in queryset]
        super().delete_queryset(request, queryset)
        for alias in aliases:
            _log(request, "delete_account", alias)

    def trial_view(self, request: HttpRequest) -> HttpResponse:
        """Send a test code through one account."""
        if not self.has_send_trial_permission(request):
            raise PermissionDenied
        alias = str(request.GET.get("account", ""))
        if alias not in {each.alias for each in list_entries(conf.read())}:
            self.message_user(request, _("There is no such account."), messages.ERROR)
            return redirect(self._address("changelist"))
        form = TrialForm(request.POST or None)
        if form.is_valid() and self._try(request, alias, form):
            return redirect(request.get_full_path())
        title = _("Send a test code through %(alias)s") % {"alias": alias}
        return self._render(request, "trial.html", title=title, form=form)

    def _try(self, request: HttpRequest, alias: str, form: TrialForm) -> bool:
        """Send it and say what became of it; what is wrong with the phone is said at its field."""
        try:
            asked = try_account(
                alias,
                form.cleaned_data["phone"],
                client=Client.from_request(request),
                user=cast(AbstractBaseUser, request.user),  # `admin_view` lets nobody else in
            )
        except InvalidPhone as error:
            form.add_error("phone", str(error))
            return False
        except ImproperlyConfigured as error:
            form.add_error(None, str(error))
            return False
        tried = [", ".join(filter(None, [str(each), each.detail])) for each in asked.attempts]
        words = "; ".join(tried)
        if asked.challenge:
            hint = asked.challenge.hint
            self.message_user(request, f"{words}. {hint}", messages.SUCCESS)
            return True
        why = explain(asked.refusal, asked.retry_after_seconds) if asked.refusal else ""
        form.add_error(None, " ".join(filter(None, [why, words])))
        return False

    def _address(self, name: str) -> str:
        # The site of a project may have a name of its own.
        return reverse(f"{self.admin_site.name}:phone_otp_provideraccount_{name}")

    def _render(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name  # for {% url %}
        return TemplateResponse(
            request,
            f"admin/phone_otp/provideraccount/{template}",
            {**self.admin_site.each_context(request), "opts": self.opts, **context},
        )


def _log(request: HttpRequest, action: str, alias: str) -> None:
    """Note in the log what an operator has done, once it is committed."""

    def log() -> None:
        operator = request.user.pk
        log_event(logger, Event.OPERATOR_ACTED, action=action, operator=operator, account=alias)

    transaction.on_commit(log, using=ProviderAccount.primary().db, robust=True)


def _list_channels() -> dict[str, str]:
    """Say of each provider how it reaches people; leave out those whose package is broken."""
    # Those that deliver nothing are for development.
    hidden = set() if django_settings.DEBUG else {Console.key, LocMem.key}
    channels = {}
    for key in list_keys():
        if key not in hidden:
            with suppress(Exception):
                channels[key] = str(find_provider_class(key).channel.label)
    return channels


def describe_state(*, enabled: bool, problem: str, breaker: Breaker) -> str:
    """Say in a few words how an account does."""
    now = timezone.now()
    if problem:
        return str(_("cannot be used: %(problem)s") % {"problem": problem})
    if not enabled:
        return str(_("switched off"))
    if breaker.is_open(now) and breaker.open_until:
        until = date_format(timezone.localtime(breaker.open_until), "H:i:s")
        return str(
            _("failing, passed over until %(time)s (%(count)d failures in a row)")
            % {"time": until, "count": breaker.failures_count}
        )
    if breaker.is_half_open(now):
        return str(_("failing, tried again with the next message"))
    if breaker.failures_count:
        return str(_("in use (%(count)d failures in a row)") % {"count": breaker.failures_count})
    return str(_("in use"))
