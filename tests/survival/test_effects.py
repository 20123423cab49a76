"""What effects and curves cannot depend on, and what they must equal: other software, copies, cut rows."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import median_survival_times
from small_cohorts import small_cohort, small_frame

from causal_s4.cohort import RiskTable
from causal_s4.comparison import Comparison, effects_of, estimate_curves, median_follow_up, score_test
from causal_s4.errors import BeyondFollowUpError, ConvergenceError, NoEventsError, UsageError
from causal_s4.estimation import estimate_effects, survival_curves
from causal_s4.inference.influence import influence
from causal_s4.propensity.weights import weigh
from causal_s4.protocol.vocabulary import TimeUnit
from causal_s4.results import EffectTable, Weights
from causal_s4.survival.functionals import fit_arms

HORIZONS = (6.0, 12.0, 24.0)
SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=5, deadline=None)
WEIGHTINGS = [
    {"population": "ATE", "stabilise": True},
    {"population": "ATO"},
    {"population": "ATT", "method": "entropy-balancing"},
]
every_weighting = pytest.mark.parametrize("options", WEIGHTINGS, ids=["stabilised", "overlap", "entropy"])


def comparison(table, weights=None, **options):
    return Comparison(table=table, weights=weights, analysis="weighted", population="x", **options)


def effects(table, weights=None, **options):
    return EffectTable(estimates=tuple(effects_of(comparison(table, weights, **options), HORIZONS)))


def numbers(table, *, without=()):
    """Value and standard error of every estimate, by what it is."""
    return {
        (each.measure, each.arm, each.horizon): (each.value, each.std_error)
        for each in table
        if each.measure not in without
    }


def assert_same(one, other, rel=1e-9):
    assert one.keys() == other.keys()
    for key, pair in one.items():
        for found, expected in zip(pair, other[key], strict=True):
            assert (found is None) == (expected is None), key
            if found is not None:
                assert found == pytest.approx(expected, rel=rel, abs=rel), key


# --- unit weights -------------------------------------------------------------------------------


@FEW
@given(seed=SEEDS)
def test_weights_of_one_are_no_weights(seed):
    table = small_cohort(small_frame(seed, tied=seed % 2 == 0, competing=seed % 3 == 0)).risk_table()
    assert_same(numbers(effects(table, Weights.given(np.ones(80)))), numbers(effects(table)), rel=1e-13)


@pytest.mark.parametrize("tied", [False, True])
def test_curves_without_weights_are_those_of_lifelines(tied):
    """Steps, complementary log-log limits and the median with its interval."""
    frame = small_frame(3, 200, tied=tied)
    curves = survival_curves(small_cohort(frame))
    table = estimate_effects(small_cohort(frame))
    for arm, label in (("treated", "yes"), ("control", "no")):
        rows = frame["arm"] == label
        theirs = KaplanMeierFitter().fit(frame.loc[rows, "months"], frame.loc[rows, "event"])
        ours = curves[arm]
        np.testing.assert_allclose(ours.survival, theirs.survival_function_at_times(ours.times), rtol=1e-10)
        limits = theirs.confidence_interval_.loc[ours.times].to_numpy()
        # lifelines has no limits before the first event
        np.testing.assert_allclose(ours.lower[1:], limits[1:, 0], rtol=1e-6)
        np.testing.assert_allclose(ours.upper[1:], limits[1:, 1], rtol=1e-6)
        median = table.one(measure="median survival", arm=arm)
        assert median.value == theirs.median_survival_time_
        lower, upper = median_survival_times(theirs.confidence_interval_).to_numpy()[0]
        for found, expected in ((median.lower, lower), (median.upper, upper)):
            assert (math.inf if found is None else found) == expected


@pytest.mark.parametrize("tied", [False, True])
def test_hazard_ratio_without_weights_is_that_of_lifelines(tied):
    frame = small_frame(4, 200, tied=tied)
    data = pd.DataFrame({"z": (frame["arm"] == "yes").astype(float), "t": frame["months"], "e": frame["event"]})
    theirs = CoxPHFitter().fit(data, "t", "e", robust=not tied, fit_options={"precision": 1e-13, "r_precision": 1e-15})
    found = estimate_effects(small_cohort(frame)).one(measure="hazard ratio")
    assert math.log(found.value) == pytest.approx(theirs.params_["z"], rel=1e-6)
    if not tied:  # lifelines leaves ties out of its sandwich
        assert found.std_error == pytest.approx(theirs.standard_errors_["z"], rel=1e-6)


def test_follow_up_is_the_reverse_kaplan_meier():
    frame = small_frame(5, 150)
    theirs = KaplanMeierFitter().fit(frame["months"], 1 - frame["event"])
    found = median_follow_up(frame["months"].to_numpy(), frame["event"].to_numpy())
    assert found == theirs.median_survival_time_
    assert median_follow_up(np.array([1.0, 2.0]), np.array([1, 1])) is None


# --- whole weights are copies -------------------------------------------------------------------


@FEW
@given(seed=SEEDS)
def test_whole_weights_are_copies_of_patients(seed):
    """Every estimate but Efron's hazard ratio, which counts tied rows."""
    frame = small_frame(seed, tied=True, competing=seed % 2 == 0)
    count = np.random.default_rng(seed).integers(1, 4, len(frame))
    copies = frame.loc[np.repeat(frame.index, count)].reset_index(drop=True)
    copies["id"] = np.arange(len(copies))
    weighted = effects(small_cohort(frame).risk_table(), Weights.given(count), ties="breslow")
    repeated = effects(small_cohort(copies).risk_table(), ties="breslow")
    values = [{key: pair[:1] for key, pair in numbers(table).items()} for table in (weighted, repeated)]
    assert_same(*values, rel=1e-9)


