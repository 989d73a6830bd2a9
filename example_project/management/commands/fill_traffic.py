"""`fill_traffic`: a month of traffic, so that there is something to look at in the admin."""

import time
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from django_phone_otp import conf
from django_phone_otp.flow.accounts import find_accounts
from django_phone_otp.flow.traffic import count_hours
from django_phone_otp.management.commands.phone_otp_purge import Bar

from ...traffic import Story, clear, find_strangers, tell_story, write
from ...traffic.month import MIN_DAYS, Show
from ...traffic.services import BEHAVIOURS

SITE = "http://127.0.0.1:8000"
MAX_DAYS = 90


class Command(BaseCommand):
    """Fill a database for development with traffic that nobody had."""

    help = (
        "Fill the example site's database with a month of made-up traffic: six accounts, a bad day "
        "of one of them, two nights of message pumping, a bot that guesses. Nothing is sent. What "
        "an earlier run made is removed first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take how much traffic, and what may become of what is there."""
        parser.add_argument(
            "--days", type=int, default=30, help="Days up to today. Default: %(default)s."
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="Another seed is another month. Default: 1."
        )
        parser.add_argument(
            "--scale", type=float, default=1.0, help="1 is about 50,000 requests in 30 days."
        )
        parser.add_argument(
            "--clear",
            action="store_true",
            help="Remove what an earlier run made; make nothing.",
        )
        parser.add_argument(
            "--beside-others",
            action="store_true",
            help="Fill although there are challenges that this command did not make.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Remove, make, write, count, and say where to look."""
        began = time.monotonic()
        self._refuse(options)
        if clear(self._begin("Removing what an earlier run made")):
            self.stdout.write("What an earlier run made is removed.")
        if options["clear"]:
            return
        now = timezone.now()
        story = tell_story(
            conf.read(),
            now,
            days=options["days"],
            seed=options["seed"],
            scale=options["scale"],
            begin=self._begin("Making requests"),
        )
        write(story, self._begin("Writing rows"))
        hours_count = story.hours_count
        show = self._begin("Counting the traffic")(hours_count)
        for counted in count_hours(now):
            show(min(counted.hours_count, hours_count - 1))  # days are added up in the end
        show(hours_count)
        self._say_where_to_look(story, time.monotonic() - began)

    def _refuse(self, options: dict[str, Any]) -> None:
        if not django_settings.DEBUG:
            raise CommandError("This is for development: DEBUG is off here.")
        if not MIN_DAYS <= options["days"] <= MAX_DAYS:
            raise CommandError(f"--days must be from {MIN_DAYS} to {MAX_DAYS}.")
        if not 0 < options["scale"] <= 100:
            raise CommandError("--scale must be above 0, and at most 100.")
        missing = sorted(set(BEHAVIOURS) - set(find_accounts(conf.read())))
        if missing:
            raise CommandError(f"This site has no accounts {', '.join(missing)}.")
        if find_strangers() and not options["beside_others"]:
            raise CommandError(
                "There are challenges here that this command did not make. Fill another database "
                "(EXAMPLE_DATABASE), or say --beside-others."
            )

    def _begin(self, title: str) -> Any:
        """Give what shows how far a step is: a bar on a terminal, else a line at its start."""

        def begin(total: int) -> Show:
            if not total:
                return lambda _done: None
            self.stdout.write(title)
            if not self.stderr.isatty():
                return lambda _done: None
            return _draw(Bar(self.stderr, total), total)

        return begin

    def _say_where_to_look(self, story: Story, seconds: float) -> None:
        made = story.made
        self.stdout.write(
            f"\n{len(made.challenges):,} challenges of {len(made.people):,} phones with "
            f"{len(made.deliveries):,} deliveries, in {seconds:.0f} s.\n"
        )
        bad_day, unpaid = story.bad_day, story.unpaid
        shadow, blocked = story.shadow_night, story.blocked_night
        dashboard = reverse("admin:phone_otp_dashboard_changelist")
        lines = [
            ("The dashboard", f"{dashboard}?period=30d"),
            ('The account "calls" alone', f"{dashboard}?period=30d&account=calls"),
            (
                f'{bad_day.since:%d %B}: "calls" fails, "texts" takes over',
                _list_between(bad_day.since, bad_day.until),
            ),
            (
                f"{shadow[0]:%d %B}, at night: messages are pumped, guards in shadow",
                _list_between(*shadow),
            ),
            (f"{blocked[0]:%d %B}, at night: again, and one guard blocks", _list_between(*blocked)),
            (
                'Since five hours: no money in the account "world"',
                _list_between(unpaid.since, unpaid.until),
            ),
        ]
        for text, address in lines:
            self.stdout.write(f"  {text}:\n    {SITE}{address}")
        if not get_user_model()._default_manager.filter(is_superuser=True).exists():
            self.stdout.write("  First make an operator: manage.py createsuperuser")


def _list_between(since: datetime, until: datetime) -> str:
    """Give the address of the challenges of a time."""
    times = [f"{timezone.localtime(each):%Y-%m-%dT%H:%M}" for each in (since, until)]
    lists = reverse("admin:phone_otp_phonechallenge_changelist")
    return f"{lists}?created_at__gte={times[0]}&created_at__lt={times[1]}"


def _draw(bar: Bar, total: int) -> Show:
    def show(done: int) -> None:
        bar.show(done)
        if done >= total:
            bar.end()

    return show
