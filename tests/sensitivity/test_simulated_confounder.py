"""The simulated confounder recovers a known truth, and its fits are those of statsmodels and lifelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter
from scipy.special import expit

from causal_s4.errors import ConvergenceError, UsageError
from causal_s4.sensitivity import (
    RecordedCohort,
    simulated_confounder,
    simulated_confounder_estimates,
    simulated_confounder_grid,
)
from causal_s4.sensitivity.offset_fits import CoxWithOffset, LogisticWithOffset
from causal_s4.sensitivity.simulated_confounder import pool


def world(seed: int, n: int, *, effect: float = 0.0, odds: float = 1.0, hazard: float = -1.0) -> RecordedCohort:
    """Two measured covariates and an unmeasured one, present in half, that favours treatment and prolongs life."""
    generator = np.random.default_rng(seed)
    covariates, confounder = generator.normal(size=(n, 2)), generator.random(n) < 0.5
    treatment = (generator.random(n) < expit(-0.5 + 0.6 * covariates[:, 0] + odds * confounder)).astype(int)
    rate = np.exp(covariates @ [0.4, -0.3] + effect * treatment + hazard * confounder)
    death, censoring = generator.exponential(1 / rate), generator.uniform(0.5, 4, n)
    return RecordedCohort(
        covariates=covariates,
        treatment=treatment,
        time=np.minimum(death, censoring),
        event=(death <= censoring).astype(int),
    )


def test_fits_equal_statsmodels_and_lifelines() -> None:
    cohort = world(1, 400)
    offset = np.random.default_rng(2).normal(size=400)
    model = sm.GLM(cohort.treatment, sm.add_constant(cohort.covariates), sm.families.Binomial(), offset=offset)
    expected = model.fit(tol=1e-12)
    linear = LogisticWithOffset(cohort.covariates, cohort.treatment).fit(offset)
    assert linear == pytest.approx(sm.add_constant(cohort.covariates) @ expected.params, abs=1e-7)
    # statsmodels' Cox takes an offset and, with ties, Breslow's likelihood
    time = np.ceil(cohort.time * 20) / 20
    columns = np.column_stack([cohort.treatment, cohort.covariates])
    hazards = sm.PHReg(time, columns, status=cohort.event, offset=offset, ties="breslow").fit()
    fit = CoxWithOffset(columns, time, cohort.event).fit(offset)
    assert fit.coefficients == pytest.approx(hazards.params, abs=1e-6)
    assert fit.covariance == pytest.approx(hazards.cov_params(), rel=1e-5, abs=1e-9)


def test_cumulative_hazard_equals_lifelines() -> None:
    cohort = world(3, 300)
    columns = np.column_stack([cohort.treatment, cohort.covariates])
    frame = pd.DataFrame(columns, columns=["a", "x", "z"]).assign(time=cohort.time, event=cohort.event)
    other = CoxPHFitter(baseline_estimation_method="breslow").fit(frame, "time", "event")
    fit = CoxWithOffset(columns, cohort.time, cohort.event).fit(np.zeros(300))
    assert fit.coefficients == pytest.approx(other.params_.to_numpy(), abs=1e-6)
    expected = [
        other.predict_cumulative_hazard(frame.iloc[[row]], times=[cohort.time[row]]).iloc[0, 0]
        for row in range(0, 300, 30)
    ]
    assert fit.cumulative_hazard[::30] == pytest.approx(expected, rel=1e-5)


def test_recovers_no_effect_where_the_naive_model_finds_one() -> None:
    answers = [
        simulated_confounder(world(seed, 1500), log_odds_of_treatment=1, log_hazard_ratio=-1, seed=seed)
        for seed in range(6)
    ]
    found = np.log([each.value for each in answers])
    without = np.log([each.parameters["without"] for each in answers])
    error = np.mean([np.log(each.upper / each.lower) / (2 * 1.959964) for each in answers])
    assert abs(found.mean()) < 3 * error / np.sqrt(6)
    assert without.mean() < -3 * error / np.sqrt(6)


def test_half_the_strength_does_not_recover_it() -> None:
    answers = [
        simulated_confounder(world(seed, 1500), log_odds_of_treatment=0.5, log_hazard_ratio=-0.5, seed=seed).value
        for seed in range(6)
    ]
    assert np.log(answers).mean() < -0.12


def test_a_confounder_without_links_changes_nothing() -> None:
    cohort = world(4, 500)
    result = simulated_confounder(cohort, log_odds_of_treatment=0.0, log_hazard_ratio=0.0, sweeps=5, seed=1)
    assert result.value == pytest.approx(result.parameters["without"], rel=1e-6)
    assert result.direction.startswith("none")


def test_the_confounder_is_as_frequent_as_was_said() -> None:
    # a covariate without effect, so that the propensity score has one value without and one with the confounder
    generator = np.random.default_rng(8)
    n = 4000
    cohort = RecordedCohort(
        covariates=1e-6 * generator.normal(size=(n, 1)),
        treatment=(generator.random(n) < 0.4).astype(int),
        time=generator.exponential(1, n),
        event=(generator.random(n) < 0.8).astype(int),
    )

    def share(propensity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle = (propensity.min() + propensity.max()) / 2
        return np.array([(propensity > middle).mean()]), np.zeros(1)

    value, _ = simulated_confounder_estimates(
        cohort, share, log_odds_of_treatment=2.0, log_hazard_ratio=0.5, prevalence=0.2, seed=9
    )
    assert value[0] == pytest.approx(0.2, abs=0.03)


def test_weighted_survival_with_the_confounder_recovers_the_truth() -> None:
    # no effect, so the true difference of survival is nought; the weights without the confounder say otherwise
    cohort = world(5, 3000)
    at = 1.0

    def difference(propensity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # nobody is censored before 0.5; reweighting for later censoring uses its known uniform law
        known = (cohort.time > at) | (cohort.event == 1)
        remain = np.clip((4 - np.minimum(cohort.time, at)) / 3.5, 0, 1)
        alive = cohort.time > at
        estimates, variances = [], []
        for arm, share in ((1, propensity), (0, 1 - propensity)):
            weight = (cohort.treatment == arm) * known / (share * remain)
            mean = (weight @ alive) / weight.sum()
            estimates.append(mean)
            variances.append(((weight * (alive - mean)) ** 2).sum() / weight.sum() ** 2)
        return np.array([estimates[0] - estimates[1]]), np.array([sum(variances)])

    without = difference(expit(LogisticWithOffset(cohort.covariates, cohort.treatment).fit(np.zeros(3000))))
    value, error = simulated_confounder_estimates(
        cohort, difference, log_odds_of_treatment=1.0, log_hazard_ratio=-1.0, seed=6
    )
    assert without[0][0] > 3 * np.sqrt(without[1][0])
    assert abs(value[0]) < 2.5 * error[0]


def test_pooling_is_rubins() -> None:
    value, error = pool(np.array([[1.0], [2.0], [3.0]]), np.array([[0.5], [0.5], [0.8]]))
    assert value[0] == 2.0
    # mean variance 0.6, variance between 1, three sets
    assert error[0] == pytest.approx(np.sqrt(0.6 + 4 / 3))


def test_grid_and_seed() -> None:
    cohort = world(7, 300)
    call = {"log_odds_of_treatment": [0.0, 1.0], "log_hazard_ratio": [-1.0, 1.0], "sweeps": 4, "burn_in": 2}
    grid = simulated_confounder_grid(cohort, **call, seed=3)
    assert grid == simulated_confounder_grid(cohort, **call, seed=3)
    assert len(grid.table) == 4
    values = [row["value"] for row in grid.table]
    assert (grid.lower, grid.upper) == (min(values), max(values))
    frame = pd.DataFrame(cohort.covariates, columns=["x", "y"]).assign(
        a=cohort.treatment, time=cohort.time, event=cohort.event
    )
    without = CoxPHFitter().fit(frame, "time", "event").params_["a"]
    assert np.log(grid.value) == pytest.approx(without, abs=1e-4)
    # a cell has its own stream, so that the grid may be cut in pieces
    stream = np.random.SeedSequence(3, spawn_key=(2,))
    alone = simulated_confounder(
        cohort, log_odds_of_treatment=1.0, log_hazard_ratio=-1.0, sweeps=4, burn_in=2, seed=stream
    )
    assert grid.table[2]["value"] == alone.value


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        RecordedCohort(
            covariates=np.ones((3, 1)), treatment=np.array([1, 1, 1]), time=np.array([1.0, 0.0, 2.0]), event=np.ones(2)
        )
    for name in ("time", "treatment", "event"):
        assert name in str(caught.value)
    with pytest.raises(UsageError, match=r"(?s)log_hazard_ratio.*prevalence.*sweeps.*level"):
        simulated_confounder(
            world(1, 50),
            log_odds_of_treatment=1,
            log_hazard_ratio=float("inf"),
            prevalence=1.0,
            sweeps=1,
            seed=1,
            level=2,
        )
    twice = world(1, 100)
    copies = RecordedCohort(
        covariates=np.repeat(twice.covariates[:, :1], 2, axis=1),
        treatment=twice.treatment,
        time=twice.time,
        event=twice.event,
    )
    with pytest.raises(ConvergenceError, match="copies"):
        simulated_confounder(copies, log_odds_of_treatment=1, log_hazard_ratio=1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, np.log(0.7)])
def test_recovers_the_truth_with_honest_errors(effect: float) -> None:
    answers = [
        simulated_confounder(world(seed, 2000, effect=effect), log_odds_of_treatment=1, log_hazard_ratio=-1, seed=seed)
        for seed in range(200)
    ]
    found = np.log([each.value for each in answers])
    error = np.log([each.upper / each.lower for each in answers]) / (2 * 1.959964)
    covered = np.mean([each.lower <= np.exp(effect) <= each.upper for each in answers])
    assert abs(found.mean() - effect) < 3 * found.std() / np.sqrt(200)
    assert error.mean() == pytest.approx(found.std(), rel=0.12)
    assert 0.91 <= covered <= 0.985
