"""The weights against their definition evaluated one death at a time, and how intervals follow from them."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from registries import USUAL, registry

from causal_s4.cohort import Cohort
from causal_s4.emulation import clone_censor as module
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.emulation.clone_weights import initiation_factor
from causal_s4.emulation.weight_checks import default_variance
from causal_s4.errors import UsageError
from causal_s4.estimation import estimate_effects, survival_curves
from causal_s4.inference.influence import influence
from causal_s4.simulate import true_effects
from causal_s4.survival.functionals import arm_functionals, fit_arms, hazard_ratio

GRACE = 9.0


@pytest.fixture(scope="module")
def cohort():
    return registry(200, 3)


@pytest.fixture(scope="module")
def as_observed(cohort):
    """Timing as observed."""
    return clone_censor(cohort, grace_period=GRACE, time_varying=["response"])


@pytest.fixture(scope="module")
def table(cohort):
    return clone_censor(cohort, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)


# --- the definition, slowly ---------------------------------------------------------------------


class Definition:
    """METHODS' formulas (5.1) to (5.3) for one patient at one time, by loops over what was known when."""

    def __init__(self, cohort, table):
        self.cohort = cohort
        self.coefficients = dict(zip(table.weights.terms, table.weights.coefficients, strict=True))
        (timing,) = (each.numbers for each in table.weights.findings if each.code == "timing-of-treatment")
        self.edges, self.masses = timing["edges"], timing["masses"]
        # without a given density, levels of time and of the timing are the same
        self.levels = [(edge, f"time from {edge:g}") for edge in self.edges[1:-1]]
        self.visits = {k: [] for k in range(len(cohort))}
        for row in cohort.history.itertuples():
            self.visits[row.patient].append((row.time, row.response))

    def rate(self, patient, time):
        """The rate just before a time, from what was known strictly before."""
        row = self.cohort.covariates.iloc[patient]
        known = [state for when, state in self.visits[patient] if when < time]
        value = self.coefficients["(intercept)"]
        value += next((self.coefficients[name] for edge, name in reversed(self.levels) if edge < time), 0.0)
        value += sum(self.coefficients[name] * row[name] for name in ("age", "bone_only", "burden", "ecog"))
        value += self.coefficients.get(f"subtype={row['subtype']}", 0.0)
        value += self.coefficients.get(f"response={known[-1]}", 0.0)
        return math.exp(value)

    def cumulated(self, patient, time):
        cuts = {0.0, time, *(edge for edge, _ in self.levels), *(when for when, _ in self.visits[patient])}
        cuts = sorted(cut for cut in cuts if cut <= time)
        return sum((b - a) * self.rate(patient, b) for a, b in pairwise(cuts))

    def weight(self, patient, arm, time):
        treated, end = self.cohort.treatment_start[patient], self.cohort.outcomes[0].time[patient]
        if end < time:
            return 0.0
        if arm == 0:
            departed = treated <= min(time, GRACE)
            return 0.0 if departed else math.exp(self.cumulated(patient, min(time, GRACE)))
        edges, masses = self.edges, self.masses
        if treated <= min(time, GRACE):
            place = next(k for k in range(len(masses)) if edges[k] < treated <= edges[k + 1])
            density = masses[place] / (edges[place + 1] - edges[place])
            return density / self.rate(patient, treated) * math.exp(self.cumulated(patient, treated))
        if time > GRACE:
            return 0.0
        remaining = 1 - np.interp(time, edges, np.cumsum([0.0, *masses]))
        return remaining * math.exp(self.cumulated(patient, time))


def weights_at(table, arm, time):
    rows = (table.arm == arm) & (table.start < time) & (table.stop >= time)
    found = np.zeros(table.n_patients)
    found[table.patient[rows]] = table.weights.values[rows]
    return found


