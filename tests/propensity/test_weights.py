"""Weights: their formulas, their estimating equations, what they cannot depend on, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cohorts import COVARIATES, small_cohort, small_frame

from causal_s4.cohort import build_cohort
from causal_s4.errors import (
    InfeasibleBalanceError,
    NoEventsError,
    OverlapError,
    SeparationError,
    UsageError,
)
from causal_s4.kernels.balance import effective_sample_size
from causal_s4.propensity.balance import check_balance
from causal_s4.propensity.models import covariate_matrix
from causal_s4.propensity.weights import summarise_weights, tilted_weights, weigh, weights_findings
from causal_s4.protocol.vocabulary import Estimand
from causal_s4.results import Weights
from causal_s4.simulate import simulate

POPULATIONS = [each.value for each in Estimand]
EVERY = [
    *({"population": population} for population in POPULATIONS),
    {"population": "ATE", "stabilise": True},
    {"population": "ATE", "truncate": (0.05, 0.95)},
    {"population": "ATE", "stabilise": True, "truncate": (0.05, 0.95)},
    {"population": "ATT", "truncate": (0.0, 0.9)},
    {"population": "ATO", "trim": 0.25},
    *({"population": population, "method": "entropy-balancing"} for population in ("ATE", "ATT", "ATC")),
    {"population": "ATE", "method": "firth", "stabilise": True},
    {"population": "ATO", "method": "firth"},
    {"population": "ATT", "method": "firth", "trim": 0.2},
]
every_weighting = pytest.mark.parametrize("options", EVERY, ids=[" ".join(map(str, o.values())) for o in EVERY])
SEEDS = st.integers(0, 10**6)


def design_of(cohort):
    return np.column_stack([np.ones(len(cohort)), terms_of(cohort)])


def terms_of(cohort):
    return covariate_matrix(cohort, splines={}, log1p=(), interactions=()).matrix


# --- formulas -----------------------------------------------------------------------------------


def tilt(e, population):
    """How much each population counts a patient (Li, Morgan & Zaslavsky 2018, table 1)."""
    return {
        "ATE": np.ones_like(e), "ATT": e, "ATC": 1 - e, "ATO": e * (1 - e), "ATM": np.minimum(e, 1 - e)
    }[population]  # fmt: skip


@pytest.mark.parametrize("population", POPULATIONS)
def test_tilt_over_the_probability_of_the_own_arm(population):
    e = np.linspace(0.02, 0.98, 49)  # 0.5, where matching weights have a corner, is not there
    for arm, own in ((1, e), (0, 1 - e)):
        weight, slope = tilted_weights(np.full(e.size, arm), e, population)
        np.testing.assert_allclose(weight, tilt(e, population) / own, rtol=1e-12)
        up, down = (tilted_weights(np.full(e.size, arm), e + step, population)[0] for step in (1e-6, -1e-6))
        away = np.abs(e - 0.5) > 1e-5
        np.testing.assert_allclose(slope[away], ((up - down) / 2e-6)[away], rtol=1e-5, atol=1e-8)


def test_an_unknown_population_is_named():
    with pytest.raises(UsageError, match="'ATX'"):
        tilted_weights(np.array([1, 0]), np.array([0.5, 0.5]), "ATX")


@pytest.mark.parametrize("population", POPULATIONS)
def test_weights_are_a_function_of_the_fitted_score(population):
    cohort = small_cohort(small_frame(1))
    found = weigh(cohort, population=population)
    expected, _ = tilted_weights(cohort.treatment, found.propensity, population)
    np.testing.assert_array_equal(found.values, expected)
    assert (found.population, found.method, found.covariates) == (population, "logistic", COVARIATES)
    assert found.terms == ("(intercept)", "x", "b", "g=low", "g=middle")
    logit = design_of(cohort) @ found.coefficients
    np.testing.assert_allclose(found.propensity, 1 / (1 + np.exp(-logit)), rtol=1e-12)


def test_stabilised_weights_sum_to_the_size_of_each_arm_on_average():
    cohort = small_cohort(small_frame(2, 400))
    plain, stabilised = weigh(cohort, population="ATE"), weigh(cohort, population="ATE", stabilise=True)
    share = cohort.treatment.mean()
    factor = np.where(cohort.treatment == 1, share, 1 - share)
    np.testing.assert_allclose(stabilised.values, plain.values * factor, rtol=1e-14)
    assert stabilised.values.mean() == pytest.approx(1, abs=0.05)
    assert "stabilised" in stabilised.normalisation


# --- estimating equations -----------------------------------------------------------------------


@every_weighting
def test_scores_sum_to_zero(options):
    for part in weigh(small_cohort(small_frame(3, 120)), **options).parts:
        scale = np.abs(part.score).sum(axis=0)
        np.testing.assert_allclose(part.score.sum(axis=0) / scale, 0, atol=1e-10)


@pytest.mark.parametrize("population", POPULATIONS)
def test_derivatives_of_logistic_weights(population):
    """Move each coefficient a little: the weights move by the part's derivative, the score by its information."""
    cohort = small_cohort(small_frame(4))
    found = weigh(cohort, population=population)
    design, (part,) = design_of(cohort), found.parts

    def at(coefficients):
        e = 1 / (1 + np.exp(-design @ coefficients))
        return tilted_weights(cohort.treatment, e, population)[0], design.T @ (cohort.treatment - e)

    for j in range(design.shape[1]):
        move = np.zeros(design.shape[1])
        move[j] = 1e-6
        (up, score_up), (down, score_down) = at(found.coefficients + move), at(found.coefficients - move)
        np.testing.assert_allclose(part.derivative[:, j], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(part.information[:, j], (score_down - score_up) / 2e-6, rtol=1e-6, atol=1e-6)


def test_derivatives_of_stabilised_weights():
    cohort = small_cohort(small_frame(5))
    plain, found = weigh(cohort, population="ATE"), weigh(cohort, population="ATE", stabilise=True)
    of_score, of_share = found.parts
    share = cohort.treatment.mean()
    factor = np.where(cohort.treatment == 1, share, 1 - share)
    np.testing.assert_allclose(of_score.derivative, plain.parts[0].derivative * factor[:, None], rtol=1e-13)
    np.testing.assert_allclose(of_share.derivative[:, 0], np.where(cohort.treatment == 1, 1, -1) * plain.values)
    # a mean: score A - share, information n
    np.testing.assert_allclose(of_share.score[:, 0], cohort.treatment - share)
    np.testing.assert_array_equal(of_share.information, [[len(cohort)]])


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC"])
def test_entropy_balancing_takes_the_regression_on_the_basis_away(population):
    """The correction in closed form: w (u - x'g) in the arm and x'g in the target, g the weighted regression of u."""
    cohort = small_cohort(small_frame(6, 120))
    found = weigh(cohort, population=population, method="entropy-balancing")
    design, arm = design_of(cohort), cohort.treatment
    target = {"ATE": np.ones(len(arm)), "ATT": arm, "ATC": 1 - arm}[population]
    u = np.random.default_rng(0).normal(size=len(arm))
    expected = found.values * u
    for code in (0, 1):
        if population == {0: "ATC", 1: "ATT"}[code]:
            continue  # the target itself is not weighted
        rows = arm == code
        w = found.values[rows]
        slope = np.linalg.solve((design[rows] * w[:, None]).T @ design[rows], (design[rows] * w[:, None]).T @ u[rows])
        expected[rows] -= w * (design[rows] @ slope)
        expected += target * (design @ slope)
    corrected = found.values * u + sum(part.correction(u) for part in found.parts)
    np.testing.assert_allclose(corrected, expected, rtol=1e-9, atol=1e-9)


def test_what_was_cut_no_longer_moves():
    cohort = small_cohort(small_frame(7, 120))
    plain, found = weigh(cohort, population="ATE"), weigh(cohort, population="ATE", truncate=(0.1, 0.9))
    cut = found.values != plain.values
    assert cut.sum() == found.truncated > 10
    np.testing.assert_array_equal(found.parts[0].derivative[cut], 0)
    np.testing.assert_array_equal(found.parts[0].derivative[~cut], plain.parts[0].derivative[~cut])


# --- what weights cannot depend on --------------------------------------------------------------


@every_weighting
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_order_of_rows(options, seed):
    frame = small_frame(seed % 50, 150)
    order = np.random.default_rng(seed).permutation(len(frame))
    one, other = (weigh(small_cohort(each), **options) for each in (frame, frame.iloc[order].reset_index(drop=True)))
    np.testing.assert_allclose(one.values[order], other.values, rtol=1e-8, atol=1e-10)


@every_weighting
def test_names_of_patients_arms_and_levels(options):
    frame = small_frame(8, 150)
    renamed = frame.assign(
        id=np.arange(900, 900 + len(frame)),
        arm=frame["arm"].map({"yes": 7, "no": 3}),
        # another order of the alphabet is another reference level
        g=frame["g"].map({"low": "z", "middle": "a", "high": "m"}),
    )
    one = weigh(small_cohort(frame), **options)
    other = weigh(small_cohort(renamed, treated=7, control=3), **options)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-8, atol=1e-10)


