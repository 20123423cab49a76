"""The bootstrap of the whole pipeline: what it refits, what it reports, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from resampled_cohorts import months, refit_of, replicates_of, rotterdam
from small_cohorts import small_cohort, small_frame

import causal_s4 as s4
from causal_s4.inference.resampling import Draws, Refit, Replicates, Resampling, replicate_weights
from causal_s4.kernels.logistic import fit_logistic
from causal_s4.kernels.replicate_weights import Failure
from causal_s4.kernels.sweeps import Sweep
from causal_s4.protocol.vocabulary import Arm, Measure

REFERENCE = Path(__file__).parents[1] / "reference"
HORIZONS = [12.0, 24.0]
OPTIONS = [
    {"population": "ATE"},
    {"population": "ATE", "stabilise": True},
    {"population": "ATT"},
    {"population": "ATC"},
    {"population": "ATO"},
    {"population": "ATM"},
    {"population": "ATE", "truncate": (0.05, 0.95)},
    {"population": "ATT", "truncate": (0.05, 0.95), "quantile_method": "nearest"},
    {"population": "ATE", "trim": 0.15, "stabilise": True, "truncate": (0.02, 0.98)},
    {"population": "ATE", "method": "entropy-balancing"},
    {"population": "ATT", "method": "entropy-balancing"},
    {"population": "ATC", "method": "entropy-balancing"},
    {"population": "ATE", "method": "firth", "stabilise": True},
    {"population": "ATO", "method": "firth", "trim": 0.15},
]


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("competing", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_counts_of_one_give_the_plain_estimates(options, competing, ties):
    """The kernels that make the plain estimates are separate code, themselves held against R."""
    cohort = months(competing=competing)
    weights = s4.weigh(cohort, **options)
    plain = s4.estimate_effects(cohort, weights, horizons=HORIZONS, ties=ties).where(analysis="weighted")
    refit = refit_of(cohort, weights, HORIZONS, ties=ties)
    ones = np.ones((1, len(cohort)))
    values, failure = refit.weights.make(ones)
    swept = Replicates(
        columns=tuple(refit.sweep.columns),
        values=refit.sweep.run(values, ones, by_row=False, whole=True),
        failure=failure,
    )
    assert failure[0] == Failure.NONE
    np.testing.assert_allclose(values[0], weights.values, rtol=1e-10)
    for each in plain:
        arm = None if each.arm is None else Arm(each.arm)
        index = -1 if each.horizon is None else HORIZONS.index(each.horizon)
        theta = swept.theta(Measure(each.measure), arm, index)[0]
        value = np.inf if each.value is None else each.value
        assert (np.exp(theta) if each.measure.endswith("ratio") else theta) == pytest.approx(value, rel=1e-10)


def test_rows_with_delayed_entry_and_given_weights_by_row():
    """Counts of one again, on (start, stop] rows: patients enter late and their rows are split."""
    frame = small_frame(3, 80, tied=True)
    split = pd.concat(
        [frame.assign(start=0.5, stop=np.minimum(frame.months, 6.0)), frame.assign(start=6.0, stop=frame.months)]
    )
    split = split[split.stop > split.start]
    split["event"] = np.where(split.stop == split.months, split.event, 0)
    split["arm"] = (split.arm == "yes").astype(int)
    split["weight"] = np.linspace(0.5, 2.0, len(split))
    table = s4.RiskTable.from_frame(
        split, id="id", start="start", stop="stop", event="event", arm="arm", weight="weight", time_unit="months"
    )
    plain = s4.estimate_effects(table, horizons=[20.0])
    found = s4.estimate_effects(table, horizons=[20.0], variance="jackknife")
    plain, found = (each.where(analysis="weighted") for each in (plain, found))
    assert all("given weights" in each.variance for each in found)
    refit = Refit(
        draws=Draws.of(table, Resampling()),
        weights=replicate_weights(table, table.weights),
        sweep=Sweep.of(table.patient, table.arm, table.start, table.stop, table.event, np.array([20.0]), efron=True),
        tile=8,
        start=0.0,
    )
    ones = np.ones((1, table.n_patients))
    values = refit.weights.make(ones)[0]
    swept = Replicates(
        columns=tuple(refit.sweep.columns),
        values=refit.sweep.run(values, ones, by_row=True, whole=True),
        failure=np.zeros(1, dtype=np.int8),
    )
    for name in ("hazard ratio", "survival difference", "rmst difference"):
        theta = swept.theta(Measure(name), None, -1 if name == "hazard ratio" else 0)[0]
        value = plain.one(measure=name).value
        assert theta == pytest.approx(np.log(value) if name == "hazard ratio" else value, abs=1e-10)
        # leaving out one patient at a time is what the influence function imitates
        assert found.one(measure=name).std_error == pytest.approx(plain.one(measure=name).std_error, rel=0.1)


# --- the same bits ------------------------------------------------------------------------------


def test_jobs_blocks_and_company_change_no_bit():
    cohort = months()
    weights = s4.weigh(cohort, population="ATE")
    plain = replicates_of(cohort, weights, HORIZONS, replicates=900, seed=1)
    for change in ({"jobs": 2}, {"jobs": 4, "block": 256}, {"block": 37}, {"block": 100, "jobs": 2}):
        other = replicates_of(cohort, weights, HORIZONS, replicates=900, seed=1, **change)
        np.testing.assert_array_equal(plain.values, other.values)
    fewer = replicates_of(cohort, weights, HORIZONS, replicates=130, seed=1)
    np.testing.assert_array_equal(plain.values[:130], fewer.values)
    assert not np.array_equal(fewer.values, replicates_of(cohort, weights, HORIZONS, replicates=130, seed=2).values)


def test_larger_cohorts_too():
    cohort = rotterdam()
    weights = s4.weigh(cohort, population="ATO")
    plain = replicates_of(cohort, weights, [1826.25], replicates=100, seed=5)
    other = replicates_of(cohort, weights, [1826.25], replicates=100, seed=5, jobs=2, block=40)
    np.testing.assert_array_equal(plain.values, other.values)


# --- what fails ---------------------------------------------------------------------------------


def rare_level(n=120):
    """Three patients have a rare mutation: two treated, one not. Otherwise treatment is a coin."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {"id": range(n), "arm": np.arange(n) % 2, "mutation": 0, "months": rng.exponential(20, n) + 0.1, "event": 1}
    )
    frame.loc[[0, 1, 3], "mutation"] = 1
    return s4.Cohort.from_frame(
        frame,
        id="id",
        treatment="arm",
        treated=1,
        control=0,
        time="months",
        event="event",
        event_value=1,
        time_unit="months",
        covariates=["mutation"],
    )