@pytest.mark.parametrize("arm", [0, 1])
def test_weights_at_the_deaths_are_those_of_the_definition(cohort, as_observed, arm):
    """With as few deaths as here each has a cell of its own, and the weights are exact."""
    definition = Definition(cohort, as_observed)
    outcome = cohort.outcomes[0]
    deaths = np.unique(outcome.time[outcome.event == 1])
    # one in three within the grace period, and some later
    for time in [*deaths[deaths <= GRACE][::3], *deaths[deaths > GRACE][::30]]:
        expected = [definition.weight(k, arm, time) for k in range(len(cohort))]
        np.testing.assert_allclose(weights_at(as_observed, arm, time), expected, rtol=1e-9, atol=1e-12)


def test_curves_are_those_of_the_definition(cohort, as_observed):
    """Kaplan-Meier with a weight a patient and a death, as METHODS 5.4.4 writes it."""
    definition = Definition(cohort, as_observed)
    outcome = cohort.outcomes[0]
    curves = survival_curves(as_observed)
    for arm, label in ((0, "control"), (1, "treated")):
        survival = 1.0
        for time in np.unique(outcome.time[(outcome.event == 1) & (outcome.time <= 4.5)]):
            weights = np.array([definition.weight(k, arm, time) for k in range(len(cohort))])
            dies = (outcome.time == time) & (outcome.event == 1)
            survival *= 1 - weights[dies].sum() / weights.sum()
        assert curves[label].at(4.5) == pytest.approx(survival, abs=1e-10)


@pytest.mark.parametrize("options", [{}, {"timing": "natural", "natural_until": 6.0}, {"timing": "uniform"}])
def test_sharing_cells_among_neighbouring_deaths_changes_little(monkeypatch, options):
    """As coarse as the default grid of seven days allows, against one cell a death."""
    cohort = registry(800, 4, effect="protective")
    found = []
    for rows in (10**7, 1):
        monkeypatch.setattr(module, "_ROWS", rows)
        table = clone_censor(cohort, grace_period=GRACE, time_varying=["response"], **options)
        fits = fit_arms(table, table.weights.values)
        effects = {each.measure: each.theta for each in arm_functionals(fits, [60.0], len(table)) if each.arm is None}
        found.append([effects["survival difference"], effects["rmst difference"] / 60])
        found[-1].append(hazard_ratio(table, table.weights.values, ties="efron").theta)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=5e-4)


def test_weights_are_one_on_average(cohort):
    """Over everyone still followed, while the grace period lasts; METHODS 5.4.3 flags 0.9 to 1.1."""
    big = registry(2_000, 8)
    table = clone_censor(big, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)
    for time in (2.0, 4.5, 7.0):
        followed = (big.outcomes[0].time >= time).sum()
        for arm in (0, 1):
            assert weights_at(table, arm, time).sum() / followed == pytest.approx(1, abs=0.1)


# --- invariances --------------------------------------------------------------------------------


def effects_of(table, **options):
    found = estimate_effects(table, horizons=[36.0], **options)
    return np.array([[each.value, each.std_error] for each in found if each.std_error is not None])


def split(table, time):
    """Cut every row that holds a time in two."""
    held = (table.start < time) & (table.stop > time)
    order = np.concatenate([np.arange(len(table)), np.flatnonzero(held)])
    stop = np.concatenate([np.where(held, time, table.stop), table.stop[held]])
    start = np.concatenate([table.start, np.full(held.sum(), time)])
    event = np.concatenate([np.where(held, 0, table.event), table.event[held]])
    weights = replace(
        table.weights,
        values=table.weights.values[order],
        parts=tuple(replace(part, derivative=part.derivative[order]) for part in table.weights.parts),
    )
    return replace(
        table, patient=table.patient[order], arm=table.arm[order], start=start, stop=stop, event=event, weights=weights
    )


def test_splitting_rows_changes_nothing(table):
    whole = effects_of(table)
    cut = split(split(split(table, 5.5), 20.25), 40.0)
    assert len(cut) > len(table)
    np.testing.assert_allclose(effects_of(cut), whole, rtol=1e-12, atol=1e-12)


