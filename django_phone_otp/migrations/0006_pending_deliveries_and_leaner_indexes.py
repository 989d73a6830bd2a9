"""Deliveries that wait in a queue, and fewer indexes to write with each sign-in."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import django_phone_otp.models.challenge


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
                ("route", models.JSONField(default=list, verbose_name="route")),
                ("language", models.CharField(max_length=35, verbose_name="language")),
                ("withheld", models.BooleanField(default=False, verbose_name="withheld")),
                ("pretended", models.CharField(blank=True, editable=False, max_length=96)),
                (
                    "queued_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="queued"
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
        migrations.RemoveIndex(
            model_name="phonechallenge",
            name="phone_otp_challenge_state",
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.UniqueConstraint(
                fields=("public_id",), name="phone_otp_challenge_public_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.UniqueConstraint(
                fields=("request_digest",), name="phone_otp_challenge_request"
            ),
        ),
        migrations.AddConstraint(
            model_name="phoneledger",
            constraint=models.UniqueConstraint(fields=("phone",), name="phone_otp_ledger_phone"),
        ),
        migrations.AddConstraint(
            model_name="userphone",
            constraint=models.UniqueConstraint(
                fields=("phone",), name="phone_otp_user_phone_phone"
            ),
        ),
        # After the constraints: nothing equal can come in between.
        migrations.AlterField(
            model_name="phonechallenge",
            name="public_id",
            field=models.CharField(
                default=django_phone_otp.models.challenge.new_public_id,
                editable=False,
                max_length=32,
                verbose_name="identifier",
            ),
        ),
        migrations.AlterField(
            model_name="phonechallenge",
            name="request_digest",
            field=models.CharField(editable=False, max_length=64, null=True),
        ),
        migrations.AlterField(
            model_name="phoneledger",
            name="phone",
            field=models.CharField(max_length=16, verbose_name="phone"),
        ),
        migrations.AlterField(
            model_name="userphone",
            name="phone",
            field=models.CharField(max_length=16, verbose_name="phone"),
        ),
    ]
