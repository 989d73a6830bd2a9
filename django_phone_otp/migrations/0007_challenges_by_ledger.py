"""The challenges of a phone are found by its ledger: one index less to write with each sign-in."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("phone_otp", "0006_pending_deliveries_and_leaner_indexes"),
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
    ]
