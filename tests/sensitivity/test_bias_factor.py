"""Bias factors against EValue 4.1.4, algebra and a confounder that attains the bound."""

from __future__ import annotations

from typing import Any

import pytest

from causal_s4.errors import UsageError
from causal_s4.sensitivity import bias_contour, bias_factor, bias_factor_array, evalue


def test_equals_evalue_package(golden: dict[str, Any]) -> None:
    expected = golden["bias_factor"]
    assert bias_factor(expected["RREU"], expected["RRUD"]).value == pytest.approx(expected["EValue_confounding"])


def test_the_bound_is_attained() -> None:
    # a binary confounder present in all treated and in 1/rr_eu of the controls, by the law of total probability
    rr_eu, rr_ud = 2.5, 3.0
    risk = lambda share: share * rr_ud + (1 - share)  # noqa: E731
    assert risk(1.0) / risk(1 / rr_eu) == pytest.approx(bias_factor(rr_eu, rr_ud).value)


def test_array_moves_estimate_and_interval_by_the_factor() -> None:
    result = bias_factor_array(risk_ratio=0.8, lower=0.7, upper=0.9, strengths=[1.0, 2.0, 3.0])
    cells = {(row["rr_eu"], row["rr_ud"]): row for row in result.table}
    assert len(cells) == 9
    assert cells[1.0, 3.0]["estimate"] == 0.8
    # 2 * 3 / 4 = 1.5
    assert cells[2.0, 3.0]["estimate"] == pytest.approx(0.8 * 1.5)
    assert cells[2.0, 3.0]["lower"] == pytest.approx(0.7 * 1.5)
    assert cells[2.0, 3.0]["estimate_reaches_true"]
    assert not cells[1.0, 1.0]["interval_reaches_true"]
    assert result.value == pytest.approx(1 / 0.8)
    assert result.bound == pytest.approx(1 / 0.9)
    harmful = bias_factor_array(risk_ratio=1.25, strengths=[2.0])
    assert harmful.table[0]["estimate"] == pytest.approx(1.25 / (4 / 3))
    assert harmful.table[0]["interval_reaches_true"] is None


def test_contour_crosses_the_diagonal_at_the_evalue() -> None:
    call = {"hazard_ratio": 0.56, "lower": 0.46, "upper": 0.69}
    result = bias_contour(**call, strongest=8, points=11)
    answer = evalue(**call)
    for name, strength, ratio in (
        ("estimate", answer.value, answer.parameters["risk_ratio"]),
        ("interval limit", answer.bound, answer.parameters["risk_ratio_upper"]),
    ):
        curve = [(row["rr_eu"], row["rr_ud"]) for row in result.table if row["curve"] == name]
        assert len(curve) == 11
        assert curve[5] == pytest.approx((strength, strength))
        for rr_eu, rr_ud in curve:
            assert bias_factor(rr_eu, rr_ud).value == pytest.approx(1 / ratio)
        assert max(each for pair in curve for each in pair) == pytest.approx(8)


def test_no_curve_for_an_interval_that_covers_the_null() -> None:
    table = bias_contour(risk_ratio=0.8, lower=0.6, upper=1.1).table
    assert {row["curve"] for row in table} == {"estimate"}


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"(?s)rr_eu.*rr_ud"):
        bias_factor(0.5, float("inf"))
    with pytest.raises(UsageError, match="strengths"):
        bias_factor_array(risk_ratio=0.8, strengths=[])
    with pytest.raises(UsageError, match="strongest"):
        bias_contour(risk_ratio=0.2, strongest=5)
    with pytest.raises(UsageError, match="odd"):
        bias_contour(risk_ratio=0.8, points=10)