def test_separated_replicates_are_marked_and_disturb_nobody():
    """With one yes-no covariate the score is a share: separated where all drawn carriers are in one arm."""
    cohort = rare_level()
    weights = s4.weigh(cohort, population="ATE")
    refit = refit_of(cohort, weights, [12.0], seed=6)
    counts = refit.draws.counts(0, 400)
    found = replicates_of(cohort, weights, [12.0], replicates=400, seed=6)
    carrier, treated = cohort.covariates["mutation"].to_numpy() == 1, cohort.treatment == 1
    one, zero = (counts[:, carrier & treated].sum(axis=1), counts[:, carrier & ~treated].sum(axis=1))
    expected = ((one == 0) | (zero == 0)) & (one + zero > 0)
    assert 0 < expected.sum() < 400
    absent = one + zero == 0
    assert absent.any()
    np.testing.assert_array_equal(found.failure == Failure.SEPARATED, expected)
    assert np.isnan(found.values[expected]).all()
    assert np.isfinite(found.values[~expected][:, :5]).all()
    values, _ = refit.weights.make(counts)
    for replicate in np.flatnonzero(absent)[:3]:
        # a level that nobody drawn has is as if it were not in the model: the score is the treated share
        share = counts[replicate, treated].sum() / counts[replicate].sum()
        drawn = counts[replicate] > 0
        np.testing.assert_allclose(values[replicate][drawn & treated], 1 / share, rtol=1e-9)


def test_hard_replicates_are_given_up_only_where_the_plain_fit_is():
    """Thirty patients and five terms: many resamples are separated, and whole Newton steps run away in others."""
    cohort = small_cohort(small_frame(4, 30), covariates=("x", "b", "g"))
    weights = s4.weigh(cohort, population="ATE", splines={"x": 3})
    refit = refit_of(cohort, weights, [12.0], seed=2)
    counts = refit.draws.counts(0, 300)
    _, failure = refit.weights.make(counts)
    design = np.column_stack([np.ones(len(cohort)), weights.spec.terms])
    given_up = []
    for count in counts:
        drawn = count > 0
        varies = np.ptp(design[drawn], axis=0) > 0
        varies[0] = True
        here = design[np.ix_(drawn, varies)]
        fit = fit_logistic(here, cohort.treatment[drawn], weight=count[drawn])
        given_up.append(not (fit.converged and np.abs(here @ fit.coefficient).max() <= 15))
    assert 10 < sum(given_up) < 290
    np.testing.assert_array_equal(failure == Failure.SEPARATED, given_up)


