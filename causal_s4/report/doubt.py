"""The section on doubt: what would have to be true for the effect to vanish, first in words, then all at a glance.

Analyses that answer one question stand together; those that differ in one setting alone share a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from textwrap import fill, wrap
from typing import Any

from causal_s4.report import doubt_tables, prose
from causal_s4.report.doubt_answers import ANSWERS, plain_answer
from causal_s4.report.doubt_figures import CHOICES
from causal_s4.report.doubt_opening import ODDS_BENCHMARK, ODDS_TIPPING, about, kind_of, measure_of, opening
from causal_s4.report.doubt_tables import setting
from causal_s4.report.reading import Reading, capital, clean
from causal_s4.report.tables import Column, Row, Table
from causal_s4.results import Finding, SensitivityResult, StudyResult

MOST_ROWS = 12
"""A longer table is folded away under its caption."""
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
        ("marginal sensitivity model", ODDS_TIPPING, ODDS_BENCHMARK, "rosenbaum bounds"),
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
        question: [each for kind in kinds for each in probed if kind_of(each) == kind] for question, kinds in _QUESTIONS
    }
    others = [each for each in probed if kind_of(each) not in known]
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
    answer = ANSWERS.get(first.method, plain_answer)(reading, whole, together)
    table = doubt_tables.sensitivity_table(reading, whole, number)
    # E-values of a ratio of survival and of its complement say the same the other way round
    said = together[:1] if first.method == "e-value" else together
    directions = dict.fromkeys(clean(each.direction) for each in said if each.direction)
    return Doubt(
        name=name,
        about=capital(about(reading, whole) if len({*map(measure_of, together)}) == 1 else "Several measures"),
        answer=answer,
        direction="; ".join(directions),
        settings=_settings(reading, whole),
        assumptions=prose.bullets(dict.fromkeys(each for result in together for each in result.assumptions)),
        table=None if table is None else replace(table, caption=f"{name}: {about(reading, whole)}"),
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
            {**({key: setting(each.parameters.get(key))} if key else {}), **row}
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


def _e_value_row(result: SensitivityResult) -> dict[str, Any]:
    return {
        "measure": capital(measure_of(result)),
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
    if kind_of(result) == ODDS_TIPPING:
        return "Where the bounds reach zero"
    if kind_of(result) == ODDS_BENCHMARK:
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
