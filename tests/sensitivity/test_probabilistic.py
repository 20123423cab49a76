"""Probabilistic bias analysis against its closed form where the priors are narrow or normal."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from causal_s4.errors import UsageError
from causal_s4.sensitivity import (
    STAGE4_PRIORS,
    ConfounderPrior,
    PrevalencePrior,
    RatioPrior,
    adjust_for_confounder,
    probabilistic_bias_analysis,
)


def certain(treated: float, control: float, ratio: float) -> ConfounderPrior:
    return ConfounderPrior(
        name="known exactly",
        prevalence_treated=PrevalencePrior(mean=treated, patients=1e9),
        prevalence_control=PrevalencePrior(mean=control, patients=1e9),
        hazard_ratio=RatioPrior(median=ratio, lower=ratio / 1.0001, upper=ratio * 1.0001),
        reason="a test",
    )


@pytest.mark.parametrize("hr_correction", [False, True])
def test_a_confounder_known_exactly_gives_the_formula_and_the_conventional_interval(hr_correction: bool) -> None:
    result = probabilistic_bias_analysis(
        effect=0.7, std_error=0.1, prior=certain(0.25, 0.6, 2.0), seed=1, hr_correction=hr_correction
    )
    z = NormalDist().inv_cdf(0.975)
    expected = adjust_for_confounder(
        effect=0.7,
        lower=0.7 * math.exp(-z * 0.1),
        upper=0.7 * math.exp(z * 0.1),
        confounder_hazard_ratio=2.0,
        prevalence_treated=0.25,
        prevalence_control=0.6,
        hr_correction=hr_correction,
    )
    assert (result.value, result.lower, result.upper) == pytest.approx(
        (expected.value, expected.lower, expected.upper), rel=4e-3
    )
    random_error, bias, _ = result.table
    assert bias["upper"] / bias["lower"] < 1.001
    assert random_error["upper"] / random_error["lower"] == pytest.approx(expected.upper / expected.lower, rel=5e-3)
    assert bias["share_across_one"] == 0.0


def test_uncertain_strength_adds_its_variance() -> None:
    # present in all treated and no controls, the log bias is the log hazard ratio: normal, so variances add
    prior = ConfounderPrior(
        name="separates the arms",
        prevalence_treated=PrevalencePrior(mean=1 - 1e-9, patients=1e12),
        prevalence_control=PrevalencePrior(mean=1e-9, patients=1e12),
        hazard_ratio=RatioPrior(median=0.8, lower=0.8 * math.exp(-0.3), upper=0.8 * math.exp(0.3)),
        reason="a test",
    )
    result = probabilistic_bias_analysis(effect=0.7, std_error=0.1, prior=prior, seed=2, draws=400_000)
    z = NormalDist().inv_cdf(0.975)
    error = math.hypot(0.1, 0.3 / z)
    centre = math.log(0.7 / 0.8)
    assert result.value == pytest.approx(math.exp(centre), rel=2e-3)
    assert (result.lower, result.upper) == pytest.approx(
        (math.exp(centre - z * error), math.exp(centre + z * error)), rel=5e-3
    )
    assert result.table[-1]["share_across_one"] == pytest.approx(NormalDist().cdf(centre / error), abs=3e-3)


def test_priors_have_the_moments_they_name() -> None:
    generator = np.random.default_rng(3)
    prevalence = PrevalencePrior(mean=0.3, patients=40).draw(generator, 200_000)
    # a beta distribution: variance mean (1 - mean) / (patients + 1)
    assert prevalence.mean() == pytest.approx(0.3, abs=1e-3)
    assert prevalence.var() == pytest.approx(0.3 * 0.7 / 41, rel=0.02)
    ratio = RatioPrior(median=0.5, lower=0.35, upper=0.35**-1 * 0.25).draw(generator, 200_000)
    assert np.quantile(ratio, [0.025, 0.5, 0.975]) == pytest.approx([0.35, 0.5, 0.25 / 0.35], rel=0.01)


def test_several_confounders_act_together_and_the_seed_decides() -> None:
    both = probabilistic_bias_analysis(
        effect=0.65, std_error=0.08, prior=[certain(0.6, 0.3, 0.5), certain(0.15, 0.35, 1.8)], seed=4
    )
    expected = 0.65 * (0.85 / 0.70) * (1.28 / 1.12)
    assert both.value == pytest.approx(expected, rel=3e-3)
    named = {"effect": 0.65, "std_error": 0.08, "prior": ["oligometastatic", "frailty"], "draws": 5000}
    once, again, other = (probabilistic_bias_analysis(**named, seed=seed) for seed in (7, 7, 8))
    assert once == again
    assert once.table != other.table


@pytest.mark.parametrize("name", sorted(STAGE4_PRIORS))
def test_stage_four_confounders_favour_surgery(name: str) -> None:
    result = probabilistic_bias_analysis(effect=0.65, std_error=0.08, prior=name, seed=5, draws=20_000)
    assert result.value > 0.65
    assert "lower than it is" in result.direction
    assert result.parameters["priors"][0]["reason"]


def test_bad_input_is_refused_together() -> None:
    with pytest.raises(UsageError) as caught:
        probabilistic_bias_analysis(effect=0, std_error=-1, prior="weather", draws=10, seed=1, level=95)
    for name in ("effect", "std_error", "weather", "draws", "level", "oligometastatic"):
        assert name in str(caught.value)
    wrong = ConfounderPrior(
        name="wrong",
        prevalence_treated=PrevalencePrior(mean=1.2, patients=40),
        prevalence_control=PrevalencePrior(mean=0.2, patients=0),
        hazard_ratio=RatioPrior(median=0.5, lower=0.6, upper=0.9),
        reason="",
    )
    with pytest.raises(UsageError, match=r"(?s)prevalence_treated.mean.*prevalence_control.patients.*lower"):
        probabilistic_bias_analysis(effect=0.7, std_error=0.1, prior=wrong, seed=1)
