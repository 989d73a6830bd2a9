"""The challenge: one request to prove a phone, and its transitions. Layer 3."""

import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, router
from django.db.models import Case, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..choices import OPEN_STATES, STORED_STATES, Channel, Custody, Purpose, State
from ..codes import MAX_DIGEST_LENGTH, length_of
from ..conf import SHORT_CODE_LENGTH
from ..phone import MAX_E164_LENGTH, mask, write_spaced
from ..statements import Update, compiled_select, compiled_update
from .ledger import DeviceLedger, PhoneLedger
from .user_phone import UserPhone


def new_public_id() -> str:
    """Make an identifier of 192 random bits: who knows it may answer the challenge."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedCode:
    """What a delivery changes in its challenge; `state` is `SENDING` while it is uncertain.

    `attempts_left` is the most that a code of this length may take. No digest where the provider is
    the judge.
    """

    state: State
    sent_at: datetime | None
    expires_at: datetime
    code_digest: str = field(repr=False)
    code_length: int
    attempts_left: int
    account: str
    provider: str
    provider_ref: str
    channel: Channel
    custody: Custody
    call_to: str


def _digest_to_keep(new_length: int) -> Case | F | Value:
    if not new_length:  # a call is awaited, which takes no guesses: the code before stays alone
        return F("code_digest")
    if new_length <= SHORT_CODE_LENGTH:
        return Value("")
    is_long = Q(code_length__gt=SHORT_CODE_LENGTH)
    return Case(When(is_long, then=F("code_digest")), default=Value(""))


def _judge_to_keep(new_length: int) -> Case | Value:
    """Keep the name of a code that its provider judges, by the rule for digests."""
    if 0 < new_length <= SHORT_CODE_LENGTH:
        return Value("")
    is_judged = Q(custody=Custody.REMOTE, code_digest="", code_length__gt=SHORT_CODE_LENGTH)
    if not new_length:
        is_judged = Q(custody=Custody.REMOTE, code_digest="")
    return Case(When(is_judged, then=F("provider_ref")), default=Value(""))


class PhoneChallengeQuerySet(models.QuerySet["PhoneChallenge"]):
    """Questions and transitions of challenges; each transition says whether it happened."""

    def to_phone(self, phone: str) -> "PhoneChallengeQuerySet":
        """Choose those of a phone."""
        # No join: the order is then that of the index.
        return self.filter(ledger=PhoneLedger.objects.filter(phone=phone).values("pk")[:1])

    def in_state(self, state: str, now: datetime) -> "PhoneChallengeQuerySet":
        """Choose those that a person would be told are in this state."""
        stored = Q(state=state)
        if state in OPEN_STATES:
            return self.filter(stored, expires_at__gt=now, attempts_left__gt=0)
        is_open = Q(state__in=OPEN_STATES)
        if state == State.LOCKED:
            return self.filter(is_open, attempts_left=0)
        if state == State.EXPIRED:
            return self.filter(is_open, attempts_left__gt=0, expires_at__lte=now)
        return self.filter(stored)

    def live(self, now: datetime) -> "PhoneChallengeQuerySet":
        """Choose those that take an answer now."""
        return self.filter(state__in=OPEN_STATES, expires_at__gt=now, attempts_left__gt=0)

    def abandoned(self, before: datetime) -> "PhoneChallengeQuerySet":
        """Choose those whose first delivery began before, and of which nothing was heard since."""
        return self.filter(state=State.SENDING, code_digest="", created_at__lt=before)

    def awaiting_call_beside(
        self, challenge: "PhoneChallenge", now: datetime
    ) -> "PhoneChallengeQuerySet":
        """Choose the other live challenges of the same phone that await a call."""
        waiting = self.live(now).filter(ledger=challenge.ledger_id, custody=Custody.PRESENCE)
        return waiting.exclude(pk=challenge.pk).exclude(call_to="")

    def cancel_ambiguous_calls(self, challenge: "PhoneChallenge", now: datetime) -> bool:
        """Close all challenges of a phone that await a call, if there is more than this one."""
        if not self.awaiting_call_beside(challenge, now).update(state=State.CANCELLED):
            return False
        self.cancel(challenge.pk)
        challenge.state = State.CANCELLED
        return True

    def of_public_id(self, public_id: str) -> "PhoneChallenge | None":
        """Read a challenge and the rows in which it counts."""
        found = self._find(public_id)
        if found:
            found.read_device()
        return found

    @compiled_select()
    def _find(self, public_id: str) -> "PhoneChallengeQuerySet":
        return self.select_related("ledger").filter(public_id=public_id)

    @compiled_update(now=models.DateTimeField())
    def take_try(self, pk: int, now: datetime) -> Update:
        """Count one answer, before anybody compares it.

        SECURITY: this is what makes guesses scarce. Of any number of answers at one moment only as
        many as there are tries left get past this UPDATE.
        """
        return self.live(now).filter(pk=pk), {"attempts_left": F("attempts_left") - 1}

    @compiled_update(now=models.DateTimeField())
    def verify(self, pk: int, now: datetime) -> Update:
        """Turn an open challenge verified, once; the caller has taken a try and compared."""
        is_open = self.filter(pk=pk, state__in=OPEN_STATES, expires_at__gt=now)
        return is_open, {"state": State.VERIFIED, "verified_at": now}

    @compiled_update(verified_after=models.DateTimeField(), now=models.DateTimeField())
    def spend(
        self,
        pk: int,
        purpose: Purpose,
        verified_after: datetime,
        now: datetime,
        *,
        user_id: Any,
    ) -> Update:
        """Spend a verified challenge, once, and note for whom."""
        proven = self._proven(verified_after).filter(pk=pk, purpose=purpose)
        return proven, {"spent_at": now, "user_id": user_id}

    @compiled_update(verified_after=models.DateTimeField(), now=models.DateTimeField())
    def spend_for_owner(
        self, pk: int, purpose: Purpose, verified_after: datetime, now: datetime
    ) -> Update:
        """Spend a verified challenge, once, and note the user who has its phone, if any."""
        owner = UserPhone.objects.filter(phone=OuterRef("phone")).values("user_id")
        proven = self._proven(verified_after).filter(pk=pk, purpose=purpose)
        return proven, {"spent_at": now, "user_id": Subquery(owner[:1])}

    @compiled_update()
    def note_user(self, pk: int, user_id: Any) -> Update:
        """Note who was logged in."""
        return self.filter(pk=pk), {"user_id": user_id}

    def _proven(self, verified_after: datetime) -> "PhoneChallengeQuerySet":
        unspent = self.filter(state=State.VERIFIED, spent_at__isnull=True)
        return unspent.filter(verified_at__gt=verified_after)

    def record_code(self, challenge: "PhoneChallenge", code: "IssuedCode") -> bool:
        """Take over the code of a delivery; the one before it goes on counting for its own time.

        Fewer tries than are left lower them, more never raise them: wrong answers survive a resend.
        On success `challenge` has the new code; the fields of the one before are not read anew.
        """
        changes = asdict(code)
        if not self._replace_code(challenge.pk, **changes):
            return False
        changes["attempts_left"] = min(challenge.attempts_left, code.attempts_left)
        for name, value in changes.items():
            setattr(challenge, name, value)
        return True

    @compiled_update(code_length=None)
    def _replace_code(
        self, /, pk: int, *, code_length: int, attempts_left: int, **changes: Any
    ) -> Update:
        return self.filter(pk=pk, state__in=OPEN_STATES), {
            # These come first: MariaDB assigns from left to right and would read the new values in
            # the place of the old ones.
            "previous_code_digest": _digest_to_keep(code_length),
            "previous_code_expires_at": F("expires_at"),
            "previous_account": F("account"),
            "previous_provider_ref": _judge_to_keep(code_length),
            "code_length": code_length,
            "attempts_left": Least(F("attempts_left"), attempts_left),
            **changes,
        }

    def fill_in(self, pk: int, pretended: str, code: "IssuedCode") -> bool:
        """Put a code in the place of the digest that was pretended for it, whatever came since."""
        is_open = self.filter(pk=pk, state__in=OPEN_STATES)
        newest = is_open.filter(code_digest=pretended)
        if newest.update(code_digest=code.code_digest, provider_ref=code.provider_ref):
            return True
        judge = code.provider_ref if code.custody == Custody.REMOTE else ""
        before = is_open.filter(previous_code_digest=pretended)
        return bool(
            before.update(previous_code_digest=code.code_digest, previous_provider_ref=judge)
        )

    def retract(self, pk: int, pretended: str) -> bool:
        """Note that what was pretended went nowhere, where no earlier code counts."""
        found = self.filter(pk=pk, code_digest=pretended, previous_code_digest="")
        waiting = found.filter(state__in=OPEN_STATES, previous_provider_ref="")
        return bool(waiting.update(state=State.FAILED, code_digest=""))

    def mark_failed(self, challenge: "PhoneChallenge", *, account: str) -> bool:
        """Note that nothing went out, by which account at last; an earlier code stays as it is."""
        waiting = self.filter(pk=challenge.pk, state=State.SENDING, code_digest="")
        happened = waiting.update(state=State.FAILED, account=account)
        if happened:
            challenge.state, challenge.account = State.FAILED, account
        return bool(happened)

    def cancel(self, pk: int) -> bool:
        """Close an open challenge for good."""
        return bool(self.filter(pk=pk, state__in=OPEN_STATES).update(state=State.CANCELLED))

    def revoke(self, pk: int) -> bool:
        """Close one that is open, or verified and not spent."""
        is_unspent = Q(state=State.VERIFIED, spent_at__isnull=True)
        found = self.filter(Q(state__in=OPEN_STATES) | is_unspent, pk=pk)
        return bool(found.update(state=State.CANCELLED, verified_at=None))


class PhoneChallenge(models.Model):
    """One request to prove one phone for one purpose.

    `expires_at` is the end of the newest code, or of the wait for it. `account`, `provider` and
    `channel` are those of the last delivery; `user` is who asked (link, trial) or was logged in
    (login), and may be deleted since: `read_user` reads it. `call_to` is the number to call where a
    call is awaited in the place of a code.
    """

    public_id = models.CharField(
        _("identifier"), max_length=32, default=new_public_id, editable=False
    )
    phone = models.CharField(_("phone"), max_length=MAX_E164_LENGTH)
    # The phone's counters, joined to spare a query on each answer. A phone's challenges are found
    # by this key, for `phone` has no index; that of `Meta` serves it, and Django would add another.
    ledger = models.ForeignKey(
        PhoneLedger,
        on_delete=models.CASCADE,
        related_name="challenges",
        db_index=False,
        verbose_name=_("ledger"),
    )
    # Where messages and wrong codes count when a known device asks.
    device = models.ForeignKey(
        DeviceLedger,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="challenges",
        verbose_name=_("device"),
    )
    region = models.CharField(_("region"), max_length=3, blank=True)
    purpose = models.CharField(
        _("purpose"), max_length=16, choices=Purpose.listed, default=Purpose.LOGIN
    )
    # A note, which stays when the user is deleted. With an index PostgreSQL would write to all
    # indexes when a challenge is spent. With a constraint MariaDB would lock the user's row for
    # reading then; two logins of one user, about to note `last_login`, would wait for each other.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("user"),
    )
    state = models.CharField(_("state"), max_length=16, choices=State.listed, default=State.SENDING)
    attempts_left = models.PositiveSmallIntegerField(_("tries left"))

    code_digest = models.CharField(max_length=MAX_DIGEST_LENGTH, blank=True, editable=False)
    code_length = models.PositiveSmallIntegerField(_("length of the code"))
    previous_code_digest = models.CharField(
        max_length=MAX_DIGEST_LENGTH, blank=True, editable=False
    )
    previous_code_expires_at = models.DateTimeField(null=True, editable=False)
    # Who judged the code before, where its provider did.
    previous_account = models.CharField(max_length=64, blank=True, editable=False)
    previous_provider_ref = models.CharField(max_length=128, blank=True, editable=False)

    account = models.CharField(_("account"), max_length=64, blank=True)
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    provider_ref = models.CharField(_("provider's reference"), max_length=128, blank=True)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel.listed)
    custody = models.CharField(_("custody"), max_length=16, choices=Custody.listed)
    call_to = models.CharField(_("number to call"), max_length=MAX_E164_LENGTH, blank=True)

    # By which a request that is repeated, and a client that keeps no identifier, are recognised.
    request_digest = models.CharField(  # noqa: DJ001 (unique, but for those that have none)
        max_length=64, null=True, editable=False
    )
    client_digest = models.CharField(max_length=64, blank=True, editable=False)

    ip = models.GenericIPAddressField(_("address"), null=True, blank=True)
    user_agent = models.CharField(_("user agent"), max_length=200, blank=True)

    created_at = models.DateTimeField(_("asked"), default=timezone.now, editable=False)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"))
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    spent_at = models.DateTimeField(_("spent"), null=True, blank=True)

    objects = PhoneChallengeQuerySet.as_manager()

    # Whether spending it made a new user; known only to the object that was spent, not stored.
    created_user = False

    class Meta:
        verbose_name = _("phone challenge")
        verbose_name_plural = _("phone challenges")
        indexes = (
            # The admin's list, all that looks for a phone, and the admin's filter by region. None
            # has what a login changes: PostgreSQL would write to all of them (HOT updates).
            models.Index(fields=["-created_at"], name="phone_otp_challenge_created"),
            models.Index(fields=["ledger", "-created_at"], name="phone_otp_challenge_ledger"),
            models.Index(fields=["region", "-created_at"], name="phone_otp_challenge_region"),
        )
        permissions = (
            ("revoke_phonechallenge", "Can revoke a challenge"),
            ("resend_phonechallenge", "Can send a code by another route"),
            ("export_phonechallenge", "Can export challenges"),
        )
        constraints = (
            # With `unique=True` PostgreSQL would keep a second index beside each, for LIKE.
            models.UniqueConstraint(fields=["public_id"], name="phone_otp_challenge_public_id"),
            models.UniqueConstraint(fields=["request_digest"], name="phone_otp_challenge_request"),
            models.CheckConstraint(
                condition=Q(state__in=STORED_STATES), name="phone_otp_challenge_state_is_stored"
            ),
            models.CheckConstraint(
                condition=Q(state=State.VERIFIED, verified_at__isnull=False)
                | (~Q(state=State.VERIFIED) & Q(verified_at__isnull=True)),
                name="phone_otp_challenge_verified_has_time",
            ),
            models.CheckConstraint(
                condition=Q(spent_at__isnull=True) | Q(state=State.VERIFIED),
                name="phone_otp_challenge_spent_is_verified",
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SENT) | Q(sent_at__isnull=False),
                name="phone_otp_challenge_sent_has_time",
            ),
        )

    def __str__(self) -> str:
        asked_at = timezone.localtime(self.created_at)
        return f"{self.masked_phone}, {self.get_purpose_display()}, {asked_at:%Y-%m-%d %H:%M}"

    @classmethod
    def primary(cls) -> PhoneChallengeQuerySet:
        """Give the rows as the database for writing has them: a replica may be behind."""
        return PhoneChallengeQuerySet(cls, using=router.db_for_write(cls))

    @property
    def masked_phone(self) -> str:
        """Give the phone as a stranger may see it."""
        return mask(self.phone)

    @property
    def counter(self) -> DeviceLedger | PhoneLedger:
        """Give the row in which its messages and wrong codes count."""
        if self.device is None:
            return self.ledger
        self.device.ledger = self.ledger  # one object: what is written to it is seen in both
        return self.device

    def read_user(self) -> AbstractBaseUser | None:
        """Read its user in the database for writing; None where nobody is noted, or left."""
        if self.user_id is None:
            return None
        model = get_user_model()
        users = model._base_manager.using(router.db_for_write(model))
        return users.filter(pk=self.user_id).first()

    def read_counters(self) -> None:
        """Read the rows in which it counts as they are now; a device may be revoked meanwhile."""
        self.ledger = PhoneLedger.primary().of_phone(self.phone)
        self.read_device()

    def read_device(self) -> None:
        """Read the row of the device that asked, if one did."""
        if self.device_id:
            self.device = DeviceLedger.primary().of_pk(self.device_id)

    @property
    def hint(self) -> str:
        """Tell the person what to do, in the active language."""
        if self.channel == Channel.REVERSE_CALL and not self.call_to:
            return str(_("In a moment you will see the number to call."))
        hint = str(Channel(self.channel).hint)
        return hint % {"call_to": write_spaced(self.call_to)} if self.call_to else hint

    @property
    def awaits_call(self) -> bool:
        """Say whether a call of the person is the answer, and no code is.

        SECURITY: without a number that was shown nobody can have called it.
        """
        return self.custody == Custody.PRESENCE and bool(self.call_to and self.provider_ref)

    def has_earlier_code(self, now: datetime) -> bool:
        """Say whether, beside the call that is awaited, the code before may be the answer."""
        return bool(self.valid_digests(now) or self.judges(now))

    def is_proven(self, verified_after: datetime) -> bool:
        """Say whether it is verified, in time, and not spent yet."""
        is_recent = self.verified_at is not None and self.verified_at > verified_after
        return self.state == State.VERIFIED and is_recent and self.spent_at is None

    def state_at(self, now: datetime) -> State:
        """Give the state that a person would be told: the stored one, or what became of it."""
        if self.state in OPEN_STATES:
            if not self.attempts_left:
                return State.LOCKED
            if self.expires_at <= now:
                return State.EXPIRED
        return State(self.state)

    def valid_digests(self, now: datetime) -> list[str]:
        """Give the digests of the codes that still count, the newest first.

        SECURITY: the digest knows how long its code really is; what the challenge says may be what
        the account declares. With a short code beside another each guess would count double.
        """
        digests = [self.code_digest] if self.code_digest and self.expires_at > now else []
        previous_until = self.previous_code_expires_at
        if self.previous_code_digest and previous_until and previous_until > now:
            digests.append(self.previous_code_digest)
        is_short = any(length_of(each) <= SHORT_CODE_LENGTH for each in digests)
        return digests[:1] if is_short else digests

    def judges(self, now: datetime) -> list[tuple[str, str]]:
        """Give account and reference of the codes that their providers judge, the newest first.

        A digest beside a provider that judges is that of a message that never went out: nothing
        matches it, and nobody need be asked.
        """
        judges = []
        is_judged = self.custody == Custody.REMOTE and not self.code_digest
        if is_judged and self.provider_ref and self.expires_at > now:
            judges.append((self.account, self.provider_ref))
        previous_until = self.previous_code_expires_at
        if self.previous_provider_ref and previous_until and previous_until > now:
            judges.append((self.previous_account, self.previous_provider_ref))
        return list(dict.fromkeys(judges))  # some send the same code again, by the same name

    @property
    def bound_to(self) -> str:
        """Name what a code's digest is bound to."""
        return f"{self.public_id}\n{self.phone}\n{self.purpose}"

    def seconds_left(self, now: datetime) -> int:
        """Give the seconds until the newest code expires, rounded up, never below 0."""
        return max(0, -((now - self.expires_at) // timedelta(seconds=1)))
