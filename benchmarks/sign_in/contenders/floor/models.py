"""The one table of the floor."""

import uuid
from typing import ClassVar

from django.db import models


class Challenge(models.Model):
    """One code for one phone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    phone = models.CharField(max_length=16)
    code = models.CharField(max_length=6)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["Challenge"]] = models.Manager()

    def __str__(self) -> str:
        return self.phone
