"""Immortal time is found and refused; landmarks and changing treatment put the clock right."""

import numpy as np
import pandas as pd
import pytest

from causal_s4.cohort import Cohort
from causal_s4.emulation.alignment import alignment_findings, check_alignment, refuse_immortal_time
from causal_s4.emulation.landmark import landmark_cohort
from causal_s4.emulation.time_dependent import (
    immortal_time_excluded_table,
    mantel_byar,
    simon_makuch_table,
    time_dependent_findings,
    time_dependent_table,
)
from causal_s4.errors import ImmortalTimeError, NoEventsError, UsageError
from causal_s4.estimation import estimate_effects, survival_curves


def cohort_of(rows, *, unit="days", start=True):
    frame = pd.DataFrame(rows, columns=["start", "time", "died"])
    frame = frame.assign(id=range(len(frame)), treated=frame["start"].notna().astype(int))
    return Cohort.from_frame(
        frame,
        id="id",
        treatment="treated",
        treated=1,
        control=0,
        time="time",
        event="died",
        event_value=1,
        time_unit=unit,
        treatment_start="start" if start else None,
        name="Death",
    )


SIX = [(0.0, 20.0, 1), (5.0, 15.0, 1), (8.0, 8.0, 1), (12.0, 30.0, 0), (None, 6.0, 1), (None, 25.0, 0)]


@pytest.fixture(scope="module")
def six():
    return cohort_of(SIX)


@pytest.fixture(scope="module")
def exponential():
    """Death and treatment at constant rates, unrelated: the closed form of METHODS 10.1."""
    rng = np.random.default_rng(14)
    n, death, treatment = 40_000, 0.02, 0.05
    time, start = rng.exponential(1 / death, n), rng.exponential(1 / treatment, n)
    return cohort_of(np.column_stack([np.where(start < time, start, np.nan), time, np.ones(n)])), death, treatment


# --- alignment ----------------------------------------------------------------------------------


def test_time_before_treatment_is_counted(six):
    alignment = check_alignment(six)
    assert (alignment.treated, alignment.later) == (4, 3)
    assert alignment.misplaced == 0 + 5 + 8 + 12
    assert alignment.treated_follow_up == 20 + 15 + 8 + 30
    assert alignment.share == pytest.approx(25 / 73)
    assert alignment.median_start == 6.5
    assert not alignment.baseline_admissible
    assert alignment.to_frame().loc[0, "baseline_admissible"] == np.False_


def test_refusal_says_how_many_how_long_and_what_else(six):
    with pytest.raises(ImmortalTimeError) as refused:
        refuse_immortal_time(six, naive_hr=0.4321)
    text = str(refused.value)
    assert refused.value.exit_status == 3
    for part in ("3 of 4 treated", "25 patient-days", "34%", "0.43"):
        assert part in text
    for line in (
        'time_zero = { design = "clone-censor-weight", grace_period = "1 month" }',
        'time_zero = { design = "landmark", landmark = "1 month" }',
        'time_zero = { design = "time-dependent" }',
    ):
        assert line in text


def test_offered_lines_are_toml(six):
    import tomllib

    with pytest.raises(ImmortalTimeError) as refused:
        refuse_immortal_time(six)
    designs = [tomllib.loads(problem.found)["time_zero"]["design"] for problem in refused.value.problems]
    assert designs == ["clone-censor-weight", "landmark", "time-dependent"]


def test_treatment_at_time_zero_is_admitted():
    aligned = cohort_of([(0.0, 20.0, 1), (0.0, 9.0, 0), (None, 15.0, 1)])
    assert refuse_immortal_time(aligned).baseline_admissible
    assert alignment_findings(check_alignment(aligned)) == ()


def test_unknown_start_of_treatment_is_said():
    alignment = check_alignment(cohort_of(SIX, start=False))
    assert alignment.baseline_admissible
    assert not alignment.known
    assert [each.code for each in alignment_findings(alignment)] == ["start-of-treatment-unknown"]


def test_ever_against_never_is_wrong_by_the_closed_form(exponential):
    """Rate ratio of ever against never treated with no effect at all: l / (2 l + m); METHODS 10.1."""
    cohort, death, treatment = exponential
    treated, time = cohort.treatment == 1, cohort.outcomes[0].time
    ratio = (treated.sum() / time[treated].sum()) / ((~treated).sum() / time[~treated].sum())
    assert ratio == pytest.approx(death / (2 * death + treatment), rel=0.03)


def test_changing_treatment_is_right_where_nothing_confounds(exponential):
    table = time_dependent_table(exponential[0])
    found = estimate_effects(table).one(measure="hazard ratio")
    assert found.analysis == "time-dependent"
    assert found.value == pytest.approx(1.0, abs=3 * found.std_error)
    assert found.std_error < 0.015
    assert mantel_byar(table).z == pytest.approx(np.log(found.value) / found.std_error, abs=0.02)


