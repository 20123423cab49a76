"""Does treatment seem to do what it cannot do? Outcomes it does not touch, exposures that do nothing, early events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
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

    def answers() -> Iterator[tuple[str, Callable[[], Answer]]]:
        for name, cohort in controls:
            horizon = min(question.horizon, _reach(cohort, name))
            yield name, partial(question.estimate, cohort, name, weights, horizon)

    return _controls(
        question,
        answers(),
        calibrate=calibrate,
        control="outcome",
        direction="below one: the treated fare better than they should even where treatment does nothing; above one: worse",
        assumptions=_ASSUMPTIONS,
    )


def negative_exposures(
    question: Question, controls: Iterable[tuple[str, Cohort]], *, calibrate: bool = False
) -> SensitivityResult:
    """Return the weighted hazard ratio, for the study's outcome, of exposures that do not affect it.

    Parameters
    ----------
    question : Question
    controls : iterable of (str, Cohort)
        Name of the exposure, and the same patients in the same order with it as their treatment; the treatment
        of the study is among the covariates.
    calibrate : bool
        Also return the estimate divided by that of each control.

    Returns
    -------
    SensitivityResult
        As of :func:`negative_outcomes`.

    Notes
    -----
    Weights are found anew from the covariates of the study and its treatment, so that an exposure that goes with
    treatment does not borrow its effect. Lipsitch, Tchetgen Tchetgen & Cohen 2010, 10.1097/EDE.0b013e3181d61eeb.
    """
    answers = ((name, partial(question.answer, cohort)) for name, cohort in controls)
    return _controls(
        question,
        answers,
        calibrate=calibrate,
        control="exposure",
        direction="below one: those exposed fare better though the exposure does nothing; above one: worse",
        assumptions=(
            "the control exposure does not affect the outcome, and is confounded as treatment is",
            _ASSUMPTIONS[1],
        ),
    )


def _controls(
    question: Question,
    answers: Iterable[tuple[str, Callable[[], Answer]]],
    *,
    calibrate: bool,
    control: str,
    direction: str,
    assumptions: tuple[str, ...],
) -> SensitivityResult:
    rows: list[dict[str, Any]] = []
    for name, ask in answers:
        try:
            answer = ask()
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
        parameters={"kind": control, "control": [row["control"] for row in rows], "calibrated": calibrate},
        value=values[0] if values else None,
        lower=min(values, default=None),
        upper=max(values, default=None),
        unit="hazard ratio",
        direction=direction,
        assumptions=(
            *assumptions,
            *(("the bias of the control is as large as that of the estimate, on the log scale",) if calibrate else ()),
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