@every_weighting
def test_units_of_a_covariate(options):
    frame = small_frame(9, 150)
    one, other = (weigh(small_cohort(each), **options) for each in (frame, frame.assign(x=1000 * frame["x"] + 5)))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "population", "mirror"),
    [
        ("logistic", "ATE", "ATE"), ("firth", "ATE", "ATE"), ("logistic", "ATO", "ATO"), ("logistic", "ATM", "ATM"), ("logistic", "ATT", "ATC"),
        ("entropy-balancing", "ATE", "ATE"), ("entropy-balancing", "ATT", "ATC"),
    ],
)  # fmt: skip
def test_which_arm_is_called_treated(method, population, mirror):
    frame = small_frame(10, 150)
    one = weigh(small_cohort(frame), population=population, method=method)
    other = weigh(small_cohort(frame, treated="no", control="yes"), population=mirror, method=method)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-8)


# --- balance ------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_overlap_weights_balance_every_term_exactly(seed):
    cohort = small_cohort(small_frame(seed, 120))
    found = weigh(cohort, population="ATO")
    for row in check_balance(cohort, found).rows:
        assert row.mean_treated_after == pytest.approx(row.mean_control_after, abs=1e-10), row.term
        assert abs(row.smd_after) < 1e-10


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATC"])
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_entropy_balancing_reaches_the_means_of_its_target(population, seed):
    cohort = small_cohort(small_frame(seed, 150))
    found, terms = weigh(cohort, population=population, method="entropy-balancing"), terms_of(cohort)
    arm = cohort.treatment == 1
    target = {"ATE": np.ones(len(arm), dtype=bool), "ATT": arm, "ATC": ~arm}[population]
    for rows in (arm, ~arm):
        w = found.values[rows]
        assert w.sum() == pytest.approx(target.sum(), rel=1e-10)
        np.testing.assert_allclose(w @ terms[rows] / w.sum(), terms[target].mean(axis=0), atol=1e-10)


