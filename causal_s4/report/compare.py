"""What differs between two results: the question, the patients, the adjustment, the estimates, the findings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causal_s4.protocol.vocabulary import Measure
from causal_s4.report.numbers import style
from causal_s4.report.reading import Reading, clean
from causal_s4.results import EffectEstimate, StudyResult

if TYPE_CHECKING:
    import pandas as pd

_ABSENT = "absent"
_RATIOS = {Measure.HAZARD_RATIO, Measure.SURVIVAL_RATIO, Measure.RMST_RATIO, Measure.CUMULATIVE_INCIDENCE_RATIO}
_WIDEST = 60


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that two results do not have in common.

    ``part`` is ``"protocol"``, ``"cohort"``, ``"adjustment"``, ``"estimate"`` or ``"finding"``; ``change`` is
    second minus first for numbers, and second over first for ratios.
    """

    part: str
    what: str
    first: str
    second: str
    change: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two results held against each other.

    Parameters
    ----------
    differences : tuple of Difference
        In the order of the parts.
    equal_estimates : int
        How many estimates are the same in both.
    """

    differences: tuple[Difference, ...]
    equal_estimates: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row a difference."""
        import pandas as pd

        names = ("part", "what", "first", "second", "change")
        return pd.DataFrame([[getattr(each, name) for name in names] for each in self.differences], columns=list(names))

    def text(self, first: str = "first", second: str = "second") -> str:
        """Return the differences as tables of text, under the names of the two results."""
        headings = {
            "protocol": "Protocol",
            "cohort": "Patients and events",
            "adjustment": "Adjustment",
            "estimate": "Estimates (change: second minus first; for ratios second over first)",
            "finding": "Findings",
        }
        blocks = []
        for part, heading in headings.items():
            found = [each for each in self.differences if each.part == part]
            if found:
                rows = [("", first, second, "change"), *((d.what, d.first, d.second, d.change) for d in found)]
                blocks.append("\n".join([heading, *_table(rows)]))
        noun = "estimate is" if self.equal_estimates == 1 else "estimates are"
        blocks.append(f"{self.equal_estimates} {noun} the same in both." if blocks else "The two results are the same.")
        return "\n\n".join(blocks) + "\n"


def compare(first: StudyResult, second: StudyResult) -> Comparison:
    """Hold two results against each other.

    Parameters
    ----------
    first, second : StudyResult
        Such as :func:`~causal_s4.report.read_back.read_results_json` gives.

    Returns
    -------
    Comparison
        Times are compared in the unit of each; a difference of units is a difference of the protocol.
    """
    one, other = Reading(first), Reading(second)
    found = [
        *_changed("protocol", _protocol(first), _protocol(second)),
        *_changed("cohort", _cohort(one), _cohort(other)),
        *_changed("adjustment", _adjustment(first), _adjustment(second)),
        *_estimates(one, other),
        *_changed("finding", _findings(first), _findings(second)),
    ]
    made, again = _keyed(first), _keyed(second)
    equal = sum(_same(made[key], again[key]) for key in made if key in again)
    return Comparison(differences=tuple(found), equal_estimates=equal)


def _changed(part: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*first, *second)):
        one, other = (_words(each[key]) if key in each else _ABSENT for each in (first, second))
        if one != other:
            both = [each.get(key) for each in (first, second)]
            counted = all(isinstance(each, int) and not isinstance(each, bool) for each in both)
            change = style("plain").number(both[1] - both[0], 0, signed=True) if counted else ""  # type: ignore[operator]
            yield Difference(part=part, what=key, first=one, second=other, change=change)


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return clean(str(value)) if value is not None else "not shown"


# --- what is compared -----------------------------------------------------------------------------


def _protocol(result: StudyResult) -> dict[str, Any]:
    """Return the protocol's values by key path, and the checksum of the data."""
    made = result.provenance
    return dict(_flat(tomllib.loads(result.protocol.to_toml()), "")) | (
        {"checksum of the data file": made.data_sha256[:12]} if made else {}
    )


def _flat(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{at}.{clean(key)}" if at else clean(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value, 1):
            yield from _flat(item, f"{at}.{number}")
    else:
        yield at, value


def _cohort(reading: Reading) -> dict[str, Any]:
    cohort = reading.result.cohort
    counts = {"patients": cohort.n, "treated": cohort.treated, "control": cohort.control}
    for outcome, events in cohort.events.items():
        counts |= {f"events, {clean(outcome)}, {arm}": count for arm, count in events.items()}
    return {name: reading.shown(count) for name, count in counts.items()}


def _adjustment(result: StudyResult) -> dict[str, Any]:
    found = {"verdict": result.adjustment.verdict, "set": result.adjustment.nodes}
    for summary in (*((result.weights,) if result.weights else ()), *result.other_weights):
        found[f"weights, {clean(summary.population)}"] = clean(summary.method)
    return found


def _findings(result: StudyResult) -> dict[str, Any]:
    """Return findings by what they say, so that one that is gone or new stands in a line of its own."""
    return {f"{each.severity}: {clean(each.message)}": "present" for each in result.findings}


Key = tuple[str, str, str, str, str | None, float | None]


def _keyed(result: StudyResult) -> dict[Key, EffectEstimate]:
    return {(e.outcome, e.analysis, e.population, e.measure, e.arm, e.horizon): e for e in result.effects}


def _same(one: EffectEstimate, other: EffectEstimate) -> bool:
    return (one.value, one.lower, one.upper, one.level) == (other.value, other.lower, other.upper, other.level)


def _estimates(one: Reading, other: Reading) -> Iterator[Difference]:
    made, again = _keyed(one.result), _keyed(other.result)
    for key in dict.fromkeys((*made, *again)):
        first, second = made.get(key), again.get(key)
        if first is not None and second is not None and _same(first, second):
            continue
        reading, either = (one, first) if first is not None else (other, second)
        if either is not None:
            yield Difference(
                part="estimate",
                what=_about(reading, either),
                first=one.with_interval(first, unit=True) if first is not None else _ABSENT,
                second=other.with_interval(second, unit=True) if second is not None else _ABSENT,
                change=_change(one, first, second),
            )


def _about(reading: Reading, estimate: EffectEstimate) -> str:
    pair = (estimate.analysis, estimate.population)
    arm = f", {reading.arm_words(estimate.arm)}" if estimate.arm else ""
    return (
        f"{clean(estimate.outcome)}, {reading.analysis(pair, short=True)}: {clean(estimate.measure)}{arm}, "
        f"{reading.horizon(estimate)}"
    )


def _change(reading: Reading, first: EffectEstimate | None, second: EffectEstimate | None) -> str:
    if first is None or second is None or first.value is None or second.value is None:
        return ""
    if first.measure in _RATIOS:
        return f"×{reading.numbers.number(second.value / first.value, 3)}" if first.value else ""
    ends = [reading.scaled(each, each.value) for each in (second, first)]
    return reading.numbers.number((ends[0] or 0.0) - (ends[1] or 0.0), 2, signed=True)


# --- text -----------------------------------------------------------------------------------------


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines in columns; a cell that is too wide stands on lines of its own, above the others."""
    last = max(index for index in range(len(rows[0])) if any(row[index] for row in rows[1:]))
    kept = [row[: last + 1] for row in rows]
    widths = [max(min(len(row[i]), _WIDEST) for row in kept) for i in range(last + 1)]
    lines = []
    for row in kept:
        name, rest = row[0], row[1:]
        if len(name) > widths[0]:
            lines.append(f"  {name}")
            name = ""
        cells = [name.ljust(widths[0]), *(cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines
