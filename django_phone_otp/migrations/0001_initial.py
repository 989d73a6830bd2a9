"""The six tables of the first release."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import django_phone_otp.choices
import django_phone_otp.models.account
import django_phone_otp.models.challenge


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("alias", models.SlugField(max_length=64, unique=True, verbose_name="alias")),
                ("backend", models.CharField(max_length=64, verbose_name="provider")),
                (
                    "sealed_options",
                    models.TextField(
                        db_column="options",
                        default=django_phone_otp.models.account.sealed_nothing,
                        editable=False,
                    ),
                ),
                ("enabled", models.BooleanField(default=True, verbose_name="enabled")),
                ("priority", models.SmallIntegerField(default=100, verbose_name="priority")),
                ("regions", models.JSONField(blank=True, default=list, verbose_name="regions")),
            ],
            options={
                "verbose_name": "provider account",
                "verbose_name_plural": "provider accounts",
                "ordering": ("priority", "alias"),
            },
        ),
        migrations.CreateModel(
            name="PhoneChallenge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=django_phone_otp.models.challenge.new_public_id,
                        editable=False,
                        max_length=32,
                        unique=True,
                        verbose_name="identifier",
                    ),
                ),
                ("phone", models.CharField(max_length=16, verbose_name="phone")),
                ("region", models.CharField(blank=True, max_length=3, verbose_name="region")),
                (
                    "purpose",
                    models.CharField(
                        choices=django_phone_otp.choices.Purpose.listed,
                        default="login",
                        max_length=16,
                        verbose_name="purpose",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=django_phone_otp.choices.State.listed,
                        default="sending",
                        max_length=16,
                        verbose_name="state",
                    ),
                ),
                ("attempts_left", models.PositiveSmallIntegerField(verbose_name="tries left")),
                ("code_digest", models.CharField(blank=True, editable=False, max_length=96)),
                (
                    "code_length",
                    models.PositiveSmallIntegerField(verbose_name="length of the code"),
                ),
                (
                    "previous_code_digest",
                    models.CharField(blank=True, editable=False, max_length=96),
                ),
                ("previous_code_expires_at", models.DateTimeField(editable=False, null=True)),
                ("account", models.CharField(blank=True, max_length=64, verbose_name="account")),
                ("provider", models.CharField(blank=True, max_length=64, verbose_name="provider")),
                (
                    "provider_ref",
                    models.CharField(
                        blank=True, max_length=128, verbose_name="provider's reference"
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=django_phone_otp.choices.Channel.listed,
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                (
                    "custody",
                    models.CharField(
                        choices=django_phone_otp.choices.Custody.listed,
                        max_length=16,
                        verbose_name="custody",
                    ),
                ),
                ("ip", models.GenericIPAddressField(blank=True, null=True, verbose_name="address")),
                (
                    "user_agent",
                    models.CharField(blank=True, max_length=200, verbose_name="user agent"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="asked"
                    ),
                ),
                ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent at")),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                (
                    "verified_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="verified at"),
                ),
                ("spent_at", models.DateTimeField(blank=True, null=True, verbose_name="spent")),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "phone challenge",
                "verbose_name_plural": "phone challenges",
            },
        ),
        migrations.CreateModel(
            name="DeliveryAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("account", models.CharField(max_length=64, verbose_name="account")),
                ("provider", models.CharField(max_length=64, verbose_name="provider")),
                (
                    "channel",
                    models.CharField(
                        choices=django_phone_otp.choices.Channel.listed,
                        max_length=16,
                        verbose_name="channel",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=django_phone_otp.choices.DeliveryOutcome.listed,
                        max_length=24,
                        verbose_name="outcome",
                    ),
                ),
                (
                    "detail",
                    models.CharField(blank=True, max_length=200, verbose_name="provider's words"),
                ),
                (
                    "provider_ref",
                    models.CharField(
                        blank=True, max_length=128, verbose_name="provider's reference"
                    ),
                ),
                (
                    "cost",
                    models.DecimalField(
                        blank=True, decimal_places=5, max_digits=12, null=True, verbose_name="cost"
                    ),
                ),
                ("currency", models.CharField(blank=True, max_length=3, verbose_name="currency")),
                ("duration_ms", models.PositiveIntegerField(verbose_name="duration, ms")),
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
                        related_name="deliveries",
                        to="phone_otp.phonechallenge",
                        verbose_name="challenge",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery attempt",
                "verbose_name_plural": "delivery attempts",
            },
        ),
        migrations.CreateModel(
            name="ConfirmAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "refusal",
                    models.CharField(
                        blank=True,
                        choices=django_phone_otp.choices.Refusal.listed,
                        max_length=24,
                        verbose_name="refusal",
                    ),
                ),
                ("ip", models.GenericIPAddressField(blank=True, null=True, verbose_name="address")),
                (
                    "user_agent",
                    models.CharField(blank=True, max_length=200, verbose_name="user agent"),
                ),
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
                        related_name="confirmations",
                        to="phone_otp.phonechallenge",
                        verbose_name="challenge",
                    ),
                ),
            ],
            options={
                "verbose_name": "confirm attempt",
                "verbose_name_plural": "confirm attempts",
            },
        ),
        migrations.CreateModel(
            name="PhoneLedger",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("phone", models.CharField(max_length=16, unique=True, verbose_name="phone")),
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
                    "failures_in_row",
                    models.PositiveIntegerField(default=0, verbose_name="wrong codes in a row"),
                ),
                (
                    "disabled_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="disabled"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "phone ledger",
                "verbose_name_plural": "phone ledgers",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("phone__startswith", "+")),
                        name="phone_otp_ledger_is_e164",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="phonechallenge",
            name="ledger",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="challenges",
                to="phone_otp.phoneledger",
                verbose_name="ledger",
            ),
        ),
        migrations.CreateModel(
            name="UserPhone",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("phone", models.CharField(max_length=16, unique=True, verbose_name="phone")),
                (
                    "verified_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="verified"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="verified_phones",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "user phone",
                "verbose_name_plural": "user phones",
            },
        ),
        migrations.AddIndex(
            model_name="phonechallenge",
            index=models.Index(fields=["-created_at"], name="phone_otp_challenge_created"),
        ),
        migrations.AddIndex(
            model_name="phonechallenge",
            index=models.Index(fields=["phone", "-created_at"], name="phone_otp_challenge_phone"),
        ),
        migrations.AddIndex(
            model_name="phonechallenge",
            index=models.Index(fields=["state", "-created_at"], name="phone_otp_challenge_state"),
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ("sending", "sent", "failed", "verified", "cancelled"))
                ),
                name="phone_otp_challenge_state_is_stored",
            ),
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "verified"), ("verified_at__isnull", False)),
                    models.Q(
                        models.Q(("state", "verified"), _negated=True),
                        ("verified_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="phone_otp_challenge_verified_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("spent_at__isnull", True), ("state", "verified"), _connector="OR"
                ),
                name="phone_otp_challenge_spent_is_verified",
            ),
        ),
        migrations.AddConstraint(
            model_name="phonechallenge",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "sent"), _negated=True),
                    ("sent_at__isnull", False),
                    _connector="OR",
                ),
                name="phone_otp_challenge_sent_has_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="userphone",
            constraint=models.CheckConstraint(
                condition=models.Q(("phone__startswith", "+")), name="phone_otp_user_phone_is_e164"
            ),
        ),
    ]
