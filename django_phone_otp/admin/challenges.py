"""Challenges with their deliveries and answers: read-only, phones masked. Layer 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from .. import conf
from ..choices import Guard, State
from ..exceptions import InvalidPhone
from ..flow.accounts import list_providers
from ..models import ConfirmAttempt, DeliveryAttempt, GuardObjection, PhoneChallenge
from ..models.challenge import PhoneChallengeQuerySet
from ..phone import parse

# Django's classes take their type arguments from the stubs only.
if TYPE_CHECKING:
    ChallengeModelAdmin = admin.ModelAdmin[PhoneChallenge]
    DeliveryTabularInline = admin.TabularInline[DeliveryAttempt, PhoneChallenge]
    ConfirmTabularInline = admin.TabularInline[ConfirmAttempt, PhoneChallenge]
    ObjectionTabularInline = admin.TabularInline[GuardObjection, PhoneChallenge]
else:
    ChallengeModelAdmin = admin.ModelAdmin
    DeliveryTabularInline = ConfirmTabularInline = ObjectionTabularInline = admin.TabularInline


class ReadOnlyAdmin:
    """Mixin: nothing can be added, changed or deleted, whatever permissions somebody has."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Nobody writes history by hand."""
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        """Nobody rewrites it."""
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        """Nobody removes it but the purge."""
        return False


class ObjectionInline(ReadOnlyAdmin, ObjectionTabularInline):
    """What guards had against a message, oldest first."""

    model = GuardObjection
    ordering = ("pk",)
    fields = ("created_at", "guard", "blocked", "detail")
    readonly_fields = fields


class DeliveryInline(ReadOnlyAdmin, DeliveryTabularInline):
    """The tries to deliver, oldest first."""

    model = DeliveryAttempt
    ordering = ("pk",)
    fields = (
        "created_at",
        "account",
        "provider",
        "channel",
        "outcome",
        "detail",
        "provider_ref",
        "cost",
        "currency",
        "duration_ms",
    )
    readonly_fields = fields


class ConfirmInline(ReadOnlyAdmin, ConfirmTabularInline):
    """The codes entered, oldest first."""

    model = ConfirmAttempt
    ordering = ("pk",)
    fields = ("created_at", "verdict", "ip", "user_agent")
    readonly_fields = fields

    @admin.display(description=_("outcome"))
    def verdict(self, attempt: ConfirmAttempt) -> str:
        """Say in a word what became of the code."""
        return str(attempt)


class StateFilter(admin.SimpleListFilter):
    """Filter by the state that a person would be told."""

    title = _("state")
    parameter_name = "state"

    def lookups(
        self, _request: HttpRequest, _model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        """Offer all states."""
        return State.listed()

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[PhoneChallenge]
    ) -> QuerySet[PhoneChallenge]:
        """Choose by the state as it is now."""
        if self.value() not in State.values or not isinstance(queryset, PhoneChallengeQuerySet):
            return queryset
        return queryset.in_state(str(self.value()), timezone.now())


class ProviderFilter(admin.SimpleListFilter):
    """Filter by the provider of the last delivery."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(
        self, _request: HttpRequest, _model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer those that can be used: asking for those that were would read the whole table."""
        return [(key, key) for key in list_providers(conf.read())]

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[PhoneChallenge]
    ) -> QuerySet[PhoneChallenge]:
        """Choose by key."""
        is_offered = self.value() in dict(self.lookup_choices)
        return queryset.filter(provider=self.value()) if is_offered else queryset


