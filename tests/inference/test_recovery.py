"""Are the estimates right, and do their intervals cover? Cohorts simulated from worlds whose truth is known.

``closed-form``: the truth is a sum of twelve terms, or one integral. ``stage4``: surgery of the primary tumour,
confounded by indication; without an effect the truth is zero, exactly.
"""

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

from causal_s4.cohort import Cohort, OutcomeData
from causal_s4.comparison import Comparison
from causal_s4.inference.influence import standard_errors
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.vocabulary import Analysis, TimeUnit
from causal_s4.simulate import simulate, true_effects
from causal_s4.survival.functionals import arm_functionals, fit_arms, hazard_ratio

STAGE4 = (
    "year", "centre", "age", "ecog", "subtype", "er_status", "pr_status", "sites", "visceral", "systemic_therapy",
    "response",
)  # fmt: skip
WORLDS = {
    "closed-form": {"treatment": "treatment", "time": "months", "event": "event", "covariates": ("x1", "x2", "x3")},
    "stage4": {"treatment": "surgery", "time": "os_months", "event": "death", "covariates": STAGE4},
}
POPULATIONS = ("ATE", "ATT", "ATC", "ATO", "ATM")
MEASURES = ("hazard ratio", "survival difference", "rmst difference")
HORIZON = 60.0


def cohort_of(world, n, seed, **options):
    """Put a simulated table into a cohort as it is; validation would take most of the time."""
    columns, frame = WORLDS[world], simulate(world, n=n, seed=seed, **options)
    covariates = frame[list(columns["covariates"])]
    text = covariates.select_dtypes(object).columns
    return Cohort(
        ids=frame["id"].to_numpy(),
        treatment=frame[columns["treatment"]].to_numpy(),
        outcomes=(
            OutcomeData(name="death", time=frame[columns["time"]].to_numpy(), event=frame[columns["event"]].to_numpy()),
        ),
        covariates=covariates.astype(dict.fromkeys(text, "category")),
        time_unit=TimeUnit.MONTHS,
    )


def estimate(cohort, weights):
    """Estimate and standard error of each measure, the hazard ratio as its logarithm; shape (3, 2)."""
    comparison = Comparison(
        table=cohort.risk_table(),
        weights=weights,
        analysis=Analysis.NAIVE if weights is None else Analysis.WEIGHTED,
        population="x",
    )
    table, weight = comparison.table, comparison.weight
    found = [
        hazard_ratio(table, weight, ties="efron"),
        *arm_functionals(fit_arms(table, weight), [HORIZON], len(table)),
    ]
    by_measure = {each.measure: each for each in found if each.arm is None}
    asked = [by_measure[measure] for measure in MEASURES]
    errors = standard_errors(comparison.phi(np.column_stack([each.gradient for each in asked])))
    return np.column_stack([[each.theta for each in asked], errors])


def truth_of(world, population, *, stabilised=False, **options):
    """True values of the measures and their own Monte Carlo errors, shape (3, 2)."""
    truth = true_effects(world, population=population, horizons=[HORIZON], **options)
    ratio = truth.one(measure="hazard ratio", stabilised=stabilised)
    rest = [truth.one(measure=measure) for measure in MEASURES[1:]]
    return np.array([(np.log(ratio.value), ratio.mc_error), *((each.value, each.mc_error) for each in rest)])


class Recovery:
    """Estimates of many cohorts against their truth; arrays are of shape (cohorts, measures)."""

    def __init__(self, estimates, truth):
        values, errors = np.moveaxis(np.array(estimates), 2, 0)
        self.bias = values.mean(axis=0) - truth[:, 0]
        self.monte_carlo_error = np.sqrt(values.var(axis=0, ddof=1) / len(values) + truth[:, 1] ** 2)
        self.z = self.bias / self.monte_carlo_error
        self.coverage = (np.abs(values - truth[:, 0]) <= norm.ppf(0.975) * errors).mean(axis=0)
        self.ratio = np.sqrt((errors**2).mean(axis=0)) / values.std(axis=0, ddof=1)


# --- the closed-form world ----------------------------------------------------------------------


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("effect", ["protective", "null", "harmful"])
def test_one_large_cohort_meets_the_closed_form_truth(population, effect):
    cohort = large_cohort(effect)
    truth = truth_of("closed-form", population, effect=effect)
    found = estimate(cohort, weigh(cohort, population=population))
    np.testing.assert_array_less(np.abs(found[:, 0] - truth[:, 0]), 3.5 * found[:, 1])
    assert abs(found[1, 0] - truth[1, 0]) < 0.02
    assert found[0, 1] < 0.04


