"""Two indexes less: a phone's challenges are found by its ledger, and nobody looks for a user's."""

from collections.abc import Callable
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def drop_index_of(column: str) -> Callable[[Any, Any], None]:
    """Drop the index that Django made for a foreign key, whatever its name.

    By itself Django would make the constraint anew as well, for which PostgreSQL locks both tables
    and MariaDB copies one.
    """

    def drop(apps: Any, schema_editor: Any) -> None:
        connection = schema_editor.connection
        table = apps.get_model("phone_otp", "PhoneChallenge")._meta.db_table
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table)
        quote = schema_editor.quote_name
        on_table = f" ON {quote(table)}" if connection.vendor == "mysql" else ""
        for name, each in found.items():
            if each["index"] and not each["unique"] and each["columns"] == [column]:
                schema_editor.execute(f"DROP INDEX {quote(name)}{on_table}")

    return drop


def make_index_of(field: str) -> Callable[[Any, Any], None]:
    """Make an index in its place again, for the way back."""

    def make(apps: Any, schema_editor: Any) -> None:
        index = models.Index(fields=[field], name=f"phone_otp_challenge_of_{field}")
        schema_editor.add_index(apps.get_model("phone_otp", "PhoneChallenge"), index)

    return make


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
        migrations.RemoveIndex(
            model_name="phonechallenge",
            name="phone_otp_challenge_phone",
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunPython(drop_index_of("ledger_id"), make_index_of("ledger")),
                migrations.RunPython(drop_index_of("user_id"), make_index_of("user")),
            ],
            state_operations=[
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
            ],
        ),
    ]
