"""What each sensitivity analysis found, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from causal_s4.report.doubt_opening import measure_of, strongest_odds
from causal_s4.report.doubt_tables import setting
from causal_s4.report.reading import Reading, clean, mid
from causal_s4.results import SensitivityResult

Together = Sequence[SensitivityResult]


def _number(reading: Reading, result: SensitivityResult, value: float | None) -> str:
    if value is None:
        return "not reached"
    if result.unit == "probability":
        return f"{reading.numbers.number(100 * value, 1)} points"
    unit = f" {clean(result.unit)}" if result.unit in ("days", "weeks", "months", "years") else ""
    return f"{reading.numbers.number(value, 2)}{unit}"


def _range(reading: Reading, result: SensitivityResult) -> str:
    if result.lower is None or result.upper is None:
        return ""
    low, high = (_number(reading, result, each) for each in (result.lower, result.upper))
    return low if low == high else reading.numbers.interval(low, high)


def plain_answer(reading: Reading, result: SensitivityResult, together: Together) -> str:
    """Say the answer of an analysis that has no sentence of its own."""
    if result.findings and result.value is None and not result.table:
        return "could not be made"
    found = _range(reading, result)
    if result.value is None:
        return f"from {found}" if found else "see the table" if result.table else "none"
    said = _number(reading, result, result.value)
    if not found or found == said:
        return said
    return f"{said}; in the rows {found}" if "range" in result.parameters else f"{said} ({found})"


def _answer_e_value(reading: Reading, result: SensitivityResult, together: Together) -> str:
    chosen = next((each for each in together if each.parameters.get("preferred")), result)
    limit = "" if chosen.bound is None else f"; for its interval, {reading.numbers.ratio(chosen.bound)}"
    value = "none" if chosen.value is None else reading.numbers.ratio(chosen.value)
    return f"{value} for the {measure_of(chosen)}{limit}"


def _answer_bias(reading: Reading, result: SensitivityResult, together: Together) -> str:
    if result.value is None:
        return "none could be computed"
    ratio = reading.numbers.ratio
    if result.target.get("benchmark") is not None:
        first = max(result.table, key=lambda row: float(row["bias_factor"]))
        return f"at most {ratio(result.value)}, of {mid(clean(reading.covariate(str(first['covariate']))))}"
    limit = "" if result.bound is None else f"; for the interval {ratio(result.bound)}"
    return f"a factor of {ratio(result.value)} explains the estimate away{limit}"


def _answer_left_out(reading: Reading, result: SensitivityResult, together: Together) -> str:
    if result.unit == "odds factor":
        return strongest_odds(reading)
    return (
        f"{plain_answer(reading, result, together)}; most by {clean(str(result.parameters.get('strongest') or DASH))}"
    )


DASH = "\N{EN DASH}"


def _answer_tipping(reading: Reading, result: SensitivityResult, together: Together) -> str:
    if not result.table:
        limit = "" if result.bound is None else f"; for the interval {reading.numbers.ratio(result.bound)}"
        return f"{_number(reading, result, result.value)}{limit}"
    reached = [float(row["estimate"]) for row in result.table if row.get("estimate")]
    if not reached:
        return "no such confounder brings no effect"
    least = min(reached, key=lambda ratio: max(ratio, 1 / ratio))
    return f"in {len(reached)} of {len(result.table)} pairs of prevalences; a hazard ratio of {reading.numbers.ratio(least)} at the least"


def _answer_probabilistic(reading: Reading, result: SensitivityResult, together: Together) -> str:
    return "; ".join(
        f"{setting(each.parameters.get('priors'))}: {_number(reading, each, each.value)} ({_range(reading, each)})"
        for each in together
    )


def _answer_bounds(reading: Reading, result: SensitivityResult, together: Together) -> str:
    if result.value is None:
        return f"with odds off by {reading.numbers.general(float(result.parameters.get('lambda') or 1))}, see the table"
    widest = max(together, key=lambda each: float(each.parameters.get("lambda") or 1))
    factor = reading.numbers.general(float(widest.parameters.get("lambda") or 1))
    return f"{_number(reading, result, result.value)}; {_range(reading, widest)} with odds off by {factor}"


def _answer_pairs(reading: Reading, result: SensitivityResult, together: Together) -> str:
    found = [each.value for each in together if each.value is not None]
    if not found:
        return "chance alone explains the difference within pairs"
    return f"explained by chance from odds {reading.numbers.ratio(max(found))} times as high within a pair"


def _answer_refuters(reading: Reading, result: SensitivityResult, together: Together) -> str:
    return "; ".join(
        f"{clean(str(each.parameters.get('refuter')))} {_number(reading, each, each.value)}" for each in together
    )


def _answer_curve(reading: Reading, result: SensitivityResult, together: Together) -> str:
    counts, write = result.parameters, reading.numbers
    return (
        f"{write.count(int(counts.get('excluding_one') or 0))} of {write.count(int(counts.get('admissible') or 0))} admissible "
        f"intervals exclude 1; median {_number(reading, result, result.value)}, {_range(reading, result)}"
    )


def _answer_trials(reading: Reading, result: SensitivityResult, together: Together) -> str:
    found = [(each, row) for each in together if (row := _own_row(each)) is not None]
    if not found:
        return "see the table"
    write = reading.numbers
    apart = [write.number(each.value, 1) for each, _ in found if each.value is not None]
    inside = sum(bool(row.get("estimate_agrees")) for _, row in found)
    near = sum(bool(row.get("difference_agrees")) for _, row in found)
    same = sum(bool(row.get("conclusion_agrees")) for _, row in found)
    return (
        f"it lies in {write.count(inside)} of {write.count(len(found))} published intervals; {write.count(near)} differ from it "
        f"by no more than chance, and {write.count(same)} lead to the same conclusion; standard errors apart: {', '.join(apart)}"
    )


def _own_row(result: SensitivityResult) -> Mapping[str, Any] | None:
    """Return the row of the estimate that a benchmark's answer is about."""
    own = result.target.get("analysis"), result.target.get("population")
    return next((row for row in result.table if (row.get("analysis"), row.get("population")) == own), None)


ANSWERS: Mapping[str, Callable[[Reading, SensitivityResult, Together], str]] = {
    "e-value": _answer_e_value,
    "bias factor": _answer_bias,
    "leave one out": _answer_left_out,
    "tipping point": _answer_tipping,
    "probabilistic bias analysis": _answer_probabilistic,
    "marginal sensitivity model": _answer_bounds,
    "rosenbaum bounds": _answer_pairs,
    "refuter": _answer_refuters,
    "specification curve": _answer_curve,
    "rct benchmark": _answer_trials,
}