def test_order_of_patients_changes_nothing(cohort, table):
    order = np.random.default_rng(5).permutation(len(cohort))
    position = np.argsort(order)
    outcome = cohort.outcomes[0]
    history = cohort.history.assign(patient=position[cohort.history["patient"]])
    shuffled = replace(
        cohort,
        ids=cohort.ids[order],
        treatment=cohort.treatment[order],
        outcomes=(replace(outcome, time=outcome.time[order], event=outcome.event[order]),),
        covariates=cohort.covariates.iloc[order].reset_index(drop=True),
        treatment_start=cohort.treatment_start[order],
        history=history.sort_values(["patient", "time"]).reset_index(drop=True),
    )
    again = clone_censor(shuffled, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)
    np.testing.assert_allclose(effects_of(again), effects_of(table), rtol=1e-8)


def test_unit_of_time_changes_nothing_but_the_unit(cohort, table):
    scale = 30.4375
    outcome = cohort.outcomes[0]
    in_days = replace(
        cohort,
        time_unit="days",
        outcomes=(replace(outcome, time=outcome.time * scale),),
        treatment_start=cohort.treatment_start * scale,
        history=cohort.history.assign(time=cohort.history["time"] * scale),
    )
    in_days = replace(in_days, time_unit=type(cohort.time_unit)("days"))
    density = ([edge * scale for edge in USUAL[0]], USUAL[1])
    days = clone_censor(in_days, grace_period=GRACE * scale, time_varying=["response"], timing_density=density)
    np.testing.assert_allclose(days.weights.values, table.weights.values, rtol=1e-6)
    np.testing.assert_allclose(days.stop, table.stop * scale, rtol=1e-9)


# --- intervals ----------------------------------------------------------------------------------


def test_derivatives_of_the_weights(cohort, table):
    """Against differences of the weights themselves when a coefficient moves."""
    rebuilt = {}
    original = initiation_factor

    def spy(rows, course, rate, rule, when):
        rebuilt.update(rows=rows, course=course, rate=rate, rule=rule, when=when)
        return original(rows, course, rate, rule, when)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "initiation_factor", spy)
        clone_censor(cohort, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)
    rate = rebuilt["rate"]

    def weights(move):
        integral = replace(rate.integral, rate=rate.integral.rate * np.exp(rate.integral.slope @ move))
        moved = replace(rate, refittable=replace(rate.refittable, integral=integral))
        return original(rebuilt["rows"], rebuilt["course"], moved, rebuilt["rule"], rebuilt["when"])

    at = weights(np.zeros(len(rate.terms)))
    for j in range(0, len(rate.terms), 3):
        step = np.zeros(len(rate.terms))
        step[j] = 1e-6 / max(1.0, abs(rate.integral.slope[:, j]).max())
        slope = (weights(step).factor - weights(-step).factor) / (2 * step[j])
        np.testing.assert_allclose(at.factor * at.slope[:, j], slope, rtol=2e-5, atol=1e-6)


def test_estimating_equations_are_solved(table):
    (part,) = table.weights.parts
    np.testing.assert_allclose(part.score.sum(axis=0), 0, atol=1e-6)
    assert part.score.shape[0] == table.n_patients
    assert part.derivative.shape == (len(table), part.information.shape[0])


def test_influence_sums_to_zero(table):
    gradient = hazard_ratio(table, table.weights.values, ties="breslow").gradient
    for account in (True, False):
        assert influence(table, table.weights, gradient, account=account).sum() == pytest.approx(0, abs=1e-8)


def test_few_patients_take_the_weights_as_known(table):
    """METHODS 10.4: below 400 effective treated patients at the end of the grace period."""
    assert default_variance(table) == "fixed"
    assert default_variance(clone_unweighted(registry(200, 3), grace_period=GRACE)) == "influence"
    many = replace(
        table,
        patient=np.arange(1_000),
        arm=np.repeat([1, 0], 500),
        start=np.zeros(1_000),
        stop=np.full(1_000, 20.0),
        event=np.zeros(1_000, dtype=int),
        weights=replace(table.weights, values=np.ones(1_000)),
    )
    assert default_variance(many) == "influence"


