"""The user model of the site."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class User(AbstractBaseUser):
    """A user is a phone."""

    phone = models.CharField(max_length=16, unique=True, null=True)  # noqa: DJ001 (set after)
    phone_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    objects = BaseUserManager()

    USERNAME_FIELD = "phone"
