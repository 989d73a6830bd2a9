"""Blocked prefixes: closed and lifted by operators. Layer 5.

A block holds from the moment at which it is saved, in every process; so does its end.
"""

from __future__ import annotations

import logging
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..events import Event, log_event
from ..exceptions import InvalidPhone
from ..flow.prefixes import parse_prefix, renew_blocks_after_commit
from ..models import BlockedPrefix
from ..phone import MAX_TYPED_LENGTH
from .actions import hide_numbers

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    PrefixModelForm = forms.ModelForm[BlockedPrefix]
    PrefixModelAdmin = admin.ModelAdmin[BlockedPrefix]
else:
    PrefixModelForm = forms.ModelForm
    PrefixModelAdmin = admin.ModelAdmin

DEFAULT_SPAN = timedelta(hours=24)
MAX_SPAN = timedelta(days=366)


def find_default_end() -> Any:
    """Give the time that a new block ends at, unless the operator says another."""
    return (timezone.now() + DEFAULT_SPAN).replace(second=0, microsecond=0)


class BlockForm(PrefixModelForm):
    """Until when a block holds, and why."""

    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        initial=find_default_end,
        # One field with one label, where the admin's own has two with none.
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = BlockedPrefix
        fields = ("until", "reason")

    def clean_until(self) -> Any:
        """Take a time to come; a block that is to end now is deleted."""
        until = self.cleaned_data["until"]
        if until <= timezone.now():
            raise ValidationError(_("This time is over. To lift a block, delete it."))
        if until > timezone.now() + MAX_SPAN:
            raise ValidationError(_("Close it for a year at most."))
        return until

    def clean_reason(self) -> str:
        """Keep phones out of it that an operator has copied in."""
        return hide_numbers(unicodedata.normalize("NFKC", self.cleaned_data["reason"]))


class NewBlockForm(BlockForm):
    """Which numbers are closed, too; a country takes a second thought."""

    prefix = forms.CharField(  # type: ignore[assignment]  # Django takes fields out of the class
        label=gettext_lazy("Prefix"),
        max_length=MAX_TYPED_LENGTH,
        help_text=gettext_lazy(
            "The beginning of the numbers, with + and country code: +7924450 closes ten thousand."
        ),
        # The sentence that Django makes of two names is bad grammar in most languages.
        error_messages={"unique": gettext_lazy("This prefix is blocked already.")},
    )
    is_wide = forms.BooleanField(
        label=gettext_lazy("Close all of them"),
        required=False,
        help_text=gettext_lazy("Asked for where a prefix closes a whole country or network."),
    )
    field_order = ("prefix", "is_wide", "until", "reason")

    class Meta:
        model = BlockedPrefix
        fields = ("prefix", "until", "reason")

    def clean_prefix(self) -> str:
        """Write it as E.164 has it; a block that is over begins anew."""
        try:
            self.parsed = parse_prefix(self.cleaned_data["prefix"])
        except InvalidPhone as error:
            raise ValidationError(str(error)) from None
        now = timezone.now()
        past = BlockedPrefix.primary().filter(prefix=self.parsed.digits, until__lte=now).first()
        if past:
            past.created_at, self.instance = now, past
        return self.parsed.digits

    def clean(self) -> dict[str, Any]:
        """Ask whether it is meant, where it closes as much as that."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("prefix") and self.parsed.is_wide and not cleaned.get("is_wide"):
            regions = ", ".join(self.parsed.regions[:5])
            if len(self.parsed.regions) > len(regions.split(", ")):
                regions += ", …"
            words = _(
                "This short prefix closes a whole country or network (%(regions)s). If that is "
                "meant, say so below."
            )
            self.add_error("prefix", words % {"regions": regions})
        return cleaned


@admin.register(BlockedPrefix)
class BlockedPrefixAdmin(PrefixModelAdmin):
    """Which numbers get no message for a while. To lift a block, delete it."""

    list_display = ("prefix", "is_in_force", "until", "reason", "created_at")
    ordering = ("-until",)
    fields = ("prefix", "until", "reason")
    readonly_fields = ("prefix", "is_in_force", "created_at")

    class Media:
        css = {"all": ["phone_otp/timeline.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to those who may look.

        SECURITY: the form tells what is blocked already, and beside a mask that is nearly a phone.
        """
        return super().has_add_permission(request) and self.has_view_permission(request)

    def get_form(
        self,
        request: HttpRequest,
        obj: BlockedPrefix | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Ask for the prefix once."""
        kwargs["form"] = BlockForm if obj else NewBlockForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Show since when a block holds; ask before a wide one."""
        if obj:
            return ("prefix", "is_in_force", "created_at", "until", "reason")
        return ("prefix", "is_wide", "until", "reason")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the prefix as it is: another one is another block."""
        return ("prefix", "is_in_force", "created_at") if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Take the prefix from the address, as the dashboard sends it, and nothing else."""
        prefix = request.GET.get("prefix", "")
        return {"prefix": prefix[:MAX_TYPED_LENGTH]} if prefix else {}

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow no filter in the address: this page has none."""
        return False

    @admin.display(description=gettext_lazy("in force"), boolean=True)
    def is_in_force(self, blocked: BlockedPrefix) -> bool:
        """Say whether it still holds."""
        return blocked.until > timezone.now()

    # What is done counts from the commit on.

    def save_model(self, request: HttpRequest, obj: BlockedPrefix, form: Any, change: bool) -> None:
        """Close the numbers."""
        super().save_model(request, obj, form, change)
        self._announce(request, "block_prefix", obj)

    def delete_model(self, request: HttpRequest, obj: BlockedPrefix) -> None:
        """Open them again."""
        super().delete_model(request, obj)
        self._announce(request, "lift_prefix", obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BlockedPrefix]) -> None:
        """Open several again."""
        lifted = list(queryset)
        super().delete_queryset(request, queryset)
        for each in lifted:
            self._announce(request, "lift_prefix", each)

    def _announce(self, request: HttpRequest, action: str, blocked: BlockedPrefix) -> None:
        def log() -> None:
            log_event(
                logger,
                Event.OPERATOR_ACTED,
                action=action,
                operator=request.user.pk,
                scope=blocked.prefix,
            )

        renew_blocks_after_commit()
        transaction.on_commit(log, using=BlockedPrefix.primary().db, robust=True)