def test_corrected_intervals_are_shorter_here(table):
    """Estimating the weights of everybody takes noise out, as METHODS 10.4 found; not by orders of magnitude."""
    corrected, fixed = effects_of(table)[:, 1], effects_of(table, variance="fixed")[:, 1]
    assert (corrected < fixed * 1.001).all()
    assert (corrected > fixed * 0.6).all()


@pytest.mark.slow
def test_influence_against_leaving_patients_out(monkeypatch):
    """The jackknife refits everything; timing and levels of time, which no interval accounts for, stay. METHODS 10.4."""
    monkeypatch.setattr(module, "time_levels", lambda *_: np.array([3.0, 5.0, 7.0]))
    cohort = registry(300, 11)

    def estimate(kept):
        table = clone_censor(kept, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)
        fits = fit_arms(table, table.weights.values)
        found = [each for each in arm_functionals(fits, [36.0], len(table)) if each.measure == "rmst difference"]
        found.append(hazard_ratio(table, table.weights.values, ties="efron"))
        return table, found

    table, found = estimate(cohort)
    phi = influence(table, table.weights, np.column_stack([each.gradient for each in found]))
    n = len(cohort)
    out = np.array([[each.theta for each in estimate(cohort.take(np.arange(n) != k))[1]] for k in range(n)])
    pseudo = (out.mean(axis=0) - out) * (n - 1) / n
    for j in range(2):
        assert np.corrcoef(phi[:, j], pseudo[:, j])[0, 1] > 0.97
        # too short with so few effective patients, which is why the default then takes the weights as known
        assert 0.75 < np.sqrt((phi[:, j] ** 2).sum() / (pseudo[:, j] ** 2).sum()) < 1.0


# --- options ------------------------------------------------------------------------------------


def test_truncation_is_labelled_and_stops_the_derivative(cohort, table):
    cut = clone_censor(
        cohort, grace_period=GRACE, time_varying=["response"], timing_density=USUAL, truncate=(0.0, 0.95)
    )
    at_end = (table.start <= GRACE) & (table.stop > GRACE)
    for arm in (0, 1):
        own = table.arm == arm
        limit = np.quantile(table.weights.values[own & at_end], 0.95)
        np.testing.assert_allclose(cut.weights.values[own], np.minimum(table.weights.values[own], limit), rtol=1e-12)
        above = own & (table.weights.values > limit)
        assert above.any()
        assert not cut.weights.parts[0].derivative[above].any()
    assert cut.weights.truncated > 0
    assert [each.code for each in cut.weights.findings].count("truncated") == 1


def test_loss_weights_follow_the_lost():
    """Where loss depends on response and performance, women who are like the lost count more."""
    cohort = registry(700, 6, informative_loss=True, ecog_decline=0.02)
    options = {"grace_period": GRACE, "time_varying": ["response", "ecog"], "timing_density": USUAL}
    plain, weighted = clone_censor(cohort, **options), clone_censor(cohort, loss_weights=True, **options)
    assert [part.name for part in weighted.weights.parts] == [
        "start of treatment",
        "loss to follow-up",
        "loss to follow-up, by time alone",
    ]
    for part in weighted.weights.parts:
        np.testing.assert_allclose(part.score.sum(axis=0), 0, atol=1e-5)
    progression = cohort.history[cohort.history["response"] == "progression"].groupby("patient")["time"].min()
    progressed = progression.reindex(range(len(cohort))).fillna(np.inf).to_numpy()
    factor = weights_at(weighted, 0, 24.0) / np.maximum(weights_at(plain, 0, 24.0), 1e-12)
    present = weights_at(plain, 0, 24.0) > 0
    long_ago = progressed < 20.0
    assert factor[present & long_ago].mean() > 1.05
    assert factor[present & ~long_ago].mean() < 1.0
    assert estimate_effects(weighted, horizons=[36.0]).one(measure="rmst difference").std_error > 0


