"""The section on doubt: what would have to be true for the effect to vanish, first in words, then all at a glance.

Analyses that answer one question stand together; those that differ in one setting alone share a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from textwrap import fill, wrap
from typing import Any

from causal_s4.protocol.vocabulary import Estimand, Measure
from causal_s4.report import doubt_tables, prose
from causal_s4.report.doubt_figures import CHOICES
from causal_s4.report.reading import Reading, capital, clean, mid, plural
from causal_s4.report.tables import Column, Row, Table
from causal_s4.results import Finding, SensitivityResult, StudyResult

MOST_ROWS = 12
"""A longer table is folded away under its caption."""
_ODDS_TIPPING, _ODDS_BENCHMARK = "tipping point of the odds", "benchmarks of the odds"
_QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "What if something that matters was not measured?",
        (
            "e-value",
            "bias factor",
            "leave one out",
            "confounder array",
            "tipping point",
            "probabilistic bias analysis",
            "simulated confounder",
        ),
    ),
    (
        "What if like patients were not equally likely to be treated?",
        ("marginal sensitivity model", _ODDS_TIPPING, _ODDS_BENCHMARK, "rosenbaum bounds"),
    ),
    ("Does treatment seem to do what it cannot do?", ("negative control", "refuter")),
    ("Does the answer hang on the weights?", ("truncation grid", "trimming grid", "estimand switch")),
    (
        "Does it hang on who was followed, and from when?",
        (
            "landmark grid",
            "grace period grid",
            "timing grid",
            "early deaths excluded",
            "informative censoring",
            "loss bounds",
        ),
    ),
    ("Does it hang on what was missing or recorded wrongly?", ("missing not at random", "misclassification")),
    ("Does it hang on any one choice?", ("specification curve",)),
    ("Does it agree with randomised trials?", ("rct benchmark",)),
)
_MERGED = (
    "marginal sensitivity model",
    "rosenbaum bounds",
    "refuter",
    "probabilistic bias analysis",
    "e-value",
    "rct benchmark",
)
_IN_WORDS = {
    "who each population is": "covariates by population",
    "rmst difference": "difference in restricted mean survival",
    "rmst ratio": "ratio of restricted mean survival",
    "risk ratio": "risk ratio of the event",
    "restricted mean time lost ratio": "ratio of restricted mean time lost",
}
_UNSAID = {
    "estimate",
    "estimate_lower",
    "estimate_upper",
    "estimate_without",
    "effect",
    "effect_lower",
    "effect_upper",
    "risk_ratio",
    "risk_ratio_lower",
    "risk_ratio_upper",
    "measure",
    "sentence",
    "solved_for",
    "strongest",
    "range",
    "scale",
    "preferred",
    "priors",
    "lambda",
    "statistic",
    "refuter",
    "horizon",
    "level",
    "value",
    "cells",
    "estimated",
    "admissible",
    "not_possible",
    "excluding_one",
    "share_excluding_one",
    "share_of_all_excluding_one",
    "share_covering_one",
    "observed",
    "published",
    "published_lower",
    "published_upper",
    "difference",
}
"""Settings that the answer or the table says already."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One analysis as it is shown.

    Parameters
    ----------
    name : str
        What was done.
    about : str
        Which estimate it is about.
    answer : str
        In a few words.
    direction : str
        Which way the bias would have to go.
    settings : str
        What was assumed.
    assumptions : list of str
        Sentences.
    table : Table or None
    findings : tuple of Finding
    """

    name: str
    about: str
    answer: str
    direction: str
    settings: str
    assumptions: list[str]
    table: Table | None
    findings: tuple[Finding, ...]

    @property
    def folded(self) -> bool:
        """Whether the table is too long to stand open."""
        return self.table is not None and len(self.table.rows) > MOST_ROWS


# --- in words -------------------------------------------------------------------------------------


def opening(reading: Reading) -> list[str]:
    """Return the paragraph that opens the section: what would have to be true for the effect to vanish."""
    said = (
        sentence
        for part in (_explained_away, _measured, _left_out, _odds, _choices, _trials)
        for sentence in part(reading)
    )
    return [clean(each) for each in said]


def _of(reading: Reading, method: str) -> list[SensitivityResult]:
    return [each for each in reading.result.sensitivity if each.method == method]


def _kind(result: SensitivityResult) -> str:
    """Return the method of an analysis, told apart by what it solves for where two share a name."""
    if result.method == "tipping point" and result.parameters.get("solved_for") == "lambda":
        return _ODDS_TIPPING
    if result.method == "leave one out" and result.unit == "odds factor":
        return _ODDS_BENCHMARK
    return result.method


def preferred_e_value(reading: Reading) -> SensitivityResult | None:
    """Return the E-value that needs no conversion, else the first; None without one."""
    found = _of(reading, "e-value")
    return next((each for each in found if each.parameters.get("preferred")), found[0] if found else None)


def _explained_away(reading: Reading) -> Iterator[str]:
    result, write = preferred_e_value(reading), reading.numbers
    if result is None or result.value is None:
        return
    estimate = result.parameters.get("estimate")
    if isinstance(estimate, float):
        lower, upper = result.parameters.get("estimate_lower"), result.parameters.get("estimate_upper")
        limits = (
            f" ({reading.numbers.level(reading.result.protocol.inference.level)} {write.interval(write.ratio(lower), write.ratio(upper))})"
            if isinstance(lower, float) and isinstance(upper, float)
            else ""
        )
        yield f"The estimate put in doubt is the {_about(reading, result)}: {write.ratio(estimate)}{limits}."
    strength = (
        f"For nothing of it to be left, a confounder would have to be tied to both treatment and outcome by a risk ratio "
        f"of {write.ratio(result.value)}, beyond what was measured"
    )
    if result.bound is not None and result.bound > 1:
        yield f"{strength}; for its interval to include no effect, by {write.ratio(result.bound)}."
    elif result.bound is not None:
        yield f"{strength}. Its interval includes no effect as it is, without any."
    else:
        yield f"{strength}."


def _measured(reading: Reading) -> Iterator[str]:
    marks = measured(reading)
    needed = next(
        (each.value for each in _of(reading, "bias factor") if each.target.get("benchmark") is None and each.value),
        None,
    )
    if not marks or needed is None:
        return
    write = reading.numbers
    first = max(marks, key=lambda row: float(row["bias_factor"]))
    yield (
        f"Of the measured covariates, {mid(clean(reading.covariate(str(first['covariate']))))} comes nearest: "
        f"{write.ratio(float(first['rr_eu']))} with treatment and {write.ratio(float(first['rr_ud']))} with the outcome, which "
        f"together could move a risk ratio by a factor of {write.ratio(float(first['bias_factor']))}, where "
        f"{write.ratio(needed)} is needed."
    )


def measured(reading: Reading) -> Sequence[Mapping[str, Any]]:
    """Return the measured covariates with their two risk ratios; empty without them."""
    return next((each.table for each in _of(reading, "bias factor") if each.target.get("benchmark") is not None), ())


def _left_out(reading: Reading) -> Iterator[str]:
    for result in _of(reading, "leave one out"):
        if isinstance(result.parameters.get("sentence"), str):
            yield str(result.parameters["sentence"])


def _odds(reading: Reading) -> Iterator[str]:
    write = reading.numbers
    for result in _of(reading, "tipping point"):
        if result.parameters.get("solved_for") != "lambda" or result.value is None or result.value <= 1:
            continue
        said = (
            f"The {' '.join(filter(None, (_measure(result), _elsewhere(reading, result))))} could be zero once the odds of "
            f"treatment of like patients differ by a factor of "
            f"{write.ratio(result.value)}"
        )
        strongest = _strongest_odds(reading)
        yield f"{said}; {strongest}." if strongest else f"{said}."
        return


def _strongest_odds(reading: Reading) -> str:
    rows = next((each.table for each in _of(reading, "leave one out") if each.unit == "odds factor" and each.table), ())
    if not rows:
        return ""
    row = max(rows, key=lambda each: float(each["lambda"]))
    name = mid(clean(reading.covariate(str(row["covariate"]))))
    return f"leaving {name} out moves them by up to {reading.numbers.ratio(float(row['lambda']))}"


def _choices(reading: Reading) -> Iterator[str]:
    for result in _of(reading, "specification curve"):
        counts, write = result.parameters, reading.numbers
        if not counts.get("admissible") or result.value is None or result.lower is None or result.upper is None:
            continue
        admissible, excluding = int(counts["admissible"]), int(counts["excluding_one"])
        yield (
            f"Of {write.count(admissible)} admissible {plural(admissible, 'way')} to analyse these patients, "
            f"{write.count(excluding)} ({write.proportion(excluding / admissible, admissible)}) have an interval that excludes no effect; the "
            f"{clean(result.unit)} lies between {write.ratio(result.lower)} and {write.ratio(result.upper)}, with a median of "
            f"{write.ratio(result.value)}."
        )


def _trials(reading: Reading) -> Iterator[str]:
    randomised = [each for each in _of(reading, "rct benchmark") if "random" in str(each.parameters.get("design"))]
    if not randomised:
        return
    apart = sum(each.value is not None and abs(each.value) >= _CHANCE for each in randomised)
    count = reading.numbers.count
    yield (
        f"It lies {reading.numbers.number(_CHANCE, 2)} standard errors or more from {count(apart) if apart else 'none'} of "
        f"{count(len(randomised))} published randomised {plural(len(randomised), 'estimate')}."
    )


_CHANCE = 1.96


def _measure(result: SensitivityResult) -> str:
    name = clean(str(result.target.get("measure") or result.unit or "estimate"))
    return _IN_WORDS.get(name, name)


def _about(reading: Reading, result: SensitivityResult) -> str:
    measure = _measure(result)
    outcome = "" if measure in _WITHOUT_OUTCOME else clean(str(result.target.get("outcome") or ""))
    at = result.target.get("horizon")
    said = [measure, f"for {mid(outcome)}" if outcome else "", _elsewhere(reading, result)]
    said.append(f"at {reading.duration(float(at))}" if at is not None and measure != Measure.HAZARD_RATIO else "")
    return " ".join(filter(None, said))


_WITHOUT_OUTCOME = ("odds of treatment", "covariates by population")


def _elsewhere(reading: Reading, result: SensitivityResult) -> str:
    """Return whom an analysis is about where that is not whom the study is about."""
    own, population = reading.result.protocol.estimand, result.target.get("population")
    if own is None or population == own.population or population not in list(Estimand):
        return ""
    return f"in the {reading.population(str(population))}"


# --- answers at a glance --------------------------------------------------------------------------


def at_a_glance(shown: Iterable[tuple[str, Sequence[Doubt]]]) -> Table | None:
    """Return every analysis with its answer as one table, by question; None without any."""
    rows: list[Row] = []
    for question, several in shown:
        rows.append(Row(cells=(question,), kind="section"))
        rows += [Row(cells=(each.name, each.about, each.answer)) for each in several]
    if not rows:
        return None
    return Table(
        name="doubt",
        caption="Every analysis of doubt, and what it found",
        columns=tuple(Column(label=label, numeric=False) for label in ("Analysis", "About", "Answer")),
        rows=tuple(rows),
        notes=("Each is explained below, with what it assumes and which way the bias would have to go.",),
    )


def by_question(reading: Reading) -> list[tuple[str, list[Doubt]]]:
    """Return the analyses by the question they answer; questions without one are left out."""
    probed = reading.result.sensitivity
    known = {kind for _, kinds in _QUESTIONS for kind in kinds}
    groups = {
        question: [each for kind in kinds for each in probed if _kind(each) == kind] for question, kinds in _QUESTIONS
    }
    others = [each for each in probed if _kind(each) not in known]
    if others:
        groups["Other analyses"] = others
    number = 0
    found: list[tuple[str, list[Doubt]]] = []
    for question, results in groups.items():
        several = []
        for together in _together(results):
            number += 1
            several.append(_shown(reading, together, number))
        if several:
            found.append((question, several))
    return found


def _together(results: Sequence[SensitivityResult]) -> Iterator[list[SensitivityResult]]:
    """Yield analyses that differ in one setting alone as one."""
    groups: dict[Any, list[SensitivityResult]] = {}
    for place, result in enumerate(results):
        key: Any = place
        if result.method in _MERGED and (result.table or result.method == "e-value"):
            measure = "" if result.method == "e-value" else str(result.target.get("measure"))
            key = (result.method, measure, tuple(result.table[0]) if result.table else ())
        groups.setdefault(key, []).append(result)
    yield from groups.values()


def _shown(reading: Reading, together: Sequence[SensitivityResult], number: int) -> Doubt:
    first = together[0]
    whole = _whole(reading, first, together)
    name = _name(first)
    answer = _ANSWERS.get(first.method, _plain_answer)(reading, whole, together)
    table = doubt_tables.sensitivity_table(reading, whole, number)
    # E-values of a ratio of survival and of its complement say the same the other way round
    said = together[:1] if first.method == "e-value" else together
    directions = dict.fromkeys(clean(each.direction) for each in said if each.direction)
    return Doubt(
        name=name,
        about=capital(_about(reading, whole) if len({*map(_measure, together)}) == 1 else "Several measures"),
        answer=answer,
        direction="; ".join(directions),
        settings=_settings(reading, whole),
        assumptions=prose.bullets(dict.fromkeys(each for result in together for each in result.assumptions)),
        table=None if table is None else replace(table, caption=f"{name}: {_about(reading, whole)}"),
        findings=tuple({each.message: each for result in together for each in result.findings}.values()),
    )


def _whole(reading: Reading, first: SensitivityResult, together: Sequence[SensitivityResult]) -> SensitivityResult:
    """Return analyses that belong together as one, with the rows of all."""
    if first.method == "e-value":
        return replace(first, table=tuple(_e_value_row(each) for each in together)) if len(together) > 1 else first
    if first.method == "specification curve":
        return replace(first, table=tuple(_by_choice(first)))
    if first.method == "rct benchmark":
        return replace(first, table=tuple(row for each in together for row in _trial_rows(reading, each)))
    if first.method == "marginal sensitivity model" and "lambda" in first.table[0]:
        return replace(first, table=tuple(_bounds_row(reading, row) for each in together for row in each.table))
    if len(together) == 1:
        return first
    if first.method == "refuter":
        return replace(first, table=tuple(_refuter_row(each) for each in together))
    key = {"rosenbaum bounds": "statistic", "probabilistic bias analysis": "priors"}.get(first.method)
    return replace(
        first,
        table=tuple(
            {**({key: _setting(each.parameters.get(key))} if key else {}), **row}
            for each in together
            for row in each.table
        ),
    )


def _by_choice(result: SensitivityResult) -> Iterator[dict[str, Any]]:
    """Yield what the cells of a specification curve that share a choice have in common."""
    cells = [row for row in result.table if row.get("value") is not None]
    for axis in CHOICES:
        levels = dict.fromkeys(str(row.get(axis)) for row in cells)
        if len(levels) < 2:
            continue
        for level in levels:
            own = [row for row in cells if str(row.get(axis)) == level]
            yield {
                "choice": f"{doubt_tables.sensitivity_label(axis)}: {_WRITTEN.get(level, level)}",
                "cells": len(own),
                "admissible": sum(bool(row.get("admissible")) for row in own),
                "value": median(float(row["value"]) for row in own),
                "least": min(float(row["value"]) for row in own),
                "largest": max(float(row["value"]) for row in own),
                "excluding_one": sum(bool(row.get("excludes_one")) for row in own),
            }


_WRITTEN = {"True": "yes", "False": "no"}


def _setting(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > 1:
            return "all of them together"
        return "; ".join(str(each.get("name", each)) if isinstance(each, Mapping) else str(each) for each in value)
    return str(value)


def _e_value_row(result: SensitivityResult) -> dict[str, Any]:
    return {
        "measure": capital(_measure(result)),
        "ratio": result.parameters.get("estimate"),
        "lower": result.parameters.get("estimate_lower"),
        "upper": result.parameters.get("estimate_upper"),
        "e_value": result.value,
        "e_value_of_the_limit": result.bound,
    }


def _bounds_row(reading: Reading, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lambda": row["lambda"],
        "bounds": _between(reading, row.get("lower"), row.get("upper")),
        "interval_of_the_bounds": _between(reading, row.get("interval_lower"), row.get("interval_upper")),
    }


def _between(reading: Reading, lower: float | None, upper: float | None) -> str | None:
    write = reading.numbers
    if lower is None or upper is None:
        return None
    return write.interval(write.number(lower, 2), write.number(upper, 2))


def _trial_rows(reading: Reading, result: SensitivityResult) -> Iterator[dict[str, Any]]:
    for row in result.table:
        pair = str(row.get("analysis") or ""), str(row.get("population") or "")
        yield {
            "benchmark": row.get("benchmark"),
            "design": row.get("design"),
            "published": row.get("published"),
            "published_lower": row.get("published_lower"),
            "published_upper": row.get("published_upper"),
            "analysis": reading.analysis(pair),
            "observed": row.get("observed"),
            "standard_errors_apart": row.get("z"),
            "estimate_agrees": row.get("estimate_agrees"),
            "difference_agrees": row.get("difference_agrees"),
            "conclusion_agrees": row.get("conclusion_agrees"),
        }


def _refuter_row(result: SensitivityResult) -> dict[str, Any]:
    return {
        "refuter": result.parameters.get("refuter"),
        "value": result.value,
        "least": result.lower,
        "largest": result.upper,
        "replicates": result.parameters.get("estimated"),
        "share_covering_one": result.parameters.get("share_covering_one"),
        "what_to_expect": result.direction,
    }


def _name(result: SensitivityResult) -> str:
    if result.method == "bias factor" and result.target.get("benchmark") is not None:
        return "Strength of measured covariates"
    if result.method == "marginal sensitivity model" and result.target.get("measure") == "survival":
        return "Bounds of the survival curves"
    if _kind(result) == _ODDS_TIPPING:
        return "Where the bounds reach zero"
    if _kind(result) == _ODDS_BENCHMARK:
        return "What leaving a covariate out does to the odds of treatment"
    if result.method == "simulated confounder":
        return f"Simulated confounder, {'weighted' if 'weights' in result.parameters else 'multivariable model'}"
    if result.method == "informative censoring" and "weights" in result.parameters:
        return "Weights for loss to follow-up"
    if result.method == "estimand switch" and result.value is None:
        return "Who each population is"
    if result.method == "negative control":
        kind = result.parameters.get("kind")
        return f"Negative control {kind}" if kind else "Early events"
    return {
        "e-value": "E-values",
        "rct benchmark": "Published estimates",
        "rosenbaum bounds": "Matched pairs (Rosenbaum)",
    }.get(result.method, capital(clean(result.method)))


def _settings(reading: Reading, result: SensitivityResult) -> str:
    said = {
        key: value
        for key, value in result.parameters.items()
        if key not in _UNSAID and value is not None and value != [] and not (key == "true" and value == 1.0)
    }
    return "; ".join(
        f"{doubt_tables.sensitivity_label(key)}: {doubt_tables.scalar(reading, value)}" for key, value in said.items()
    )


# --- what each found, in a few words --------------------------------------------------------------

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


def _plain_answer(reading: Reading, result: SensitivityResult, together: Together) -> str:
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
    return f"{value} for the {_measure(chosen)}{limit}"


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
        return _strongest_odds(reading)
    return (
        f"{_plain_answer(reading, result, together)}; most by {clean(str(result.parameters.get('strongest') or DASH))}"
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
        f"{_setting(each.parameters.get('priors'))}: {_number(reading, each, each.value)} ({_range(reading, each)})"
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


_ANSWERS: Mapping[str, Callable[[Reading, SensitivityResult, Together], str]] = {
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


# --- as text --------------------------------------------------------------------------------------


def doubt_text(result: StudyResult, *, whole: bool = False) -> str:
    """Return the section on doubt as plain text, for a terminal.

    Parameters
    ----------
    result : StudyResult
    whole : bool
        Whether to print tables of more than twelve rows too.
    """
    reading = Reading(result)
    several = by_question(reading)
    if not several:
        return "No sensitivity analysis was part of this study.\n"
    lines = [fill(" ".join(opening(reading)), 100), ""]
    for question, analyses in several:
        lines += [question.upper(), ""]
        for each in analyses:
            lines += [fill(f"{each.name}. {each.about}: {each.answer}.", 100, subsequent_indent="  ")]
            if each.table is not None and each.folded and not whole:
                lines.append(f"  ({len(each.table.rows)} rows: ask for --all)")
            elif each.table is not None:
                lines += _columns_of(each.table)
            lines += [
                fill(f"- {text}", 100, initial_indent="  ", subsequent_indent="    ") for text in each.assumptions
            ]
            lines.append("")
    return "\n".join(lines)


def _columns_of(table: Table) -> list[str]:
    """Return a table as aligned columns, its long headings broken over lines."""
    heads = [wrap(column.label, 16) or [""] for column in table.columns]
    tall = max(map(len, heads))
    rows = [[head[k] if k < len(head) else "" for head in heads] for k in range(tall)]
    rows += [list(row.cells) for row in table.rows]
    widths = [max(len(row[j]) for row in rows) for j in range(len(heads))]
    written = [
        "  "
        + "  ".join(
            cell.rjust(wide) if column.numeric else cell.ljust(wide)
            for cell, wide, column in zip(row, widths, table.columns, strict=True)
        ).rstrip()
        for row in rows
    ]
    return [*written[:tall], "  " + "-" * (sum(widths) + 2 * (len(widths) - 1)), *written[tall:]]
