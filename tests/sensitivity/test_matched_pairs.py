"""Rosenbaum bounds against rbounds 2.2, exact binomial tails from R, enumeration and algebra."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from causal_s4.errors import DataError, UsageError
from causal_s4.sensitivity import rosenbaum_bounds
from causal_s4.sensitivity.matched_pairs import score_bounds


def table_of(treated_time: Any, treated_event: Any, control_time: Any, control_event: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "treated_time": treated_time,
            "treated_event": treated_event,
            "control_time": control_time,
            "control_event": control_event,
        }
    )


def test_counts_equal_exact_tails_from_r(golden: dict[str, Any]) -> None:
    pairs = golden["rotterdam_pairs_5y_death"]
    exact = pairs["exact_upper_P_ge"]
    result = rosenbaum_bounds(
        treated_first=pairs["discordant_treated_died"],
        control_first=pairs["discordant_control_died"],
        gamma=exact["gamma"],
    )
    assert [row["p_upper"] for row in result.table] == pytest.approx(exact["p"], rel=1e-10)
    assert [row["p_lower"] for row in result.table] == pytest.approx(exact["p_lower"], rel=1e-10)
    assert result.table[0]["p_upper"] == pytest.approx(pairs["mcnemar_p_onesided_exact"], rel=1e-10)
    assert 1 < result.value < 1.1
    smoking = golden["rbounds"]["binarysens_110_12_exact_P_ge"]
    result = rosenbaum_bounds(treated_first=110, control_first=12, gamma=smoking["gamma"])
    assert [row["p_upper"] for row in result.table] == pytest.approx(smoking["upper"], rel=1e-9)
    assert [row["p_lower"] for row in result.table] == pytest.approx(smoking["lower"], rel=1e-9)
    assert result.parameters["alternative"] == "harm"


def test_gamma_is_where_the_upper_p_value_reaches_alpha() -> None:
    for alpha in (0.05, 0.025):
        found = rosenbaum_bounds(treated_first=12, control_first=110, alpha=alpha).value
        back = rosenbaum_bounds(treated_first=12, control_first=110, gamma=[found])
        assert back.table[0]["p_upper"] == pytest.approx(alpha, rel=1e-9)


def test_score_bounds_equal_rbounds(golden: dict[str, Any]) -> None:
    lead = golden["rbounds"]
    difference = np.array(lead["lead_pairs"]["trt"], float) - np.array(lead["lead_pairs"]["ctrl"], float)
    difference = difference[difference != 0]
    signed = np.sign(difference) * rankdata(np.abs(difference))
    own = lead["psens_unrounded_own"]
    bounds = np.array([score_bounds(signed, gamma) for gamma in own["gamma"]])
    assert bounds[:, 1] == pytest.approx(own["upper"], rel=1e-9)
    assert bounds[:, 0] == pytest.approx(own["lower"], rel=1e-6)
    printed = np.array(lead["psens"]["values"])
    assert np.round(bounds[:, 1], 4) == pytest.approx(printed[:, 2], abs=1e-4)


def test_order_is_known_only_when_the_shorter_time_is_a_death() -> None:
    pairs = table_of(
        # control first, treated first, shorter is censored (twice), death before censoring at a tie (twice),
        # both died at once, both censored at once
        [5, 2, 3, 9, 4, 4, 6, 7],
        [0, 1, 0, 1, 0, 1, 1, 0],
        [3, 8, 6, 8, 4, 4, 6, 7],
        [1, 1, 1, 0, 1, 0, 1, 0],
    )
    parameters = rosenbaum_bounds(pairs, alternative="benefit").parameters
    assert (parameters["pairs"], parameters["pairs_informative"]) == (8, 4)
    assert (parameters["treated_first"], parameters["control_first"]) == (2, 2)


def test_a_mapping_of_lists_serves() -> None:
    table = table_of([5.0, 6.0, 7.0], [0, 0, 1], [3.0, 2.0, 8.0], [1, 1, 1])
    assert rosenbaum_bounds(table.to_dict("list")) == rosenbaum_bounds(table)


def test_prentice_wilcoxon_without_censoring_is_the_difference_of_midranks() -> None:
    # without censoring a score is 2 rank / (2n + 1) - 1, ties by midranks
    treated, control = np.array([4.0, 9, 2, 7, 7, 11]), np.array([3.0, 5, 6, 7, 1, 2])
    pairs = table_of(treated, np.ones(6, int), control, np.ones(6, int))
    ranks = rankdata(np.concatenate([treated, control])).reshape(2, 6)
    difference = 2 * (ranks[0] - ranks[1]) / 13
    result = rosenbaum_bounds(pairs, statistic="prentice-wilcoxon", gamma=[1.0])
    z = difference.sum() / np.sqrt((difference**2).sum())
    assert result.table[0]["p_upper"] == pytest.approx(norm.sf(z), rel=1e-9)


def test_prentice_wilcoxon_with_censoring_by_hand() -> None:
    # pairs (3 died, 5 died), (2 died, 4 censored), (7 censored, 6 died), (1 censored, 9 died): the last pair is
    # followed to 1 only. Pooled deaths at 2, 3, 5, 6 with 6, 5, 3, 2 at risk, one added:
    # S = 6/7, 6/7*5/6 = 5/7, 5/7*3/4 = 15/28, 15/28*2/3 = 5/14
    pairs = table_of([5, 4, 7, 1], [1, 0, 0, 0], [3, 2, 6, 9], [1, 1, 1, 1])
    scores = {
        "5 died": 1 - 2 * 15 / 28,
        "3 died": 1 - 2 * 5 / 7,
        "4 censored": 1 - 5 / 7,
        "2 died": 1 - 2 * 6 / 7,
        "6 censored": 1 - 5 / 14,
        "6 died": 1 - 2 * 5 / 14,
    }
    difference = np.array(
        [
            scores["5 died"] - scores["3 died"],
            scores["4 censored"] - scores["2 died"],
            scores["6 censored"] - scores["6 died"],
        ]
    )
    gamma = 2.0
    result = rosenbaum_bounds(pairs, statistic="prentice-wilcoxon", gamma=[gamma])
    p = gamma / (1 + gamma)
    z = (difference.sum() - (2 * p - 1) * difference.sum()) / np.sqrt(4 * p * (1 - p) * (difference**2).sum())
    assert result.table[0]["p_upper"] == pytest.approx(norm.sf(z), rel=1e-9)
    assert result.parameters["pairs_informative"] == 3


def test_normal_bounds_are_near_enumeration() -> None:
    difference = np.random.default_rng(1).normal(0.5, 1, 14)
    gamma = 1.5
    p = gamma / (1 + gamma)
    signs = np.array(list(product([-1, 1], repeat=14)))
    sums = signs @ np.abs(difference)
    chance = np.prod(np.where(signs > 0, p, 1 - p), axis=1)
    exact = chance[sums >= difference.sum() - 1e-12].sum()
    assert score_bounds(difference, gamma)[1] == pytest.approx(exact, abs=0.02)


def test_gamma_of_the_scores_solves_for_alpha() -> None:
    generator = np.random.default_rng(2)
    control, treated = generator.exponential(1, 80), generator.exponential(1.9, 80)
    pairs = table_of(treated, (treated < 3).astype(int), control, (control < 3).astype(int))
    found = rosenbaum_bounds(pairs, statistic="prentice-wilcoxon").value
    assert found > 1
    back = rosenbaum_bounds(pairs, statistic="prentice-wilcoxon", gamma=[found])
    assert back.table[0]["p_upper"] == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("statistic", ["sign", "prentice-wilcoxon"])
def test_no_gamma_where_chance_alone_explains_it(statistic: str) -> None:
    pairs = table_of([3.0, 5, 2, 8], [1, 1, 1, 1], [4.0, 4, 3, 6], [1, 1, 1, 1])
    result = rosenbaum_bounds(pairs, statistic=statistic)
    assert result.value is None
    assert [finding.code for finding in result.findings] == ["p-above-alpha-without-hidden-bias"]
    against = rosenbaum_bounds(treated_first=30, control_first=0, alternative="benefit")
    assert against.value is None
    assert against.table[0]["p_upper"] == 1.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="or both"):
        rosenbaum_bounds(treated_first=3)
    with pytest.raises(UsageError, match=r"(?s)gamma.*statistic.*alternative.*alpha.*beside"):
        rosenbaum_bounds(
            table_of([1], [1], [2], [1]),
            gamma=[0.5],
            statistic="log-rank",
            alternative="both",
            alpha=0.9,
            control_first=1,
        )
    with pytest.raises(UsageError, match="pairs with their times"):
        rosenbaum_bounds(treated_first=3, control_first=4, statistic="prentice-wilcoxon")
    with pytest.raises(UsageError, match="whole number"):
        rosenbaum_bounds(treated_first=3.5, control_first=4)
    with pytest.raises(UsageError, match="found list"):
        rosenbaum_bounds([1, 2, 3])
    with pytest.raises(DataError, match=r"(?s)treated_event.*control_time"):
        rosenbaum_bounds(pd.DataFrame({"treated_time": [1.0], "control_event": [1]}))
    with pytest.raises(DataError, match=r"(?s)treated_time.*row 2.*control_event.*row 1"):
        rosenbaum_bounds(table_of([1.0, -2.0], [1, 1], [2.0, 3.0], [2, 1]))
    with pytest.raises(DataError, match="treated_time"):
        rosenbaum_bounds(table_of(["a", "b"], [1, 1], [2.0, 3.0], [1, 1]))
    with pytest.raises(DataError, match="which patient had the event first"):
        rosenbaum_bounds(table_of([1.0], [0], [2.0], [1]))