def test_loss_weights_without_loss_are_refused(cohort):
    outcome = cohort.outcomes[0]
    followed = replace(cohort, outcomes=(replace(outcome, event=np.ones_like(outcome.event)),))
    with pytest.raises(UsageError, match="nobody was lost"):
        clone_censor(followed, grace_period=GRACE, loss_weights=True)


@pytest.mark.slow
def test_loss_weights_bring_back_the_survival_of_everybody():
    """Women in progression are lost more often; without weights those left look too well. Twelve registries."""
    truth = true_effects("stage4-timeline", horizons=[48.0], ecog_decline=0.02, n=100_000)
    bias = {}
    for weigh_losses in (False, True):
        options = {"time_varying": ["response", "ecog"], "timing_density": USUAL, "loss_weights": weigh_losses}
        found = []
        for seed in range(12):
            cohort = registry(3_000, 300 + seed, informative_loss=True, ecog_decline=0.02)
            found.append(survival_curves(clone_censor(cohort, grace_period=GRACE, **options))["control"].at(48.0))
        bias[weigh_losses] = np.mean(found) - truth.one(measure="survival", arm="control").value
    assert bias[False] > 0.02
    assert abs(bias[True]) < 0.015


# --- cohorts of other kinds ---------------------------------------------------------------------


def test_many_treated_at_time_zero():
    """A covariate drives treatment at time zero and later, and death; treatment does nothing. Truth: two exponentials."""
    rng = np.random.default_rng(1)
    n, horizon = 6_000, 36.0
    risk = rng.integers(0, 2, n)
    at_once = rng.random(n) < np.where(risk == 1, 0.5, 0.2)
    death = rng.exponential(1 / (0.02 * np.exp(0.9 * risk)))
    start = np.where(at_once, 0.0, rng.exponential(1 / (0.05 * np.exp(0.5 * risk))))
    end = np.minimum(death, rng.uniform(20, 90, n))
    frame = pd.DataFrame({"id": range(n), "risk": risk, "time": end, "died": (death <= end).astype(int)})
    frame["start"] = np.where(start < end, start, np.nan)
    frame["treated"] = frame["start"].notna().astype(int)
    cohort = Cohort.from_frame(
        frame,
        id="id",
        treatment="treated",
        treated=1,
        control=0,
        time="time",
        event="died",
        event_value=1,
        time_unit="months",
        covariates=["risk"],
        treatment_start="start",
    )
    table = clone_censor(cohort, grace_period=6.0)
    effects = estimate_effects(table, horizons=[horizon])
    truth = np.mean([np.exp(-horizon * 0.02), np.exp(-horizon * 0.02 * np.exp(0.9))])
    for arm in ("treated", "control"):
        assert effects.one(measure="survival", arm=arm).value == pytest.approx(truth, abs=0.03)
    assert math.log(effects.one(measure="hazard ratio").value) == pytest.approx(0, abs=0.08)
    assert "treated-at-time-zero" in {each.code for each in table.weights.findings}
    naive = math.log(estimate_effects(cohort).one(measure="hazard ratio").value)
    assert abs(naive) > 0.15


def test_competing_events_within_the_grace_period_count_in_both_arms(cohort):
    outcome = cohort.outcomes[0]
    other = (outcome.event == 1) & (np.arange(len(cohort)) % 3 == 0)
    competing = replace(cohort, outcomes=(replace(outcome, event=np.where(other, 2, outcome.event)),))
    table = clone_censor(competing, grace_period=GRACE, time_varying=["response"], timing_density=USUAL)
    early = np.flatnonzero(other & (outcome.time < GRACE) & ~(cohort.treatment_start <= outcome.time))
    assert early.size
    for patient in early:
        assert sorted(table.arm[(table.patient == patient) & (table.event == 2)]) == [0, 1]
    effects = estimate_effects(table, horizons=[36.0])
    free = effects.one(measure="survival", arm="control").value
    incidence = effects.one(measure="cumulative incidence", arm="control").value
    assert 0 < incidence < 1 - free
