"""Survival curves of both arms, with the patients at risk below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causal_s4.protocol.vocabulary import Arm, Measure, TimeUnit
from causal_s4.report.drawing import BLUE, COLOUR, DOUBLE_COLUMN, INK, LINE, MUTED, ORANGE, fit, is_narrow, new_figure
from causal_s4.report.numbers import convert
from causal_s4.report.reading import Reading, clean
from causal_s4.results import NOT_SHOWN, Floats, SurvivalCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(reading: Reading, outcome: str, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw naive and adjusted survival curves side by side, with bands and the patients at risk.

    Parameters
    ----------
    reading : Reading
        The result.
    outcome : str
        Name of the outcome.
    width : float
        In inches; below 5 the panels stand one under the other.

    Returns
    -------
    Figure

    Notes
    -----
    The panel of the adjusted curves repeats the unadjusted ones as dotted lines. The table shows
    patients, and under them, smaller, the effective number when weights make it another one.
    """
    pairs = list(dict.fromkeys((reading.naive, reading.front)))
    panels = [(pair, shown) for pair in pairs if (shown := _shown_curves(reading, pair, outcome))]
    unit, ticks = time_axis(reading, [curve for _, by_arm in panels for curve in by_arm.values()])
    end = axis_end(reading, outcome, unit, ticks)
    narrow = is_narrow(width)
    legend, table, plot, left, right, between = 0.6 if narrow else 0.5, 1.5, 1.95, 0.56, 0.2, 0.36
    rows, columns = (len(panels), 1) if narrow else (1, len(panels))
    height = legend + rows * (plot + table + 0.15)
    figure = new_figure(width, height)
    each = (width - left - right - between * (columns - 1)) / columns
    naive = dict(panels).get(reading.naive, {})
    for index, (pair, by_arm) in enumerate(panels):
        x = left if narrow else left + index * (each + between)
        y = height - legend - (index + 1 if narrow else 1) * (plot + table + 0.15) + table + 0.15
        axes = figure.add_axes((x / width, y / height, each / width, plot / height))
        _draw_curves(axes, reading, by_arm, unit, ticks, end, ghost=naive if pair != reading.naive else {})
        axes.set_title(fit(figure, reading.analysis(pair), each, 8.5, "bold"))
        if narrow or index == 0:
            axes.set_ylabel(fit(figure, f"{clean(outcome)}, %", plot + 0.3, 8))
        _at_risk(figure, axes, reading, by_arm, unit, ticks, end)
    _arm_legend(figure, reading, ghost=len(panels) > 1, narrow=narrow)
    return figure


def _shown_curves(reading: Reading, pair: tuple[str, str], outcome: str) -> dict[str, SurvivalCurve]:
    found = reading.curves(pair, outcome)
    return {arm: found[arm] for arm in (Arm.TREATED, Arm.CONTROL) if arm in found}


def time_axis(
    reading: Reading, drawn: Sequence[SurvivalCurve], unit: TimeUnit | None = None
) -> tuple[TimeUnit, Floats]:
    """Return the unit of a time axis and its ticks, which are the times of the at-risk table.

    Parameters
    ----------
    reading : Reading
        The result.
    drawn : sequence of SurvivalCurve
        The curves that share the axis.
    unit : TimeUnit, optional
        The unit wanted; by default years beyond three years of follow-up, months, or days.
    """
    own = reading.result.cohort.time_unit
    times = np.unique(np.concatenate([curve.risk_times for curve in drawn]))
    if unit is None:
        last = convert(float(times[-1]), own, TimeUnit.MONTHS) or 1.0
        unit = TimeUnit.YEARS if last > 36 else TimeUnit.MONTHS if last >= 3 else TimeUnit.DAYS
    every = max(1, int(np.ceil((len(times) - 1) / 6)))
    return unit, np.array([convert(float(time), own, unit) for time in times[::every]])


def axis_end(reading: Reading, outcome: str, unit: TimeUnit, ticks: Floats) -> float:
    """Return where the time axis of an outcome's curves ends: the last tick, or its longest horizon if that is later."""
    own = reading.result.cohort.time_unit
    horizons = reading.horizons(outcome, Measure.SURVIVAL_DIFFERENCE)
    return max([float(ticks[-1]), *(convert(each, own, unit) or 0.0 for each in horizons if each is not None)])


