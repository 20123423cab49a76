"""The grids of sensitivity analyses as tables, and their keys as words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from causal_s4.report.reading import Reading, clean, mid, pretty
from causal_s4.report.tables import DASH, Column, Row, Table
from causal_s4.results import SensitivityResult

_ANSWERS = (
    "value",
    "bound",
    "estimate",
    "ratio",
    "e_value",
    "e_value_of_the_limit",
    "moved_by",
    "bias_factor",
    "rr_eu",
    "rr_ud",
    "least",
    "largest",
    "estimate_without",
    "naive",
    "calibrated",
    "observed",
    "published",
    "median",
)
_WORDS = {
    "rr_eu": "Risk ratio with treatment",
    "rr_ud": "Risk ratio with the outcome",
    "e_value": "E-value",
    "e_value_of_the_limit": "E-value of the limit nearer no effect",
    "bias_factor": "Bias factor",
    "estimate": "Estimate at worst",
    "estimate_reaches_true": "Estimate explained away",
    "interval_reaches_true": "Interval explained away",
    "value_crosses_one": "Estimate on the other side of 1",
    "interval_covers_one": "Interval includes 1",
    "confounder_hazard_ratio": "Hazard ratio of the confounder",
    "prevalence_treated": "Prevalence among the treated",
    "prevalence_control": "Prevalence among controls",
    "interval_limit": "For the interval limit",
    "lambda": "Odds of treatment off by (Λ)",
    "gamma": "Odds within a pair off by (Γ)",
    "p_lower": "P value at best",
    "p_upper": "P value at worst",
    "moved_by": "Moves the estimate by a factor of",
    "rmst_difference": "Restricted mean difference",
    "ess_treated": "Effective sample size, treated",
    "ess_control": "Effective sample size, control",
    "cut": "Weights cut",
    "trim": "Trimmed at",
    "excludes_one": "Interval excludes 1",
    "covers_one": "Interval includes 1",
    "log_odds_of_treatment": "Log odds ratio of treatment",
    "log_hazard_ratio": "Log hazard ratio of the outcome",
    "share_across_one": "Share on the other side of 1",
    "true": "Value assumed true",
    "hr_correction": "Put on the risk-ratio scale",
    "share_covering_one": "Share of intervals that include 1",
    "weights_for_loss": "Weights for loss to follow-up",
    "curves": "Splines and interactions",
}
"""What the columns and settings of sensitivity analyses are called, where their keys do not say it."""


def sensitivity_label(key: str) -> str:
    """Return a key of a sensitivity analysis as words."""
    return _WORDS.get(key, pretty(key))


def sensitivity_table(reading: Reading, result: SensitivityResult, number: int) -> Table | None:
    """Return the grid of a sensitivity analysis; None when its answer is a single number.

    An estimate and its limits share a cell.
    """
    if not result.table:
        return None
    keys = list(dict.fromkeys(key for row in result.table for key in row))
    limits = {key: pair for key in keys if (pair := _limits_of(key, keys)) is not None}
    shown = [key for key in keys if not any(key in pair for pair in limits.values())]

    def answer(value: Any, key: str) -> str:
        if key == "covariate" and isinstance(value, str):
            return clean(reading.covariate(value))
        if isinstance(value, float) and (key in limits or key in _ANSWERS):
            return reading.numbers.number(value, 2)
        if key.startswith("p_") and isinstance(value, float):
            return reading.numbers.p_value(value, symbol=False)
        return scalar(reading, value)

    def cell(row: Mapping[str, Any], key: str) -> str:
        ends = [row.get(name) for name in limits.get(key, ())]
        written = answer(row.get(key), key)
        if not ends or any(end is None for end in ends):
            return written
        return f"{written} ({reading.numbers.interval(*(answer(end, key) for end in ends))})"

    words = {key for key in keys if any(isinstance(row.get(key), str) for row in result.table)}
    level = reading.numbers.level(reading.result.protocol.inference.level)
    return Table(
        name=f"sensitivity-{number}",
        caption=pretty(result.method) + target_words(reading, result),
        columns=tuple(
            Column(
                label=_value_label(result, key) + (f" ({level})" if key in limits else ""),
                numeric=index > 0 and key not in words,
            )
            for index, key in enumerate(shown)
        ),
        rows=tuple(Row(cells=tuple(cell(row, key) for key in shown)) for row in result.table),
    )


def _limits_of(key: str, keys: Sequence[str]) -> tuple[str, str] | None:
    """Return the columns of the limits of an estimate's column, where a table has them."""
    pair = ("lower", "upper") if key in ("value", "estimate", "ratio", "median") else (f"{key}_lower", f"{key}_upper")
    return pair if set(pair) <= set(keys) else None


def _value_label(result: SensitivityResult, key: str) -> str:
    return pretty(str(result.target.get("measure") or "value")) if key == "value" else sensitivity_label(key)


def target_words(reading: Reading, result: SensitivityResult) -> str:
    """Write which estimate a sensitivity analysis is about, beginning with a colon; empty when it says none."""
    target = result.target
    measure, outcome = (clean(str(target[key])) if target.get(key) else "" for key in ("measure", "outcome"))
    said = [" for ".join(word for word in (measure, mid(outcome)) if word)]
    if target.get("horizon") is not None:
        said.append(f"at {reading.duration(float(target['horizon']))}")
    if target.get("analysis"):
        said.append(mid(reading.analysis((str(target["analysis"]), str(target.get("population") or "")))))
    shown = ", ".join(word for word in said if word)
    return f": {shown}" if shown else ""


def scalar(reading: Reading, value: Any) -> str:
    """Write whatever a sensitivity analysis puts into a cell."""
    if value is None:
        return DASH
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return reading.numbers.count(int(value))
    if isinstance(value, float | np.floating):
        return reading.numbers.general(float(value))
    if isinstance(value, Mapping):
        return "; ".join(f"{pretty(str(key))}: {scalar(reading, item)}" for key, item in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(scalar(reading, item) for item in value)
    return clean(str(value))


def setting(value: Any) -> str:
    """Write one setting of an analysis in few letters."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > 1:
            return "all of them together"
        return "; ".join(str(each.get("name", each)) if isinstance(each, Mapping) else str(each) for each in value)
    return str(value)
