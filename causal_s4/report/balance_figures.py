"""Whether the arms are alike: balance, overlap of propensity scores, and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Arm
from causal_s4.report.drawing import (
    BLUE,
    COLOUR,
    DOUBLE_COLUMN,
    FAINT,
    INK,
    LINE,
    MUTED,
    ORANGE,
    axes_in,
    fixed_ticks,
    is_narrow,
    new_figure,
)
from causal_s4.report.reading import Reading, clean
from causal_s4.results import BalanceRow, Floats, WeightSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def love(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the absolute standardised mean differences before and after weighting, the largest on top."""
    rows = _love_rows(reading)
    narrow = is_narrow(width)
    figure = new_figure(width, 0.92 + 0.205 * len(rows))
    label = 1.45 if narrow else 2.1
    axes = axes_in(figure, label, 0.5, 0.18, 0.42)
    before, after = (np.array([abs(getattr(row, name)) for row in rows]) for name in ("smd_before", "smd_after"))
    finite = np.concatenate([before, after])[np.isfinite(np.concatenate([before, after]))]
    end = min(max(0.2, 1.06 * finite.max(initial=0.2)), 2.5)
    y = np.arange(len(rows))[::-1]
    axes.hlines(y, np.minimum(after, end), np.minimum(before, end), color=LINE, lw=2.2, zorder=1)
    axes.axvline(0.1, color=FAINT, ls=(0, (4, 3)), lw=0.9, zorder=0)
    axes.text(0.1, len(rows) - 0.35, "0.1", color=MUTED, fontsize=7.5, ha="center", va="bottom")
    for values, marker, size, face, edge, name in (
        (before, "o", 26, "white", ORANGE, "before weighting"),
        (after, "s", 22, BLUE, BLUE, "after weighting"),
    ):
        inside = values <= end
        axes.scatter(
            values[inside],
            y[inside],
            marker=marker,
            s=size,
            facecolor=face,
            edgecolor=edge,
            lw=1.3,
            zorder=3,
            label=name,
        )
        axes.scatter(
            np.full((~inside).sum(), end),
            y[~inside],
            marker=">",
            s=size,
            facecolor=face,
            edgecolor=edge,
            lw=1.3,
            zorder=3,
            clip_on=False,
        )
    axes.set_yticks(y, [clean(reading.term(row), 24 if narrow else 36) for row in rows], color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(-0.012 * end, end)
    axes.grid(axis="y", color="#eef1f4", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("Absolute standardised mean difference", x=0.5 if not narrow else 0.3)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        ncol=2,
        bbox_to_anchor=(0, 1),
        handletextpad=0.2,
        columnspacing=1.2,
    )
    return figure


def _love_rows(reading: Reading) -> list[BalanceRow]:
    balance = reading.result.balance
    return sorted(balance.rows, key=lambda row: (-abs(row.smd_before), row.term)) if balance else []


def overlap(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the propensity score of the arms as a mirrored histogram: treated upwards, control downwards.

    Bars are shares of an arm, so that arms of unequal size can be compared: outlines before
    weighting, filled after it.
    """
    summary = reading.result.weights
    histogram = summary.histogram if summary else None
    if histogram is None:
        raise UsageError("this result holds no propensity scores to draw")
    figure = new_figure(width, 2.9 if is_narrow(width) else 3.1)
    axes = axes_in(figure, 0.62, 0.5, 0.14, 0.5 if not is_narrow(width) else 0.8)
    edges = np.array(histogram.edges)
    for arm, sign, observed, weighted in (
        (Arm.TREATED, 1, histogram.treated, histogram.treated_weighted),
        (Arm.CONTROL, -1, histogram.control, histogram.control_weighted),
    ):
        counts = np.array(observed, dtype=float)
        name = reading.arm(arm, 24 if is_narrow(width) else 30)
        axes.stairs(
            sign * _percent(np.array(weighted)),
            edges,
            fill=True,
            color=COLOUR[arm],
            alpha=0.28,
            label=f"{name}, weighted",
        )
        axes.stairs(
            sign * _percent(counts),
            edges,
            color=COLOUR[arm],
            lw=1.1,
            ls="-" if arm == Arm.TREATED else (0, (3, 1)),
            label=f"{name}, observed",
        )
    axes.axhline(0, color=INK, lw=0.7)
    axes.set_ylim(*(1.08 * axes.dataLim.intervaly))
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes.set_ylabel("Share of the arm, %")
    axes.set_xlabel("Propensity score: estimated probability of treatment", x=0.5 if not is_narrow(width) else 0.44)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        ncol=1 if is_narrow(width) else 2,
        bbox_to_anchor=(0, 1),
        handlelength=1.6,
        labelspacing=0.3,
    )
    return figure


def _percent(values: Floats) -> Floats:
    total = values.sum()
    return 100 * values / total if total else values


def weights(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the spread of the weights of each population and arm, relative to the arm's mean, on a log axis.

    Thin line 1 to 99 per cent, thick line the middle half, tick the median, dot the largest.
    """
    rows = [
        (summary, arm) for summary in reading.weights for arm in (Arm.TREATED, Arm.CONTROL) if arm in summary.quantiles
    ]
    narrow = is_narrow(width)
    figure = new_figure(width, 0.62 + (0.36 if narrow else 0.25) * len(rows) + 0.08 * len(rows) / 2)
    axes = axes_in(figure, 0.12 if narrow else 2.55, 0.45, 0.12 if narrow else 1.35, 0.24)
    y, positions = 0.0, []
    for index, (summary, arm) in enumerate(rows):
        y -= 1.0 if index == 0 or rows[index - 1][0] is summary else 1.35
        positions.append(y)
        q = np.array(summary.quantiles[arm]) / _mean(summary, arm)
        floor = q[q > 0].min(initial=1.0)
        q = np.maximum(q, floor)
        colour = COLOUR[arm]
        axes.plot(q[[1, 7]], [y, y], color=colour, lw=1.1, solid_capstyle="butt")
        axes.plot(q[[3, 5]], [y, y], color=colour, lw=5.5, alpha=0.45, solid_capstyle="butt")
        axes.plot(q[4], y, marker="|", color=colour, ms=9, mew=1.8)
        axes.plot(q[8], y, marker="o" if arm == Arm.TREATED else "s", color=colour, ms=3.6)
        _weight_labels(axes, reading, summary, arm, y, narrow)
    axes.axvline(1, color=FAINT, lw=0.8, zorder=0)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # One tick each power of ten over a long range, three over a short one; never the library's own in between.
    steps = (1, 2, 5) if high / low < 300 else (1,)
    ticks = [step * 10.0**power for power in range(-6, 7) for step in steps]
    axes.xaxis.set_major_locator(fixed_ticks([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(fixed_ticks([]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(min(positions) - 0.6, 0.0 if narrow else -0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("Weight, relative to the mean of its arm (log scale)")
    return figure


def _mean(summary: WeightSummary, arm: str) -> float:
    mean = summary.mean_treated if arm == Arm.TREATED else summary.mean_control
    return mean if np.isfinite(mean) and mean > 0 else 1.0


def _weight_labels(axes: Axes, reading: Reading, summary: WeightSummary, arm: str, y: float, narrow: bool) -> None:
    """Name the row on the left and write its effective number of patients on the right."""
    ess = summary.ess_treated if arm == Arm.TREATED else summary.ess_control
    of = reading.result.cohort.treated if arm == Arm.TREATED else reading.result.cohort.control
    name = f"{clean(summary.population, 16)}, {reading.arm(arm, 26 if narrow else 24)}"
    number = f"effective {reading.numbers.number(ess, 0)} of {reading.people(of)}"
    here = axes.get_yaxis_transform()
    if narrow:
        axes.text(0, y + 0.42, name, transform=here, ha="left", va="center", fontsize=7, color=INK)
        axes.text(1, y + 0.42, number, transform=here, ha="right", va="center", fontsize=7, color=MUTED)
    else:
        axes.text(-0.03, y, name, transform=here, ha="right", va="center", color=INK)
        axes.text(1.03, y, number, transform=here, ha="left", va="center", color=MUTED, fontsize=7.5)
