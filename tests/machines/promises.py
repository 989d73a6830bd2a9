"""What has to hold after the trouble: promises of the stress test, and those of a queue."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from django_phone_otp.models import DeliveryAttempt, PendingDelivery, PhoneLedger
from tests.stress import promises as of_stress
from tests.stress.promises import Breaches, counters_of

from .machines import Cluster
from .trouble import Trouble

ADDRESS_LIMIT = 8


@dataclass(frozen=True, kw_only=True)
class Storm(of_stress.Run):
    """A run of many machines that is over, swept."""

    cluster: Cluster
    trouble: Trouble
    let_through: Counter[str]


def there_was_something_to_see(run: Storm) -> Breaches:
    """Fail where the run was so quiet that the other promises say nothing."""
    if len(run.trouble.happened) < len(run.cluster.sites) + len(run.cluster.workers) + 3:
        yield f"of the trouble there was only: {run.trouble.happened}"
    if not run.journal.logins:
        yield "nobody logged in"
    if not any(each.status == 429 for each in run.journal.told):
        yield "nobody met a limit"


def a_delivery_is_made_once(run: Storm) -> Breaches:
    """Compare what was paid for, what operators see, and what really went out."""
    ledgers = set(PhoneLedger.objects.values_list("phone", flat=True))
    yield from (f"{phone} has no ledger" for phone in run.services.phones() - ledgers)
    for phone in ledgers:
        paid_count = sum(len(counter.sends) for counter in counters_of(phone))
        attempts = DeliveryAttempt.objects.filter(challenge__phone=phone)
        outcomes = Counter(attempts.values_list("outcome", flat=True))
        if outcomes.total() != paid_count:
            yield f"{phone}: {paid_count} deliveries were admitted, {dict(outcomes)}"
        went_out_count = len(run.services.messages(phone))
        if not 0 <= went_out_count - outcomes["sent"] <= outcomes["uncertain"]:
            yield f"{phone}: {went_out_count} messages went out, {dict(outcomes)}"


def no_delivery_is_left(run: Storm) -> Breaches:
    yield from (f"pending: {each}" for each in PendingDelivery.objects.all())


def addresses_are_counted_over_all_sites(run: Storm) -> Breaches:
    # The cache forgets what it has counted when it is restarted, which happens once. What must not
    # be forgotten is counted in the database.
    most = ADDRESS_LIMIT * 2
    for address, count in run.let_through.items():
        if count > most:
            yield f"{address}: {count} messages, at most {most} were allowed"


def no_site_wrote_of_an_error(run: Storm) -> Breaches:
    for site in run.cluster.sites:
        log = site.log.read_text()
        if "Traceback" in log or "Internal Server Error" in log:
            yield log[-4_000:]


PROMISES: list[Callable[[Storm], Breaches]] = [
    there_was_something_to_see,
    a_delivery_is_made_once,
    no_delivery_is_left,
    addresses_are_counted_over_all_sites,
    no_site_wrote_of_an_error,
    of_stress.every_login_that_somebody_was_told_of_is_in_the_database,
    of_stress.a_code_logs_in_once,
    of_stress.a_phone_has_one_user,
    of_stress.no_message_goes_beyond_the_budgets_of_a_phone,
    of_stress.no_message_goes_out_within_the_cooldown,
    of_stress.no_more_codes_are_compared_than_the_budgets_allow,
    of_stress.no_challenge_is_stuck_in_sending,
    of_stress.every_answer_is_documented,
    of_stress.an_answer_is_lost_only_where_a_worker_is_killed,
]
