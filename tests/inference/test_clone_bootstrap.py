"""Cloned strategies resampled: both clones of a patient together, and every model of the weights fitted again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import causal_s4 as s4
import causal_s4.emulation.clone_censor as module
from causal_s4.inference.resampling import Draws, Replicates, Resampling, replicate_weights, resample
from causal_s4.kernels.replicate_weights import Failure
from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.simulate import simulate_history
from causal_s4.simulate.timeline import ROLES

GRACE, HORIZON = 9.0, 60.0
CHANGING = {"time_varying": ["response"]}
OPTIONS = [
    CHANGING,
    {"timing": "natural", "natural_until": 4.0, "truncate": (0.0, 0.9)},
    {"timing": "uniform", "truncate": (0.05, 0.95)} | CHANGING,
    {"loss_weights": True} | CHANGING,
    {"never": True} | CHANGING,
    {"unless": {"response": ["progression"]}} | CHANGING,
    {"timing": "maringe"},
    {"timing": "maringe", "truncate": (0.02, 0.98)},
]


def registry(n: int, seed: int, drawn: np.ndarray | None = None) -> s4.Cohort:
    """A simulated registry with its visits, or a physical resample of its patients with theirs."""
    women = s4.simulate("stage4-timeline", n=n, seed=seed)
    visits = simulate_history("stage4-timeline", n=n, seed=seed)
    if drawn is not None:
        place = {name: k for k, name in enumerate(women["id"])}
        of_patient = [np.flatnonzero(visits["id"].map(place).to_numpy() == k) for k in range(n)]
        visits = visits.iloc[np.concatenate([of_patient[k] for k in drawn])].assign(
            id=np.repeat(np.arange(len(drawn)), [len(of_patient[k]) for k in drawn])
        )
        women = women.iloc[drawn].assign(id=np.arange(len(drawn)))
    return as_cohort(women, visits, ROLES["covariates"])


def as_cohort(women: pd.DataFrame, visits: pd.DataFrame | None, covariates: Sequence[str]) -> s4.Cohort:
    return s4.Cohort.from_frame(women, history=visits, **{**ROLES, "covariates": covariates})


def cloned(cohort: s4.Cohort, **options: Any) -> s4.RiskTable:
    return s4.clone_censor(cohort, grace_period=GRACE, **options)


@contextmanager
def fixed_beforehand(cohort: s4.Cohort, options: dict[str, Any]) -> Iterator[s4.RiskTable]:
    """Clone a cohort, and hold the levels of time and the target timing that it gave for whoever is cloned next.

    Each event time has a cell of its own, so that weights are exact in both.
    """
    names, make = ("time_levels", "fixed_timing"), module.Cells.make
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Cells, "make", lambda times, begin, end, most: make(times, begin, end, len(times)))
        found: dict[str, list[Any]] = {name: [] for name in names}
        for name in names:
            original, kept = getattr(module, name), found[name]
            patch.setattr(
                module, name, lambda *args, f=original, to=kept, **rest: to.append(f(*args, **rest)) or to[-1]
            )
        table = cloned(cohort, **options)
        for name in names:
            order = {"calls": 0}

            def again(*_: Any, of: list[Any] = found[name], order: dict[str, int] = order, **__: Any) -> Any:
                order["calls"] += 1
                return of[(order["calls"] - 1) % len(of)]

            patch.setattr(module, name, again)
        yield table


def log_or_value(each: Any, value: float) -> float:
    return float(np.log(value) if each.measure.endswith("ratio") else value)


def replicates_of(table: s4.RiskTable, horizons: list[float], *, ties: str = "efron", **plan: Any) -> Replicates:
    return resample(table, table.weights, horizons=np.array(horizons), ties=ties, plan=Resampling(**plan))


def theta(found: Replicates, each: Any, horizons: list[float]) -> np.ndarray:
    """The replicates of an effect."""
    arm = None if each.arm is None else Arm(each.arm)
    return found.theta(Measure(each.measure), arm, -1 if each.horizon is None else horizons.index(each.horizon))


# --- what a replicate is ------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_counts_of_one_give_the_plain_weights(options):
    """The weights themselves are made by other code, held against hand-computed and published ones elsewhere."""
    table = cloned(registry(200, 3), **options)
    for whole in (True, False):
        values, failure = replicate_weights(table, table.weights, whole=whole).make(np.ones((2, 200)))
        assert (failure == Failure.NONE).all()
        np.testing.assert_allclose(values, np.tile(table.weights.values, (2, 1)), rtol=1e-10)


def test_nobody_left_out_gives_the_plain_effects():
    """The jackknife of 201 patients, the last of whom changes nothing: she is followed beyond no event."""
    table = cloned(registry(200, 3), **CHANGING)
    lonely = replace(table, n_patients=201, weights=replace(table.weights, spec=_with_nobody(table.weights.spec)))
    found = replicates_of(lonely, [24.0], method="jackknife")
    for each in s4.estimate_effects(table, horizons=[24.0]):
        if each.value is not None:
            expected = log_or_value(each, each.value)
            assert theta(found, each, [24.0])[200] == pytest.approx(expected, rel=1e-10, abs=1e-12)


def _with_nobody(spec: Any) -> Any:
    return replace(spec, needed=tuple(np.append(each, False) for each in spec.needed))


def compare(n: int, seed: int, options: dict[str, Any], ties: str, replicates: int) -> None:
    """Hold replicates against the plain analysis of the same patients, physically drawn with their visits."""
    cohort, horizons = registry(n, seed), [24.0, HORIZON]
    with fixed_beforehand(cohort, options) as table:
        ours = replicates_of(table, horizons, ties=ties, replicates=replicates, seed=5)
        counts = Draws.of(table, Resampling(seed=5)).counts(0, replicates)
        assert (ours.failure == Failure.NONE).mean() > 0.9
        for replicate in np.flatnonzero(ours.failure == Failure.NONE):
            drawn = np.repeat(np.arange(n), counts[replicate].astype(int))
            again = cloned(registry(n, seed, drawn), **options)
            for each in s4.estimate_effects(again, horizons=horizons, ties=ties):
                value = np.inf if each.value is None else each.value
                found = theta(ours, each, horizons)[replicate]
                assert found == pytest.approx(log_or_value(each, value), rel=1e-8, abs=1e-8), (replicate, each.measure)


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[-1]], ids=str)
def test_replicates_equal_the_plain_analysis_of_patients_physically_drawn(options):
    compare(150, 3, options, "efron", 5)


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_fifty_replicates_equal_the_plain_analysis_of_patients_physically_drawn(options, ties):
    compare(200, 3, options, ties, 50)


def test_jackknife_leaves_out_both_clones():
    cohort = registry(150, 3)
    with fixed_beforehand(cohort, CHANGING) as table:
        found = replicates_of(table, [24.0], method="jackknife")
        for left_out in (0, 77):
            rest = cloned(registry(150, 3, np.delete(np.arange(150), left_out)), **CHANGING)
            for each in s4.estimate_effects(rest, horizons=[24.0]):
                if each.value is not None:
                    expected = log_or_value(each, each.value)
                    assert theta(found, each, [24.0])[left_out] == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_a_level_at_which_nobody_drawn_starts_treatment_has_a_rate_of_zero():
    """As in the plain fit: without its event a level has the weights of patients who could not have been treated."""
    cohort = registry(150, 3)
    table = cloned(cohort, **CHANGING)
    made = replicate_weights(table, table.weights)
    triple = (cohort.covariates["subtype"] == "triple-negative").to_numpy()
    started = np.isfinite(cohort.treatment_start) & (cohort.treatment_start <= GRACE)
    assert (triple & started).any()
    counts = np.ones((1, 150))
    counts[0, triple & started] = 0
    values, failure = made.make(counts)
    assert failure[0] == Failure.NONE
    own = (table.arm == 0) & (triple & ~started)[table.patient]
    np.testing.assert_array_equal(values[0, own], 1.0)
    assert (table.weights.values[own] > 1).any()


# --- the same bits, and less memory than all at once --------------------------------------------


@pytest.mark.parametrize("options", [CHANGING, {"timing": "maringe"}], ids=str)
def test_jobs_blocks_and_company_change_no_bit(options):
    table = cloned(registry(150, 3), **options)
    plain = replicates_of(table, [24.0], replicates=300, seed=1)
    for change in ({"jobs": 2, "block": 256}, {"block": 110}):
        other = replicates_of(table, [24.0], replicates=300, seed=1, **change)
        np.testing.assert_array_equal(plain.values, other.values)
    few = replicates_of(table, [24.0], replicates=30, seed=1)
    np.testing.assert_array_equal(plain.values[:30], few.values)


def test_finished_blocks_are_kept(tmp_path):
    table = cloned(registry(150, 3), loss_weights=True)
    plan = {"replicates": 60, "seed": 1, "block": 20, "resume": tmp_path}
    first, again = (replicates_of(table, [24.0], **plan) for _ in range(2))
    np.testing.assert_array_equal(first.values, again.values)
    assert len(list(tmp_path.glob("*.npz"))) == 3


# --- intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", ["multinomial", pytest.param("bayesian", marks=pytest.mark.slow)])
def test_standard_errors_agree_with_the_analytic_ones(counts):
    """A thousand patients. Monte Carlo error of a standard error: 1 / sqrt(2 B); three of them, and up to 6 % that
    the bend of the weights in the coefficients adds, which a straight line does not see.
    """
    table = cloned(registry(1000, 1), **CHANGING)
    analytic = s4.estimate_effects(table, horizons=[HORIZON])
    found = s4.estimate_effects(table, horizons=[HORIZON], variance="bootstrap", replicates=300, seed=2, counts=counts)
    for measure in ("hazard ratio", "survival difference", "rmst difference"):
        ratio = found.one(measure=measure).std_error / analytic.one(measure=measure).std_error
        assert 1 - 3 / np.sqrt(600) < ratio < 1.06 + 3 / np.sqrt(600)


@pytest.mark.parametrize("interval", ["percentile", "basic", "normal", "bca"])
def test_every_kind_of_interval(interval):
    table = cloned(registry(200, 3), **CHANGING)
    effects = s4.estimate_effects(table, horizons=[24.0], variance="bootstrap", replicates=300, interval=interval)
    assert len(effects) == len(s4.estimate_effects(table, horizons=[24.0]))
    ratio = effects.one(measure="hazard ratio")
    assert 0 < ratio.lower < ratio.value < ratio.upper
    assert ratio.variance == f"bootstrap (300 replicates, {interval})"
    assert not effects.findings


def test_published_weights_are_refitted_and_not_called_given():
    table = cloned(registry(150, 3), timing="maringe")
    effects = s4.estimate_effects(table, variance="bootstrap", replicates=50)
    assert effects.one(measure="hazard ratio").variance == "bootstrap (50 replicates, percentile)"


def test_groups_are_drawn_whole():
    table = cloned(registry(150, 3))
    group = np.arange(150) // 3
    found = s4.estimate_effects(table, variance="bootstrap", replicates=50, cluster=group)
    assert found.one(measure="hazard ratio").variance == "bootstrap (50 replicates, percentile, whole groups)"
    by_name = s4.estimate_effects(table, variance="bootstrap", replicates=50, cluster="ecog")
    assert by_name.one(measure="hazard ratio").std_error > 0


def test_arms_cannot_be_drawn_apart():
    table = cloned(registry(150, 3))
    with pytest.raises(s4.InputError, match="rows in both arms"):
        s4.estimate_effects(table, variance="bootstrap", replicates=50, stratify=True)


# --- what fails ---------------------------------------------------------------------------------


def test_replicates_without_a_strategy_are_counted():
    """The treated are one group of three: some resamples hold nobody who was treated within the grace period."""
    cohort = registry(150, 3)
    table = cloned(cohort, covariates=[])
    treated = cohort.treatment_start <= GRACE
    labels = np.where(treated, "treated", np.where(np.arange(150) % 2, "odd", "even"))
    found = replicates_of(table, [], replicates=200, seed=1, cluster=labels)
    counts = Draws.of(table, Resampling(seed=1, cluster=labels)).counts(0, 200)
    beyond = ~treated & (cohort.outcome().time > GRACE)
    lost = (counts[:, treated].sum(axis=1) == 0) | (counts[:, beyond].sum(axis=1) == 0)
    assert 30 < lost.sum() < 170
    np.testing.assert_array_equal(found.failure == Failure.EMPTY_ARM, lost)
    effects = s4.estimate_effects(table, variance="bootstrap", replicates=200, seed=1, cluster=labels)
    (finding,) = effects.findings
    assert finding.numbers["empty_arm"] == lost.sum()
    assert finding.severity == "serious"


def test_a_model_that_does_not_settle_is_counted_and_disturbs_nobody():
    """Without the few treated patients of age 60 or more, treatment ends at an age: such a rate has no maximum."""
    women = s4.simulate("stage4-timeline", n=150, seed=3)
    treated = (women["surgery_months"] <= GRACE).to_numpy()
    old = (women["age"] > 60).to_numpy()
    rare = old & treated & (np.cumsum(old & treated) <= 2)
    women = women[~(old & treated) | rare].assign(band=0.0)
    women.loc[women["age"] > 60, "band"] = women["age"] % 7 + 1  # a number, so that it is no level that falls silent
    cohort = as_cohort(women, None, ["band"])
    table = cloned(cohort)
    found = replicates_of(table, [24.0], replicates=300, seed=1)
    counts = Draws.of(table, Resampling(seed=1)).counts(0, 300)
    with_band = (cohort.covariates["band"] > 0).to_numpy() & (cohort.treatment_start <= GRACE)
    lost = counts[:, with_band].sum(axis=1) == 0
    assert 10 < lost.sum() < 150
    np.testing.assert_array_equal(found.failure == Failure.SEPARATED, lost)
    assert np.isnan(found.values[lost]).all()
    assert np.isfinite(found.values[~lost][:, 0]).all()