def test_failures_are_counted_and_told():
    cohort = rare_level()
    weights = s4.weigh(cohort, population="ATE")
    table = s4.estimate_effects(cohort, weights, variance="bootstrap", replicates=400, seed=6)
    failure = replicates_of(cohort, weights, [], replicates=400, seed=6).failure
    finding = next(each for each in table.findings if "weighted" in each.message)
    assert finding.code == "failed-replicates"
    assert finding.severity == "serious"
    assert finding.numbers["separated"] == (failure == Failure.SEPARATED).sum()
    used = 400 - finding.numbers["failed"]
    assert (
        table.one(analysis="weighted", measure="hazard ratio").variance
        == f"bootstrap ({used} of 400 replicates, percentile)"
    )
    assert table.one(analysis="naive", measure="hazard ratio").variance == "bootstrap (400 replicates, percentile)"


def test_replicates_without_events_in_an_arm_keep_their_curves():
    frame = small_frame(1, 60)
    frame["event"] = 0
    frame.loc[[0, 1, 2, 3], "event"] = 1  # two events an arm: one replicate in seven draws neither
    found = replicates_of(small_cohort(frame), None, [12.0], replicates=300, seed=1)
    lost = found.failure == Failure.NO_EVENTS
    assert 0 < lost.sum() < 150
    assert np.isnan(found.values[lost, 0]).all()
    assert np.isfinite(found.values[lost][:, 1:5]).all()


def test_no_estimate_at_all_is_an_error():
    """Two groups, each one arm: seed 3 draws the same group twice, in both replicates."""
    cohort = months()
    labels = np.where(cohort.treatment == 1, "one", "two")
    with pytest.raises(s4.QuestionError, match="an arm without patients"):
        s4.estimate_effects(cohort, variance="bootstrap", replicates=2, seed=3, cluster=labels)


# --- schemes of resampling ----------------------------------------------------------------------


def test_stratified_counts_keep_the_arms_sizes():
    cohort = months()
    refit = refit_of(cohort, None, [12.0], stratify=True, seed=1)
    counts = refit.draws.counts(0, 50)
    assert (counts[:, cohort.treatment == 1].sum(axis=1) == (cohort.treatment == 1).sum()).all()
    assert (counts.sum(axis=1) == len(cohort)).all()


def test_groups_are_drawn_whole():
    cohort = months()
    group = np.arange(len(cohort)) // 4
    counts = refit_of(cohort, None, [12.0], cluster=group, seed=1).draws.counts(0, 50)
    for k in range(group.max() + 1):
        own = counts[:, group == k]
        assert (own == own[:, :1]).all()
    assert (counts[:, ::4].sum(axis=1) == group.max() + 1).all()


def test_bayesian_counts_have_the_moments_of_a_flat_dirichlet_distribution():
    """Mean 1 and variance (n - 1) / (n + 1) each; Rubin 1981."""
    cohort = months()
    n = len(cohort)
    counts = refit_of(cohort, None, [12.0], counts="bayesian", seed=1).draws.counts(0, 2000)
    np.testing.assert_allclose(counts.sum(axis=1), n)
    assert counts.min() > 0
    assert counts.var() == pytest.approx((n - 1) / (n + 1), rel=0.02)


def test_bayesian_and_multinomial_standard_errors_agree():
    """The two have the same first-order variance; no replicate of the former can lose a level or an arm."""
    cohort = rotterdam()
    weights = s4.weigh(cohort, population="ATO")
    whole = s4.estimate_effects(cohort, weights, variance="bootstrap", replicates=1000, seed=1)
    parts = s4.estimate_effects(cohort, weights, variance="bootstrap", replicates=1000, seed=1, counts="bayesian")
    one, other = (each.one(analysis="weighted", measure="hazard ratio") for each in (whole, parts))
    assert other.std_error == pytest.approx(one.std_error, rel=0.1)  # three Monte Carlo errors of a ratio
    assert "Bayesian bootstrap" in other.variance


# --- against other software and the other variances ---------------------------------------------


