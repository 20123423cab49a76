"""Confounders of a known kind: tipr 1.0.2, algebra, and a world in which the formula is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from causal_s4.errors import UsageError
from causal_s4.sensitivity import adjust_for_confounder, confounder_array, tipping_grid, tipping_point

PREVALENCES = {"prevalence_treated": 0.25, "prevalence_control": 0.6}


def test_adjustment_equals_tipr(golden: dict[str, Any]) -> None:
    tipr = golden["tipr"]
    binary = adjust_for_confounder(effect=0.7, confounder_hazard_ratio=2, **PREVALENCES)
    corrected = adjust_for_confounder(effect=0.7, confounder_hazard_ratio=2, **PREVALENCES, hr_correction=True)
    normal = adjust_for_confounder(effect=0.9, confounder_hazard_ratio=1.8, mean_difference=-0.3)
    ratio = adjust_for_confounder(
        effect=1.1, confounder_hazard_ratio=1.5, prevalence_treated=0.5, prevalence_control=0.25
    )
    assert binary.value == pytest.approx(tipr["adjust_hr_binary"]["hr_adjusted"], rel=1e-12)
    assert corrected.value == pytest.approx(tipr["adjust_hr_binary_correction"]["rr_adjusted"], rel=1e-12)
    assert corrected.unit == "risk ratio"
    assert normal.value == pytest.approx(tipr["adjust_hr_continuous"]["hr_adjusted"], rel=1e-12)
    assert ratio.value == pytest.approx(tipr["adjust_rr_binary"]["rr_adjusted"], rel=1e-12)


def test_adjustment_recovers_the_truth_of_a_log_linear_world() -> None:
    # risk = 0.1 * 0.7^treated * gamma_arm^confounder, so the crude ratio follows by total probability
    treated, control, gamma_treated, gamma_control = 0.3, 0.5, 1.5, 2.0
    crude = 0.7 * (1 + treated * (gamma_treated - 1)) / (1 + control * (gamma_control - 1))
    result = adjust_for_confounder(
        effect=crude,
        lower=crude / 1.2,
        upper=crude * 1.2,
        confounder_hazard_ratio=gamma_treated,
        confounder_hazard_ratio_control=gamma_control,
        prevalence_treated=treated,
        prevalence_control=control,
    )
    assert (result.value, result.lower, result.upper) == pytest.approx((0.7, 0.7 / 1.2, 0.7 * 1.2))
    assert "lower than it is" in result.direction
    twice = adjust_for_confounder(effect=0.7, confounder_hazard_ratio=2, **PREVALENCES, confounders=2)
    assert twice.value == pytest.approx(0.7 / (1.25 / 1.6) ** 2)


def test_array_agrees_with_single_adjustments_and_marks_what_crosses() -> None:
    result = confounder_array(effect=0.7, lower=0.55, upper=0.89)
    assert len(result.table) == 11 * 11 * 4
    cell = next(
        row
        for row in result.table
        if (row["prevalence_treated"], row["prevalence_control"], row["confounder_hazard_ratio"]) == (0.2, 0.6, 3.0)
    )
    # 0.7 * (1 + 2 * 0.6) / (1 + 2 * 0.2) = 1.1
    assert cell["value"] == pytest.approx(1.1)
    assert cell["value_crosses_one"] is True
    assert cell["interval_covers_one"] is True
    assert (result.lower, result.upper) == pytest.approx((0.7 / 3, 0.7 * 3))


def test_tipping_points_equal_tipr(golden: dict[str, Any]) -> None:
    tipr = golden["tipr"]
    binary = tipping_point(effect=0.7, **PREVALENCES)
    assert binary.value == pytest.approx(tipr["tip_hr_binary"]["confounder_outcome_effect"], rel=1e-12)
    prevalence = tipping_point(effect=1.5, prevalence_treated=0.5, confounder_hazard_ratio=2.5)
    assert prevalence.value == pytest.approx(tipr["tip_hr_binary_outcome"]["unexposed_confounder_prev"], rel=1e-12)
    corrected = tipping_point(effect=0.7, **PREVALENCES, hr_correction=True)
    assert corrected.value == pytest.approx(tipr["tip_hr_binary_correction"]["confounder_outcome_effect"], rel=1e-12)
    difference = tipping_point(effect=1.5, confounder_hazard_ratio=2, confounder="normal")
    assert difference.value == pytest.approx(tipr["tip_hr_continuous"]["exposure_confounder_effect"], rel=1e-12)
    strength = tipping_point(effect=0.7, mean_difference=0.5, confounder="normal")
    assert strength.value == pytest.approx(tipr["tip_hr_continuous_exposure"]["confounder_outcome_effect"], rel=1e-12)
    both = tipping_point(effect=1.5, confounder_hazard_ratio=2, confounder="normal", hr_correction=True)
    assert both.value == pytest.approx(tipr["tip_hr_continuous_correction"]["exposure_confounder_effect"], rel=1e-12)


def test_a_corrected_tipping_point_is_given_as_a_hazard_ratio_too() -> None:
    row = tipping_point(effect=0.7, **PREVALENCES, hr_correction=True).table[0]
    # feeding the hazard ratio back adjusts the effect to exactly no effect
    back = adjust_for_confounder(
        effect=0.7, confounder_hazard_ratio=row["hazard_ratio"], **PREVALENCES, hr_correction=True
    )
    assert back.value == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("hr_correction", [False, True])
@pytest.mark.parametrize("confounders", [None, 3.0])
@pytest.mark.parametrize("left_out", ["effect", "prevalence_treated", "prevalence_control", "confounder_hazard_ratio"])
def test_each_answer_adjusts_the_effect_to_the_assumed_truth(
    left_out: str, confounders: float | None, hr_correction: bool
) -> None:
    # the effect that leaves 0.9 when such a confounder is adjusted for, then each input solved for in turn
    known = {**PREVALENCES, "confounder_hazard_ratio": 1.4, "confounders": confounders}
    call = {"true": 0.9, "hr_correction": hr_correction}
    produced = tipping_point(**known, **call)
    effect = produced.table[0]["hazard_ratio"] if hr_correction else produced.value
    whole = {"effect": effect, **known}
    answer = tipping_point(**{name: value for name, value in whole.items() if name != left_out}, **call)
    on_hazard_scale = answer.table[0]["hazard_ratio"] if answer.table else answer.value
    assert on_hazard_scale == pytest.approx(whole[left_out], rel=1e-9)


def test_number_of_confounders() -> None:
    result = tipping_point(effect=0.7, **PREVALENCES, confounder_hazard_ratio=2)
    # log 0.7 / log(1.25 / 1.6)
    assert result.value == pytest.approx(np.log(0.7) / np.log(1.25 / 1.6))
    assert result.unit == "confounders"
    wrong_way = tipping_point(effect=1.4, **PREVALENCES, confounder_hazard_ratio=2)
    assert wrong_way.value is None


def test_limit_nearer_the_null_and_intervals_that_cover_it() -> None:
    result = tipping_point(effect=0.7, lower=0.55, upper=0.89, **PREVALENCES)
    assert result.bound == pytest.approx(tipping_point(effect=0.89, **PREVALENCES).value)
    assert 1 < result.bound < result.value
    assert tipping_point(effect=0.7, lower=0.4, upper=1.2, **PREVALENCES).bound == 1.0
    nothing = tipping_point(effect=0.7, lower=0.4, upper=1.2, prevalence_control=0.6, confounder_hazard_ratio=4)
    assert nothing.bound == 0.6


def test_no_such_confounder_is_an_answer() -> None:
    # even an infinitely strong one moves the ratio by 0.25 / 0.6 at most
    result = tipping_point(effect=0.4, **PREVALENCES)
    assert result.value is None
    assert [finding.code for finding in result.findings] == ["no-such-confounder"]
    assert tipping_point(effect=0.7, prevalence_treated=0.3, prevalence_control=0.3).value is None
    assert tipping_point(effect=0.7, prevalence_treated=0.3, confounder_hazard_ratio=1).value is None


def test_grid_of_tipping_points() -> None:
    result = tipping_grid(effect=0.7, lower=0.55, upper=0.89)
    assert len(result.table) == 121
    cells = {(row["prevalence_treated"], row["prevalence_control"]): row for row in result.table}
    one = tipping_point(effect=0.7, lower=0.55, upper=0.89, prevalence_treated=0.2, prevalence_control=0.6)
    assert cells[0.2, 0.6]["estimate"] == one.value
    assert cells[0.2, 0.6]["interval_limit"] == one.bound
    assert cells[0.5, 0.5]["estimate"] is None


def test_a_confounder_of_a_common_outcome_that_tips_the_estimate_brings_it_to_no_effect() -> None:
    grid = tipping_grid(
        effect=0.7, lower=0.55, upper=0.89, prevalence_treated=[0.2], prevalence_control=[0.6], hr_correction=True
    )
    (row,) = grid.table
    assert grid.unit == "hazard ratio"
    for found, ratio in ((row["estimate"], 0.7), (row["interval_limit"], 0.89)):
        back = adjust_for_confounder(
            effect=ratio,
            confounder_hazard_ratio=found,
            prevalence_treated=0.2,
            prevalence_control=0.6,
            hr_correction=True,
        )
        assert back.value == pytest.approx(1, abs=1e-9)


def test_an_array_names_the_estimate_without_a_confounder() -> None:
    array = confounder_array(
        effect=0.7, prevalence_treated=[0.3], prevalence_control=[0.3], confounder_hazard_ratio=[2], hr_correction=True
    )
    # as frequent in both arms, it moves nothing
    assert array.value == pytest.approx(array.table[0]["value"])
    assert array.unit == "risk ratio"


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"effect": 0.7}, ["prevalence_treated", "all but one"]),
        ({"effect": 0.7, **PREVALENCES, "confounder_hazard_ratio": 2, "confounders": 1}, ["nothing to solve for"]),
        ({"effect": 0.7, **PREVALENCES, "mean_difference": 1}, ["mean_difference", "only"]),
        ({"effect": 0.7, **PREVALENCES, "confounder": "ordinal"}, ["confounder"]),
        ({"effect": -0.7, "prevalence_treated": 25, "prevalence_control": 0.6}, ["effect", "prevalence_treated"]),
        ({**PREVALENCES, "confounder_hazard_ratio": 2, "upper": 0.9}, ["lower, upper"]),
        ({"effect": 0.7, **PREVALENCES, "lower": 0.5}, ["upper"]),
    ],
)
def test_bad_questions_are_refused(call: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        tipping_point(**call)
    for name in named:
        assert name in str(caught.value)


def test_adjustment_needs_one_kind_of_confounder() -> None:
    with pytest.raises(UsageError, match="prevalence_control"):
        adjust_for_confounder(effect=0.7, confounder_hazard_ratio=2, prevalence_treated=0.3)
    with pytest.raises(UsageError, match="beside"):
        adjust_for_confounder(effect=0.7, confounder_hazard_ratio=2, mean_difference=1, **PREVALENCES)
    with pytest.raises(UsageError, match="confounder_hazard_ratio_control"):
        adjust_for_confounder(
            effect=0.7, confounder_hazard_ratio=2, confounder_hazard_ratio_control=3, mean_difference=1
        )
