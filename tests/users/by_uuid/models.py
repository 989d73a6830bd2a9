"""Django's user, but for the primary key; and tokens of knox with a column of the site's own."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from knox.models import AbstractAuthToken


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)


class KnoxToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    name = models.CharField(max_length=30, blank=True)
