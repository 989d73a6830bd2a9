"""Tallies: numbers that add up, and percentiles of what was counted by bounds."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp.choices import DeliveryOutcome, Guard, Refusal, Words
from django_phone_otp.flow.tallies import (
    ANSWER_BOUNDS_MS,
    LOGIN_BOUNDS_SECONDS,
    Adder,
    GuardTally,
    Histogram,
    Tally,
    add_up,
)

BOUNDS = (10, 100, 1_000)
COUNTS = st.integers(min_value=0, max_value=10**9)


def histograms(bounds: tuple[int, ...]) -> st.SearchStrategy[Histogram]:
    counts = st.tuples(*[COUNTS] * (len(bounds) + 1))
    return counts.map(lambda each: Histogram(bounds=bounds, counts=each))


def words(choices: type[Words]) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from(list(choices)), st.integers(1, 10**9))


TALLIES = st.builds(
    Tally,
    requested_count=COUNTS,
    sent_count=COUNTS,
    answered_count=COUNTS,
    verified_count=COUNTS,
    outcomes=words(DeliveryOutcome),
    refusals=words(Refusal),
    guards=st.dictionaries(
        st.sampled_from(list(Guard)),
        st.builds(GuardTally, blocked_count=st.integers(1, 99), shadow_count=COUNTS),
    ),
    costs=st.dictionaries(
        st.sampled_from(["RUB", "EUR", ""]),
        st.decimals(min_value=0, max_value=10**12, places=5),
    ),
    answer_ms=histograms(ANSWER_BOUNDS_MS),
    login_seconds=histograms(LOGIN_BOUNDS_SECONDS),
)


def histogram(*counts: int) -> Histogram:
    return Histogram(bounds=BOUNDS, counts=counts)


class TestHistogram:
    """Values counted by upper bounds."""

    def test_without_counts_there_is_nothing_in_it(self):
        assert Histogram(bounds=BOUNDS) == histogram(0, 0, 0, 0)
        assert Histogram(bounds=BOUNDS).count == 0

    def test_it_counts_its_values(self):
        assert histogram(1, 2, 3, 4).count == 10

    @pytest.mark.parametrize("share", [0, 0.5, 1])
    def test_nothing_has_no_percentile(self, share):
        assert histogram(0, 0, 0, 0).percentile(share) is None

    @pytest.mark.parametrize(
        ("counts", "share", "value"),
        [
            ((4, 0, 0, 0), 0.5, 5),
            ((4, 0, 0, 0), 1, 10),
            ((4, 0, 0, 0), 0, 0),
            ((0, 4, 0, 0), 0.25, 32.5),
            ((0, 4, 0, 0), 0, 10),
            ((1, 0, 1, 0), 0.5, 10),
            ((1, 0, 1, 0), 0.75, 550),
            ((1, 0, 0, 1), 0.99, 1_000),
        ],
    )
    def test_values_lie_evenly_between_bounds(self, counts, share, value):
        assert histogram(*counts).percentile(share) == value

    @given(values=st.lists(st.integers(0, 1_200), min_size=1), share=st.floats(0, 1))
    def test_a_percentile_lies_in_the_bucket_of_the_value_that_it_stands_for(self, values, share):
        counts = [0] * 4
        for value in values:
            counts[sum(value > bound for bound in BOUNDS)] += 1
        found = histogram(*counts).percentile(share)
        exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
        edges = (0, *BOUNDS, BOUNDS[-1])
        number = sum(exact > bound for bound in BOUNDS)
        assert found is not None
        assert edges[number] <= found <= edges[number + 1]

    @given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), counts=st.tuples(*[COUNTS] * 4))
    def test_a_larger_share_has_no_smaller_percentile(self, shares, counts):
        lower, higher = (histogram(*counts).percentile(share) for share in sorted(shares))
        if lower is not None and higher is not None:
            assert lower <= higher


class TestTally:
    """What became of challenges."""

    @given(tallies=st.lists(TALLIES, max_size=6), number=st.integers(0, 6))
    def test_parts_add_up_to_the_whole(self, tallies, number):
        whole = add_up(tallies)
        assert add_up([add_up(tallies[:number]), add_up(tallies[number:])]) == whole
        assert add_up(reversed(tallies)) == whole

    @given(tally=TALLIES)
    def test_what_is_written_is_read_again(self, tally):
        adder = Adder()
        funnel = (tally.requested_count, tally.sent_count)
        written = json.dumps(tally.details)
        adder.add(*funnel, tally.answered_count, tally.verified_count, json.loads(written))
        assert adder.tally() == tally

    def test_what_is_nothing_is_not_written(self):
        assert Tally(outcomes={"sent": 0}).details == {}

    def test_written_it_is_small_and_exact(self):
        answers = [0] * (len(ANSWER_BOUNDS_MS) + 1)
        answers[ANSWER_BOUNDS_MS.index(100)], answers[-1] = 3, 1
        tally = Tally(
            requested_count=3,
            outcomes={"sent": 2, "unavailable": 1},
            guards={"region": GuardTally(shadow_count=1)},
            costs={"RUB": Decimal("0.30000")},
            answer_ms=Histogram(bounds=ANSWER_BOUNDS_MS, counts=tuple(answers)),
        )
        assert tally.details == {
            "outcomes": {"sent": 2, "unavailable": 1},
            "shadow": {"region": 1},
            "costs": {"RUB": "0.30000"},
            "answer_ms": {"100": 3, "above": 1},
        }

    def test_what_was_counted_by_other_bounds_goes_to_the_next(self):
        adder = Adder()
        adder.add(0, 0, 0, 0, {"login_seconds": {"1": 1, "45": 2, "2000": 4, "above": 8}})
        counts = dict(
            zip((*LOGIN_BOUNDS_SECONDS, "above"), adder.tally().login_seconds.counts, strict=True)
        )
        assert {bound: count for bound, count in counts.items() if count} == {
            2: 1,
            50: 2,
            "above": 12,
        }

    def test_what_a_later_version_has_written_is_left_alone(self):
        adder = Adder()
        adder.add(1, 0, 0, 0, {"ends_at": "2026-03-01T13:00:00+00:00", "moods": {"good": 1}})
        assert adder.tally() == Tally(requested_count=1)

    def test_tenths_of_money_add_up_exactly(self):
        tenth = Tally(costs={"EUR": Decimal("0.1")})
        assert add_up([tenth] * 3).costs == {"EUR": Decimal("0.3")}

    def test_currencies_are_not_mixed(self):
        both = add_up([Tally(costs={"EUR": Decimal(1)}), Tally(costs={"RUB": Decimal(2)})])
        assert both.costs == {"EUR": 1, "RUB": 2}

    @pytest.mark.parametrize(("sent", "verified", "share"), [(4, 3, 0.75), (4, 0, 0), (0, 0, None)])
    def test_conversion_is_of_what_was_sent(self, sent, verified, share):
        assert (
            Tally(requested_count=9, sent_count=sent, verified_count=verified).conversion == share
        )

    def test_failures_are_the_outcomes_that_nobody_wants_most_frequent_first(self):
        outcomes = {"sent": 9, "withheld": 8, "test": 7, "no_funds": 1, "uncertain": 2}
        tally = Tally(outcomes={**outcomes, "limited": 1})
        assert list(tally.failures.items()) == [("uncertain", 2), ("limited", 1), ("no_funds", 1)]
        assert tally.failures_count == 4

    def test_what_was_withheld_is_no_delivery(self):
        outcomes = {"sent": 5, "unavailable": 2, "withheld": 3, "test": 4}
        assert Tally(outcomes=outcomes).deliveries_count == 7

    def test_nothing_adds_up_to_nothing(self):
        assert add_up([]) == Tally()


@pytest.mark.parametrize("bounds", [ANSWER_BOUNDS_MS, LOGIN_BOUNDS_SECONDS])
def test_bounds_rise(bounds):
    assert sorted(set(bounds)) == list(bounds)
