"""Deliveries that wait in a queue, or that somebody is at."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0005_traffic_and_blocked_prefixes"),
    ]

    operations = [
        migrations.CreateModel(
            name="PendingDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("route", models.JSONField(verbose_name="route")),
                ("language", models.CharField(max_length=35, verbose_name="language")),
                ("withheld", models.BooleanField(default=False, verbose_name="withheld")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
                ("claimed_at", models.DateTimeField(blank=True, null=True, verbose_name="taken")),
                (
                    "challenge",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pending_deliveries",
                        to="phone_otp.phonechallenge",
                        verbose_name="challenge",
                    ),
                ),
            ],
            options={
                "verbose_name": "pending delivery",
                "verbose_name_plural": "pending deliveries",
            },
        ),
    ]