# --- what must not matter -----------------------------------------------------------------------


@every_weighting
@FEW
@given(seed=SEEDS)
def test_order_of_rows(options, seed):
    frame = small_frame(seed % 40, 150, tied=True)
    order = np.random.default_rng(seed).permutation(len(frame))
    found = []
    for each in (frame, frame.iloc[order].reset_index(drop=True)):
        cohort = small_cohort(each)
        found.append(numbers(effects(cohort.risk_table(), weigh(cohort, **options))))
    assert_same(*found, rel=1e-8)


@pytest.mark.parametrize("population", ["ATE", "ATO", "ATM", "ATT"])
@pytest.mark.parametrize("tied", [False, True])
def test_naming_the_other_arm_treated(population, tied):
    """Differences change sign, ratios turn over, and the arms change places; errors stay."""
    frame = small_frame(6, 150, tied=tied, competing=True)
    one, other = small_cohort(frame), small_cohort(frame, treated="no", control="yes")
    mirror = {"ATT": "ATC"}.get(population, population)
    table = effects(one.risk_table(), weigh(one, population=population))
    flipped = effects(other.risk_table(), weigh(other, population=mirror))
    arms = {"treated": "control", "control": "treated", None: None}
    for each in table:
        twin = flipped.one(measure=each.measure, arm=arms[each.arm], horizon=each.horizon)
        if each.arm is not None:
            expected = each.value
        elif each.measure.endswith("ratio"):
            expected = 1 / each.value
            assert (twin.lower, twin.upper) == pytest.approx((1 / each.upper, 1 / each.lower), rel=1e-8)
        else:
            expected = -each.value
            assert (twin.lower, twin.upper) == pytest.approx((-each.upper, -each.lower), rel=1e-8, abs=1e-9)
        assert twin.value == pytest.approx(expected, rel=1e-8, abs=1e-9)
        if each.std_error is not None:
            assert twin.std_error == pytest.approx(each.std_error, rel=1e-7)


def test_unit_of_time():
    """Areas and medians are in the unit; nothing else knows it."""
    days_in_month = 30.4375
    frame = small_frame(7, 150)
    cohort = small_cohort(frame)
    in_days = small_cohort(frame.assign(months=frame["months"] * days_in_month), time_unit="days")
    weights = weigh(cohort, population="ATO")
    months = estimate_effects(cohort, weights, horizons=HORIZONS)
    days = estimate_effects(in_days, weights, horizons=[days_in_month * h for h in HORIZONS])
    assert len(months) == len(days)
    for one, other in zip(months, days, strict=True):
        scale = days_in_month if one.unit == "months" else 1
        assert other.unit == ("days" if one.unit == "months" else one.unit)
        for field in ("value", "std_error", "lower", "upper"):
            left, right = getattr(one, field), getattr(other, field)
            assert (left is None) == (right is None)
            if left is not None:
                assert right == pytest.approx(scale * left, rel=1e-9, abs=1e-9)