def test_entropy_balancing_where_the_gain_drowns_in_rounding():
    """In this cohort the last step lowers the dual by less than a floating number can show."""
    frame = simulate("stage4", n=1000, seed=22)
    covariates = [
        "year", "centre", "age", "ecog", "subtype", "er_status", "pr_status", "sites", "visceral", "systemic_therapy",
        "response",
    ]  # fmt: skip
    cohort = build_cohort(
        frame, id="id", treatment="surgery", treated=1, control=0, time_unit="months", covariates=covariates,
        outcomes=[{"name": "death", "time": "os_months", "event": "death", "event_value": 1}],
    )  # fmt: skip
    found = weigh(cohort, population="ATE", method="entropy-balancing")
    for row in check_balance(cohort, found).rows:
        assert abs(row.smd_after) < 1e-9


# --- truncation and trimming --------------------------------------------------------------------


@pytest.mark.parametrize(("quantile_method", "numpy_name"), [("linear", "linear"), ("nearest", "closest_observation")])
def test_truncation_pools_the_arms_whose_weights_vary(quantile_method, numpy_name):
    cohort = small_cohort(small_frame(11, 150))
    for population in ("ATE", "ATT"):
        plain = weigh(cohort, population=population).values
        found = weigh(cohort, population=population, truncate=(0.02, 0.9), quantile_method=quantile_method)
        pool = plain if population == "ATE" else plain[cohort.treatment == 0]
        low, high = np.quantile(pool, (0.02, 0.9), method=numpy_name)
        varies = np.ones(len(plain), dtype=bool) if population == "ATE" else cohort.treatment == 0
        np.testing.assert_array_equal(found.values, np.where(varies, np.clip(plain, low, high), plain))
        (finding,) = found.findings
        assert finding.code == "truncated"
        assert finding.numbers["truncated"] == found.truncated == (found.values != plain).sum()