def test_leaving_immortal_time_out_is_half_a_remedy(exponential):
    """Controls then lack the time that the treated survived: their rate is too high; l + m over l for controls."""
    cohort, death, treatment = exponential
    table = immortal_time_excluded_table(cohort)
    rate = {
        arm: table.event[table.arm == arm].sum() / (table.stop - table.start)[table.arm == arm].sum() for arm in (0, 1)
    }
    assert rate[1] / rate[0] == pytest.approx(death / (death + treatment), rel=0.03)
    assert estimate_effects(table).one(measure="hazard ratio").analysis == "immortal-time-excluded"


# --- changing treatment, by hand ----------------------------------------------------------------


def rows_of(table, patient):
    own = table.patient == patient
    return list(zip(table.arm[own], table.start[own], table.stop[own], table.event[own], strict=True))


def test_rows_of_changing_treatment(six):
    table = time_dependent_table(six)
    assert rows_of(table, 0) == [(1, 0.0, 20.0, 1)]
    assert rows_of(table, 1) == [(0, 0.0, 5.0, 0), (1, 5.0, 15.0, 1)]
    assert rows_of(table, 2) == [(0, 0.0, 7.5, 0), (1, 7.5, 8.0, 1)]
    assert rows_of(table, 3) == [(0, 0.0, 12.0, 0), (1, 12.0, 30.0, 0)]
    assert rows_of(table, 4) == [(0, 0.0, 6.0, 1)]
    assert table.n_patients == 6


def test_half_a_day_is_half_a_day_in_every_unit():
    table = time_dependent_table(cohort_of([(2.0, 2.0, 1), (None, 3.0, 1)], unit="months"))
    assert rows_of(table, 0)[1][1] == pytest.approx(2 - 0.5 / 30.4375)


def test_death_within_half_a_day_of_treatment_at_once():
    assert rows_of(time_dependent_table(cohort_of([(0.25, 0.25, 1), (None, 3.0, 1)])), 0) == [(1, 0.0, 0.25, 1)]


def test_rows_without_immortal_time(six):
    table = immortal_time_excluded_table(six)
    assert rows_of(table, 1) == [(1, 5.0, 15.0, 1)]
    assert rows_of(table, 4) == [(0, 0.0, 6.0, 1)]


def test_changing_treatment_warns_what_it_is_not(six):
    (finding,) = time_dependent_findings(time_dependent_table(six))
    assert "not survival under either treatment" in finding.message
    assert finding.numbers["patients"] == 3


def test_curves_by_current_treatment_start_at_a_landmark(exponential):
    """Memoryless death: both curves fall at the same rate from the landmark on."""
    cohort, death, _ = exponential
    table = simon_makuch_table(cohort, 10.0)
    curves = survival_curves(table)
    for arm in ("treated", "control"):
        assert curves[arm].at(20.0) == pytest.approx(np.exp(-death * 20), abs=0.015)
        assert curves[arm].analysis == "time-dependent"


def test_curves_by_current_treatment_need_patients(six):
    with pytest.raises(UsageError, match="at least 10 patients"):
        simon_makuch_table(six, 6.0)


# --- landmarks ----------------------------------------------------------------------------------


def test_landmark_by_hand(six):
    cohort = landmark_cohort(six, 8.0)
    # dead on day 8 and on day 6 are out, treated on day 8 would be in; treated on day 12 is a control
    assert cohort.treatment.tolist() == [1, 1, 0, 0]
    assert cohort.outcomes[0].time.tolist() == [12.0, 7.0, 22.0, 17.0]
    assert cohort.outcomes[0].event.tolist() == [1, 1, 0, 0]
    assert cohort.treatment_start.tolist() == [0.0, 0.0, 4.0, np.inf]
    assert [(step.n, step.excluded) for step in cohort.attrition[-2:]] == [(4, 2), (4, 0)]
    assert check_alignment(cohort).baseline_admissible
    codes = {each.code: each.numbers for each in cohort.findings}
    assert codes["before-landmark"] == {"events": 2, "lost": 0, "treated": 1}
    assert codes["treated-after-landmark"] == {"treated_later": 1, "controls": 2}


def test_follow_up_that_ends_at_the_landmark_is_out_and_treatment_then_is_in():
    cohort = landmark_cohort(cohort_of([(10.0, 30.0, 1), (None, 10.0, 0), (None, 20.0, 1)]), 10.0)
    assert cohort.treatment.tolist() == [1, 0]
    assert cohort.attrition[-1].excluded == 1


def test_landmark_without_one_arm_is_refused(six):
    with pytest.raises(NoEventsError, match="0 untreated patients"):
        landmark_cohort(cohort_of([(1.0, 30.0, 1), (2.0, 20.0, 1), (None, 1.0, 1)]), 5.0)


@pytest.mark.parametrize("landmark", [0.0, -1.0, 30.0, float("inf"), float("nan")])
def test_landmark_has_to_lie_within_follow_up(six, landmark):
    with pytest.raises(UsageError, match="within the follow-up"):
        landmark_cohort(six, landmark)


@pytest.mark.parametrize(
    "make", [time_dependent_table, immortal_time_excluded_table, lambda c: landmark_cohort(c, 5.0)]
)
def test_designs_need_the_time_of_treatment(make):
    with pytest.raises(UsageError, match="needs the time from time zero to treatment"):
        make(cohort_of(SIX, start=False))