def test_stabilising_leaves_curves_alone():
    """Survival, areas and medians of an arm are ratios; only the hazard ratio knows the arms' shares."""
    cohort = small_cohort(small_frame(8, 150))
    plain, stabilised = (
        effects(cohort.risk_table(), weigh(cohort, population="ATE", stabilise=flag)) for flag in (False, True)
    )
    assert_same(*(numbers(each, without={"hazard ratio"}) for each in (plain, stabilised)), rel=1e-10)
    ratios = [each.one(measure="hazard ratio").value for each in (plain, stabilised)]
    assert ratios[0] != pytest.approx(ratios[1], rel=1e-6)


@pytest.mark.parametrize("factor", [1e-3, 250.0])
def test_scale_of_the_weights(factor):
    cohort = small_cohort(small_frame(9, 150))
    weights = weigh(cohort, population="ATO")
    scaled = replace(
        weights,
        values=factor * weights.values,
        parts=tuple(replace(part, derivative=factor * part.derivative) for part in weights.parts),
    )
    assert_same(*(numbers(effects(cohort.risk_table(), each)) for each in (weights, scaled)))


# --- cut rows -----------------------------------------------------------------------------------


def cut(table, weights, seed, pieces=3):
    """Cut rows at random times, in random order; weights of rows follow their row."""
    rng = np.random.default_rng(seed)
    patient, arm, start, stop, event, origin = [], [], [], [], [], []
    for i in range(len(table)):
        inner = np.sort(rng.uniform(table.start[i], table.stop[i], rng.integers(0, pieces)))
        if rng.random() < 0.3:  # some cuts fall on whole months, where tied events are
            inner = np.unique(np.clip(np.round(inner), table.start[i], table.stop[i]))
        edges = np.unique([table.start[i], *inner, table.stop[i]])
        for left, right in pairwise(edges):
            last = right == table.stop[i]
            for column, value in zip(
                (patient, arm, start, stop, event, origin),
                (table.patient[i], table.arm[i], left, right, table.event[i] if last else 0, i),
                strict=True,
            ):
                column.append(value)
    order = rng.permutation(len(patient))
    rows = replace(
        table,
        **{
            name: np.asarray(column)[order]
            for name, column in (("patient", patient), ("arm", arm), ("start", start), ("stop", stop), ("event", event))
        },
    )
    if weights is None:
        return rows, None
    place = np.asarray(origin)[order]
    by_row = replace(
        weights,
        values=weights.values[place],
        by_row=True,
        parts=tuple(replace(part, derivative=part.derivative[place]) for part in weights.parts),
    )
    return rows, by_row


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@FEW
@given(seed=SEEDS)
def test_cutting_rows_changes_nothing(ties, seed):
    """Neither effects nor their influence, with a weight a patient or the same one on each of her rows."""
    cohort = small_cohort(small_frame(seed % 100, 50, tied=seed % 2 == 0, competing=seed % 3 == 0))
    table, weights = cohort.risk_table(), weigh(cohort, population="ATO")
    expected = numbers(effects(table, weights, ties=ties))
    pieces, by_row = cut(table, weights, seed)
    assert len(pieces) > len(table)
    assert_same(numbers(effects(pieces, weights, ties=ties)), expected, rel=1e-10)
    assert_same(numbers(effects(pieces, by_row, ties=ties)), expected, rel=1e-10)
    assert_same(numbers(effects(pieces, ties=ties)), numbers(effects(table, ties=ties)), rel=1e-10)


