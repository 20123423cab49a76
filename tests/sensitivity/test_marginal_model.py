"""Sharp bounds against linear programmes, an adversarial world, enumeration of censoring, and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from causal_s4.errors import UsageError
from causal_s4.sensitivity import (
    ArmModels,
    augmented_outcome,
    marginal_curves,
    marginal_sensitivity,
    marginal_tipping,
    odds_factor_benchmarks,
)
from causal_s4.sensitivity.marginal_model import arm_bounds, counterfactual_bounds

FACTORS = (1.2, 1.5, 2.0, 5.0)


def models(seed: int = 1, n: int = 60, *, outcome: bool = False) -> ArmModels:
    """Patients with hazards and propensity scores of their own; uncensored outcomes if asked for."""
    generator = np.random.default_rng(seed)
    times = np.arange(1.0, 9.0)
    propensity = generator.uniform(0.2, 0.8, n)
    treatment = (generator.random(n) < propensity).astype(int)
    hazards = {arm: generator.uniform(0.05, 0.3, (n, 1)) * (0.5 if arm else 1.0) for arm in (1, 0)}
    survival = {arm: np.exp(-hazard * times) for arm, hazard in hazards.items()}
    death = np.ceil(generator.exponential(1 / np.where(treatment, hazards[1][:, 0], hazards[0][:, 0])))
    return ArmModels(
        times=times,
        treatment=treatment,
        propensity=propensity,
        survival_treated=survival[1],
        survival_control=survival[0],
        outcome=(death[:, None] > times).astype(float) if outcome else None,
    )


def best_mean(mass: np.ndarray, values: np.ndarray, factor: float) -> float:
    """Maximise the mean of values over laws whose density ratio to ``mass`` lies within the factor."""
    found = linprog(-mass * values, A_eq=[mass], b_eq=[1], bounds=[(1 / factor, factor)] * len(mass))
    return float(-found.fun)


@pytest.mark.parametrize("factor", FACTORS)
def test_counterfactual_bounds_equal_the_linear_programme_at_every_time_and_for_rmst(factor: float) -> None:
    times = np.arange(1, 41)
    mass = np.random.default_rng(3).dirichlet(np.ones(40))
    survival = 1 - np.cumsum(mass)
    lower, upper = counterfactual_bounds(np.clip(survival, 0, 1), factor)
    for place in (2, 9, 24, 34):
        alive = (times > times[place]).astype(float)
        assert upper[place] == pytest.approx(best_mean(mass, alive, factor), abs=1e-9)
        assert lower[place] == pytest.approx(-best_mean(mass, -alive, factor), abs=1e-9)
    # the mean of min(T, 30) is the area under the curve, and so are its bounds
    restricted = np.minimum(times, 30.0)
    assert 1 + upper[:29].sum() == pytest.approx(best_mean(mass, restricted, factor), abs=1e-8)
    assert 1 + lower[:29].sum() == pytest.approx(-best_mean(mass, -restricted, factor), abs=1e-8)


def test_worked_example_of_the_formula() -> None:
    # half of the patients are in the arm and 60 % of those survive: .3 + .5 min(1.2, .8) and .3 + .5 max(.3, .2)
    lower, upper = arm_bounds(np.array([0.6]), np.array([0.5]), 2.0)
    assert (lower[0], upper[0]) == pytest.approx((0.45, 0.70))


def test_one_adversarial_world_attains_the_whole_curve_and_no_smaller_factor_allows_it() -> None:
    factor, share = 2.0, 0.4
    mass = np.full(30, 1 / 30)
    # two thirds of the law, up to its quantile at factor / (1 + factor), are made rarer, the rest more frequent
    other = mass * np.where(np.arange(30) < 20, 1 / factor, factor)
    assert other.sum() == pytest.approx(1)
    observed, counterfactual = 1 - np.cumsum(mass), 1 - np.cumsum(other)
    truth = (share * observed + (1 - share) * counterfactual)[:-1]
    observed = observed[:-1]
    _, upper = arm_bounds(observed, np.full(29, share), factor)
    assert upper == pytest.approx(truth, abs=1e-12)
    _, too_low = arm_bounds(observed, np.full(29, share), np.sqrt(factor))
    assert (truth > too_low).all()


def test_augmented_outcome_is_the_indicator_without_censoring() -> None:
    times = np.array([1.0, 2.0, 3.0, 4.0])
    made = augmented_outcome(
        time=np.array([1.0, 3.0, 6.0]),
        event=np.array([1, 1, 1]),
        times=times,
        survival=np.array([[0.9, 0.7, 0.6, 0.2], [0.8, 0.5, 0.4, 0.3], [0.9, 0.8, 0.7, 0.6]]),
        censoring_before=np.ones((3, 4)),
    )
    assert made == pytest.approx(np.array([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]), abs=1e-12)


@pytest.mark.parametrize("wrong", ["neither", "survival", "censoring"])
def test_augmented_outcome_has_the_right_mean_if_either_model_is_right(wrong: str) -> None:
    # every pair of a death time and a censoring time on 1..6, with its probability; deaths precede censorings
    times = np.arange(1.0, 7.0)
    dying, leaving = np.array([0.1, 0.2, 0.15, 0.05, 0.2, 0.3]), np.array([0.2, 0.1, 0.1, 0.2, 0.1, 0.3])
    death, censoring = (each.ravel() for each in np.meshgrid(times, times, indexing="ij"))
    weight = np.outer(dying, leaving).ravel()
    survival = np.append(1 - np.cumsum(dying)[:-1], 1e-12)
    before = 1 - np.concatenate([[0], np.cumsum(leaving)[:-1]])
    truth = 1 - np.cumsum(dying)
    if wrong == "survival":
        survival = np.array([0.95, 0.9, 0.6, 0.5, 0.4, 0.2])
    if wrong == "censoring":
        before = np.array([1.0, 0.9, 0.85, 0.5, 0.4, 0.35])
    n = weight.size
    made = augmented_outcome(
        time=np.minimum(death, censoring),
        event=(death <= censoring).astype(int),
        times=times,
        survival=np.tile(survival, (n, 1)),
        censoring_before=np.tile(before, (n, 1)),
    )
    # a law with probability zero of living past 6 is given as 1e-12, so its last time is left out
    kept = slice(0, 5)
    assert (weight @ made)[kept] == pytest.approx(truth[kept], abs=1e-10)


def test_without_unmeasured_confounding_the_estimate_is_augmented_weighting() -> None:
    world = models(outcome=True)
    place = 4
    a, e, y = world.treatment, world.propensity, world.outcome[:, place]
    m1, m0 = world.survival_treated[:, place], world.survival_control[:, place]
    scores = m1 - m0 + a / e * (y - m1) - (1 - a) / (1 - e) * (y - m0)
    (result,) = marginal_sensitivity(world, horizon=5.0, odds_factors=[1.0])
    error = np.sqrt(((scores - scores.mean()) ** 2).sum()) / len(scores)
    assert result.value == pytest.approx(scores.mean())
    assert result.lower == result.upper == pytest.approx(scores.mean())
    row = result.table[0]
    assert row["interval_upper"] - row["interval_lower"] == pytest.approx(2 * 1.959964 * error, rel=1e-6)


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC"])
def test_plug_in_bounds_by_population(population: str) -> None:
    world, factor, place = models(), 1.8, 4
    e, m1, m0 = world.propensity, world.survival_treated[:, place], world.survival_control[:, place]
    (low1, high1), (low0, high0) = counterfactual_bounds(m1, factor), counterfactual_bounds(m0, factor)
    expected = {
        "ATE": (
            (e * m1 + (1 - e) * low1 - (1 - e) * m0 - e * high0).mean(),
            (e * m1 + (1 - e) * high1 - (1 - e) * m0 - e * low0).mean(),
        ),
        "ATT": ((e * (m1 - high0)).sum() / e.sum(), (e * (m1 - low0)).sum() / e.sum()),
        "ATC": (((1 - e) * (low1 - m0)).sum() / (1 - e).sum(), ((1 - e) * (high1 - m0)).sum() / (1 - e).sum()),
    }[population]
    (result,) = marginal_sensitivity(world, horizon=5.5, odds_factors=[factor], population=population)
    assert (result.lower, result.upper) == pytest.approx(expected)
    assert result.parameters["lambda"] == factor
    assert result.bound is None


def test_rmst_bounds_are_areas_between_the_bounds_of_the_curves() -> None:
    world, factor = models(), 1.5
    curves = marginal_curves(world, odds_factor=factor).to_frame()
    (result,) = marginal_sensitivity(world, horizon=6.5, measure="rmst difference", odds_factors=[factor])
    widths = np.array([1, 1, 1, 1, 1, 0.5, 0, 0])
    assert result.lower == pytest.approx((curves["difference_lower"] * widths).sum())
    assert result.upper == pytest.approx((curves["difference_upper"] * widths).sum())
    assert (curves["treated_lower"] <= curves["treated_upper"]).all()
    assert (curves[["treated_lower", "treated_upper", "control_lower", "control_upper"]].diff().iloc[1:] <= 0).all(None)


def test_bounds_widen_and_the_tipping_factor_is_where_they_reach_zero() -> None:
    world = models(n=400, outcome=True)
    results = marginal_sensitivity(world, horizon=5.0, odds_factors=[1.0, 1.3, 2.0])
    assert results[0].lower > results[1].lower > results[2].lower
    assert results[0].upper < results[1].upper < results[2].upper
    tipping = marginal_tipping(world, horizon=5.0)
    assert 1 < tipping.bound < tipping.value
    (at_value,) = marginal_sensitivity(world, horizon=5.0, odds_factors=[tipping.value])
    (at_bound,) = marginal_sensitivity(world, horizon=5.0, odds_factors=[tipping.bound])
    assert at_value.lower == pytest.approx(0, abs=1e-6)
    assert at_bound.bound == pytest.approx(0, abs=1e-6)
    assert "better outlook" in tipping.direction
    far = marginal_tipping(world, horizon=5.0, largest=1.01)
    assert far.value is None
    assert [finding.code for finding in far.findings] == ["conclusion-not-lost"]


def saturated(generator: np.random.Generator, n: int) -> ArmModels:
    """Three strata, discrete times, every model fitted by the mean of its stratum."""
    stratum = generator.integers(0, 3, n)
    treatment = (generator.random(n) < np.array([0.3, 0.5, 0.7])[stratum]).astype(int)
    hazard = np.array([0.10, 0.2, 0.3])[stratum] * np.where(treatment == 1, 0.6, 1.0)
    times = np.arange(1.0, 7.0)
    alive = (generator.geometric(hazard)[:, None] > times).astype(float)
    propensity, survival = np.empty(n), {arm: np.empty((n, times.size)) for arm in (0, 1)}
    for each in range(3):
        here = stratum == each
        propensity[here] = treatment[here].mean()
        for arm in (0, 1):
            survival[arm][here] = alive[here & (treatment == arm)].mean(axis=0)
    return ArmModels(
        times=times,
        treatment=treatment,
        propensity=propensity,
        survival_treated=survival[1],
        survival_control=survival[0],
        outcome=alive,
    )


@pytest.mark.parametrize("population", ["ATE", "ATT"])
def test_one_step_bounds_are_unbiased_with_honest_errors(population: str) -> None:
    factor, times = 1.6, np.arange(1.0, 7.0)
    share, hazard = np.array([0.3, 0.5, 0.7]), np.array([0.10, 0.2, 0.3])[:, None]
    truth = ArmModels(
        times=times,
        treatment=np.array([0, 1, 1]),
        propensity=share,
        survival_treated=(1 - 0.6 * hazard) ** times,
        survival_control=(1 - hazard) ** times,
    )
    call: dict[str, Any] = {
        "horizon": 5.5,
        "measure": "rmst difference",
        "odds_factors": [factor],
        "population": population,
    }
    (population,) = marginal_sensitivity(truth, **call)
    generator = np.random.default_rng(11)
    rows = []
    for _ in range(300):
        (result,) = marginal_sensitivity(saturated(generator, 600), **call)
        row = result.table[0]
        rows.append((row["lower"], row["upper"], row["lower"] - row["interval_lower"], row["interval_upper"]))
    lower, upper, margin, interval_upper = np.array(rows).T
    assert abs(lower.mean() - population.lower) < 4 * lower.std() / np.sqrt(300)
    assert abs(upper.mean() - population.upper) < 4 * upper.std() / np.sqrt(300)
    assert margin.mean() / 1.959964 == pytest.approx(lower.std(), rel=0.12)
    assert (interval_upper > population.upper).mean() == pytest.approx(0.975, abs=0.03)


def test_benchmarks_are_quantiles_of_the_odds_ratio() -> None:
    full = np.full(100, 0.5)
    # odds 1 become 1/2 for a tenth of the patients and stay for the rest
    moved = np.where(np.arange(100) < 10, 1 / 3, 0.5)
    result = odds_factor_benchmarks(full, {"response": moved, "age": full})
    assert {row["covariate"]: row["lambda"] for row in result.table} == pytest.approx({"response": 2.0, "age": 1.0})
    assert result.value == pytest.approx(2.0)
    with pytest.raises(UsageError, match=r"without\['age'\]"):
        odds_factor_benchmarks(full, {"age": full[:3]})


def test_bad_arrays_and_questions_are_refused_together() -> None:
    with pytest.raises(UsageError) as caught:
        ArmModels(
            times=np.array([2.0, 1.0]),
            treatment=np.array([1, 1, 1]),
            propensity=np.array([0.5, 1.0, 0.2]),
            survival_treated=np.full((3, 2), 1.2),
            survival_control=np.full((3, 3), 0.5),
        )
    for name in ("ascend", "treatment", "propensity", "survival_treated", "survival_control"):
        assert name in str(caught.value)
    with pytest.raises(UsageError, match=r"(?s)odds_factors.*measure.*population.*level.*horizon"):
        marginal_sensitivity(
            models(), horizon=99.0, odds_factors=[0.5], measure="hazard ratio", population="ATO", level=95
        )
    with pytest.raises(UsageError, match="event times are not among them"):
        augmented_outcome(
            time=np.array([1.5, 2.0]),
            event=np.array([1, 0]),
            times=np.array([1.0, 2.0]),
            survival=np.full((2, 2), 0.5),
            censoring_before=np.ones((2, 2)),
        )
