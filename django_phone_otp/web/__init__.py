"""The login pages: two steps, with templates that a site can override. Layer 5."""

from .forms import PhoneLoginForm

__all__ = ["PhoneLoginForm"]
