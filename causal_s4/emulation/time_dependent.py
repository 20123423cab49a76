"""Treatment as it changes: untreated until it starts, treated afterwards.

The hazard ratio of such a table compares at each moment those treated so far with those not yet treated. It
handles the clock, and says nothing about survival under a strategy: Mantel & Byar 1974,
10.1080/01621459.1974.10480131; Simon & Makuch 1984, 10.1002/sim.4780030106.
"""

from __future__ import annotations

import numpy as np

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort, RiskTable
from causal_s4.emulation.clones import treatment_start
from causal_s4.errors import UsageError
from causal_s4.kernels.cox import fit_cox
from causal_s4.kernels.normal import two_sided
from causal_s4.kernels.risk_sets import RiskSets, merge_close
from causal_s4.protocol.vocabulary import UNADJUSTED, Analysis
from causal_s4.results import Finding, Floats, Ints, ScoreTest, read_only

_HALF_DAY = 0.5
_FEW_AT_RISK = 10


@checked_arguments
def time_dependent_table(cohort: Cohort, outcome: str | None = None) -> RiskTable:
    """Return the rows (0, S] untreated and (S, U] treated of each patient.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    outcome : str, optional
        The primary one by default.

    Returns
    -------
    RiskTable
        A patient treated at time zero has the treated row only. Whoever is treated on the last day of
        follow-up is counted as treated for its last half day, so that a death on the day of treatment
        belongs to treatment.

    Raises
    ------
    UsageError
        When the cohort has no times of treatment.
    """
    start, end, event = _times(cohort, outcome)
    everyone = np.arange(len(cohort))
    ever = start < end
    rows = (
        (everyone, np.zeros(len(cohort)), np.where(ever, start, end), np.where(ever, 0, event), 0),
        (everyone[ever], start[ever], end[ever], event[ever], 1),
    )
    return _table(cohort, outcome, rows, Analysis.TIME_DEPENDENT)


def immortal_time_excluded_table(cohort: Cohort, outcome: str | None = None) -> RiskTable:
    """Return ever against never treated with the time before treatment left out rather than moved.

    Half a remedy: the untreated time of the treated, in which they did not die, is missing from the controls.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    outcome : str, optional
        The primary one by default.

    Returns
    -------
    RiskTable
        Treated patients enter at treatment.

    Raises
    ------
    UsageError
        When the cohort has no times of treatment.
    """
    start, end, event = _times(cohort, outcome)
    everyone = np.arange(len(cohort))
    ever = start < end
    rows = (
        (everyone[~ever], np.zeros(int((~ever).sum())), end[~ever], event[~ever], 0),
        (everyone[ever], start[ever], end[ever], event[ever], 1),
    )
    return _table(cohort, outcome, rows, Analysis.IMMORTAL_TIME_EXCLUDED)


def simon_makuch_table(cohort: Cohort, landmark: float, outcome: str | None = None) -> RiskTable:
    """Return the rows of changing treatment after a landmark, for Simon-Makuch curves.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    landmark : float
        From when on the curves run; time is counted from it.
    outcome : str, optional
        The primary one by default.

    Returns
    -------
    RiskTable
        Its Kaplan-Meier curves show who is alive by current treatment. They are not the survival that either
        treatment would bring: patients move from one curve to the other.

    Raises
    ------
    UsageError
        When fewer than ten patients of an arm are at risk at the landmark, where a curve would start from noise.
    """
    whole = time_dependent_table(cohort, outcome)
    if not (np.isfinite(landmark) and 0 <= landmark < whole.stop.max()):
        raise UsageError(
            f"the landmark must lie within the follow-up of {whole.stop.max():g} {cohort.time_unit}; found {landmark!r}"
        )
    at_risk = (whole.start <= landmark) & (whole.stop > landmark)
    counts = {label: int((at_risk & (whole.arm == arm)).sum()) for arm, label in ((1, "treated"), (0, "untreated"))}
    if min(counts.values()) < _FEW_AT_RISK:
        raise UsageError(
            f"curves by current treatment need at least {_FEW_AT_RISK} patients of each kind at the landmark; at {landmark:g} "
            f"{cohort.time_unit} there are {counts['treated']} treated and {counts['untreated']} untreated. Choose a later one"
        )
    keep = whole.stop > landmark
    return RiskTable(
        patient=read_only(whole.patient[keep]),
        arm=read_only(whole.arm[keep]),
        start=read_only(np.maximum(whole.start[keep] - landmark, 0.0)),
        stop=read_only(whole.stop[keep] - landmark),
        event=read_only(whole.event[keep]),
        n_patients=whole.n_patients,
        time_unit=whole.time_unit,
        outcome=whole.outcome,
        covariates=whole.covariates,
        analysis=Analysis.TIME_DEPENDENT,
    )


