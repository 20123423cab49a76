"""The tables as records in full precision, and as CSV text that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from causal_s4.protocol.vocabulary import Arm
from causal_s4.report.reading import Reading, clean
from causal_s4.report.tables import made_by
from causal_s4.results import BalanceTable, SensitivityResult, SurvivalCurve


def sheets(reading: Reading) -> dict[str, str]:
    """Return the tables as CSV text, by file name: tidy, in full precision, one row a record.

    Notes
    -----
    Text that a spreadsheet would run as a formula is preceded by an apostrophe. Suppressed counts
    are empty cells.
    """
    return {f"{name}.csv": text for name, rows in records(reading).items() if (text := csv_text(list(rows)))}


def records(reading: Reading) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Return the tables as records in full precision, by name. Suppressed counts are None."""
    result = reading.result
    return {
        "flow": (
            {"step": s.step, "excluded": reading.shown(s.excluded), "n": reading.shown(s.n)}
            for s in result.cohort.attrition
        ),
        "events": _event_records(reading),
        "table1": _baseline_records(reading),
        "balance": (record for b in _all_balance(reading) for record in _balance_records(b)),
        "weights": (
            {
                **_flat(summary, skip=("quantiles", "histogram", "covariates", "terms", "coefficients")),
                "truncated": reading.shown(summary.truncated),
                "trimmed": reading.shown(summary.trimmed),
            }
            for summary in reading.weights
        ),
        "effects": (
            {**each.to_record(), "n": reading.shown(each.n), "events": reading.shown(each.events)}
            for each in result.effects
        ),
        "curves": (record for curve in result.curves for record in _curve_records(curve)),
        "at_risk": (record for curve in result.curves for record in _risk_records(reading, curve)),
        "tests": (_flat(test) for test in result.tests),
        "hazards": (record for check in result.hazards for record in _hazard_records(check)),
        "regression": ({"outcome": table.outcome, **_flat(row)} for table in result.regressions for row in table.rows),
        "independencies": ({**_flat(test), "given": ", ".join(test.given)} for test in result.adjustment.tests),
        "positivity": (
            {key: reading.shown(value) if isinstance(value, int) else value for key, value in _flat(cell).items()}
            for cell in (result.positivity.empty_cells if result.positivity else ())
        ),
        "benchmarks": (_flat(each) for each in result.benchmarks),
        "sensitivity": (record for each in result.sensitivity for record in _sensitivity_records(each)),
        "findings": (_flat(finding, skip=("numbers",)) for finding in result.findings),
        "provenance": (
            {"what": what, "is": value} for what, value in (made_by(result.provenance) if result.provenance else ())
        ),
    }


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV; the header holds every key, in the order first met. Empty for no records."""
    if not records:
        return ""
    header = list(dict.fromkeys(key for record in records for key in record))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_safe(name) for name in header])
    writer.writerows([_safe(record.get(name)) for name in header] for record in records)
    return buffer.getvalue()


def _safe(value: Any) -> Any:
    """Return a cell that a spreadsheet cannot take for a formula; numbers pass as they are."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return repr(float(value))
    if isinstance(value, int | np.integer):
        return int(value)
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = clean(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20") else text


def _flat(value: Any, skip: Sequence[str] = ()) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name not in skip}


def _all_balance(reading: Reading) -> tuple[BalanceTable, ...]:
    return (*((reading.result.balance,) if reading.result.balance else ()), *reading.result.other_balance)


def _balance_records(balance: BalanceTable) -> Iterable[dict[str, Any]]:
    names = (
        "term",
        "kind",
        "smd_before",
        "smd_after",
        "variance_ratio_before",
        "variance_ratio_after",
        "ks_before",
        "ks_after",
    )
    for row in balance.rows:
        yield {"population": balance.population, **{name: getattr(row, name) for name in names}}


def _event_records(reading: Reading) -> Iterable[dict[str, Any]]:
    cohort = reading.result.cohort
    for outcome in reading.outcomes:
        counts = cohort.events[outcome]
        yield {
            "outcome": outcome,
            "treated": reading.shown(cohort.treated),
            "control": reading.shown(cohort.control),
            "events_treated": reading.shown(counts.get("treated")),
            "events_control": reading.shown(counts.get("control")),
            "events": reading.shown(counts.get("total")),
            "median_follow_up": cohort.follow_up.get(outcome),
            "unit": cohort.time_unit,
        }


def _baseline_records(reading: Reading) -> Iterable[dict[str, Any]]:
    balance = reading.result.balance
    for row in balance.rows if balance else ():
        record: dict[str, Any] = {"characteristic": row.column, "level": row.level, "kind": row.kind}
        for arm, count in ((Arm.TREATED, row.count_treated), (Arm.CONTROL, row.count_control)):
            record |= {
                f"{arm}_n": reading.shown(count),
                f"{arm}_mean": getattr(row, f"mean_{arm}_before"),
                f"{arm}_sd": getattr(row, f"sd_{arm}_before"),
                f"{arm}_mean_weighted": getattr(row, f"mean_{arm}_after"),
                f"{arm}_sd_weighted": getattr(row, f"sd_{arm}_after"),
            }
        yield {**record, "smd_before": row.smd_before, "smd_after": row.smd_after}


def _named(curve: SurvivalCurve) -> dict[str, Any]:
    return {name: getattr(curve, name) for name in ("outcome", "analysis", "population", "arm", "unit")}


def _curve_records(curve: SurvivalCurve) -> Iterable[dict[str, Any]]:
    for time, survival, error, lower, upper in zip(
        curve.times, curve.survival, curve.std_error, curve.lower, curve.upper, strict=True
    ):
        yield {
            **_named(curve),
            "time": time,
            "survival": survival,
            "std_error": error,
            "lower": lower,
            "upper": upper,
        }


def _risk_records(reading: Reading, curve: SurvivalCurve) -> Iterable[dict[str, Any]]:
    for time, patients, effective in zip(curve.risk_times, curve.at_risk, curve.ess_at_risk, strict=True):
        show = not reading.small(int(patients))
        yield {
            **_named(curve),
            "time": time,
            "at_risk": int(patients) if show else None,
            "effective_at_risk": effective if show else None,
        }


def _hazard_records(check: Any) -> Iterable[dict[str, Any]]:
    record = _flat(check, skip=("periods",))
    for start, end, value, lower, upper in check.periods or ((None,) * 5,):
        yield {**record, "from": start, "to": end, "hazard_ratio": value, "lower": lower, "upper": upper}


def _sensitivity_records(result: SensitivityResult) -> Iterable[dict[str, Any]]:
    base = {"method": result.method, **{f"target_{key}": value for key, value in result.target.items()}}
    answer = {
        "value": result.value,
        "lower": result.lower,
        "upper": result.upper,
        "bound": result.bound,
        "unit": result.unit,
    }
    yield {**base, **result.parameters, **answer}
    for row in result.table:
        yield {**base, **row}
