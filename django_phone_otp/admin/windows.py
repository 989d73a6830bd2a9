"""Windows: what pages have in common that show and do not change. Layer 5.

Phones are masked in them; a search takes a whole number, and its address holds none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from .. import conf
from ..exceptions import InvalidPhone
from ..models import PhoneLedger
from ..phone import parse

if TYPE_CHECKING:
    WindowModelAdmin = admin.ModelAdmin[Any]
else:
    WindowModelAdmin = admin.ModelAdmin

# In the address, the number of a phone's ledger: it says nothing about the phone's digits.
PHONE_PARAMETER = "of"
# In the session, what was searched for in vain: until the next page, which shows it again.
TYPED_KEY = "phone_otp_searched"
MAX_KEPT_LENGTH = 150  # as long as a user name
# What SQLite, PostgreSQL and MariaDB can all hold as a key.
MAX_PK = 2**63 - 1


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


class SearchedByPhone(WindowModelAdmin):
    """Base: rows of a phone are found by its whole number, which is sent in the body.

    SECURITY: what stands in an address is kept by browsers and written to access logs. Without
    `search_fields` Django's autocompletion, which counts all rows and has its term in the address,
    finds nothing here.
    """

    search_help_text = _("A whole phone number, as people write it.")

    def get_urls(self) -> list[URLPattern]:
        """Add where the search form is sent to."""
        page = self.admin_site.admin_view(self.search_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_search"
        return [path("search/", page, name=name), *super().get_urls()]

    @method_decorator(require_POST)
    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Go on to the rows of a phone, by the number of its ledger."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        address = self.address("changelist")
        try:
            phone = parse(str(request.POST.get("phone", "")), conf.read().default_region).e164
        except InvalidPhone as error:
            self.keep_typed(request)
            self.message_user(request, str(error), messages.ERROR)
            return redirect(address)
        ledger = PhoneLedger.objects.filter(phone=phone).values_list("pk", flat=True).first()
        if ledger is None:
            self.keep_typed(request)
            self.message_user(request, _("Nothing is stored about this phone."), messages.WARNING)
            return redirect(address)
        return redirect(f"{address}?{PHONE_PARAMETER}={ledger}")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Have what was searched for in vain stand in the field, to be mended."""
        context = {"typed": request.session.pop(TYPED_KEY, "")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def keep_typed(self, request: HttpRequest) -> None:
        """Keep what was searched for. SECURITY: never in an address."""
        request.session[TYPED_KEY] = str(request.POST.get("phone", ""))[:MAX_KEPT_LENGTH]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for one phone, whole: parts of numbers would undo the masks."""
        return self.search_phone(queryset, search_term), False

    def search_phone(self, queryset: QuerySet[Any], typed: str) -> QuerySet[Any]:
        """Choose the rows of a phone as a person types it; none for what is no phone."""
        if not typed:
            return queryset
        try:
            return self.choose_phone(queryset, parse(typed, conf.read().default_region).e164)
        except InvalidPhone:
            return queryset.none()

    def choose_phone(self, queryset: QuerySet[Any], phone: str) -> QuerySet[Any]:
        """Choose the rows of a phone."""
        return queryset.filter(phone=phone)

    def address(self, name: str, *args: Any) -> str:
        """Give the address of a page of this model, in whatever admin site it is."""
        model = f"{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{self.admin_site.name}:{model}_{name}", args=args)


class PhoneFilter(admin.SimpleListFilter):
    """Filter by the phone that a ledger is of; shown only while it is in use."""

    title = _("phone")
    parameter_name = PHONE_PARAMETER
    ledger: PhoneLedger | None = None

    def lookups(
        self, request: HttpRequest, _model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer the phone that is chosen, masked."""
        pk = self.value() or ""
        # The length first: `int` refuses to read thousands of digits.
        is_number = pk.isascii() and pk.isdigit() and len(pk) <= len(str(MAX_PK))
        if not (is_number and int(pk) <= MAX_PK):
            return []
        self.ledger = PhoneLedger.objects.filter(pk=int(pk)).first()
        return [(pk, str(self.ledger))] if self.ledger else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Choose what belongs to the phone."""
        if self.ledger is None:
            return queryset
        is_of_ledgers = queryset.model is PhoneLedger
        return queryset.filter(**{"pk" if is_of_ledgers else "ledger": self.ledger.pk})


def link_user(pk: Any, site: admin.AdminSite) -> str:
    """Write a link to a user in an admin site, by number; empty for none."""
    if pk is None:
        return ""
    model = get_user_model()._meta
    try:
        name = f"{site.name}:{model.app_label}_{model.model_name}_change"
        url = reverse(name, args=[pk])
    except NoReverseMatch:  # this site keeps its users out of the admin
        return f"#{pk}"
    return format_html('<a href="{}">#{}</a>', url, pk)
