"""Operators read the dashboard, find a challenge, and do something about it."""

from dataclasses import replace
from functools import partial

import pytest

from django_phone_otp.models import BlockedPrefix, PhoneChallenge

from .scenes import CHALLENGES, DASHBOARD, find_eventful, operator


@pytest.fixture
def at_dashboard(stage):
    person = operator(stage)
    person.open(DASHBOARD)
    return person


def test_dashboard_is_one_click_from_the_start(at_dashboard):
    at_dashboard.open("/admin/")
    at_dashboard.page.get_by_role("main").get_by_role("link", name="Dashboard").click()
    at_dashboard.is_at(DASHBOARD)


def test_period_and_filters_are_kept_together(at_dashboard):
    at_dashboard.follow("7 days")
    at_dashboard.page.get_by_role("combobox", name="Channel").select_option("text message")
    at_dashboard.press("Show")
    at_dashboard.follow("30 days")
    at_dashboard.is_at(f"{DASHBOARD}?channel=sms&period=30d")
    assert at_dashboard.page.get_by_role("combobox", name="Channel").input_value() == "sms"


def test_charts_are_drawn(at_dashboard):
    at_dashboard.follow("7 days")
    at_dashboard.sees("From the request to the login")
    charts = at_dashboard.page.get_by_role("img", name="Chart:")
    assert charts.count() >= 4
    for chart in charts.all():
        assert chart.evaluate(
            "(canvas) => canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data.some((each) => each)"
        )


def test_table_behind_a_chart_has_its_numbers(at_dashboard):
    at_dashboard.follow("7 days")
    table = at_dashboard.page.locator("#otp-codes-table")
    assert not table.is_visible()
    at_dashboard.page.get_by_text("The numbers").first.click()
    assert table.is_visible()
    assert table.get_by_role("row").count() > 7


def test_without_scripts_the_tables_are_open_and_the_filters_work(stage):
    person = operator(replace(stage, visit=partial(stage.visit, has_scripts=False)))
    person.open(DASHBOARD)
    person.page.get_by_role("combobox", name="Channel").select_option("text message")
    person.press("Show")
    person.follow("7 days")
    person.is_at(f"{DASHBOARD}?channel=sms&period=7d")
    assert person.page.locator("#otp-codes-table").is_visible()


def test_list_leads_to_what_happened(stage):
    person = operator(stage)
    person.open(CHALLENGES)
    person.page.get_by_role("link", name="all", exact=True).first.click()
    person.page.locator("#changelist-filter").get_by_role("link", name="locked").click()
    person.page.locator("#result_list tbody").get_by_role("link").first.click()
    person.sees("What happened")
    person.sees("Locked: no tries left")


def test_prefix_of_a_phone_is_blocked_and_written_down(stage):
    person = operator(stage)
    person.open(f"{CHALLENGES}{find_eventful()}/change/")
    person.follow("Block the prefix")
    person.page.get_by_label("1 hour").check()
    person.page.get_by_label("Reason").fill("pumped")
    person.press("Block the prefix")
    person.page.get_by_text("Blocked until").wait_for()
    person.sees("pumped")
    assert BlockedPrefix.objects.filter(reason="pumped").count() == 1


def find_cut(person, boxes: str) -> list[str]:
    """Give the beginnings of what does not fit into its box, and has to be scrolled."""
    cut: list[str] = person.page.eval_on_selector_all(
        boxes,
        "(found) => found.filter((each) => each.scrollWidth > each.clientWidth)"
        ".map((each) => each.innerText.slice(0, 30))",
    )
    return cut


@pytest.mark.parametrize("language", ["en", "ru"])  # the shortest words, and long ones
def test_tables_fit_on_a_desk_beside_the_sidebar(stage, language):
    person = operator(stage.on("desk"))
    person.page.context.add_cookies(
        [{"name": "django_language", "value": language, "url": person.site}]
    )
    PhoneChallenge.objects.update(ip="2001:db8:85a3:1234:abcd:8a2e:370:7334")
    person.open(f"{DASHBOARD}?period=90d")
    assert find_cut(person, ".otp-scroll") == []
    person.open(f"{CHALLENGES}?when=all")
    assert find_cut(person, ".results") == []


def test_page_of_accounts_fits_on_a_phone(stage):
    person = operator(stage.on("phone"))
    person.page.context.add_cookies(
        [{"name": "django_language", "value": "ru", "url": person.site}]
    )
    person.open("/admin/phone_otp/provideraccount/")
    assert person.page.locator("#accounts-of-settings").is_visible()
    assert find_cut(person, "html") == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_address_of_four_numbers_stands_in_one_line(stage, language):
    person = operator(stage.on("desk"))
    person.page.context.add_cookies(
        [{"name": "django_language", "value": language, "url": person.site}]
    )
    PhoneChallenge.objects.update(ip="203.110.113.207")
    person.open(f"{CHALLENGES}?when=all")
    lines = person.page.locator(".field-client_ip").first.evaluate(
        "(cell) => { const all = document.createRange(); all.selectNodeContents(cell);"
        " return all.getClientRects().length; }"
    )
    assert lines == 1
    assert find_cut(person, ".results") == []
