"""E-values against R's EValue 4.1.4, tipr 1.0.2 and the published examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_s4.errors import UsageError
from causal_s4.sensitivity import evalue, evalue_risk_difference, observed_covariate_evalue

KEYWORD = {"evalue_HR": "hazard_ratio", "evalue_RR": "risk_ratio", "evalue_OR": "odds_ratio"}


def cases(golden: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    found = []
    for table, keyword in KEYWORD.items():
        for row in golden[table]:
            call = {keyword: row["est"], "lower": row["lo"], "upper": row["hi"]}
            for name, extra in {
                "rare": {"outcome": "rare"},
                "nonrare": {"outcome": "common"},
                "nonrare_true_0.8": {"outcome": "common", "true": 0.8},
                "res": {},
                "true1.1": {"true": 1.1},
            }.items():
                if name in row:
                    found.append((f"{table} {row['est']} {name}", {**call, **extra}, row[name]))
    return found


def test_equals_evalue_package(golden: dict[str, Any]) -> None:
    compared = cases(golden)
    assert len(compared) == 8 * 3 + 3 * 2 + 2 * 2
    for name, call, expected in compared:
        converted, answers = expected["values"]
        result = evalue(**call)
        limit = answers[1] if answers[1] is not None else answers[2]
        assert result.value == pytest.approx(answers[0], rel=1e-12), name
        # EValue gives no limit for an estimate equal to the null but the convention is the same: 1
        assert result.bound == pytest.approx(limit, rel=1e-12), name
        assert result.parameters["risk_ratio"] == pytest.approx(converted[0], rel=1e-12), name
        assert result.parameters["risk_ratio_lower"] == pytest.approx(converted[1], rel=1e-12), name


# VanderWeele & Ding 2017 (smoking), and the figures for stage IV cohorts printed to two decimals
@pytest.mark.parametrize(
    ("call", "value", "bound"),
    [
        ({"risk_ratio": 3.9, "lower": 1.8, "upper": 8.7}, 7.26, 3.0),
        ({"risk_ratio": 0.8, "lower": 0.71, "upper": 0.91}, 1.81, 1.43),
        ({"risk_ratio": 0.8, "lower": 0.71, "upper": 0.91, "true": 0.9}, 1.50, 1.0),
        ({"hazard_ratio": 0.75}, 1.74, None),
        ({"hazard_ratio": 0.65}, 2.03, None),
        ({"hazard_ratio": 0.36}, 3.44, None),
        ({"hazard_ratio": 0.569}, 2.31, None),
        ({"hazard_ratio": 0.54}, 2.43, None),
        ({"hazard_ratio": 0.67}, 1.97, None),
        ({"hazard_ratio": 0.84}, 1.51, None),
        ({"hazard_ratio": 0.56, "lower": 0.46, "upper": 0.69}, 2.35, 1.91),
    ],
)
def test_published_figures(call: dict[str, Any], value: float, bound: float | None) -> None:
    result = evalue(**call)
    assert round(result.value, 2) == value
    assert (result.bound if result.bound is None else round(result.bound, 2)) == bound


def test_common_is_the_default_for_a_hazard_ratio() -> None:
    assert evalue(hazard_ratio=0.56).value == evalue(hazard_ratio=0.56, outcome="common").value
    assert evalue(hazard_ratio=0.56).value < evalue(hazard_ratio=0.56, outcome="rare").value


@pytest.mark.parametrize("keyword", ["risk_ratio", "survival_ratio", "rmtl_ratio"])
def test_ratios_that_need_no_conversion(keyword: str) -> None:
    # the formula itself: RR + sqrt(RR (RR - 1))
    assert evalue(**{keyword: 1.5}).value == pytest.approx(1.5 + np.sqrt(0.75), rel=1e-14)


def test_one_limit_is_enough() -> None:
    both = evalue(hazard_ratio=0.56, lower=0.46, upper=0.69)
    assert evalue(hazard_ratio=0.56, upper=0.69).bound == both.bound
    assert evalue(hazard_ratio=1.5, lower=1.2).bound == evalue(hazard_ratio=1.5, lower=1.2, upper=2.0).bound


@given(st.floats(0.02, 50), st.floats(0.2, 5))
def test_a_ratio_and_its_inverse_are_equally_far(ratio: float, true: float) -> None:
    assert evalue(risk_ratio=ratio, true=true).value == pytest.approx(
        evalue(risk_ratio=1 / ratio, true=1 / true).value, rel=1e-9
    )


def test_direction_and_assumptions_are_stated_without_a_verdict() -> None:
    result = evalue(hazard_ratio=0.56, lower=0.46, upper=0.69)
    assert "pull the ratio down" in result.direction
    assert "pull the ratio up" in evalue(hazard_ratio=1.4).direction
    assert result.assumptions
    words = " ".join((result.direction, *result.assumptions)).lower()
    assert not [word for word in ("robust", "weak", "large", "reassuring") if word in words]


def test_the_frame_shows_the_answer() -> None:
    row = evalue(hazard_ratio=0.56, lower=0.46, upper=0.69).to_frame().iloc[0]
    assert row["value"] == pytest.approx(2.349531, rel=1e-6)
    assert row["estimate"] == 0.56


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({}, ["exactly one"]),
        ({"hazard_ratio": 0.5, "risk_ratio": 0.5}, ["exactly one"]),
        ({"hazard_ratio": -1, "lower": 0, "true": float("nan")}, ["hazard_ratio", "lower", "true"]),
        ({"hazard_ratio": "0.5"}, ["hazard_ratio"]),
        ({"hazard_ratio": 0.5, "lower": 0.6, "upper": 0.4}, ["lower"]),
        ({"hazard_ratio": 0.5, "lower": 0.6}, ["lower"]),
        ({"hazard_ratio": 0.5, "upper": 0.4}, ["upper"]),
        ({"hazard_ratio": 0.5, "lower": 0.4}, ["upper"]),
        ({"risk_ratio": 0.5, "outcome": "common"}, ["outcome"]),
        ({"hazard_ratio": 0.5, "outcome": "frequent"}, ["outcome"]),
    ],
)
def test_bad_numbers_are_refused_together(call: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        evalue(**call)
    for name in named:
        assert name in str(caught.value)


def test_risk_difference_equals_evalue_package(golden: dict[str, Any]) -> None:
    counts = golden["evalue_RD"]
    treated, control = counts["n11"] + counts["n10"], counts["n01"] + counts["n00"]
    risk_treated, risk_control = counts["n11"] / treated, counts["n01"] / control
    call = {
        "risk_treated": risk_treated,
        "risk_control": risk_control,
        "share_treated": treated / (treated + control),
        "std_error_treated": np.sqrt(risk_treated * (1 - risk_treated) / treated),
        "std_error_control": np.sqrt(risk_control * (1 - risk_control) / control),
        "n": treated + control,
    }
    result = evalue_risk_difference(**call)
    assert result.value == pytest.approx(counts["est"], rel=1e-9)
    # R searches bias factors in steps of 1e-4, which is several 1e-4 on the E-value
    assert result.bound == pytest.approx(counts["lower"], abs=5e-4)
    # with the arms exchanged nothing changes but the direction
    exchanged = evalue_risk_difference(
        risk_treated=risk_control,
        risk_control=risk_treated,
        share_treated=control / (treated + control),
        std_error_treated=call["std_error_control"],
        std_error_control=call["std_error_treated"],
        n=call["n"],
    )
    assert exchanged.bound == pytest.approx(result.bound, rel=1e-9)
    assert exchanged.direction != result.direction


def test_risk_difference_bound_solves_the_delta_method() -> None:
    # few patients and correlated risks, so that every term of the variance counts
    risks, share, errors, covariance, n = (0.6, 0.3), 0.35, (0.05, 0.04), 0.0006, 150
    strength = evalue_risk_difference(
        risk_treated=risks[0],
        risk_control=risks[1],
        share_treated=share,
        std_error_treated=errors[0],
        std_error_control=errors[1],
        covariance=covariance,
        n=n,
    ).bound
    factor = strength**2 / (2 * strength - 1)

    def least(treated: float, control: float, treated_share: float) -> float:
        return (treated - control * factor) * (treated_share + (1 - treated_share) / factor)

    at = np.array([*risks, share])
    slope = np.array([(least(*(at + step)) - least(*(at - step))) / 2e-6 for step in 1e-6 * np.eye(3)])
    spread = np.diag([errors[0] ** 2, errors[1] ** 2, share * (1 - share) / n])
    spread[0, 1] = spread[1, 0] = covariance
    assert least(*at) - 1.9599639845 * np.sqrt(slope @ spread @ slope) == pytest.approx(0, abs=1e-8)


def test_risk_difference_with_an_interval_over_zero_and_with_errors_left_out() -> None:
    call = {"risk_treated": 0.30, "risk_control": 0.31, "share_treated": 0.4}
    assert evalue_risk_difference(**call, std_error_treated=0.02, std_error_control=0.02, n=900).bound == 1.0
    assert evalue_risk_difference(**call).bound is None
    with pytest.raises(UsageError, match="std_error_control, n"):
        evalue_risk_difference(**call, std_error_treated=0.02)


def test_observed_covariate_evalue_is_that_of_the_ratio_of_limits() -> None:
    # dowhy's check of this number against R: limits 2 and 4 give 3.414, 0.8 and 0.9 give 1.5
    assert observed_covariate_evalue(limit=2, limit_without=4, outcome="rare").value == pytest.approx(3.414, abs=5e-4)
    assert observed_covariate_evalue(limit=0.9, limit_without=0.8, outcome="rare").value == pytest.approx(1.5)
