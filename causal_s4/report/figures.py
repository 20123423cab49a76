"""The figures, drawn with matplotlib from a result; nothing is estimated here.

Every figure comes in two journal widths: double column (7 inches) and single column (3.5 inches),
which is also what a telephone shows. Arms are blue and orange and differ in more than colour;
unadjusted estimates are open, adjusted ones filled, published ones diamonds.

matplotlib is imported inside functions, so that nothing loads it until a figure is asked for.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.protocol.vocabulary import Arm, Measure, TimeUnit
from causal_s4.report.numbers import convert
from causal_s4.report.reading import LadderRow, Reading, clean, join, mid, slug, state
from causal_s4.results import NOT_SHOWN, BalanceRow, Floats, SurvivalCurve, WeightSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOUBLE_COLUMN, SINGLE_COLUMN = 7.0, 3.5  # inches
BLUE, ORANGE = "#0b6fb8", "#c2410c"
INK, MUTED, FAINT, LINE = "#14202b", "#52616f", "#8894a0", "#d9e0e6"
COLOUR = {Arm.TREATED: BLUE, Arm.CONTROL: ORANGE}

_DOTS = 300
"""An inch of a figure in pixels."""
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    # A dollar sign in a column's name is a dollar sign.
    "text.parse_math": False,
    "text.usetex": False,
    "text.hinting": "none",  # which takes time, and which nobody sees at so many dots an inch
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 8,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "causal-s4",
    "savefig.dpi": _DOTS,
    "path.simplify": True,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure ready to be shown.

    Parameters
    ----------
    name : str
        Stem of its file.
    title : str
        What it shows.
    description : str
        The same in words, for who does not see it.
    note : str
        What a reader must know to read it.
    draw : callable
        Makes the figure at a width in inches.
    """

    name: str
    title: str
    description: str
    note: str
    draw: Callable[[float], Figure]
    made: dict[tuple[str, float], bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was drawn already, by format and width."""

    def svg(self, width: float = DOUBLE_COLUMN) -> str:
        """Return the figure as the text of an SVG file; the same input gives the same bytes."""
        return self._saved("svg", width).decode()

    def png(self, width: float = DOUBLE_COLUMN) -> bytes:
        """Return the figure as the bytes of a PNG file at 300 dots an inch."""
        return self._saved("png", width)

    def _saved(self, kind: str, width: float) -> bytes:
        if (kind, width) not in self.made:
            self._save(width, (kind,))
        return self.made[kind, width]

    def draw_all(self) -> Mapping[tuple[str, float], bytes]:
        """Return what a report shows: SVG at two widths, and PNG. Each width is laid out once."""
        self._save(DOUBLE_COLUMN, ("svg", "png"))
        self._save(SINGLE_COLUMN, ("svg",))
        return self.made

    def _save(self, width: float, kinds: Sequence[str]) -> None:
        with figure_style():
            figure = self.draw(width)
            for kind in kinds:
                if kind == "png":
                    self.made[kind, width] = _pixels(figure)
                else:
                    self.made[kind, width] = _describe(_vectors(figure), self.title, self.description).encode()


@contextmanager
def figure_style(more: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Draw in the style of the report, whatever the reader's own settings are."""
    import matplotlib

    with matplotlib.rc_context(cast(Any, {**_STYLE, **(more or {})})), warnings.catch_warnings():
        # A label in a script the bundled font lacks is drawn by the reader's own font in the SVG.
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield


def _vectors(figure: Figure) -> str:
    """Return the text of an SVG file, without when and by what it was made."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().decode()


def _pixels(figure: Figure) -> bytes:
    """Return the bytes of a PNG file at 300 dots an inch.

    Without transparency, which a white figure has not, and at half the usual effort of packing it is made in half the time
    and no larger.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(_DOTS)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    picture.convert("RGB").save(buffer, "png", compress_level=3, dpi=(_DOTS, _DOTS))
    return buffer.getvalue()


def _describe(svg: str, title: str, description: str) -> str:
    """Put a title and a description into an SVG, and take out what names its maker."""
    from xml.sax.saxutils import escape

    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # The style sheet would reach beyond the figure on a page that holds it; its two rules are inherited just as well.
    svg = re.sub(r"\s*<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", svg, count=1)
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    # A hundredth of a point is finer than any screen or press.
    svg = re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m.group()), svg)
    said = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>\n "
    return re.sub(r"(<svg [^>]*>\s*)", lambda m: m.group(1) + said, svg, count=1)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _figure_of(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


def _axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add axes whose margins are given in inches, so that text has the room it needs at any width."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def _fit(figure: Figure, text: str, inches: float, points: float, weight: str = "normal") -> str:
    """Return the text, shortened by an ellipsis until it is no wider than asked."""
    from matplotlib.font_manager import FontProperties

    font, renderer = FontProperties(size=points, weight=weight), figure.canvas.get_renderer()  # type: ignore[attr-defined]

    def measure(trial: str) -> float:
        return float(renderer.get_text_width_height_descent(trial, font, False)[0]) / figure.dpi

    shown = clean(text)
    while len(shown) > 1 and measure(shown) > inches:
        shown = clean(shown.rstrip("…"), len(shown.rstrip("…")) - 1)
    return shown


def _narrow(width: float) -> bool:
    return width < 5


# --- curves -------------------------------------------------------------------------------------


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
    narrow = _narrow(width)
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
        axes.set_title(_fit(figure, reading.analysis(pair), each, 8.5, "bold"))
        if narrow or index == 0:
            axes.set_ylabel(_fit(figure, f"{clean(outcome)}, %", plot + 0.3, 8))
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
        name = _fit(figure, reading.arm(arm), box.width * width, 7, "bold")
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


# --- balance ------------------------------------------------------------------------------------


def love(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the absolute standardised mean differences before and after weighting, the largest on top."""
    rows = _love_rows(reading)
    narrow = _narrow(width)
    figure = new_figure(width, 0.92 + 0.205 * len(rows))
    label = 1.45 if narrow else 2.1
    axes = _axes(figure, label, 0.5, 0.18, 0.42)
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
    figure = new_figure(width, 2.9 if _narrow(width) else 3.1)
    axes = _axes(figure, 0.62, 0.5, 0.14, 0.5 if not _narrow(width) else 0.8)
    edges = np.array(histogram.edges)
    for arm, sign, observed, weighted in (
        (Arm.TREATED, 1, histogram.treated, histogram.treated_weighted),
        (Arm.CONTROL, -1, histogram.control, histogram.control_weighted),
    ):
        counts = np.array(observed, dtype=float)
        name = reading.arm(arm, 24 if _narrow(width) else 30)
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
    axes.set_xlabel("Propensity score: estimated probability of treatment", x=0.5 if not _narrow(width) else 0.44)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="upper left",
        ncol=1 if _narrow(width) else 2,
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
    narrow = _narrow(width)
    figure = new_figure(width, 0.62 + (0.36 if narrow else 0.25) * len(rows) + 0.08 * len(rows) / 2)
    axes = _axes(figure, 0.12 if narrow else 2.55, 0.45, 0.12 if narrow else 1.35, 0.24)
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


def fixed_ticks(ticks: Sequence[float]) -> Any:
    """Return a locator of just these ticks."""
    from matplotlib.ticker import FixedLocator

    return FixedLocator(list(ticks))


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


# --- the ladder ---------------------------------------------------------------------------------

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
    narrow = _narrow(width)
    step = 0.44 if narrow else 0.36
    top, bottom = 0.08 if narrow else 0.34, 0.72
    figure = new_figure(width, top + bottom + step * len(rows))
    left, right = (0.1, 0.1) if narrow else (2.72, 1.42)
    axes = _axes(figure, left, bottom, right, top)
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
    figure, here = _figure_of(axes), axes.get_yaxis_transform()
    weight = "bold" if row.kind == "primary" else "normal"
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    if narrow:
        label = _fit(figure, row.short, 1.95, 7.5, weight)
        axes.text(0, y + 0.43, label, transform=here, ha="left", va="center", weight=weight, fontsize=7.5, bbox=behind)
        axes.text(
            1, y + 0.43, row.text, transform=here, ha="right", va="center", weight=weight, fontsize=7.5, bbox=behind
        )
        return
    axes.text(
        -0.03, y + 0.16, _fit(figure, row.label, 2.6, 8, weight), transform=here, ha="right", va="center", weight=weight
    )
    axes.text(
        -0.03,
        y - 0.24,
        _fit(figure, row.detail, 2.6, 6.6),
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
    figure, under, points = _figure_of(axes), axes.get_xaxis_transform(), 7.0
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
        if _fit(figure, text, room - 0.12, points) != text:
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


# --- the set ------------------------------------------------------------------------------------


_MOST_INDEPENDENCIES = 20


def independencies(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw what the diagram implies against what the cohort shows, the largest departures first."""
    level = reading.result.protocol.inference.level
    write = reading.numbers
    rows = []
    for test in sorted(reading.result.adjustment.tests, key=lambda each: -abs(each.estimate))[:_MOST_INDEPENDENCIES]:
        limits = write.interval(write.number(test.lower, 2), write.number(test.upper, 2))
        given = f"given {join(mid(reading.covariate(name)) for name in test.given)}" if test.given else "given nothing"
        label = f"{reading.covariate(test.x)} and {mid(reading.covariate(test.y))}"
        rows.append(
            LadderRow(
                kind="effect" if test.p_adjusted < 1 - level else "conditional",
                label=label,
                short=label,
                detail=given,
                value=test.estimate,
                lower=test.lower,
                upper=test.upper,
                text=f"{write.number(test.estimate, 2)} ({limits})",
            )
        )
    scale = Scale(
        null=0.0,
        log=False,
        label="Partial correlation, 0 as the diagram implies",
        heading=f"Correlation ({write.level(level)})",
        below="less",
        above="more",
    )
    return forest(rows, scale, width)


def drawings(reading: Reading) -> list[Drawing]:
    """Return every figure a result supports, in the order a report shows them."""
    found: list[Drawing] = []
    for outcome in reading.outcomes:
        found += _outcome_drawings(reading, outcome, file_suffix(reading, outcome))
    balance, summary = reading.result.balance, reading.result.weights
    if balance and balance.rows:
        worst = max(balance.rows, key=lambda row: abs(row.smd_after))
        found.append(
            Drawing(
                name="love",
                title="Covariate balance before and after weighting",
                description=f"Absolute standardised mean differences of {len(balance.rows)} terms. "
                f"The largest after weighting is {reading.numbers.smd(abs(worst.smd_after))} ({reading.term(worst)}).",
                note=f"Both columns share one denominator: {clean(balance.denominator)}. The broken line marks 0.1.",
                draw=lambda width: love(reading, width=width),
            )
        )
    if summary and summary.histogram:
        found.append(
            Drawing(
                name="overlap",
                title="Overlap of the arms on the propensity score",
                description="Mirrored histogram of the estimated probability of treatment, by arm, "
                "before and after weighting.",
                note="Shares of each arm; outlines before weighting, filled bars after it."
                + _hidden(reading, "Bars of fewer than {} patients are left out."),
                draw=lambda width: overlap(reading, width=width),
            )
        )
    if summary and summary.quantiles:
        found.append(
            Drawing(
                name="weights",
                title="Distribution of the weights",
                description="Spread of the weights of each population and arm, with the effective number of patients.",
                note="Thin line: 1st to 99th percentile; thick line: the middle half; tick: median; "
                "dot: the largest weight.",
                draw=lambda width: weights(reading, width=width),
            )
        )
    tests = reading.result.adjustment.tests
    if tests:
        against = sum(test.p_adjusted < 1 - reading.result.protocol.inference.level for test in tests)
        shown = min(len(tests), _MOST_INDEPENDENCIES)
        found.append(
            Drawing(
                name="independencies",
                title="Independencies the diagram implies, held against the cohort",
                description=f"Partial correlations of {shown} of {len(tests)} pairs with intervals; {against} contradict "
                "the diagram.",
                note=f"The {shown} largest departures. Filled marks contradict the diagram, open ones do not; "
                "what is not contradicted is not thereby shown.",
                draw=lambda width: independencies(reading, width=width),
            )
        )
    return found


def _hidden(reading: Reading, said: str) -> str:
    """Return what a figure leaves out as a sentence with the threshold in it; empty when nothing is hidden."""
    return f" {said.format(reading.suppress_below)}" if reading.suppress_below > 1 else ""


def file_suffix(reading: Reading, outcome: str) -> str:
    """Return what the file names of an outcome's figures end with; nothing for the primary outcome."""
    number = reading.outcomes.index(outcome)
    return f"-{number + 1}-{slug(outcome)}".rstrip("-") if number else ""


def _outcome_drawings(reading: Reading, outcome: str, suffix: str) -> list[Drawing]:
    found = []
    if reading.curves(reading.naive, outcome) or reading.curves(reading.front, outcome):
        found.append(
            Drawing(
                name=f"curves{suffix}",
                title=f"{clean(outcome)}, unadjusted and adjusted",
                description=_curves_in_words(reading, outcome),
                note="Bands are pointwise intervals. The table counts patients, not weights."
                + _hidden(reading, "A curve ends where fewer than {} are at risk."),
                draw=lambda width: curves(reading, outcome, width=width),
            )
        )
    rows = reading.ladder(outcome, Measure.HAZARD_RATIO)
    if any(row.kind != "benchmark" for row in rows):
        found.append(
            Drawing(
                name=f"ladder{suffix}",
                title=f"Hazard ratios for {mid(clean(outcome))}, from unadjusted to published",
                description="; ".join(f"{row.label} {row.text}" for row in rows),
                note="Open marks are unadjusted or conditional, filled squares weighted, diamonds published. "
                "The dotted line repeats the unadjusted estimate.",
                draw=lambda width: ladder(reading, outcome, width=width),
            )
        )
    horizon = reading.headline_horizon(outcome)
    for measure, name in (
        (Measure.SURVIVAL_DIFFERENCE, "survival-difference"),
        (Measure.RMST_DIFFERENCE, "rmst-difference"),
    ):
        rows = reading.ladder(outcome, measure, horizon) if horizon is not None else []
        if rows:
            found.append(_absolute_drawing(reading, outcome, measure, f"{name}{suffix}", rows))
    return found


def _absolute_drawing(reading: Reading, outcome: str, measure: str, name: str, rows: Sequence[LadderRow]) -> Drawing:
    at = reading.duration(reading.headline_horizon(outcome))
    what = (
        f"Difference in survival at {at}"
        if measure == Measure.SURVIVAL_DIFFERENCE
        else f"Difference in mean survival time to {at}"
    )
    return Drawing(
        name=name,
        title=f"{what}: {mid(clean(outcome))}",
        description="; ".join(f"{row.label} {row.text}" for row in rows),
        note="Treated minus control. The dotted line repeats the unadjusted estimate.",
        draw=lambda width: absolute(reading, outcome, measure, width=width),
    )


def _curves_in_words(reading: Reading, outcome: str) -> str:
    at = reading.headline_horizon(outcome)
    sentences = []
    for pair in (reading.naive, reading.front):
        side = reading.side(pair, outcome)
        if side.survival_treated and side.survival_control:
            shares = join(
                f"{reading.value(each)}% with {reading.arm_words(arm)}"
                for arm, each in ((Arm.TREATED, side.survival_treated), (Arm.CONTROL, side.survival_control))
            )
            sentences.append(f"{side.title}: {shares} {state(outcome)} at {reading.duration(at)}.")
    return " ".join(sentences) or f"Survival curves for {clean(outcome)}."
