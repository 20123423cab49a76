"""No treatment at all, treatment unless the disease progresses, and treatment outside both strategies.

Without covariates, or with one that changes, rates are counts over days at risk, and the weights are formulas in them.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_cohorts import DENSITY, GRACE, cohort_of
from registries import GRACE as NINE_MONTHS
from registries import HORIZON, MEASURES, USUAL, as_pair, registry

from causal_s4.cohort import Cohort
from causal_s4.emulation.clone_censor import clone_censor, clone_unweighted
from causal_s4.emulation.clone_flow import clone_flow
from causal_s4.emulation.weight_checks import default_variance, variance_finding
from causal_s4.errors import DataError, UsageError
from causal_s4.estimation import estimate_effects
from causal_s4.simulate.timeline import Timing, World, read_options


class Clones:
    """Clones of a few patients, asked by name."""

    def __init__(self, patients, table):
        self.names, self.table = list(patients), table

    def weight(self, who, arm, day):
        """Weight of a clone at a day of death; None when it is not at risk then."""
        table = self.table
        rows = (table.patient == self.names.index(who)) & (table.arm == arm) & (table.start < day) & (table.stop >= day)
        assert rows.sum() <= 1
        return float(table.weights.values[rows][0]) if rows.any() else None

    def deaths(self, who, arm):
        table = self.table
        rows = (table.patient == self.names.index(who)) & (table.arm == arm) & (table.event == 1)
        return table.stop[rows].tolist()


def expect(value):
    return pytest.approx(value, rel=1e-9)


# --- never treated ------------------------------------------------------------------------------

LATE = {
    "treated early": (3.0, None, 20.0, 1),
    "treated late": (14.0, None, 28.0, 1),
    "dies when treated late": (18.0, None, 18.0, 1),
    "never treated, dies": (None, None, 35.0, 1),
    "never treated, lost": (None, None, 40.0, 0),
    "dies within": (None, None, 6.0, 1),
}
L = 1 / (3 + 10 + 10 + 10 + 10 + 6)
M = 2 / ((14 - 10) + (18 - 10) + (35 - 10) + (40 - 10))


@pytest.fixture(scope="module")
def never():
    return Clones(LATE, clone_censor(cohort_of(LATE), grace_period=GRACE, never=True))


def test_later_treatment_ends_the_arm_without(never):
    assert never.weight("treated late", 0, 20.0) is None
    assert never.deaths("treated late", 0) == never.deaths("treated late", 1) == []
    assert never.deaths("dies when treated late", 0) == []
    assert never.deaths("never treated, dies", 0) == [35.0]


def test_weights_of_the_arm_without_go_on_growing(never):
    """exp(10 l) at the end of the grace period, and then the rate after it."""
    assert never.weight("never treated, dies", 0, 6.0) == expect(math.exp(6 * L))
    assert never.weight("never treated, dies", 0, 18.0) == expect(math.exp(10 * L + 8 * M))
    assert never.weight("never treated, lost", 0, 35.0) == expect(math.exp(10 * L + 25 * M))


def test_the_arm_of_treatment_does_not_notice(never):
    usual = Clones(LATE, clone_censor(cohort_of(LATE), grace_period=GRACE))
    for who in LATE:
        for day in (6.0, 18.0, 20.0):
            assert never.weight(who, 1, day) == usual.weight(who, 1, day)
    assert usual.weight("treated late", 0, 20.0) == expect(math.exp(10 * L))


def test_two_models_of_starting_have_equations_of_their_own(never):
    first, second = never.table.weights.parts
    assert (first.name, second.name) == ("start of treatment", "treatment after the grace period")
    np.testing.assert_allclose(first.score.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(second.score.sum(axis=0), 0, atol=1e-9)
    (row,) = np.flatnonzero(
        (never.table.patient == 4) & (never.table.arm == 0) & (never.table.start < 35) & (never.table.stop >= 35)
    )
    assert second.derivative[row, 0] / never.table.weights.values[row] == expect(25 * M)


def test_growing_weights_are_taken_as_known(never):
    """However many are treated within the grace period; the same with usual practice later accounts for the weights."""
    many = replace(
        never.table,
        patient=np.arange(1_000),
        arm=np.repeat([1, 0], 500),
        start=np.zeros(1_000),
        stop=np.full(1_000, 20.0),
        event=np.zeros(1_000, dtype=int),
        weights=replace(never.table.weights, values=np.ones(1_000)),
    )
    assert (default_variance(many), default_variance(replace(many, never=False))) == ("fixed", "influence")
    assert "never treated go on growing" in variance_finding(many).message
    assert "500 patients" in variance_finding(replace(many, never=False)).message


def test_flow_counts_later_treatment_as_departure(never):
    cohort = cohort_of(LATE)
    (row,) = [each for each in clone_flow(never.table, cohort, times=[30.0]).rows if each.arm == "control"]
    assert (row.followed, row.deviated, row.events, row.lost) == (2, 3, 1, 0)


def test_never_without_later_treatment_is_refused():
    patients = {who: each for who, each in LATE.items() if "late" not in who}
    with pytest.raises(UsageError, match="nobody was treated after the grace period"):
        clone_censor(cohort_of(patients), grace_period=GRACE, never=True)


# --- unless -------------------------------------------------------------------------------------

COURSES = {
    "progresses, treated later": (6.0, None, 20.0, 1),
    "treated": (5.0, None, 25.0, 1),
    "progresses": (None, None, 30.0, 1),
    "stable": (None, None, 18.0, 1),
    "treated, progresses later": (2.0, None, 40.0, 0),
    "treated and progresses the same day": (8.0, None, 22.0, 1),
    "progresses after the grace period": (None, None, 33.0, 1),
    "dies the day it progresses": (None, None, 3.0, 1),
    "dies stable": (None, None, 5.0, 1),
}
VISITS = [(who, 0.0, "stable") for who in COURSES]
VISITS += [
    ("progresses, treated later", 3.0, "progression"),
    ("progresses", 4.0, "progression"),
    ("treated, progresses later", 3.0, "progression"),
    ("treated and progresses the same day", 8.0, "progression"),
    ("progresses after the grace period", 12.0, "progression"),
    ("dies the day it progresses", 3.0, "progression"),
]
VISITS.sort(key=lambda visit: (list(COURSES).index(visit[0]), visit[1]))
STABLE = 3 / (3 + 5 + 4 + 10 + 2 + 8 + 10 + 3 + 5)
PROGRESSED = 1 / (3 + 6)
RELEASE = {"unless": {"state": ["progression"]}, "time_varying": ["state"]}


@pytest.fixture(scope="module")
def unless():
    return Clones(COURSES, clone_censor(cohort_of(COURSES, VISITS), grace_period=GRACE, **RELEASE))


def test_released_clone_keeps_its_weight(unless):
    """The weight of an untreated clone at the release: 1 - Q(3) times exp(3 l), whatever is done afterwards."""
    for day in (5.0, 18.0, 20.0):
        assert unless.weight("progresses, treated later", 1, day) == expect(0.7 * math.exp(3 * STABLE))
    for day in (5.0, 30.0):
        assert unless.weight("progresses", 1, day) == expect(0.6 * math.exp(4 * STABLE))
    assert unless.deaths("progresses, treated later", 1) == [20.0]
    assert unless.deaths("progresses", 1) == [30.0]


def test_release_is_no_business_of_the_arm_without_treatment(unless):
    assert unless.deaths("progresses, treated later", 0) == []
    assert unless.weight("progresses, treated later", 0, 5.0) == expect(math.exp(3 * STABLE + 2 * PROGRESSED))
    assert unless.weight("progresses", 0, 18.0) == expect(math.exp(4 * STABLE + 6 * PROGRESSED))


def test_treatment_before_or_with_progression_is_adherence(unless):
    """What is found on the day of treatment was not known before it."""
    who = "treated and progresses the same day"
    assert unless.weight(who, 1, 20.0) == expect(DENSITY / STABLE * math.exp(8 * STABLE))
    assert unless.weight("treated, progresses later", 1, 20.0) == expect(DENSITY / STABLE * math.exp(2 * STABLE))


def test_untreated_without_progression_depart_as_before(unless):
    for who in ("stable", "progresses after the grace period"):
        assert unless.weight(who, 1, 5.0) == expect(0.5 * math.exp(5 * STABLE))
        assert unless.deaths(who, 1) == []
    assert unless.deaths("dies the day it progresses", 1) == unless.deaths("dies the day it progresses", 0) == [3.0]


def test_release_counts_as_adherence_in_the_flow(unless):
    cohort = cohort_of(COURSES, VISITS)
    (row,) = [each for each in clone_flow(unless.table, cohort, times=[15.0]).rows if each.arm == "treated"]
    # treated: three; released: two; taken out on day 10: two; dead on days 3 and 5: two
    assert (row.followed, row.adherent, row.deviated, row.events) == (5, 5, 2, 2)
    (finding,) = [each for each in unless.table.weights.findings if each.code == "released-from-treatment"]
    assert finding.numbers == {"released": 2, "treated_later": 1}


def test_practice_until_a_time_is_left_alone_for_the_released_too():
    table = clone_censor(cohort_of(COURSES, VISITS), grace_period=GRACE, timing="natural", natural_until=3.5, **RELEASE)
    clones = Clones(COURSES, table)
    assert clones.weight("progresses, treated later", 1, 20.0) == 1.0
    # 0.5 of the 6.5 days are over when this one is released
    assert clones.weight("progresses", 1, 20.0) == expect(6 / 6.5 * math.exp(0.5 * STABLE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unless": {"state": ["progresion"]}, "time_varying": ["state"]}, "progression"),
        ({"unless": {"stage": ["progression"]}, "time_varying": ["state"]}, "not in the history"),
        ({"unless": {"state": ["progression"]}}, "add it to time_varying"),
        (
            {"unless": {"state": ["progression"]}, "time_varying": ["state"], "grace_period": 2.5},
            "would have no effect",
        ),
        ({"unless": {"state": ["progression"]}, "timing": "maringe"}, "unless"),
        ({"never": True, "timing": "maringe"}, "never"),
    ],
)
def test_rules_without_sense_are_refused(options, message):
    with pytest.raises(UsageError) as refused:
        clone_censor(cohort_of(COURSES, VISITS), **({"grace_period": GRACE} | options))
    assert message in str(refused.value)


# --- treatment outside both strategies ----------------------------------------------------------

DIVERTED = {
    "diverted, then treated": (7.0, 4.0, 20.0, 1),
    "treated, then otherwise": (5.0, 8.0, 25.0, 1),
    "never treated": (None, None, 30.0, 1),
    "dies when diverted": (None, 6.0, 6.0, 1),
    "diverted late": (None, 12.0, 18.0, 1),
    "dies within": (None, None, 7.0, 1),
    "treated": (2.0, None, 22.0, 1),
}
AT_RISK = 4 + 5 + 10 + 6 + 10 + 7 + 2
K = N = 2 / AT_RISK


@pytest.fixture(scope="module")
def diverted():
    return Clones(DIVERTED, clone_censor(cohort_of(DIVERTED), grace_period=GRACE))


def test_both_clones_are_censored(diverted):
    for arm in (0, 1):
        assert diverted.weight("diverted, then treated", arm, 6.0) is None
        assert diverted.deaths("diverted, then treated", arm) == []
        assert diverted.deaths("dies when diverted", arm) == []


def test_the_others_are_weighted_for_it(diverted):
    """The rate of such treatment adds to that of starting treatment, while either strategy asks for something."""
    assert diverted.weight("never treated", 0, 7.0) == expect(math.exp(7 * (K + N)))
    assert diverted.weight("never treated", 1, 7.0) == expect(0.3 * math.exp(7 * (K + N)))
    assert diverted.weight("never treated", 0, 18.0) == expect(math.exp(10 * (K + N)))
    assert diverted.weight("treated", 1, 20.0) == expect(DENSITY / K * math.exp(2 * (K + N)))


def test_afterwards_it_is_usual_practice(diverted):
    assert diverted.weight("treated, then otherwise", 1, 20.0) == expect(DENSITY / K * math.exp(5 * (K + N)))
    assert diverted.deaths("treated, then otherwise", 1) == [25.0]
    assert diverted.deaths("diverted late", 0) == [18.0]
    assert diverted.deaths("diverted late", 1) == []


def test_never_is_never_of_either_kind():
    patients = DIVERTED | {"treated late": (15.0, None, 33.0, 1)}
    clones = Clones(patients, clone_censor(cohort_of(patients), grace_period=GRACE, never=True))
    assert clones.deaths("diverted late", 0) == clones.deaths("treated late", 0) == []
    rate = 2 / (20 + 2 + 5)
    both = 4 / (AT_RISK + 10)  # of treatment and of the other, two each
    assert clones.weight("never treated", 0, 22.0) == expect(math.exp(10 * both + 12 * rate))


def test_flow_adds_up_with_diversion(diverted):
    cohort = cohort_of(DIVERTED)
    for row in clone_flow(diverted.table, cohort, times=[5.0, 7.0, 15.0]).rows:
        assert row.followed + row.deviated + row.events + row.lost == len(DIVERTED)
    flow = {row.arm: row for row in clone_flow(diverted.table, cohort, times=[7.0]).rows}
    assert flow["treated"].deviated == 2
    assert flow["control"].deviated == 4
    (finding,) = [each for each in diverted.table.weights.findings if each.code == "treated-outside-strategies"]
    assert finding.numbers == {"patients": 2}


def test_unweighted_clones_leave_at_the_same_times():
    table = clone_unweighted(cohort_of(DIVERTED), grace_period=GRACE)
    assert table.stop[(table.patient == 0)].tolist() == [4.0, 4.0]


def test_times_of_other_treatment_are_checked():
    frame = pd.DataFrame({"t": [1, 0], "s": [1.0, None], "o": [-1.0, 40.0], "time": [9.0, 8.0], "d": [1, 1]})
    with pytest.raises(DataError) as refused:
        Cohort.from_frame(
            frame,
            treatment="t",
            treated=1,
            control=0,
            time="time",
            event="d",
            event_value=1,
            time_unit="days",
            treatment_start="s",
            non_protocol_start="o",
        )
    assert "before time zero" in str(refused.value)
    assert "after the end of follow-up" in str(refused.value)


# --- against simulated truth --------------------------------------------------------------------

DENSITY_RULE = Timing(rule="density", edges=USUAL[0], masses=USUAL[1])


def true_differences(treated, control):
    """Survival and restricted mean at five years, treated minus control, from the same women."""
    survival = np.mean(treated.death > HORIZON) - np.mean(control.death > HORIZON)
    restricted = np.mean(np.minimum(treated.death, HORIZON)) - np.mean(np.minimum(control.death, HORIZON))
    return np.array([survival, restricted])


def mean_error(cohorts, truth, **options):
    """Mean error of both differences, and its Monte Carlo standard error."""
    found = []
    for cohort in cohorts:
        table = clone_censor(
            cohort, grace_period=NINE_MONTHS, time_varying=["response"], timing_density=USUAL, **options
        )
        effects = estimate_effects(table, horizons=[HORIZON])
        found.append([as_pair(effects.one(measure=measure))[0] for measure in MEASURES[1:]])
    found = np.array(found)
    return found.mean(axis=0) - truth, found.std(axis=0, ddof=1) / math.sqrt(len(found))


@pytest.mark.slow
def test_never_treated_against_truth():
    """Surgery prolongs life; with nobody operated ever, the arms are further apart than with usual practice later."""
    world = World.draw(read_options(effect="protective"), 200_000, 5)
    treated = world.follow(DENSITY_RULE, NINE_MONTHS)
    truth = true_differences(treated, world.follow(none_before=HORIZON))
    assert (truth > true_differences(treated, world.follow(none_before=NINE_MONTHS))).all()
    cohorts = [registry(2_000, 8_000 + seed, effect="protective") for seed in range(40)]
    error, mc_error = mean_error(cohorts, truth, never=True)
    assert (np.abs(error) < 3 * mc_error + 0.1 * np.abs(truth)).all(), (error, mc_error)


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["null", "protective"])
def test_unless_progression_against_truth(effect):
    world = World.draw(read_options(effect=effect), 200_000, 6)
    treated = world.follow(DENSITY_RULE, NINE_MONTHS, unless_progression=True)
    truth = true_differences(treated, world.follow(none_before=NINE_MONTHS))
    assert (truth == 0).all() if effect == "null" else (truth > 0).all()
    cohorts = [registry(2_000, 8_500 + seed, effect=effect) for seed in range(40)]
    error, mc_error = mean_error(cohorts, truth, unless={"response": ["progression"]})
    assert (np.abs(error) < 3 * mc_error).all(), (error, mc_error)


@pytest.mark.slow
def test_palliation_against_truth():
    """Palliative surgery, mostly in progression, without an effect: censoring it unweighted would look like one."""
    rng = np.random.default_rng(7)
    cohorts = [with_palliation(registry(2_000, 9_000 + seed), rng) for seed in range(40)]
    error, mc_error = mean_error(cohorts, np.zeros(2))
    assert (np.abs(error) < 3 * mc_error).all(), (error, mc_error)


def with_palliation(cohort, rng):
    """Give some women palliative surgery: 1% a month while stable or responding, 10% in progression."""
    visits = cohort.history
    progressed = visits[visits["response"] == "progression"].groupby("patient")["time"].min()
    progression = progressed.reindex(range(len(cohort))).fillna(np.inf).to_numpy()
    luck = rng.exponential(1.0, len(cohort))
    early = luck / 0.01
    late = progression + (luck - 0.01 * np.minimum(progression, 1e6)) / 0.10
    palliated = np.where(early < progression, early, late)
    return replace(cohort, non_protocol_start=np.where(palliated < cohort.outcomes[0].time, palliated, np.inf))
