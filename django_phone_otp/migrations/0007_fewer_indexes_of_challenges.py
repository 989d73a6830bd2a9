"""A phone's challenges are found by its ledger, and users are a note: two indexes less to write."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0006_pending_deliveries_and_leaner_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # First: nothing that is looked for is without an index meanwhile.
        migrations.AddIndex(
            model_name="phonechallenge",
            index=models.Index(fields=["ledger", "-created_at"], name="phone_otp_challenge_ledger"),
        ),
        migrations.AlterField(
            model_name="phonechallenge",
            name="ledger",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="challenges",
                to="phone_otp.phoneledger",
                verbose_name="ledger",
            ),
        ),
        migrations.RemoveIndex(
            model_name="phonechallenge",
            name="phone_otp_challenge_phone",
        ),
        migrations.AlterField(
            model_name="phonechallenge",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
    ]