@pytest.mark.parametrize("population", ["ATE", "ATO"])
def test_standard_errors_equal_those_of_a_bootstrap_in_r(population):
    """R 4.2.2, 2,000 replicates of glm, survfit and coxph; its Monte Carlo error and ours are alike."""
    golden = json.loads((REFERENCE / "rotterdam_more.json").read_text())["F1"]["bootstrap_OS"]
    cohort = rotterdam()
    weights = s4.weigh(cohort, population=population)
    table = s4.estimate_effects(
        cohort,
        weights,
        horizons=[1826.25, 3652.5],
        variance="bootstrap",
        replicates=2000,
        seed=7,
        interval="percentile",
    ).where(analysis="weighted")
    for name, measure, horizon in (
        ("loghr", "hazard ratio", None),
        ("S5diff", "survival difference", 1826.25),
        ("RMST10diff", "rmst difference", 3652.5),
    ):
        key = f"{name}_{population.lower()}"
        found = table.one(measure=measure, horizon=horizon)
        error = golden["mc_error_of_se"][key]
        assert abs(found.std_error - golden["se"][key]) < 3 * np.sqrt(2) * error
        # a quantile at 2.5 % has a Monte Carlo error of about 2.7 / sqrt(replicates) standard errors
        slack = 3 * np.sqrt(2) * 2.7 / np.sqrt(2000) * golden["se"][key]
        lower, upper = np.log([found.lower, found.upper]) if name == "loghr" else (found.lower, found.upper)
        assert abs(lower - golden["p025"][key]) < slack
        assert abs(upper - golden["p975"][key]) < slack


@pytest.mark.parametrize("population", ["ATE", "ATT", "ATO"])
def test_bootstrap_influence_and_jackknife_agree_on_rotterdam(population):
    """Three ways to one standard error; the first has a Monte Carlo error of 1 / sqrt(2 B)."""
    cohort = rotterdam()
    weights = s4.weigh(cohort, population=population)
    shared = {"horizons": [1826.25]}
    boot = s4.estimate_effects(cohort, weights, variance="bootstrap", replicates=2000, seed=9, **shared)
    left_out = s4.estimate_effects(cohort, weights, variance="jackknife", **shared)
    influence = s4.estimate_effects(cohort, weights, **shared)
    for measure in ("hazard ratio", "survival difference", "rmst difference"):
        a, b, c = (each.one(analysis="weighted", measure=measure).std_error for each in (boot, left_out, influence))
        assert abs(a / b - 1) < 3 / np.sqrt(4000)
        # heavy weights bend the estimate: with those of the ATE, influence (a straight line) is up to 7 % too short
        assert (0.9 if population == "ATE" else 0.97) < c / b < 1.01


# --- given weights, and refusals ----------------------------------------------------------------


def test_given_weights_stay_and_say_so():
    cohort = months()
    given = s4.Weights.given(s4.weigh(cohort, population="ATE").values)
    table = s4.estimate_effects(cohort, given, variance="bootstrap", replicates=50, seed=1)
    found = table.one(analysis="weighted", measure="hazard ratio")
    assert found.variance.endswith("given weights: their estimation is not accounted for")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"variance": "influence", "replicates": 10}, "replicates would have no effect"),
        ({"variance": "fixed", "cluster": "x"}, "cluster would have no effect"),
        ({"variance": "jackknife", "replicates": 10}, "replicates: would have no effect"),
        ({"variance": "jackknife", "interval": "bca"}, "interval: would have no effect"),
        ({"variance": "bootstrap", "interval": "bcb"}, "percentile, basic, normal, bca"),
        ({"variance": "bootstrap", "counts": "poisson"}, "multinomial, bayesian"),
        ({"variance": "bootstrap", "replicates": 1}, "at least 2"),
        ({"variance": "bootstrap", "jobs": 0}, "at least 1"),
        ({"variance": "bootstrap", "cluster": "hospital"}, "no covariate 'hospital'"),
        ({"variance": "bootstrap", "cluster": [1, 2]}, "expected 157 labels"),
        ({"variance": "bootstrap", "cluster": "b", "stratify": True}, "patients of both arms"),
        ({"variance": "magic"}, "influence, fixed, bootstrap, jackknife"),
    ],
)
def test_refused_options(options, words):
    cohort = months()
    with pytest.raises(s4.InputError, match=words):
        s4.estimate_effects(cohort, **options)


def test_all_wrong_options_are_named_at_once():
    with pytest.raises(s4.InputError) as caught:
        s4.estimate_effects(months(), variance="bootstrap", replicates=1, jobs=0, interval="x")
    assert {problem.where for problem in caught.value.problems} == {"replicates", "jobs", "interval"}


def test_naive_estimates_are_resampled_beside_the_weighted_ones():
    cohort = months()
    weights = s4.weigh(cohort, population="ATE")
    both = s4.estimate_effects(cohort, weights, variance="bootstrap", replicates=60, seed=1)
    naive = s4.estimate_effects(cohort, variance="bootstrap", replicates=60, seed=1)
    assert both.where(analysis="naive").estimates == naive.estimates
