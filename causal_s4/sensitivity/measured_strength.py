"""How strong are the confounders that were measured? Their places on the map of bias factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from causal_s4.kernels.aalen_johansen import AalenJohansen
from causal_s4.kernels.kaplan_meier import KaplanMeier
from causal_s4.kernels.risk_sets import RiskSets
from causal_s4.results import SensitivityResult
from causal_s4.sensitivity.question import Question

FEWEST = 5


def measured_strengths(question: Question) -> SensitivityResult:
    """Return for each measured covariate the two risk ratios that a bias factor is made of.

    Parameters
    ----------
    question : Question

    Returns
    -------
    SensitivityResult
        ``table`` has one row a covariate: the ``contrast`` of patients, ``rr_eu`` (how many times as frequent
        one side of it is in one arm as in the other, whichever is larger), ``rr_ud`` (risk of the event by the
        horizon on one side over the other, the larger of the two arms) and the ``bias_factor`` of the two.
        Of a covariate with several levels, the level with the largest bias factor. ``value`` is the largest.

    Notes
    -----
    Numbers are cut at their median. Ratios are crude, not given the other covariates. Contrasts with fewer
    than five patients on a side in an arm are left out.
    """
    rows = []
    for name in question.covariates:
        found = [row for label, mask in _contrasts(question, name) if (row := _row(question, name, label, mask))]
        if found:
            rows.append(max(found, key=lambda row: float(row["bias_factor"])))
    return SensitivityResult(
        method="bias factor",
        target=question.target("risk ratio", question.horizon, benchmark="measured covariates"),
        parameters={"horizon": question.horizon, "scale": "risk ratio", "contrast": "numbers cut at their median"},
        value=max((row["bias_factor"] for row in rows), default=None),
        unit="risk ratio",
        direction="either way: the strength of a link, not its sign",
        assumptions=(
            "each covariate by itself, crude: part of its strength is that of covariates that go with it",
            "what was measured need not be like what was not",
        ),
        table=tuple(rows),
    )


def _contrasts(question: Question, name: str) -> Iterator[tuple[str, np.ndarray]]:
    column = question.cohort.covariates[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        for level in column.cat.categories:
            yield f"{level} against the others", (column == level).to_numpy()
        return
    values = column.to_numpy(dtype=float)
    if len(np.unique(values)) == 2:
        yield f"{values.max():g} against {values.min():g}", values == values.max()
        return
    cut = float(np.median(values))
    high = values > cut
    if not high.any():
        return
    yield f"above {cut:g} against the others", high


def _row(question: Question, name: str, label: str, inside: np.ndarray) -> dict[str, Any] | None:
    arm = question.cohort.treatment
    counts = np.array([[np.sum((arm == code) & (inside == side)) for side in (True, False)] for code in (1, 0)])
    if counts.min() < FEWEST:
        return None
    share = counts[:, 0] / counts.sum(axis=1)
    frequent = max(_either_way(share[0], share[1]), _either_way(1 - share[0], 1 - share[1]))
    risks = [[_risk(question, (arm == code) & (inside == side)) for side in (True, False)] for code in (1, 0)]
    if min(min(each) for each in risks) <= 0:
        return None
    deadly = max(_either_way(*each) for each in risks)
    return {
        "covariate": name,
        "contrast": label,
        "rr_eu": frequent,
        "rr_ud": deadly,
        "bias_factor": frequent * deadly / (frequent + deadly - 1),
    }


def _either_way(one: float, other: float) -> float:
    return float(max(one / other, other / one))


def _risk(question: Question, members: np.ndarray) -> float:
    """Return the risk of the event by the horizon; where events compete, its cumulative incidence."""
    time, event = question.data.time[members], question.data.event[members]
    if not (event == 1).any():
        return 0.0
    sets, weight = RiskSets.of(None, time, event > 0), np.ones(time.size)
    if question.competes:
        return AalenJohansen.fit(sets, weight, event == 1).incidence_at(question.horizon)
    return 1 - KaplanMeier.fit(sets, weight).survival_at(question.horizon)