class GuardFilter(admin.SimpleListFilter):
    """Filter by a guard that objected, heeded or in shadow."""

    title = _("guard")
    parameter_name = "guard"

    def lookups(
        self, _request: HttpRequest, _model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        """Offer all guards."""
        return Guard.listed()

    def queryset(
        self, _request: HttpRequest, queryset: QuerySet[PhoneChallenge]
    ) -> QuerySet[PhoneChallenge]:
        """Choose those with an objection of this guard."""
        if self.value() not in Guard.values:
            return queryset
        objections = GuardObjection.objects.filter(guard=self.value())
        return queryset.filter(pk__in=objections.values("challenge"))


# What the filters of the list send: our own, which read nothing but the words that they offer, and
# Django's.
OUR_LOOKUPS = {each.parameter_name for each in (StateFilter, ProviderFilter, GuardFilter)}
DJANGO_LOOKUPS = {
    "channel__exact",
    "purpose__exact",
    "created_at__gte",
    "created_at__lt",
    "created_at__isnull",
}


@admin.register(PhoneChallenge)
class PhoneChallengeAdmin(ReadOnlyAdmin, ChallengeModelAdmin):
    """Who asked for a code, how it went out, how it was answered."""

    list_display = (
        "created_at",
        "masked_phone",
        "purpose",
        "present_state",
        "channel",
        "account",
        "attempts_left",
        "ip",
    )
    list_display_links = ("created_at", "masked_phone")
    list_filter = (StateFilter, "channel", ProviderFilter, GuardFilter, "purpose", "created_at")
    ordering = ("-created_at",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("phone",)
    search_help_text = _("A whole phone number, as people write it.")
    inlines = (ObjectionInline, DeliveryInline, ConfirmInline)
    fieldsets = (
        (None, {"fields": ("masked_phone", "region", "purpose", "owner", "present_state")}),
        (
            _("Delivery"),
            {
                "fields": (
                    "channel",
                    "account",
                    "provider",
                    "provider_ref",
                    "custody",
                    "code_length",
                )
            },
        ),
        (_("Client"), {"fields": ("ip", "user_agent", "is_known_device")}),
        (
            _("Times"),
            {
                "fields": (
                    "created_at",
                    "sent_at",
                    "expires_at",
                    "verified_at",
                    "spent_at",
                    "attempts_left",
                )
            },
        ),
    )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow what the filters of this page send, and nothing else.

        SECURITY: with `phone__startswith` in the address a phone could be read digit by digit, and
        with `public_id__startswith` a live challenge.
        """
        return lookup in OUR_LOOKUPS or (lookup in DJANGO_LOOKUPS and "\0" not in str(value))

    @admin.display(description=_("known device"), boolean=True)
    def is_known_device(self, challenge: PhoneChallenge) -> bool:
        """Say whether the client had logged in with this phone before."""
        return challenge.device_id is not None

    @admin.display(description=_("user"))
    def owner(self, challenge: PhoneChallenge) -> str:
        """Point to the user without a name: it may be the phone."""
        return link_user(challenge.user_id) or self.get_empty_value_display()

    # SECURITY: none of these can be sorted by: an order tells digits too.
    @admin.display(description=_("phone"))
    def masked_phone(self, challenge: PhoneChallenge) -> str:
        """Show the phone as a stranger may see it."""
        return challenge.masked_phone

    @admin.display(description=_("state"), ordering="state")
    def present_state(self, challenge: PhoneChallenge) -> str:
        """Show the state as it is now."""
        return str(challenge.state_at(timezone.now()).label)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[PhoneChallenge], search_term: str
    ) -> tuple[QuerySet[PhoneChallenge], bool]:
        """Search for one phone, whole: parts of numbers would undo the masks."""
        return search_phone(queryset, search_term), False


def link_user(pk: Any) -> str:
    """Write a link to a user, by number; empty for none."""
    if pk is None:
        return ""
    model = get_user_model()._meta
    try:
        url = reverse(f"admin:{model.app_label}_{model.model_name}_change", args=[pk])
    except NoReverseMatch:  # this site keeps its users out of the admin
        return f"#{pk}"
    return format_html('<a href="{}">#{}</a>', url, pk)


def search_phone(queryset: QuerySet[Any], typed: str) -> QuerySet[Any]:
    """Choose the rows of a phone as a person types it; none for what is no phone."""
    if not typed:
        return queryset
    try:
        return queryset.filter(phone=parse(typed, conf.read().default_region).e164)
    except InvalidPhone:
        return queryset.none()