def _draw_curves(
    axes: Axes,
    reading: Reading,
    by_arm: Mapping[str, SurvivalCurve],
    unit: TimeUnit,
    ticks: Floats,
    end: float,
    ghost: Mapping[str, SurvivalCurve],
) -> None:
    def last(curve: SurvivalCurve) -> float:
        return min(end, reading.last_shown(curve) * TimeUnit(curve.unit).in_days / unit.in_days)

    for arm, curve in ghost.items():
        x, (survival,) = thin(curve, unit, last(curve), curve.survival)
        axes.step(
            x, 100 * survival, where="post", color=COLOUR[Arm(arm)], lw=1.0, ls=(0, (1.2, 1.6)), gid=f"ghost-{arm}"
        )
    for arm, curve in by_arm.items():
        x, (survival, lower, upper) = thin(curve, unit, last(curve), curve.survival, curve.lower, curve.upper)
        colour = COLOUR[Arm(arm)]
        axes.fill_between(x, 100 * lower, 100 * upper, step="post", color=colour, alpha=0.16, lw=0, gid=f"band-{arm}")
        dashes = "-" if arm == Arm.TREATED else (0, (5, 1.3))
        axes.step(x, 100 * survival, where="post", color=colour, lw=1.6, ls=dashes, gid=f"curve-{arm}")
    axes.set_xlim(0, end)
    # The end is marked too, unless its number would touch the one before.
    marked = [*ticks, end] if len(ticks) > 1 and end - ticks[-1] > 0.6 * (ticks[1] - ticks[0]) else list(ticks)
    axes.set_xticks(marked, [_tick(tick) for tick in marked])
    axes.set_ylim(0, 100.5)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", color=LINE, lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{unit.value.capitalize()} since time zero", labelpad=3)


def thin(
    curve: SurvivalCurve, unit: TimeUnit, end: float, *columns: Floats, stretches: int = 300
) -> tuple[Floats, list[Floats]]:
    """Keep the last step of each stretch of the axis: the same look at a fraction of the size.

    Parameters
    ----------
    curve : SurvivalCurve
        Whose times they are.
    unit : TimeUnit
        Unit of ``end`` and of the times returned.
    end : float
        Where the curve stops.
    columns : ndarray
        Values at the curve's times.
    stretches : int
        How many steps are kept at most.

    Returns
    -------
    ndarray, list of ndarray
        Times up to ``end``, and the columns at them.
    """
    times = curve.times * TimeUnit(curve.unit).in_days / unit.in_days
    keep = times <= end * (1 + 1e-9)
    stretch = np.floor(times[keep] / end * stretches) if end > 0 else np.zeros(keep.sum())
    last = np.append(np.flatnonzero(np.diff(stretch) > 0), keep.sum() - 1)
    index = np.unique(np.concatenate([[0], last]))
    x = np.append(times[keep][index], end)
    return x, [np.append(column[keep][index], column[keep][index][-1]) for column in columns]


def _tick(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"


def _at_risk(
    figure: Figure,
    axes: Axes,
    reading: Reading,
    by_arm: Mapping[str, SurvivalCurve],
    unit: TimeUnit,
    ticks: Floats,
    end: float,
) -> None:
    """Write the at-risk table under a panel: patients, and in brackets the effective number if it differs."""
    width, height = figure.get_size_inches()
    box = axes.get_position()
    weighted = any(
        not np.allclose(curve.ess_at_risk[shown], curve.at_risk[shown])
        for curve in by_arm.values()
        for shown in (curve.at_risk != NOT_SHOWN,)
    )
    left, y = box.x0 - 0.12 / width, box.y0 * height - 0.5
    heading = "Patients at risk" + (" (effective number)" if weighted else "")
    figure.text(left, y / height, heading, fontsize=7, color=MUTED, va="center")
    for arm, curve in by_arm.items():
        y -= 0.17
        name = fit(figure, reading.arm(arm), box.width * width, 7, "bold")
        figure.text(left, y / height, name, fontsize=7, color=COLOUR[Arm(arm)], va="center", weight="bold")
        y -= 0.14
        shown = [(tick, index) for tick in ticks if (index := _nearest(curve, unit, tick)) is not None]
        for tick, index in shown:
            x = box.x0 + box.width * tick / end
            patients = int(curve.at_risk[index])
            figure.text(x, y / height, reading.people(patients), fontsize=7, color=INK, ha="center", va="center")
            if weighted and not reading.small(patients):
                effective = f"({reading.numbers.number(float(curve.ess_at_risk[index]), 0)})"
                figure.text(x, (y - 0.125) / height, effective, fontsize=6.2, color=MUTED, ha="center", va="center")
        y -= 0.125 * weighted


def _nearest(curve: SurvivalCurve, unit: TimeUnit, tick: float) -> int | None:
    times = curve.risk_times * TimeUnit(curve.unit).in_days / unit.in_days
    index = int(np.argmin(np.abs(times - tick)))
    return index if abs(times[index] - tick) < 1e-6 * max(1.0, tick) else None


def _arm_legend(figure: Figure, reading: Reading, *, ghost: bool, narrow: bool) -> None:
    from matplotlib.lines import Line2D

    most = 40 if narrow else 34
    handles = [
        Line2D([], [], color=BLUE, lw=1.8, label=reading.arm(Arm.TREATED, most)),
        Line2D([], [], color=ORANGE, lw=1.8, ls=(0, (5, 1.3)), label=reading.arm(Arm.CONTROL, most)),
    ]
    if ghost and not narrow:
        handles.append(Line2D([], [], color=MUTED, lw=1.0, ls=(0, (1.2, 1.6)), label="unadjusted, repeated"))
    figure.legend(
        handles=handles,
        loc="upper left",
        ncol=1 if narrow else 3,
        bbox_to_anchor=(0.0, 1.0),
        handlelength=2.6,
        labelspacing=0.3,
    )
