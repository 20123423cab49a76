"""Does treatment seem to do what it cannot do? Outcomes that it does not touch, and events before it could act."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Any

from causal_s4.cohort import Cohort
from causal_s4.errors import CausalS4Error
from causal_s4.protocol.vocabulary import Duration
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.question import Answer, Question

EARLY = ("30 days", "90 days")
_ASSUMPTIONS = (
    "treatment does not affect the control outcome, and what confounds the outcome confounds the control alike",
    "an estimate away from no effect shows confounding or another error; one at no effect does not rule them out",
)


def early_events(question: Question, *, within: Sequence[str] = EARLY) -> SensitivityResult | None:
    """Return the difference between the arms in events too early for treatment to have caused or prevented.

    Parameters
    ----------
    question : Question
    within : sequence of str
        Durations, such as ``"30 days"``.

    Returns
    -------
    SensitivityResult or None
        ``table`` has one row a duration: survival difference at its end, weighted and naive. None when
        no stretch has an event in each arm.
    """
    rows: list[dict[str, Any]] = []
    data, arm = question.data, question.cohort.treatment
    for text in within:
        horizon = Duration.parse(text).to(question.cohort.time_unit)
        early = (data.event == 1) & (data.time <= horizon)
        counts = [int((early & (arm == code)).sum()) for code in (1, 0)]
        if not all(counts):
            continue
        cells: dict[str, Any] = {"within": text, "events_treated": counts[0], "events_control": counts[1]}
        for name, weights in (("weighted", question.answered.weights), ("naive", None)):
            each = question.estimate(question.cohort, question.outcome, weights, horizon).effects["survival difference"]
            # the first one is what the table is about
            names = ("value", "lower", "upper") if name == "weighted" else ("naive", "naive_lower", "naive_upper")
            cells |= dict(zip(names, (each.value, each.lower, each.upper), strict=True))
        rows.append(cells)
    if not rows:
        return None
    last = rows[-1]
    return SensitivityResult(
        method="negative control",
        target=question.target("survival difference"),
        parameters={"control": "events before treatment could act", "within": list(within)},
        value=last["value"],
        lower=last["lower"],
        upper=last["upper"],
        unit="probability",
        direction=(
            "above zero: patients about to do well were treated more often; below zero: those about to do badly, or "
            "early harm of treatment"
        ),
        assumptions=("treatment can neither cause nor prevent events within the stretch", *_ASSUMPTIONS[1:]),
        table=tuple(rows),
    )


def negative_outcomes(
    question: Question, controls: Iterable[tuple[str, Cohort]], *, calibrate: bool = False
) -> SensitivityResult:
    """Return the weighted hazard ratio of outcomes that treatment does not affect.

    Parameters
    ----------
    question : Question
    controls : iterable of (str, Cohort)
        Name of the outcome, and the same patients in the same order with it.
    calibrate : bool
        Also return the estimate divided by that of each control.

    Returns
    -------
    SensitivityResult
        ``table`` has one row a control; with ``calibrate``, ``calibrated`` and its limits, whose error
        counts that both come from the same patients.

    Notes
    -----
    Lipsitch, Tchetgen Tchetgen & Cohen 2010, 10.1097/EDE.0b013e3181d61eeb.
    """
    weights = question.answered.weights
    rows: list[dict[str, Any]] = []
    for name, cohort in controls:
        try:
            answer = question.estimate(cohort, name, weights, min(question.horizon, _reach(cohort, name)))
        except CausalS4Error as error:
            rows.append({"control": name, "value": None, "lower": None, "upper": None, "note": error.message})
            continue
        each = answer.hazard_ratio
        row: dict[str, Any] = {"control": name, "value": each.value, "lower": each.lower, "upper": each.upper}
        row["events"] = answer.events
        rows.append({**row, **_calibrated(question, answer)} if calibrate else row)
    values = [row["value"] for row in rows if row["value"] is not None]
    return SensitivityResult(
        method="negative control",
        target=question.target("hazard ratio"),
        parameters={"control": [row["control"] for row in rows], "calibrated": calibrate},
        value=values[0] if values else None,
        lower=min(values, default=None),
        upper=max(values, default=None),
        unit="hazard ratio",
        direction="below one: the treated fare better than they should even where treatment does nothing; above one: worse",
        assumptions=(
            *_ASSUMPTIONS,
            *(("the bias of the control is as large as that of the outcome, on the log scale",) if calibrate else ()),
        ),
        table=tuple(rows),
    )


def _reach(cohort: Cohort, outcome: str) -> float:
    time = cohort.outcome(outcome).time
    return min(float(time[cohort.treatment == arm].max()) for arm in (0, 1))


def _calibrated(question: Question, control: Answer) -> dict[str, float]:
    own, other = question.answered.hazard_ratio, control.hazard_ratio
    theta = own.theta - other.theta
    error = float(((own.influence - other.influence) ** 2).sum() ** 0.5)
    reach = NormalDist().inv_cdf((1 + question.level) / 2) * error
    return {
        "calibrated": math.exp(theta),
        "calibrated_lower": math.exp(theta - reach),
        "calibrated_upper": math.exp(theta + reach),
    }
