"""Whom the data can speak about: overlap of the arms, and the groups in which one arm is empty."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from causal_s4.arguments import checked_arguments
from causal_s4.cohort import Cohort
from causal_s4.results import EmptyCell, Finding, Floats, Positivity, Weights

_QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_SMALLEST_CELL = 10
_MOST_CELLS = 20
_BANDS = 4


@checked_arguments
def check_positivity(cohort: Cohort, weights: Weights) -> Positivity:
    """Describe the overlap of the arms and name the cells that one arm does not reach.

    Parameters
    ----------
    cohort : Cohort
    weights : Weights
        With a propensity score, if the method has one.

    Returns
    -------
    Positivity
        Cells are levels of one covariate, or of two together (numbers in quarters), with at least
        ten patients, none of them treated or all of them treated; cells inside a reported one are
        not repeated.
    """
    cells = _empty_cells(cohort)
    quantiles: dict[str, tuple[float, ...]] = {}
    tails: dict[str, dict[str, float]] = {}
    overlap = None
    if weights.propensity is not None:
        used = ~np.isnan(weights.propensity)
        scores = {
            "treated": weights.propensity[used & (cohort.treatment == 1)],
            "control": weights.propensity[used & (cohort.treatment == 0)],
        }
        quantiles = {arm: tuple(float(q) for q in np.quantile(e, _QUANTILES)) for arm, e in scores.items()}
        for limit in (0.05, 0.10):
            tails[f"below {limit:.2f}"] = {arm: float(np.mean(e < limit)) for arm, e in scores.items()}
            tails[f"above {1 - limit:.2f}"] = {arm: float(np.mean(e > 1 - limit)) for arm, e in scores.items()}
        overlap = _overlap(scores["treated"], scores["control"])
    return Positivity(
        overlap_coefficient=overlap,
        quantiles=quantiles,
        tails=tails,
        empty_cells=cells,
        sentences=tuple(_sentence(cohort, cell) for cell in cells),
    )


def _overlap(treated: Floats, control: Floats) -> float:
    """Area shared by the two histograms of the score (twenty bins)."""
    edges = np.linspace(0, 1, 21)
    one = np.histogram(treated, edges)[0] / len(treated)
    zero = np.histogram(control, edges)[0] / len(control)
    return float(np.minimum(one, zero).sum())


def _bands(frame: pd.DataFrame) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Give each covariate a few labelled groups: its levels, its values if few, else quarters."""
    groups: dict[str, tuple[np.ndarray, list[str]]] = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            groups[name] = (column.cat.codes.to_numpy(), [f"{name} {level}" for level in column.cat.categories])
            continue
        values = column.to_numpy(dtype=float)
        distinct = np.unique(values)
        if distinct.size <= _BANDS:
            groups[name] = (np.searchsorted(distinct, values), [f"{name} {value:g}" for value in distinct])
        else:
            inner = np.unique(np.quantile(values, np.arange(1, _BANDS) / _BANDS))
            edges = np.concatenate([[distinct[0]], inner, [distinct[-1]]])
            codes = np.searchsorted(inner, values, side="left")
            groups[name] = (
                codes,
                [f"{name} {low:g}" if low == high else f"{name} {low:g} to {high:g}" for low, high in pairwise(edges)],
            )
    return groups


def _empty_cells(cohort: Cohort) -> tuple[EmptyCell, ...]:
    groups = _bands(cohort.covariates)
    found: list[EmptyCell] = []
    empty: set[tuple[str, int]] = set()
    for name, (codes, labels) in groups.items():
        for code, cell in _cells_of(cohort, codes, labels):
            empty.add((name, code))
            found.append(cell)
    for (one, (codes_1, labels_1)), (two, (codes_2, labels_2)) in combinations(groups.items(), 2):
        joint = codes_1 * len(labels_2) + codes_2
        names = [f"{a} and {b}" for a in labels_1 for b in labels_2]
        for code, cell in _cells_of(cohort, joint, names):
            if (one, code // len(labels_2)) not in empty and (two, code % len(labels_2)) not in empty:
                found.append(cell)
    found.sort(key=lambda cell: (-cell.n, cell.description))
    return tuple(found[:_MOST_CELLS])


def _cells_of(cohort: Cohort, codes: np.ndarray, labels: list[str]) -> list[tuple[int, EmptyCell]]:
    total = np.bincount(codes, minlength=len(labels))
    treated = np.bincount(codes, weights=cohort.treatment, minlength=len(labels)).astype(int)
    lonely = np.flatnonzero((total >= _SMALLEST_CELL) & ((treated == 0) | (treated == total)))
    return [
        (
            int(code),
            EmptyCell(
                description=labels[code],
                n=int(total[code]),
                treated=int(treated[code]),
                control=int(total[code] - treated[code]),
            ),
        )
        for code in lonely
    ]


def _sentence(cohort: Cohort, cell: EmptyCell) -> str:
    if cell.treated == 0:
        return f"None of the {cell.n} patients with {cell.description} had the treatment ({cohort.treated_label})."
    return f"All {cell.n} patients with {cell.description} had the treatment ({cohort.treated_label})."


def positivity_findings(positivity: Positivity, population: str) -> tuple[Finding, ...]:
    """Say whom the data cannot speak about.

    Empty cells matter most for populations that contain those patients (ATE, ATC).
    """
    found = []
    if positivity.empty_cells:
        largest = positivity.empty_cells[0]
        contains = population.split(",")[0] in ("ATE", "ATC")
        found.append(
            Finding(
                code="empty-cells",
                severity="serious" if contains else "caution",
                step="positivity",
                message=(
                    f"{len(positivity.empty_cells)} groups of patients have nobody in one arm, the largest: "
                    f"{largest.description} ({largest.n} patients, {largest.treated} treated). "
                    + (
                        f"The {population} speaks about them by extrapolation only."
                        if contains
                        else f"The {population} gives them little or no weight."
                    )
                ),
                numbers={"cells": len(positivity.empty_cells), "largest": largest.n},
            )
        )
    if positivity.overlap_coefficient is not None and positivity.overlap_coefficient < 0.3:
        found.append(
            Finding(
                code="poor-overlap",
                severity="caution",
                step="positivity",
                message=(
                    f"The arms share {100 * positivity.overlap_coefficient:.0f}% of the propensity score's distribution: "
                    "most patients have no counterpart in the other arm."
                ),
                numbers={"overlap": positivity.overlap_coefficient},
            )
        )
    return tuple(found)
