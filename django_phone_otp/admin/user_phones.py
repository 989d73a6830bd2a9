"""Users' phones: added and removed by operators, never shown whole. Layer 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models import QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from .. import conf
from ..choices import Refusal
from ..exceptions import InvalidPhone
from ..models import UserPhone
from ..phone import MAX_TYPED_LENGTH, parse
from .paging import UncountedChangeList
from .windows import MAX_PK, PHONE_PARAMETER, SearchedByPhone, link_user

if TYPE_CHECKING:
    PhoneModelForm = forms.ModelForm[UserPhone]
else:
    PhoneModelForm = forms.ModelForm

# As many phones of one user as a search goes on to.
MAX_FOUND = 20
SHOWN = ("owner", "masked_phone", "is_primary", "verified_at")


class UserPhoneList(UncountedChangeList):
    """All users' phones, the newest first."""

    indexed_ordering = ("pk",)


class FoundFilter(admin.SimpleListFilter):
    """Filter by what a search has found, by the numbers of the rows; shown only while in use."""

    title = _("phone")
    parameter_name = PHONE_PARAMETER
    pks: tuple[int, ...] = ()

    def lookups(
        self, _request: HttpRequest, _model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Offer the phones that are chosen, masked."""
        words = (self.value() or "").split(",", MAX_FOUND)[:MAX_FOUND]
        # The length first: `int` refuses to read thousands of digits.
        short = [each for each in words if len(each) < len(str(MAX_PK))]
        pks = [int(each) for each in short if each.isascii() and each.isdigit()]
        found = list(UserPhone.objects.filter(pk__in=pks).order_by("pk"))
        self.pks = tuple(each.pk for each in found)
        return [(str(self.value()), ", ".join(map(str, found)))] if found else []

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Choose what was found."""
        return queryset.filter(pk__in=self.pks) if self.pks else queryset


class UserPhoneForm(PhoneModelForm):
    """Takes a phone as a person types it and keeps it in E.164."""

    phone = forms.CharField(label=_("Phone"), max_length=MAX_TYPED_LENGTH)

    class Meta:
        model = UserPhone
        fields = ("user", "phone")

    # Set by the admin: who is filling in the form.
    operator: Any = None

    def clean_user(self) -> Any:
        """Leave superusers to superusers: whoever gives a user a phone can log in as that user."""
        user = self.cleaned_data["user"]
        if getattr(user, "is_superuser", False) and not self.operator.is_superuser:
            raise ValidationError(_("Only a superuser may give a superuser a phone."))
        return user

    def clean_phone(self) -> str:
        """Normalise the number."""
        try:
            phone = parse(self.cleaned_data["phone"], conf.read().default_region)
        except InvalidPhone as error:
            raise ValidationError(str(error)) from None
        if not phone.is_callable:
            raise ValidationError(Refusal.PHONE_NOT_ALLOWED.message)
        return phone.e164


@admin.register(UserPhone)
class UserPhoneAdmin(SearchedByPhone):
    """Which phone logs in whom. To change a phone, remove it and add the new one."""

    form = UserPhoneForm
    list_display = ("masked_phone", "owner", "is_primary", "verified_at")
    list_filter = (FoundFilter,)
    sortable_by = ()
    ordering = ("-pk",)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/phone_otp/userphone/change_list.html"
    raw_id_fields = ("user",)
    search_help_text = _("A whole phone number, or a whole user name.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Give the list that counts nothing."""
        return UserPhoneList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tell the page where the search form is sent to."""
        context = {"search_url": self.address("search")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @method_decorator(require_POST)
    def search_view(self, request: HttpRequest) -> HttpResponse:
        """Go on to what was found, by the numbers of its rows."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        address, typed = self.address("changelist"), str(request.POST.get("phone", "")).strip()
        found, _is_double = self.get_search_results(request, self.get_queryset(request), typed)
        pks = list(found.order_by("pk").values_list("pk", flat=True)[:MAX_FOUND]) if typed else []
        if not pks:
            self.keep_typed(request)
            self.message_user(request, _("Nobody has this phone, or this name."), messages.WARNING)
            return redirect(address)
        return redirect(f"{address}?{PHONE_PARAMETER}={','.join(map(str, pks))}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read with each phone which one of its user is the primary one."""
        first = UserPhone.of_user(models.OuterRef("user")).values("pk")[:1]
        rows: QuerySet[Any] = super().get_queryset(request).annotate(primary_pk=Subquery(first))
        return rows

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Tell the form who is filling it in."""
        form: Any = super().get_form(request, *args, **kwargs)
        form.operator = request.user
        return form

    def get_fields(self, _request: HttpRequest, obj: UserPhone | None = None) -> tuple[str, ...]:
        """Ask for the phone once; afterwards show it masked."""
        return SHOWN if obj else ("user", "phone")

    def get_readonly_fields(
        self, _request: HttpRequest, obj: UserPhone | None = None
    ) -> tuple[str, ...]:
        """Keep a phone and its proof as they are."""
        return SHOWN if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: UserPhone | None = None) -> bool:
        """Leave superusers to superusers: without a phone their next login is somebody else."""
        is_theirs = obj is not None and getattr(obj.user, "is_superuser", False)
        is_allowed = getattr(request.user, "is_superuser", False) or not is_theirs
        return is_allowed and super().has_delete_permission(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UserPhone]) -> None:
        """Delete those that the operator may delete one by one; the others stay."""
        may = [each.pk for each in queryset if self.has_delete_permission(request, each)]
        super().delete_queryset(request, queryset.filter(pk__in=may))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow no filter in the address but ours: `phone__startswith` would undo the masks."""
        return lookup == PHONE_PARAMETER

    @admin.display(description=_("user"))
    def owner(self, owned: UserPhone) -> str:
        """Point to the user without a name: it may be the phone."""
        return link_user(owned.user_id, self.admin_site) or self.get_empty_value_display()

    @admin.display(description=_("primary"), boolean=True)
    def is_primary(self, owned: Any) -> bool:
        """Say whether it is the one that the site writes to, of all that the user has."""
        return bool(owned.primary_pk == owned.pk)

    @admin.display(description=_("phone"))
    def masked_phone(self, owned: UserPhone) -> str:
        """Show the phone as a stranger may see it."""
        return str(owned)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UserPhone], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for one phone, whole, or for the phones of one user."""
        if not search_term:
            return queryset, False
        if not search_term.isprintable():  # PostgreSQL takes no NUL
            return queryset.none(), False
        users = get_user_model()._default_manager.filter(
            **{get_user_model().USERNAME_FIELD: search_term}
        )
        # The keys, and not a join: with it the database would read all phones and all users.
        of_user = queryset.filter(user__in=list(users.values_list("pk", flat=True)))
        return self.search_phone(queryset, search_term) | of_user, False
