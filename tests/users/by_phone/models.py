"""The phone is the user name."""

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.db import models

from django_phone_otp.phone import parse


class UserManager(BaseUserManager):
    def create_user(self, phone, password=None, **fields):
        user = self.model(phone=parse(phone, "RU").e164, **fields)  # "8 924 450-10-03" too
        user.set_password(password)  # type: ignore[attr-defined]
        user.save(using=self._db)
        return user

    def create_superuser(self, phone, password=None, **fields):
        return self.create_user(phone, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    phone = models.CharField(max_length=16, unique=True)  # E.164: +79244501003

    objects = UserManager()  # type: ignore[assignment]

    USERNAME_FIELD = "phone"
    REQUIRED_FIELDS = []
