"""What the page's sliders read: curves already estimated, and the ingredients of a bias formula.

The data are aggregates, thinned and rounded to what a screen can show, and embedded in the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from causal_s4.protocol.vocabulary import Arm, Measure, TimeUnit
from causal_s4.report.curve_figures import axis_end, time_axis
from causal_s4.report.reading import Reading, clean, mid
from causal_s4.results import BalanceRow, EffectEstimate, SurvivalCurve

_DECIMALS = 4
_MOST_STEPS = 200
_MOST_MARKS = 6


def embed(data: Mapping[str, Any]) -> Markup:
    """Return data as JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def curves(reading: Reading) -> tuple[str, list[dict[str, Any]]]:
    """Return the unit of time and, for each outcome, the curves of the unadjusted and the front analysis."""
    pairs = list(dict.fromkeys((reading.naive, reading.front)))
    found = {name: [(pair, reading.curves(pair, name)) for pair in pairs] for name in reading.outcomes}
    whole = {name: panels for name, panels in found.items() if all(set(Arm) <= set(by_arm) for _, by_arm in panels)}
    if not whole:
        return "", []
    unit, _ = time_axis(reading, [c for panels in whole.values() for _, by_arm in panels for c in by_arm.values()])
    return unit.value, [_outcome(reading, name, panels, unit) for name, panels in whole.items()]


def _outcome(
    reading: Reading, name: str, panels: list[tuple[tuple[str, str], dict[str, SurvivalCurve]]], unit: TimeUnit
) -> dict[str, Any]:
    own = TimeUnit(reading.result.cohort.time_unit)
    _, ticks = time_axis(reading, [curve for _, by_arm in panels for curve in by_arm.values()], unit)
    at = reading.headline_horizon(name)
    start = at * own.in_days / unit.in_days if at is not None else float(ticks[-1]) / 2
    end = axis_end(reading, name, unit, ticks)
    step = _step(end)
    return {
        "name": clean(name),
        "end": round(end, _DECIMALS),
        "ticks": [round(float(tick), _DECIMALS) for tick in ticks],
        "start": round(min(start, end), _DECIMALS),
        "step": step,
        "panels": [
            {
                "title": reading.analysis(pair),
                **{str(arm): _curve(reading, by_arm[arm], unit, end, step) for arm in Arm},
            }
            for pair, by_arm in panels
        ],
    }


def _step(end: float) -> float:
    """Return a round step that divides an axis into no more than 200 parts."""
    return next(
        step
        for power in range(-3, 9)
        for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if end / step <= _MOST_STEPS
    )


def _curve(reading: Reading, curve: SurvivalCurve, unit: TimeUnit, end: float, step: float) -> dict[str, list[float]]:
    """Return a curve read at every position of the slider, so that what is shown is what was estimated."""
    factor = TimeUnit(curve.unit).in_days / unit.in_days
    last = min(end, reading.last_shown(curve) * factor)
    time = np.arange(np.floor(last / step + 1e-9) + 1) * step
    at = np.searchsorted(curve.times * factor, time * (1 + 1e-12), side="right") - 1
    named = {"survival": curve.survival, "lower": curve.lower, "upper": curve.upper}
    return {"time": np.round(time, _DECIMALS).tolist()} | {
        name: np.round(np.nan_to_num(values[at]), _DECIMALS).tolist() for name, values in named.items()
    }


def confounder(reading: Reading) -> dict[str, Any] | None:
    """Return the hazard ratio that an unmeasured confounder would move, and measured ones to hold it against."""
    outcome = reading.outcomes[0]
    estimate = reading.find(reading.front, outcome, Measure.HAZARD_RATIO)
    if estimate is None or not _usable(estimate) or reading.front == reading.naive:
        return None
    naive = reading.find(reading.naive, outcome, Measure.HAZARD_RATIO)
    return {
        **_ratio(estimate),
        "naive": _ratio(naive) if naive is not None and _usable(naive) else None,
        "level": reading.level(estimate),
        "outcome": mid(clean(outcome)),
        "marks": _marks(reading, outcome),
    }


def _usable(estimate: EffectEstimate) -> bool:
    return all(
        value is not None and np.isfinite(value) and value > 0
        for value in (estimate.value, estimate.lower, estimate.upper)
    )


def _ratio(estimate: EffectEstimate) -> dict[str, float | None]:
    return {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}


def _marks(reading: Reading, outcome: str) -> list[dict[str, Any]]:
    """Return measured covariates of two levels with their prevalence per arm and conditional hazard ratio."""
    ratios = {
        row.term: row.hazard_ratio
        for table in reading.result.regressions
        if table.outcome == outcome
        for row in table.rows
    }
    rows = reading.result.balance.rows if reading.result.balance else ()
    marks = []
    for row in sorted(rows, key=lambda each: -abs(each.smd_before)):
        ratio = next((ratios[name] for name in _term_names(row) if name in ratios), None)
        hidden = reading.small(row.count_treated) or reading.small(row.count_control)
        if row.kind != "continuous" and not hidden and ratio is not None and 0.2 <= ratio <= 5:
            marks.append(
                {
                    "label": clean(reading.term(row), 32),
                    "treated": round(row.mean_treated_before, 2),
                    "control": round(row.mean_control_before, 2),
                    "ratio": round(ratio, 3),
                }
            )
    return marks[:_MOST_MARKS]


def _term_names(row: BalanceRow) -> tuple[str, ...]:
    return (row.term, f"{row.column}={row.level}", row.column)
