"""The two forms of the login. What a phone or a right code is, the app decides, not they."""

from django import forms
from django.utils.translation import gettext_lazy as _


class PhoneForm(forms.Form):
    """Ask for the phone, in any notation that people use."""

    phone = forms.CharField(
        label=_("Your phone"),
        max_length=40,
        widget=forms.TextInput(
            attrs={
                "type": "tel",
                "inputmode": "tel",
                "autocomplete": "tel",
                "placeholder": "+7 924 450-10-03",
                "autofocus": True,
            }
        ),
    )


class CodeInput(forms.TextInput):
    """A text field that is empty whenever the page is shown again."""

    def format_value(self, value: object) -> None:
        """Return nothing: no page holds a code, not even one that was entered wrongly."""


class CodeForm(forms.Form):
    """Ask for the code, so that a phone can fill it in by itself."""

    code = forms.CharField(
        label=_("Code"),
        max_length=32,
        widget=CodeInput(
            attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True}
        ),
    )
