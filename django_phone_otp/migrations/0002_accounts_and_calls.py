"""Limits and ledgers of accounts; challenges that are answered by a call."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccountLedger",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("alias", models.CharField(max_length=64, unique=True, verbose_name="alias")),
                ("day", models.DateField(blank=True, null=True, verbose_name="day")),
                (
                    "sent_count",
                    models.PositiveIntegerField(default=0, verbose_name="messages of the day"),
                ),
                ("sealed_kept", models.TextField(blank=True, editable=False)),
            ],
            options={
                "verbose_name": "account ledger",
                "verbose_name_plural": "account ledgers",
            },
        ),
        migrations.AlterModelOptions(
            name="provideraccount",
            options={
                "ordering": ("priority", "alias"),
                "permissions": (("send_trial", "Can send a test code"),),
                "verbose_name": "provider account",
                "verbose_name_plural": "provider accounts",
            },
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="call_to",
            field=models.CharField(blank=True, max_length=16, verbose_name="number to call"),
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="previous_account",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="previous_provider_ref",
            field=models.CharField(blank=True, editable=False, max_length=128),
        ),
        migrations.AddField(
            model_name="phoneledger",
            name="account_sends",
            field=models.JSONField(blank=True, default=dict, verbose_name="messages by account"),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="daily_limit",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="messages a day",
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="phone_daily_limit",
            field=models.PositiveSmallIntegerField(
                blank=True,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000),
                ],
                verbose_name="messages a day to one phone",
            ),
        ),
    ]
