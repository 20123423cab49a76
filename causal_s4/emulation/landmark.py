"""Start the clock at a landmark: only those still at risk then, in the arm that they are in then.

Anderson, Cain & Gelber 1983, 10.1200/JCO.1983.1.11.710; van Houwelingen 2007, 10.1111/j.1467-9469.2006.00529.x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort, OutcomeData
from causal_s4.emulation.clones import treatment_start
from causal_s4.emulation.history import carried_forward, carry_limit, check_time_varying
from causal_s4.errors import DataError, NoEventsError, Problem, UsageError
from causal_s4.kernels.risk_sets import merge_close
from causal_s4.results import AttritionStep, Finding, read_only


@checked_arguments
def landmark_cohort(
    cohort: Cohort,
    landmark: float,
    *,
    time_varying: Sequence[str] = (),
    max_carry: float | None = None,
    outcome: str | None = None,
) -> Cohort:
    """Return the patients still at risk at a landmark, with arms and clock as of then.

    Parameters
    ----------
    cohort : Cohort
        With times of treatment.
    landmark : float
        In the cohort's time unit.
    time_varying : sequence of str
        Columns of the history to add as they were last known at the landmark or before; one of the same name
        as a covariate takes its place. For the treated the value may come after treatment: it is a confounder
        only if treatment does not change it.
    max_carry : float, optional
        How long a value is carried forward; a year by default, infinite for ever. Text is then ``"missing"``;
        a number has to be known for everyone.
    outcome : str, optional
        The one to be at risk of, and the only one of the result; the primary one by default.

    Returns
    -------
    Cohort
        Treated are those treated by the landmark. Patients treated later stay controls, and time runs from
        the landmark.

    Raises
    ------
    UsageError
        For an option that is wrong or would have no effect.
    NoEventsError
        When nobody is left in an arm, or nobody has the event.
    DataError
        When a number of the history is not known for everyone at the landmark.
    """
    chosen = cohort.outcome(outcome)
    start = treatment_start(cohort)
    if not (np.isfinite(landmark) and 0 < landmark < chosen.time.max()):
        raise UsageError(
            f"the landmark must lie within the follow-up of {chosen.time.max():g} {cohort.time_unit}; found {landmark!r}"
        )
    check_time_varying(cohort, time_varying)
    if max_carry is not None and not time_varying:
        raise UsageError("max_carry would have no effect without time_varying")
    n, ever = len(cohort), np.isfinite(start)
    times = merge_close(np.concatenate([chosen.time, start[ever], [float(landmark)]]))
    end, at = times[:n], float(times[-1])
    treated_at = np.full(n, np.inf)
    treated_at[ever] = times[n:-1]
    treated_at[treated_at > end] = np.inf

    keep = end > at
    died, lost = (end <= at) & (chosen.event > 0), (end <= at) & (chosen.event == 0)
    arm = (treated_at <= at).astype(np.int64)
    label = f"{at:g} {cohort.time_unit}"
    _require_patients(arm[keep], chosen.event[keep], label)
    covariates = cohort.covariates
    if time_varying:
        limit = carry_limit(max_carry, cohort.time_unit)
        covariates = _as_of(cohort, time_varying, at, limit, keep)
    remaining = replace(cohort, history=None).take(keep)
    later = keep & (arm == 0) & np.isfinite(treated_at)
    return replace(
        remaining,
        treatment=read_only(arm[keep]),
        treatment_start=read_only(np.where(arm == 1, 0.0, treated_at - at)[keep]),
        outcomes=(OutcomeData(name=chosen.name, time=read_only(end[keep] - at), event=read_only(chosen.event[keep])),),
        covariates=_of_those(covariates, keep),
        attrition=(
            *cohort.attrition,
            AttritionStep(
                step=f"No event ({chosen.name}) by the landmark of {label}",
                n=n - int(died.sum()),
                excluded=int(died.sum()),
            ),
            AttritionStep(step=f"Followed beyond the landmark of {label}", n=int(keep.sum()), excluded=int(lost.sum())),
        ),
        findings=(*cohort.findings, *_findings(label, keep, died, lost, later, arm)),
    )


def _require_patients(arm: np.ndarray, event: np.ndarray, label: str) -> None:
    treated, controls, events = int((arm == 1).sum()), int((arm == 0).sum()), int((event == 1).sum())
    if not (treated and controls and events):
        raise NoEventsError(
            f"at the landmark of {label} {treated:,} treated and {controls:,} untreated patients are at risk, with {events:,} events "
            "later; all three are needed"
        )


def _as_of(cohort: Cohort, names: Sequence[str], at: float, limit: float, keep: np.ndarray) -> pd.DataFrame:
    """Return the covariates with the history's columns as last known at the landmark."""
    everyone = np.arange(len(cohort))
    known = carried_forward(cohort, names, everyone, np.full(len(cohort), at), limit)
    problems = []
    for name in names:
        absent = known.pop(f"{name} missing", None)
        count = 0 if absent is None else int(np.asarray(absent)[keep].sum())
        if count:
            found = f"not known for {count:,} of {int(keep.sum()):,} patients at the landmark, or not recently"
            problems.append(Problem(where=name, found=found, todo='Record it as text with a level such as "missing"'))
    if problems:
        raise DataError("some numbers of the history are not known at the landmark", problems)
    frame = cohort.covariates.copy()
    for name, values in known.items():
        frame[name] = values
    return frame


def _of_those(covariates: pd.DataFrame, keep: np.ndarray) -> pd.DataFrame:
    frame = covariates[keep].reset_index(drop=True)
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].cat.remove_unused_categories()
    return frame


def _findings(
    label: str, keep: np.ndarray, died: np.ndarray, lost: np.ndarray, later: np.ndarray, arm: np.ndarray
) -> tuple[Finding, ...]:
    before = died | lost
    left_out = Finding(
        code="before-landmark",
        severity="note",
        step="time zero",
        message=(
            f"{int(died.sum()):,} patients with the event and {int(lost.sum()):,} lost by the landmark of {label} are left out, "
            f"{int((before & (arm == 1)).sum()):,} of them treated: the analysis speaks of those still at risk then, and of "
            "nothing that treatment does before."
        ),
        numbers={"events": int(died.sum()), "lost": int(lost.sum()), "treated": int((before & (arm == 1)).sum())},
    )
    if not later.any():
        return (left_out,)
    controls = int((keep & (arm == 0)).sum())
    return (
        left_out,
        Finding(
            code="treated-after-landmark",
            severity="caution",
            step="time zero",
            message=(
                f"{int(later.sum()):,} of the {controls:,} patients untreated at {label} are treated later and stay in the control "
                "arm, which draws the comparison towards no effect."
            ),
            numbers={"treated_later": int(later.sum()), "controls": controls},
        ),
    )
