"""Traffic that is counted once, prefixes that operators close, and what the admin looks up."""

import django.core.validators
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import django_phone_otp.choices


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0004_repetitions_and_primary_phones"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BlockedPrefix",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "prefix",
                    models.CharField(
                        max_length=16,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^\\+[1-9][0-9]{0,14}\\Z",
                                "Write it with + and country code, such as +7924450.",
                            )
                        ],
                        verbose_name="prefix",
                    ),
                ),
                ("until", models.DateTimeField(verbose_name="until")),
                ("reason", models.CharField(blank=True, max_length=200, verbose_name="reason")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="since"
                    ),
                ),
            ],
            options={
                "verbose_name": "blocked prefix",
                "verbose_name_plural": "blocked prefixes",
            },
        ),
        migrations.CreateModel(
            name="TrafficCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "span",
                    models.CharField(
                        choices=django_phone_otp.choices.Span.listed,
                        max_length=8,
                        verbose_name="span",
                    ),
                ),
                ("starts_at", models.DateTimeField(verbose_name="from")),
                ("account", models.CharField(blank=True, max_length=64, verbose_name="account")),
                (
                    "channel",
                    models.CharField(
                        blank=True,
                        choices=django_phone_otp.choices.Channel.listed,
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                ("region", models.CharField(blank=True, max_length=3, verbose_name="region")),
                (
                    "requested_count",
                    models.PositiveIntegerField(default=0, verbose_name="requested"),
                ),
                ("sent_count", models.PositiveIntegerField(default=0, verbose_name="sent")),
                ("answered_count", models.PositiveIntegerField(default=0, verbose_name="answered")),
                ("verified_count", models.PositiveIntegerField(default=0, verbose_name="verified")),
                ("details", models.JSONField(blank=True, default=dict, verbose_name="details")),
                ("counted_at", models.DateTimeField(verbose_name="counted")),
            ],
            options={
                "verbose_name": "traffic count",
                "verbose_name_plural": "traffic counts",
            },
        ),
        migrations.CreateModel(
            name="TrafficSource",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "span",
                    models.CharField(
                        choices=django_phone_otp.choices.Span.listed,
                        max_length=8,
                        verbose_name="span",
                    ),
                ),
                ("starts_at", models.DateTimeField(verbose_name="from")),
                (
                    "kind",
                    models.CharField(
                        choices=django_phone_otp.choices.Source.listed,
                        max_length=8,
                        verbose_name="kind",
                    ),
                ),
                ("scope", models.CharField(max_length=64, verbose_name="scope")),
                ("sent_count", models.PositiveIntegerField(verbose_name="sent")),
                ("verified_count", models.PositiveIntegerField(verbose_name="verified")),
            ],
            options={
                "verbose_name": "traffic source",
                "verbose_name_plural": "traffic sources",
            },
        ),
        migrations.AlterModelOptions(
            name="phonechallenge",
            options={
                "permissions": (
                    ("revoke_phonechallenge", "Can revoke a challenge"),
                    ("resend_phonechallenge", "Can send a code by another route"),
                    ("export_phonechallenge", "Can export challenges"),
                ),
                "verbose_name": "phone challenge",
                "verbose_name_plural": "phone challenges",
            },
        ),
        migrations.AlterModelOptions(
            name="phoneledger",
            options={
                "permissions": (("unlock_phoneledger", "Can unlock a phone"),),
                "verbose_name": "phone ledger",
                "verbose_name_plural": "phone ledgers",
            },
        ),
        migrations.AddField(
            model_name="accountledger",
            name="balance",
            field=models.DecimalField(
                blank=True, decimal_places=4, max_digits=14, null=True, verbose_name="balance"
            ),
        ),
        migrations.AddField(
            model_name="accountledger",
            name="currency",
            field=models.CharField(blank=True, max_length=3, verbose_name="currency"),
        ),
        migrations.AddField(
            model_name="accountledger",
            name="inspected_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="inspected"),
        ),
        migrations.AddField(
            model_name="accountledger",
            name="problem",
            field=models.CharField(blank=True, max_length=200, verbose_name="problem"),
        ),
        migrations.AddIndex(
            model_name="deliveryattempt",
            index=models.Index(
                fields=["outcome", "-created_at"], name="phone_otp_delivery_outcome"
            ),
        ),
        migrations.AddIndex(
            model_name="guardobjection",
            index=models.Index(fields=["guard", "-created_at"], name="phone_otp_objection_guard"),
        ),
        migrations.AddIndex(
            model_name="phonechallenge",
            index=models.Index(fields=["region", "-created_at"], name="phone_otp_challenge_region"),
        ),
        migrations.AddIndex(
            model_name="phoneledger",
            index=models.Index(fields=["-disabled_at"], name="phone_otp_ledger_disabled"),
        ),
        migrations.AddConstraint(
            model_name="trafficcount",
            constraint=models.UniqueConstraint(
                fields=("span", "starts_at", "account", "channel", "region"),
                name="phone_otp_traffic_is_one",
            ),
        ),
        migrations.CreateModel(
            name="Dashboard",
            fields=[],
            options={
                "verbose_name": "dashboard",
                "verbose_name_plural": "dashboard",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("phone_otp.trafficcount",),
        ),
        migrations.AddConstraint(
            model_name="trafficsource",
            constraint=models.UniqueConstraint(
                fields=("span", "starts_at", "kind", "scope"), name="phone_otp_source_is_one"
            ),
        ),
    ]