@FEW
@given(seed=SEEDS)
def test_cutting_rows_leaves_curves_and_tests_alone(seed):
    cohort = small_cohort(small_frame(seed % 100, 60, tied=seed % 2 == 0))
    table, weights = cohort.risk_table(), weigh(cohort, population="ATE", stabilise=True)
    pieces, by_row = cut(table, weights, seed)
    whole = estimate_curves(comparison(table, weights), risk_times=HORIZONS)
    for other in (comparison(pieces, weights), comparison(pieces, by_row)):
        for arm, curve in estimate_curves(other, risk_times=HORIZONS).items():
            for field in ("times", "survival", "std_error", "lower", "upper", "at_risk", "ess_at_risk"):
                np.testing.assert_allclose(
                    getattr(curve, field), getattr(whole[arm], field), rtol=1e-9, atol=1e-10, err_msg=field
                )
        assert score_test(other).z == pytest.approx(score_test(comparison(table, weights)).z, rel=1e-10)


def test_counts_are_of_patients_not_of_rows():
    cohort = small_cohort(small_frame(10, 60))
    weights = weigh(cohort, population="ATO")
    pieces, by_row = cut(cohort.risk_table(), weights, 1)
    for each in (effects(pieces, weights), effects(pieces, by_row), effects(pieces)):
        ratio = each.one(measure="hazard ratio")
        assert ratio.n == 60
        assert ratio.events == cohort.outcomes[0].event.sum()
    weighted, rowwise = effects(pieces, weights), effects(pieces, by_row)
    assert weighted.one(measure="hazard ratio").ess == pytest.approx(rowwise.one(measure="hazard ratio").ess)


# --- the curve's standard error -----------------------------------------------------------------


def late_entry(cohort, seed):
    """The same patients, some seen only from a later day on."""
    rng = np.random.default_rng(seed)
    table = cohort.risk_table()
    start = np.where(rng.random(len(table)) < 0.5, rng.uniform(0, 0.7, len(table)) * table.stop, 0.0)
    return replace(table, start=start)


