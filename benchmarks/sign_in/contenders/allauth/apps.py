"""The site's own app, under a name that the package does not have."""

from django.apps import AppConfig


class Site(AppConfig):
    """Holds the user model."""

    name = "benchmarks.sign_in.contenders.allauth"
    label = "allauth_site"
