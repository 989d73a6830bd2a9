"""Device strings with budgets of their own; what guards objected to."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import django_phone_otp.choices


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0002_accounts_and_calls"),
    ]

    operations = [
        migrations.AddField(
            model_name="phoneledger",
            name="devices_valid_after",
            field=models.DateTimeField(blank=True, null=True, verbose_name="devices valid after"),
        ),
        migrations.CreateModel(
            name="DeviceLedger",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("revision", models.PositiveBigIntegerField(default=0, verbose_name="revision")),
                ("sends", models.JSONField(blank=True, default=list, verbose_name="messages")),
                (
                    "ladder_step",
                    models.PositiveIntegerField(default=0, verbose_name="step of the ladder"),
                ),
                (
                    "last_sent_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="last message"),
                ),
                (
                    "failures",
                    models.JSONField(blank=True, default=list, verbose_name="wrong codes"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
                ("key", models.CharField(max_length=32, verbose_name="key")),
                (
                    "ledger",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="devices",
                        to="phone_otp.phoneledger",
                        verbose_name="ledger",
                    ),
                ),
            ],
            options={
                "verbose_name": "device ledger",
                "verbose_name_plural": "device ledgers",
            },
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="device",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="challenges",
                to="phone_otp.deviceledger",
                verbose_name="device",
            ),
        ),
        migrations.CreateModel(
            name="GuardObjection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "guard",
                    models.CharField(
                        choices=django_phone_otp.choices.Guard.listed,
                        max_length=24,
                        verbose_name="guard",
                    ),
                ),
                ("blocked", models.BooleanField(verbose_name="blocked")),
                ("detail", models.CharField(blank=True, max_length=200, verbose_name="reason")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="time"
                    ),
                ),
                (
                    "challenge",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="objections",
                        to="phone_otp.phonechallenge",
                        verbose_name="challenge",
                    ),
                ),
            ],
            options={
                "verbose_name": "guard's objection",
                "verbose_name_plural": "guards' objections",
            },
        ),
        migrations.AddConstraint(
            model_name="deviceledger",
            constraint=models.UniqueConstraint(
                fields=("ledger", "key"), name="phone_otp_device_is_one"
            ),
        ),
    ]
