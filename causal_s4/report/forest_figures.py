"""Estimates under each other: the ladder of analyses on a ratio scale or in absolute numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.protocol.vocabulary import Arm, Measure
from causal_s4.report.drawing import (
    BLUE,
    DOUBLE_COLUMN,
    INK,
    LINE,
    MUTED,
    ORANGE,
    axes_in,
    figure_of,
    fit,
    fixed_ticks,
    is_narrow,
    new_figure,
)
from causal_s4.report.reading import LadderRow, Reading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_MARK: dict[str, dict[str, Any]] = {
    "association": {"marker": "o", "ms": 6.2, "mfc": "white", "color": MUTED},
    "conditional": {"marker": "^", "ms": 5.8, "mfc": "white", "color": MUTED},
    "effect": {"marker": "s", "ms": 4.8, "mfc": BLUE, "color": BLUE},
    "primary": {"marker": "s", "ms": 6.8, "mfc": BLUE, "color": BLUE},
    "benchmark": {"marker": "D", "ms": 5.6, "mfc": ORANGE, "color": ORANGE},
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The axis of a ladder."""

    null: float
    log: bool
    label: str
    heading: str
    below: str
    above: str


def ladder(reading: Reading, outcome: str, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw every hazard ratio of an outcome on a log axis, from unadjusted to published."""
    treated = reading.arm_words(Arm.TREATED, 24)
    scale = Scale(
        null=1.0,
        log=True,
        label="Hazard ratio (log scale)",
        heading="Hazard ratio (95% CI)",
        below=f"lower hazard with {treated}",
        above=f"higher hazard with {treated}",
    )
    return forest(reading.ladder(outcome, Measure.HAZARD_RATIO), _with_level(reading, outcome, scale), width)


def absolute(reading: Reading, outcome: str, measure: str, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw every survival or RMST difference of an outcome at its longest horizon.

    Parameters
    ----------
    reading : Reading
        The result.
    outcome : str
        Name of the outcome.
    measure : {"survival difference", "rmst difference"}
        What to draw.
    width : float
        In inches.
    """
    horizon = reading.headline_horizon(outcome)
    first = next(e for e in reading.result.effects if (e.outcome, e.measure, e.horizon) == (outcome, measure, horizon))
    unit, treated = reading.unit(first), reading.arm_words(Arm.TREATED, 24)
    low, high = ("lower", "higher") if measure == Measure.SURVIVAL_DIFFERENCE else ("shorter", "longer")
    what = "Survival difference at" if measure == Measure.SURVIVAL_DIFFERENCE else "Difference in mean survival time to"
    scale = Scale(
        null=0.0,
        log=False,
        label=f"{what} {reading.horizon(first)}, {unit}",
        heading="Difference (95% CI)",
        below=f"{low} with {treated}",
        above=f"{high} with {treated}",
    )
    return forest(reading.ladder(outcome, measure, horizon), _with_level(reading, outcome, scale), width)


def _with_level(reading: Reading, outcome: str, scale: Scale) -> Scale:
    from dataclasses import replace

    level = next((reading.level(each) for each in reading.result.effects if each.outcome == outcome), "95% CI")
    return replace(scale, heading=scale.heading.replace("95% CI", level))


def forest(rows: Sequence[LadderRow], scale: Scale, width: float) -> Figure:
    """Draw rungs above each other on one axis, their numbers beside them."""
    narrow = is_narrow(width)
    step = 0.44 if narrow else 0.36
    top, bottom = 0.08 if narrow else 0.34, 0.72
    figure = new_figure(width, top + bottom + step * len(rows))
    left, right = (0.1, 0.1) if narrow else (2.72, 1.42)
    axes = axes_in(figure, left, bottom, right, top)
    low, high = _range(rows, scale)
    if scale.log:
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(-len(rows) + (0.38 if narrow else 0.5), 0.9 if narrow else 0.5)
    axes.axvline(scale.null, color=INK, lw=0.9, zorder=1)
    naive = next((row.value for row in rows if row.kind == "association" and row.value is not None), None)
    if naive is not None and low < naive < high:
        axes.axvline(naive, color=MUTED, lw=0.9, ls=(0, (1.2, 1.8)), zorder=0)
    for index, row in enumerate(rows):
        _rung(axes, row, -index, low, high)
        _rung_text(axes, row, -index, narrow)
    if rows[-1].kind == "benchmark":
        first = next(i for i, row in enumerate(rows) if row.kind == "benchmark")
        axes.axhline(
            -first + (0.88 if narrow else 0.5),
            color=LINE,
            lw=0.8,
            xmin=0 if narrow else -left / (width - left - right),
            clip_on=False,
        )
    _forest_axis(axes, scale, low, high, narrow)
    return figure


def _range(rows: Sequence[LadderRow], scale: Scale) -> tuple[float, float]:
    """Return limits that hold every estimate and all but the longest intervals."""
    values = [row.value for row in rows if row.value is not None]
    ends = [end for row in rows for end in (row.lower, row.upper) if end is not None and np.isfinite(end)]
    if scale.log:
        spread = max([abs(np.log(v)) for v in values if v > 0] + [0.1])
        limit = max(2.2 * spread, np.log(1.6))
        inside = [np.clip(np.log(end), -limit, limit) for end in ends if end > 0] + [np.log(v) for v in values if v > 0]
        low, high = min([*inside, -0.15]), max([*inside, 0.15])
        pad = 0.05 * (high - low)
        return float(np.exp(low - pad)), float(np.exp(high + pad))
    spread = max([abs(v) for v in values] + [0.5])
    inside = [float(np.clip(end, -3 * spread, 3 * spread)) for end in ends] + values
    low, high = min([*inside, -0.3 * spread]), max([*inside, 0.3 * spread])
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def _rung(axes: Axes, row: LadderRow, y: float, low: float, high: float) -> None:
    if row.value is None:
        return
    mark = _MARK[row.kind]
    if row.lower is not None and row.upper is not None:
        start, end = max(row.lower, low), min(row.upper, high)
        axes.plot(
            [start, end],
            [y, y],
            color=mark["color"],
            lw=1.9 if row.kind == "primary" else 1.3,
            solid_capstyle="butt",
            zorder=2,
        )
        for cut, x, arrow in ((row.lower < low, low, "<"), (row.upper > high, high, ">")):
            if cut:
                axes.plot(x, y, marker=arrow, color=mark["color"], ms=4.5, clip_on=False, zorder=3)
    axes.plot(row.value, y, mec=mark["color"], mew=1.4, zorder=4, **mark)


def _rung_text(axes: Axes, row: LadderRow, y: float, narrow: bool) -> None:
    figure, here = figure_of(axes), axes.get_yaxis_transform()
    weight = "bold" if row.kind == "primary" else "normal"
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    if narrow:
        label = fit(figure, row.short, 1.95, 7.5, weight)
        axes.text(0, y + 0.43, label, transform=here, ha="left", va="center", weight=weight, fontsize=7.5, bbox=behind)
        axes.text(
            1, y + 0.43, row.text, transform=here, ha="right", va="center", weight=weight, fontsize=7.5, bbox=behind
        )
        return
    axes.text(
        -0.03, y + 0.16, fit(figure, row.label, 2.6, 8, weight), transform=here, ha="right", va="center", weight=weight
    )
    axes.text(
        -0.03,
        y - 0.24,
        fit(figure, row.detail, 2.6, 6.6),
        transform=here,
        ha="right",
        va="center",
        fontsize=6.6,
        color=MUTED,
    )
    axes.text(1.04, y, row.text, transform=here, ha="left", va="center", weight=weight)


def _forest_axis(axes: Axes, scale: Scale, low: float, high: float, narrow: bool) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    if scale.log:
        ticks = _ratio_ticks(low, high)
        axes.xaxis.set_major_locator(fixed_ticks(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "\N{MINUS SIGN}"))
    axes.grid(axis="x", color="#eef1f4", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(scale.label, labelpad=15)
    _directions(axes, scale, low, high)
    if not narrow:
        axes.text(
            1.04, 1.02, scale.heading, transform=axes.transAxes, ha="left", va="bottom", color=MUTED, fontsize=7.5
        )


def _directions(axes: Axes, scale: Scale, low: float, high: float) -> None:
    """Say under the axis what lies on either side of no difference, as fully as there is room for."""
    figure, under, points = figure_of(axes), axes.get_xaxis_transform(), 7.0
    box = axes.get_position()
    width, height = figure.get_size_inches()
    transform = np.log if scale.log else float
    share = float((transform(scale.null) - transform(low)) / (transform(high) - transform(low)))
    drop = -0.28 / (box.height * height)
    sides = (
        ("right", box.x0 * width + share * box.width * width, f"\N{LEFTWARDS ARROW} {scale.below}", scale.below),
        (
            "left",
            (1 - box.x0 - box.width) * width + (1 - share) * box.width * width,
            f"{scale.above} \N{RIGHTWARDS ARROW}",
            scale.above,
        ),
    )
    for align, room, text, plain in sides:
        if fit(figure, text, room - 0.12, points) != text:
            text = text.replace(plain, plain.split(" with ")[0])
        shift = -5 if align == "right" else 5
        axes.annotate(
            text,
            (scale.null, drop),
            xycoords=under,
            xytext=(shift, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=points,
            color=MUTED,
            annotation_clip=False,
        )


def _ratio_ticks(low: float, high: float) -> list[float]:
    """Return round ratios between the limits, at a distance that keeps their labels apart."""
    for candidates in (
        (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2),
        (0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4),
        (0.1, 0.2, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 5, 10),
        (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
    ):
        inside = [tick for tick in candidates if low <= tick <= high]
        apart = min((np.log(b / a) for a, b in pairwise(inside)), default=0)
        covered = candidates[0] <= low * 1.25 and candidates[-1] >= high / 1.25
        if covered and apart / np.log(high / low) > 0.07:
            return inside
    return [tick for tick in (0.001, 0.01, 0.1, 1, 10, 100, 1000) if low <= tick <= high]