def test_trimming_is_the_study_of_those_who_stay():
    """Scores outside the limits leave; the score is fitted anew to the others, as if the rest had never come."""
    cohort = small_cohort(small_frame(12, 200))
    first = weigh(cohort, population="ATE").propensity
    found = weigh(cohort, population="ATE", trim=0.25)
    kept = (first >= 0.25) & (first <= 0.75)
    alone = weigh(cohort.take(kept), population="ATE")
    np.testing.assert_allclose(found.values[kept], alone.values, rtol=1e-12)
    np.testing.assert_array_equal(found.values[~kept], 0)
    assert np.isnan(found.propensity[~kept]).all()
    assert found.trimmed == (~kept).sum() > 0
    assert found.population == "ATE, trimmed to propensity 0.25 to 0.75"
    (finding,) = found.findings
    assert finding.numbers["treated"] + finding.numbers["control"] == found.trimmed
    assert summarise_weights(cohort, found).ess_treated == pytest.approx(
        effective_sample_size(alone.values[cohort.take(kept).treatment == 1])
    )


def test_trimming_away_an_arm_is_refused():
    frame = small_frame(13, 200)
    apart = frame.assign(x=frame["x"] + 2.2 * (frame["arm"] == "yes"))
    with pytest.raises((OverlapError, SeparationError)):
        weigh(small_cohort(apart), population="ATE", trim=0.499)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": "everybody"}, "population"),
        ({"population": "ATE", "method": "magic"}, "method"),
        ({"population": "ATO", "method": "entropy-balancing"}, "entropy-balancing"),
        ({"population": "ATT", "stabilise": True}, "stabilise"),
        ({"population": "ATE", "method": "entropy-balancing", "truncate": (0.01, 0.99)}, "truncate"),
        ({"population": "ATE", "method": "entropy-balancing", "trim": 0.1}, "trim"),
        ({"population": "ATE", "truncate": (0.9, 0.1)}, "truncate"),
        ({"population": "ATE", "trim": 0.6}, "trim"),
        ({"population": "ATE", "quantile_method": "median"}, "quantile_method"),
    ],
)
def test_options_without_meaning(options, words):
    with pytest.raises(UsageError, match=words):
        weigh(small_cohort(small_frame(14)), **options)


def test_a_level_that_only_one_arm_has_is_named():
    frame = small_frame(15, 120)
    frame.loc[frame["arm"] == "yes", "b"] = 0
    with pytest.raises(SeparationError) as caught:
        weigh(small_cohort(frame), population="ATO")
    (problem,) = caught.value.problems
    assert problem.where == "b"
    assert "is a control" in problem.found


def test_firth_speaks_where_maximum_likelihood_cannot():
    """A level of one arm only: refused, with Firth's method named; by Firth finite, and alike for patients without it."""
    frame = small_frame(15, 120)
    frame.loc[frame["arm"] == "yes", "b"] = 0
    cohort = small_cohort(frame)
    with pytest.raises(SeparationError, match='method "firth"'):
        weigh(cohort, population="ATE")
    found = weigh(cohort, population="ATE", method="firth")
    assert np.isfinite(found.values).all()
    with_it = frame["b"].to_numpy() == 1
    assert 0 < found.propensity[with_it].max() < found.propensity[~with_it].mean()
    assert found.method == "firth"
    summary = summarise_weights(cohort, found)
    assert summary.c_statistic > 0.5
    assert summary.c_statistic_weighted is None  # the score refitted with the weights is by maximum likelihood


def test_firth_of_arms_that_do_not_meet_is_refused():
    frame = small_frame(16, 300)
    apart = frame.assign(x=frame["x"] + 100 * (frame["arm"] == "yes"))
    with pytest.raises((OverlapError, SeparationError)) as refusal:
        weigh(small_cohort(apart), population="ATE", method="firth")
    assert "firth" not in str(refusal.value)


