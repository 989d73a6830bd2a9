"""All that is unusual at once: no user name, no `last_login`, UUIDs, a phone of its own."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class User(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    nickname = models.CharField(max_length=30, unique=True, null=True, blank=True)
    phone = models.CharField(max_length=16, unique=True, null=True, blank=True)
    is_active = models.BooleanField(default=True)
    last_login = None

    objects = BaseUserManager()

    USERNAME_FIELD = "nickname"

    def __str__(self) -> str:
        return self.nickname or str(self.pk)