@cache
def large_cohort(effect):
    return cohort_of("closed-form", 20_000, 1, effect=effect)


def test_stabilised_hazard_ratio_has_its_own_truth():
    cohort = large_cohort("protective")
    truth = truth_of("closed-form", "ATE", stabilised=True, effect="protective")
    found = estimate(cohort, weigh(cohort, population="ATE", stabilise=True))
    assert abs(found[0, 0] - truth[0, 0]) < 3.5 * found[0, 1]


def test_the_naive_comparison_misses_the_closed_form_truth():
    """Patients with a better outlook are treated: ten standard errors away."""
    truth = truth_of("closed-form", "ATE", effect="null")
    found = estimate(large_cohort("null"), None)
    assert (np.abs(found[:, 0] - truth[:, 0]) > 10 * found[:, 1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("population", ["ATE", "ATO"])
def test_a_thousand_small_cohorts_of_the_closed_form_world(population):
    """400 patients each. Limits on bias are three Monte Carlo errors and what is known of samples this small."""
    truth = truth_of("closed-form", population)
    estimates = []
    for seed in range(1, 1001):
        cohort = cohort_of("closed-form", 400, seed)
        estimates.append(estimate(cohort, weigh(cohort, population=population)))
    found = Recovery(estimates, truth)
    assert abs(found.bias[0]) <= 0.025
    assert abs(found.bias[1]) <= 0.008
    assert abs(found.z[2]) <= 3
    assert (found.coverage >= 0.92).all()
    assert (found.coverage <= 0.97).all()
    assert (np.abs(found.ratio - 1) < 0.06).all()


# --- surgery in stage IV disease ----------------------------------------------------------------


def stage4_estimates(seeds, populations=POPULATIONS, **options):
    """Naive and weighted estimates of each cohort of 1,000, by population."""
    found = {name: [] for name in ("naive", *populations)}
    for seed in seeds:
        cohort = cohort_of("stage4", 1000, seed, **options)
        found["naive"].append(estimate(cohort, None))
        for population in populations:
            weights = weigh(cohort, population=population, stabilise=population == "ATE")
            found[population].append(estimate(cohort, weights))
    return found


def test_forty_cohorts_without_an_effect():
    """Limits for forty: three Monte Carlo errors, and fewer than 34 of 40 intervals only once in 300 times."""
    found = stage4_estimates(range(1, 41), effect="null")
    naive = np.array(found["naive"])[:, 0]
    assert np.exp(naive[:, 0].mean()) < 0.65
    assert (naive[:, 0] + norm.ppf(0.975) * naive[:, 1] < 0).all()  # each alone would have been believed
    for population in POPULATIONS:
        recovered = Recovery(found[population], truth_of("stage4", population, effect="null"))
        assert (np.abs(recovered.z) < 3).all(), population
        assert (recovered.coverage >= 34 / 40).all(), population


@pytest.fixture(scope="module")
def many():
    """Fifteen hundred cohorts, so that a coverage is known to half a per cent."""
    return stage4_estimates(range(1, 1501), effect="null")


@pytest.mark.slow
def test_many_cohorts_naive(many):
    """Confounding by indication alone looks like a benefit, as in published registries."""
    naive = np.array(many["naive"])[:, 0]
    assert 0.45 < np.exp(naive[:, 0].mean()) < 0.70
    assert (naive[:, 0] + norm.ppf(0.975) * naive[:, 1] < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
def test_many_cohorts_weighted(many, population):
    """No bias, and intervals of 95% that cover 93% to 97% of the time.

    They cover a little less than they should: with sixteen terms and some 120 (ATC) to 400 (ATO) effective patients
    in the smaller arm, the first-order standard error is 1 to 3% small.
    """
    found = Recovery(many[population], truth_of("stage4", population, effect="null"))
    assert abs(found.z[0]) < 2
    assert (np.abs(found.z) < 3).all()
    assert (found.coverage >= 0.93).all()
    assert (found.coverage <= 0.97).all()
    assert (found.ratio > 0.96).all()
    assert (found.ratio < 1.02).all()


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["protective", "harmful"])
def test_cohorts_with_an_effect(effect):
    """Each population has its own truth, a million patients an arm; two hundred cohorts."""
    found = stage4_estimates(range(1, 201), ("ATE", "ATT", "ATO"), effect=effect)
    for population in ("ATE", "ATT", "ATO"):
        truth = truth_of("stage4", population, stabilised=population == "ATE", effect=effect)
        recovered = Recovery(found[population], truth)
        assert (np.abs(recovered.z) < 3).all(), population
        assert (recovered.coverage > 0.90).all(), population
