"""Users' phones: added and removed by operators, never shown whole. Layer 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import conf
from ..choices import Refusal
from ..exceptions import InvalidPhone
from ..models import UserPhone
from ..phone import MAX_TYPED_LENGTH, parse
from .challenges import link_user, search_phone

if TYPE_CHECKING:
    PhoneModelForm = forms.ModelForm[UserPhone]
    PhoneModelAdmin = admin.ModelAdmin[UserPhone]
else:
    PhoneModelForm = forms.ModelForm
    PhoneModelAdmin = admin.ModelAdmin


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
class UserPhoneAdmin(PhoneModelAdmin):
    """Which phone logs in whom. To change a phone, remove it and add the new one."""

    form = UserPhoneForm
    list_display = ("masked_phone", "owner", "verified_at")
    ordering = ("-verified_at",)
    raw_id_fields = ("user",)
    search_fields = ("phone",)
    search_help_text = _("A whole phone number, or a whole user name.")

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Tell the form who is filling it in."""
        form: Any = super().get_form(request, *args, **kwargs)
        form.operator = request.user
        return form

    def get_fields(self, _request: HttpRequest, obj: UserPhone | None = None) -> tuple[str, ...]:
        """Ask for the phone once; afterwards show it masked."""
        return ("owner", "masked_phone", "verified_at") if obj else ("user", "phone")

    def get_readonly_fields(
        self, _request: HttpRequest, obj: UserPhone | None = None
    ) -> tuple[str, ...]:
        """Keep a phone and its proof as they are."""
        return ("owner", "masked_phone", "verified_at") if obj else ()

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
        """Allow no filter in the address: `phone__startswith` would undo the masks."""
        return False

    @admin.display(description=_("user"))
    def owner(self, owned: UserPhone) -> str:
        """Point to the user without a name: it may be the phone."""
        return link_user(owned.user_id) or self.get_empty_value_display()

    @admin.display(description=_("phone"))
    def masked_phone(self, owned: UserPhone) -> str:
        """Show the phone as a stranger may see it."""
        return str(owned)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UserPhone], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for one phone, whole, or for the phones of one user."""
        name = get_user_model().USERNAME_FIELD
        of_user = queryset.filter(**{f"user__{name}": search_term})
        return search_phone(queryset, search_term) | of_user if search_term else queryset, False