def test_a_number_that_tells_the_arms_apart_is_named():
    frame = small_frame(16, 120)
    frame["x"] = np.where(frame["arm"] == "yes", 10, 0) + frame["x"].clip(-2, 2)
    with pytest.raises(SeparationError) as caught:
        weigh(small_cohort(frame), population="ATO")
    assert [problem.where for problem in caught.value.problems] == ["x"]


def test_a_combination_that_tells_the_arms_apart():
    rng = np.random.default_rng(17)
    frame = small_frame(17, 120).assign(x=rng.normal(size=120), b=rng.normal(size=120))
    frame["arm"] = np.where(frame["x"] + frame["b"] > 0, "yes", "no")
    with pytest.raises((SeparationError, OverlapError)):
        weigh(small_cohort(frame), population="ATE")


def test_moments_out_of_reach():
    """Every treated patient is older than the average of the controls that they should stand for."""
    frame = small_frame(18, 120)
    frame["x"] = np.where(frame["arm"] == "yes", 5 + frame["x"].abs(), frame["x"])
    frame.loc[frame.index[frame["arm"] == "no"][0], "x"] = 9.0  # no separation
    with pytest.raises(InfeasibleBalanceError, match="treated arm"):
        weigh(small_cohort(frame), population="ATC", method="entropy-balancing")


def test_an_arm_without_patients():
    cohort = small_cohort(small_frame(19))
    with pytest.raises(NoEventsError, match="both arms need patients"):
        weigh(cohort.take(cohort.treatment == 1), population="ATE")


def test_nothing_to_adjust_for():
    found = weigh(small_cohort(small_frame(20), covariates=()), population="ATE")
    np.testing.assert_array_equal(found.values, 1)
    assert found.method == "none needed"


@pytest.mark.parametrize("values", [[1.0, -1.0], [1.0, np.nan], [np.inf, 1.0], [0.0, 0.0], []])
def test_given_weights_must_be_weights(values):
    with pytest.raises(UsageError, match="weights must"):
        Weights.given(values)


# --- descriptions -------------------------------------------------------------------------------


def test_summary_of_a_hand_made_set():
    frame = pd.DataFrame(
        {
            "id": range(8), "arm": ["yes"] * 4 + ["no"] * 4, "x": [0.0, 1, 2, 3, 1, 2, 3, 4], "b": [0, 1] * 4,
            "g": ["low"] * 8, "months": range(1, 9), "event": [1, 0] * 4,
        }
    )  # fmt: skip
    cohort = small_cohort(frame, covariates=("x", "b"))
    found = summarise_weights(cohort, Weights.given([1, 1, 1, 3, 2, 2, 0, 0]))
    assert (found.ess_treated, found.ess_control) == pytest.approx((36 / 12, 16 / 8))
    assert (found.mean_treated, found.mean_control, found.max) == (1.5, 2.0, 3.0)
    assert (found.top_share_treated, found.top_share_control) == (0.5, 0.5)
    assert (found.c_statistic, found.histogram, found.method) == (None, None, "given")


def test_few_effective_patients_are_said():
    cohort = small_cohort(small_frame(21, 200))
    treated = cohort.treatment == 1
    heavy = np.ones(200)
    heavy[np.flatnonzero(treated)[0]] = 500.0
    findings = weights_findings(summarise_weights(cohort, Weights.given(heavy)))
    by_arm = {finding.numbers["arm"]: finding for finding in findings}
    assert by_arm["treated"].severity == "serious"
    assert by_arm["treated"].numbers["top_share"] > 0.8
    assert "control" not in by_arm


def test_histogram_holds_every_patient_once():
    cohort = small_cohort(small_frame(22, 200))
    histogram = summarise_weights(cohort, weigh(cohort, population="ATO")).histogram
    assert sum(histogram.treated) == (cohort.treatment == 1).sum()
    assert sum(histogram.control) == (cohort.treatment == 0).sum()
    assert sum(histogram.treated_weighted) == pytest.approx(1)
    assert sum(histogram.control_weighted) == pytest.approx(1)
