"""The user model of the site."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Upper


class User(AbstractBaseUser):
    """A user is a mobile phone."""

    mobile = models.CharField(max_length=17, unique=True)
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager()

    USERNAME_FIELD = "mobile"

    class Meta:
        # The package looks phones up by `iexact`, which this serves.
        indexes = (models.Index(Upper("mobile"), name="drfpasswordless_site_mobile"),)
