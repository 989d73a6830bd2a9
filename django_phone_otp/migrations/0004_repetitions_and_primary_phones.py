"""Repeated requests and clients without identifiers; the primary one of a user's phones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0003_devices_and_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="phonechallenge",
            name="client_digest",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="request_digest",
            field=models.CharField(editable=False, max_length=64, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="userphone",
            name="made_primary_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="made primary"
            ),
        ),
    ]
