"""Small numbers of patients, taken out of a result before anything is written of it.

What is left is a result like any other: every table, figure and file made of it holds no number below the
threshold, nor one that gives such a number away by subtraction within its own table. Weighted quantities and
standardised differences stay.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Arm
from causal_s4.results import (
    NOT_SHOWN,
    AttritionStep,
    BalanceRow,
    BalanceTable,
    CloneFlow,
    CohortSummary,
    EffectTable,
    Finding,
    Histogram,
    Positivity,
    SensitivityResult,
    StudyResult,
    SurvivalCurve,
    WeightSummary,
)

# Whole numbers of a sensitivity analysis that count something other than patients.
_NOT_PATIENTS = {
    "admissible",
    "burn_in",
    "cells",
    "contradicted",
    "draws",
    "estimated",
    "excluding_one",
    "imputations",
    "not_possible",
    "rank",
    "replicate",
    "replicates",
    "sweeps",
    "tested",
}
_PEOPLE = "patients?|women|people|events?|deaths?|treated|untreated|controls?|clones?|weights?"
_COUNTED = re.compile(
    rf"(?<![\w.,\N{{MINUS SIGN}}-])(\d+)(?=(?: of (?:the )?[\d,]+)?(?: more| further)? (?:{_PEOPLE})\b)"
)


def with_suppression(result: StudyResult, below: int | None) -> StudyResult:
    """Return a result whose report is to show no number of patients below a threshold.

    Parameters
    ----------
    result : StudyResult
    below : int or None
        None leaves the protocol's own threshold.

    Raises
    ------
    UsageError
        When the threshold is lower than the protocol's: what was taken out cannot be put back.
    """
    if below is None:
        return result
    protocol = result.protocol
    if below < protocol.report.suppress_below:
        raise UsageError(
            f"numbers below {protocol.report.suppress_below} are not shown in this study; expected a threshold of "
            f"{protocol.report.suppress_below} or more, found {below}"
        )
    asked = protocol.report.model_copy(update={"suppress_below": below})
    return replace(result, protocol=protocol.model_copy(update={"report": asked}))


def suppressed(result: StudyResult) -> StudyResult:
    """Return a result without the numbers of patients that its protocol says are too small to show.

    Parameters
    ----------
    result : StudyResult

    Returns
    -------
    StudyResult
        The same one where the protocol hides nothing. Counts too small are
        :data:`~causal_s4.results.NOT_SHOWN`, in grids of sensitivity analyses None; curves end at their last
        number at risk that may be shown. Doing it twice changes nothing more.
    """
    below = int(result.protocol.report.suppress_below)
    if below <= 1:
        return result
    hide = _Hide(below)
    return replace(
        result,
        cohort=hide.cohort(result.cohort),
        weights=hide.weights(result.weights) if result.weights else None,
        other_weights=tuple(hide.weights(each) for each in result.other_weights),
        balance=hide.balance(result.balance, result.cohort) if result.balance else None,
        other_balance=tuple(hide.balance(each, result.cohort) for each in result.other_balance),
        positivity=hide.positivity(result.positivity, result.cohort) if result.positivity else None,
        curves=tuple(hide.curve(each) for each in result.curves),
        effects=EffectTable(
            estimates=tuple(replace(e, n=hide.count(e.n), events=hide.count(e.events)) for e in result.effects),
            findings=tuple(hide.finding(each) for each in result.effects.findings),
        ),
        regressions=tuple(
            replace(each, n=hide.count(each.n), events=hide.count(each.events)) for each in result.regressions
        ),
        sensitivity=tuple(hide.sensitivity(each) for each in result.sensitivity),
        findings=tuple(hide.finding(each) for each in result.findings),
        alignment=replace(
            result.alignment, treated=hide.count(result.alignment.treated), later=hide.count(result.alignment.later)
        )
        if result.alignment
        else None,
        clone_flow=hide.clones(result.clone_flow) if result.clone_flow else None,
    )


@dataclass(frozen=True)
class _Hide:
    """Hides numbers of patients below a threshold."""

    below: int

    def small(self, count: float | None) -> bool:
        return count is not None and (count == NOT_SHOWN or 0 < count < self.below)

    def count(self, count: int) -> int:
        return NOT_SHOWN if self.small(count) else count

    def by_arm(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Hide the numbers of both arms when one is small: their sum, which stays, would tell it."""
        either = any(self.small(counts.get(arm)) for arm in map(str, Arm))
        return {
            name: NOT_SHOWN if self.small(count) or (either and name in set(Arm)) else count
            for name, count in counts.items()
        }

    # --- who -------------------------------------------------------------------------------------

    def cohort(self, cohort: CohortSummary) -> CohortSummary:
        arms = self.by_arm({"treated": cohort.treated, "control": cohort.control})
        return replace(
            cohort,
            n=self.count(cohort.n),
            treated=arms["treated"],
            control=arms["control"],
            events={name: self.by_arm(counts) for name, counts in cohort.events.items()},
            attrition=self.attrition(cohort.attrition),
            missing={column: self.count(count) for column, count in cohort.missing.items()},
        )

    def attrition(self, flow: Sequence[AttritionStep]) -> tuple[AttritionStep, ...]:
        """Join steps until no small number can be told by subtraction."""
        steps: list[AttritionStep] = []
        for step in flow:
            if steps and self.small(steps[-1].excluded):
                steps[-1] = _merge(steps[-1], step)
            else:
                steps.append(step)
        while len(steps) > 1 and self.small(steps[-1].excluded):
            steps[-2:] = [_merge(steps[-2], steps[-1])]
        return tuple(replace(s, n=self.count(s.n), excluded=self.count(s.excluded)) for s in steps)

    # --- weights and balance ----------------------------------------------------------------------

    def weights(self, summary: WeightSummary) -> WeightSummary:
        return replace(
            summary,
            truncated=self.count(summary.truncated),
            trimmed=self.count(summary.trimmed),
            histogram=self.histogram(summary.histogram) if summary.histogram else None,
        )

    def histogram(self, shown: Histogram) -> Histogram:
        """Empty the bars of few patients, and the weight that stands for them."""
        kept = {arm: [not self.small(count) for count in getattr(shown, arm)] for arm in map(str, Arm)}
        return replace(
            shown,
            **{
                f"{arm}{suffix}": tuple(
                    value if keep else 0.0
                    for value, keep in zip(getattr(shown, f"{arm}{suffix}"), kept[arm], strict=True)
                )
                for arm in kept
                for suffix in ("", "_weighted")
            },
        )

    def balance(self, table: BalanceTable, cohort: CohortSummary) -> BalanceTable:
        hidden = self.hidden_cells(table.rows, cohort)
        rows = []
        for row in table.rows:
            changes: dict[str, Any] = {}
            for arm in map(str, Arm):
                if (row.term, arm) in hidden:
                    changes |= {f"count_{arm}": NOT_SHOWN, f"mean_{arm}_before": math.nan}
            rows.append(replace(row, **changes))
        return replace(table, rows=tuple(rows))

    def hidden_cells(self, rows: Sequence[BalanceRow], cohort: CohortSummary) -> set[tuple[str, str]]:
        """Return the (term, arm) whose count is small, or would give a small one away."""
        columns: dict[str, list[BalanceRow]] = {}
        for row in rows:
            if row.kind != "continuous":
                columns.setdefault(row.column, []).append(row)
        hidden: set[tuple[str, str]] = set()
        for levels in columns.values():
            for arm, n in (("treated", cohort.treated), ("control", cohort.control)):
                counts = {row.term: getattr(row, f"count_{arm}") or 0 for row in levels}
                small = [term for term, count in counts.items() if self.small(count)]
                if len(levels) == 1 and self.small(n - sum(counts.values())):
                    small = list(counts)
                elif len(levels) > 1 and len(small) == 1:
                    others = [term for term in counts if term not in small and counts[term]]
                    small += sorted(others, key=counts.__getitem__)[:1]
                hidden |= {(term, arm) for term in small}
        return hidden

    def positivity(self, found: Positivity, cohort: CohortSummary) -> Positivity:
        patients = {"treated": cohort.treated, "control": cohort.control}
        return replace(
            found,
            tails={
                tail: {
                    arm: share if math.isnan(share) or not self.small(round(share * patients[arm])) else math.nan
                    for arm, share in shares.items()
                }
                for tail, shares in found.tails.items()
            },
            empty_cells=tuple(
                replace(cell, n=self.count(cell.n), treated=self.count(cell.treated), control=self.count(cell.control))
                for cell in found.empty_cells
            ),
            sentences=tuple(self.words(each) for each in found.sentences),
        )

    # --- curves and clones ------------------------------------------------------------------------

    def curve(self, curve: SurvivalCurve) -> SurvivalCurve:
        few = (curve.at_risk < self.below) & (curve.at_risk != 0)
        enough = curve.risk_times[curve.at_risk >= self.below]
        # An arm that is small throughout keeps its start, where survival is 1 whoever is in it.
        shown = curve.times <= (enough[-1] if enough.size else 0.0)
        return replace(
            curve,
            times=curve.times[shown],
            survival=curve.survival[shown],
            std_error=curve.std_error[shown],
            lower=curve.lower[shown],
            upper=curve.upper[shown],
            at_risk=np.where(few, NOT_SHOWN, curve.at_risk),
            ess_at_risk=np.where(few, np.nan, curve.ess_at_risk),
        )

    def clones(self, flow: CloneFlow) -> CloneFlow:
        rows = (
            replace(
                row,
                followed=self.count(row.followed),
                adherent=self.count(row.adherent),
                deviated=self.count(row.deviated),
                events=self.count(row.events),
                lost=self.count(row.lost),
            )
            for row in flow.rows
        )
        return replace(flow, n=self.count(flow.n), rows=tuple(rows))

    # --- words and grids --------------------------------------------------------------------------

    def words(self, text: str) -> str:
        """Say "fewer than" where a sentence counts few patients."""
        return _COUNTED.sub(lambda m: f"fewer than {self.below}" if self.small(int(m[1])) else m[1], text)

    def finding(self, finding: Finding) -> Finding:
        return replace(finding, message=self.words(finding.message), numbers=self.plain(finding.numbers))

    def sensitivity(self, result: SensitivityResult) -> SensitivityResult:
        return replace(
            result,
            parameters=self.plain(result.parameters),
            table=tuple(self.plain(row) for row in result.table),
            findings=tuple(self.finding(each) for each in result.findings),
        )

    def plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Hide whole numbers that count patients, and those in sentences."""
        return {key: value if key in _NOT_PATIENTS else self.value(value) for key, value in values.items()}

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.words(value)
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
            return value
        return None if 0 < value < self.below else value


def _merge(first: AttritionStep, second: AttritionStep) -> AttritionStep:
    return AttritionStep(
        step=f"{first.step}; {second.step}",
        n=second.n,
        excluded=NOT_SHOWN if NOT_SHOWN in (first.excluded, second.excluded) else first.excluded + second.excluded,
    )