@pytest.mark.parametrize("design", ["plain", "late", "cut", "permuted", "by row"])
@pytest.mark.parametrize("account", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_standard_error_of_a_curve_is_that_of_its_influence(design, account, weighted):
    """All event times at once, against the influence of every patient on S at each."""
    cohort = small_cohort(small_frame(11, 70, tied=True))
    weights = weigh(cohort, population="ATE", stabilise=True) if weighted else None
    table = cohort.risk_table()
    if design == "late":
        table = late_entry(cohort, 2)
    elif design in ("cut", "by row"):
        table, by_row = cut(late_entry(cohort, 2), weights, 3)
        weights = by_row if design == "by row" else weights
    elif design == "permuted":  # one row each, in another order than the patients
        order = np.random.default_rng(4).permutation(len(table))
        table = replace(
            table, **{name: getattr(table, name)[order] for name in ("patient", "arm", "start", "stop", "event")}
        )
    ours = comparison(table, weights, account=account)
    curves = estimate_curves(ours)
    for arm, fit in fit_arms(table, ours.weight).items():
        columns = [fit.spread(fit.fit.survival_gradient(time), len(table)) for time in fit.fit.sets.times]
        phi = influence(table, weights, np.column_stack(columns), account=account)
        np.testing.assert_allclose(phi.sum(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(curves[arm].std_error[1:], np.sqrt((phi**2).sum(axis=0)), rtol=1e-8, atol=1e-10)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizons": [0.0]}, "horizons"),
        ({"horizons": [float("nan")]}, "horizons"),
        ({"level": 1.5}, "level"),
        ({"ties": "exact"}, "ties"),
        ({"variance": "naive"}, "variance"),
        ({"seed": 3}, "seed"),
        ({"replicates": 10}, "replicates"),
        ({"outcome": "progression"}, "progression"),
        ({"weights": Weights.given([1.0, 2.0])}, "expected 80 weights"),
    ],
)
def test_options_without_meaning(options, words):
    with pytest.raises(UsageError, match=words):
        estimate_effects(small_cohort(small_frame(12)), **options)


def test_a_horizon_beyond_the_shorter_arm_is_refused():
    """Naming how far the data reach; survival that has come to zero is known for ever."""
    frame = small_frame(13)
    frame["months"] = frame["months"].clip(upper=np.where(frame["arm"] == "yes", 40, 60))
    frame.loc[frame["months"] == 40, "event"] = 0
    with pytest.raises(BeyondFollowUpError, match=r"45.*followed to 40 months"):
        estimate_effects(small_cohort(frame), horizons=[12, 45])
    frame.loc[frame["arm"] == "yes", "event"] = 1
    found = estimate_effects(small_cohort(frame), horizons=[45])
    assert found.one(measure="survival", arm="treated").value == 0
    at_40 = estimate_effects(small_cohort(frame), horizons=[40]).one(measure="rmst", arm="treated").value
    assert found.one(measure="rmst", arm="treated").value == pytest.approx(at_40)


def test_an_arm_without_events_cannot_be_compared():
    frame = small_frame(14)
    frame.loc[frame["arm"] == "yes", "event"] = 0
    with pytest.raises(NoEventsError, match="found 0 in the treated arm"):
        estimate_effects(small_cohort(frame))


def test_an_arm_whose_weights_are_all_zero_has_no_patients():
    cohort = small_cohort(small_frame(15))
    with pytest.raises(NoEventsError, match="treated"):
        survival_curves(cohort, Weights.given(cohort.treatment == 0))


def test_an_outcome_of_a_risk_table_cannot_be_chosen_again():
    with pytest.raises(UsageError, match="would have no effect"):
        estimate_effects(small_cohort(small_frame(16)).risk_table(), outcome="another")


def test_arms_that_are_never_at_risk_together():
    """Their hazards cannot be compared, and no number is made up."""
    months = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    table = RiskTable(
        patient=np.arange(6), arm=np.array([1, 1, 1, 0, 0, 0]), start=np.array([0.0, 0, 0, 10, 10, 10]), stop=months,
        event=np.ones(6, dtype=np.int64), n_patients=6, time_unit=TimeUnit.MONTHS,
    )  # fmt: skip
    with pytest.raises(ConvergenceError):
        estimate_effects(table)


# --- what an estimate says about itself ---------------------------------------------------------


def test_level_of_the_interval():
    """Plain for differences, on the logarithm for ratios, complementary log-log for survival."""
    cohort = small_cohort(small_frame(17, 150))
    weights = weigh(cohort, population="ATO")
    table = estimate_effects(cohort, weights, horizons=[12], level=0.9).where(analysis="weighted")
    z = 1.6448536269514722
    for each in table:
        if each.std_error is None:
            continue
        if each.measure.endswith("ratio"):
            expected = [each.value * math.exp(sign * z * each.std_error) for sign in (-1, 1)]
        elif each.measure == "survival":
            spread = z * each.std_error / abs(each.value * math.log(each.value))
            expected = [each.value ** math.exp(sign * spread) for sign in (1, -1)]
        else:
            expected = [each.value + sign * z * each.std_error for sign in (-1, 1)]
        assert [each.lower, each.upper] == pytest.approx(expected, rel=1e-12)
        assert each.level == 0.9


def test_labels():
    cohort = small_cohort(small_frame(18, 150, competing=True))
    weights = weigh(cohort, population="ATO")
    table = estimate_effects(cohort, weights, horizons=[12])
    assert {each.analysis for each in table} == {"weighted", "naive"}
    assert {each.population for each in table.where(analysis="weighted")} == {"ATO"}
    assert {each.population for each in table.where(analysis="naive")} == {"unadjusted"}
    assert {each.variance for each in table} == {"influence"}
    fixed = estimate_effects(cohort, weights, variance="fixed").where(analysis="weighted")
    assert {each.variance for each in fixed} == {"influence, weights taken as known"}
    given_ = estimate_effects(cohort, Weights.given(weights.values)).where(analysis="weighted")
    assert {each.variance for each in given_} == {"influence, given weights: their estimation is not accounted for"}
    units = {each.measure: each.unit for each in table}
    assert units["rmst"] == units["rmst difference"] == units["median survival"] == "months"
    assert units["hazard ratio"] == units["rmst ratio"] == units["cumulative incidence ratio"] == "ratio"
    assert units["survival"] == units["cumulative incidence difference"] == "probability"
    ratio = table.one(analysis="weighted", measure="hazard ratio")
    assert ratio.p_value == pytest.approx(math.erfc(abs(math.log(ratio.value)) / ratio.std_error / math.sqrt(2)))