def time_dependent_findings(table: RiskTable) -> tuple[Finding, ...]:
    """Say what a table of changing treatment does not answer."""
    moved = len(np.unique(table.patient[(table.arm == 1) & (table.start > 0)]))
    return (
        Finding(
            code="time-dependent-treatment",
            severity="caution",
            step="effects",
            message=(
                f"{moved:,} patients move from untreated to treated when treatment starts. The hazard ratio compares treated with not "
                "yet treated at each moment; curves by current treatment are not survival under either treatment, and "
                "covariates that change with time and drive treatment are not accounted for."
            ),
            numbers={"patients": moved},
        ),
    )


def mantel_byar(table: RiskTable, *, ties: str = "efron") -> ScoreTest:
    """Test whether treatment, as it changes, is related to the hazard: the score test of the Cox model without covariates.

    Parameters
    ----------
    table : RiskTable
        From :func:`time_dependent_table`.
    ties : {"efron", "breslow"}

    Returns
    -------
    ScoreTest
        ``z`` squared is the test's chi-square on one degree of freedom.
    """
    start = table.start if (table.start > 0).any() else None
    sets = RiskSets.of(start, table.stop, table.event == 1)
    arm, ones = table.arm[:, None].astype(float), np.ones(len(table))
    fit = fit_cox(sets, arm, ones, efron=ties == "efron", max_iterations=0)
    z = float(fit.score_gradient.sum() / np.sqrt(fit.information[0, 0]))
    return ScoreTest(
        outcome=table.outcome,
        analysis=table.analysis,
        population=UNADJUSTED,
        test="Mantel-Byar",
        z=z,
        p_value=two_sided(z),
    )


def _times(cohort: Cohort, outcome: str | None) -> tuple[Floats, Floats, Ints]:
    """Return start of treatment (infinite if never), end of follow-up and event, treatment before the end."""
    chosen = cohort.outcome(outcome)
    n = len(cohort)
    given = treatment_start(cohort)
    ever = np.isfinite(given)
    times = merge_close(np.concatenate([chosen.time, given[ever]]))
    end, start = times[:n], np.full(n, np.inf)
    start[ever] = times[n:]
    last_moment = np.maximum(end - _HALF_DAY / cohort.time_unit.in_days, 0.0)
    return np.where(start == end, last_moment, start), end, chosen.event


_Rows = tuple[Ints, Floats, Floats, Ints, int]


def _table(cohort: Cohort, outcome: str | None, rows: tuple[_Rows, ...], analysis: Analysis) -> RiskTable:
    patient, start, stop, event = (np.concatenate([block[k] for block in rows]) for k in range(4))
    arm = np.concatenate([np.full(len(block[0]), block[4], dtype=np.int64) for block in rows])
    order = np.lexsort((start, patient))
    order = order[stop[order] > start[order]]
    return RiskTable(
        patient=read_only(patient[order].astype(np.int64)),
        arm=read_only(arm[order]),
        start=read_only(start[order]),
        stop=read_only(stop[order]),
        event=read_only(event[order].astype(np.int64)),
        n_patients=len(cohort),
        time_unit=cohort.time_unit,
        outcome=cohort.outcome(outcome).name,
        covariates=cohort.covariates,
        analysis=analysis,
    )
