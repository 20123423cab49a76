"""Figures of doubt and of time zero: bias contours, the specification curve, the fate of clones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causal_s4.protocol.vocabulary import Arm, TimeUnit
from causal_s4.report.drawing import (
    BLUE,
    DOUBLE_COLUMN,
    FAINT,
    INK,
    LINE,
    MUTED,
    ORANGE,
    Drawing,
    fixed_ticks,
    new_figure,
)
from causal_s4.report.reading import Reading, capital, clean, mid, pretty
from causal_s4.results import CloneFlow, CloneFlowRow, SensitivityResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHOICES = ("design", "population", "method", "covariates", "curves", "truncate", "trim", "missing")
"""Axes of a specification curve, in the order they are shown."""
_NARROW = 5.0


# --- bias contour ---------------------------------------------------------------------------------


def contour_drawing(reading: Reading) -> Drawing | None:
    """Return what confounders of every pair of strengths would make of the estimate; None without it.

    The measured covariates stand on it as marks.
    """
    probed = reading.result.sensitivity
    result = next((r for r in probed if r.method == "bias factor" and _is_grid(r.table)), None)
    if result is None:
        return None
    marks = [
        (reading.covariate(str(row["covariate"])), float(row["rr_eu"]), float(row["rr_ud"]))
        for r in probed
        if r.method == "bias factor" and r.target.get("benchmark") is not None
        for row in r.table
    ]
    measure = clean(str(result.parameters.get("measure") or result.unit))
    true = reading.numbers.general(_true(result))
    said = f" Dots are the {len(marks)} measured covariates, each by itself." if marks else ""
    broken = " on the broken line its interval would reach that;" if _bias(result, "bound") else ""
    return Drawing(
        name="contour",
        title="What would have to be true for the effect to vanish",
        description=f"The strengths of an unmeasured confounder's links with treatment and with the outcome that would "
        f"bring the {measure} to {true}.{said}",
        note=f"A confounder on the thick line or beyond it could have made all of the {measure}; without it, it would be "
        f"{true};{broken} on a thin line, the number on it.{said} The diamond is the E-value.",
        draw=lambda width: contour(reading, result, marks, width=width),
    )


def _is_grid(table: Sequence[Mapping[str, Any]]) -> bool:
    sides = {float(row.get("rr_eu", 0)) for row in table}
    return len(sides) > 2 and len(table) == len(sides) ** 2 and all("estimate" in row for row in table)


def _true(result: SensitivityResult) -> float:
    return float(result.parameters.get("true") or 1.0)


def _bias(result: SensitivityResult, name: str) -> float | None:
    """Return a bias factor above one that a line can be drawn for."""
    value = getattr(result, name)
    return float(value) if value is not None and value > 1 + 1e-9 else None


def _strength(bias: float) -> float:
    """Return where the line of a bias factor meets the diagonal."""
    return float(bias + np.sqrt(bias * (bias - 1)))


def contour(
    reading: Reading,
    result: SensitivityResult,
    marks: Sequence[tuple[str, float, float]] = (),
    *,
    width: float = DOUBLE_COLUMN,
) -> Figure:
    """Draw the lines of the pairs of strengths that move the estimate equally far.

    Parameters
    ----------
    reading : Reading
        The result.
    result : SensitivityResult
        A "bias factor" analysis.
    marks : sequence of (str, float, float)
        Measured covariates with their risk ratios with treatment and with the outcome.
    width : float
        In inches.

    Notes
    -----
    A line of bias factor B is y = B (x - 1) / (x - B). Ding & VanderWeele 2016, 10.1097/EDE.0000000000000457.
    """
    needed, interval = _bias(result, "value"), _bias(result, "bound")
    far = max([3.0, *(1.15 * each for _, x, y in marks for each in (x, y))])
    far = max(far, 1.8 * _strength(needed)) if needed else far
    figure = new_figure(width, min(width, 5.0) * 0.86 + 0.35)
    axes = figure.add_axes((0.62 / width, 0.16, 1 - 0.8 / width, 0.8))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, far)
    axes.set_ylim(1, far)
    observed, true = float(result.parameters.get("risk_ratio") or 1.0), _true(result)
    for level in _levels(observed, true, far):
        bias = max(observed / level, level / observed)
        where = _line(axes, bias, far, color=FAINT, lw=0.8)
        axes.annotate(
            reading.numbers.number(level, 2), where, fontsize=7, color=MUTED, ha="center", backgroundcolor="white"
        )
    if interval:
        _line(axes, interval, far, color=ORANGE, lw=1.4, ls="--")
    if needed:
        _line(axes, needed, far, color=ORANGE, lw=2.2)
        axes.plot(_strength(needed), _strength(needed), "D", ms=6, color=ORANGE, zorder=4)
    _draw_marks(axes, marks, far, width)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(fixed_ticks([tick for tick in (1, 1.25, 1.5, 2, 3, 5, 10, 20, 50) if tick <= far]))
        axis.set_minor_locator(fixed_ticks([]))
        axis.set_major_formatter(lambda value, _: reading.numbers.general(float(value)))
    axes.set_xlabel("Risk ratio, treatment with confounder (log scale)")
    axes.set_ylabel("Risk ratio, confounder with outcome (log scale)")
    return figure


def _levels(observed: float, true: float, far: float) -> list[float]:
    """Return round ratios that a confounder within the figure could turn the estimate into, on the way to true and past it."""
    reach = far * far / (2 * far - 1)
    toward = 1.0 if observed < true else -1.0
    round_ones = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0)
    return [
        level for level in round_ones if abs(level - true) > 1e-9 and 1.02 < (level / observed) ** toward < 0.9 * reach
    ]


def _line(axes: Axes, bias: float, far: float, **style: Any) -> tuple[float, float]:
    """Draw the line of a bias factor and return where it meets the diagonal."""
    middle = _strength(bias)
    right = np.geomspace(middle, max(far, middle * 1.01), 60)
    below = bias * (right - 1) / (right - bias)
    axes.plot([*below[::-1], *right], [*right[::-1], *below], solid_capstyle="butt", **style)
    return middle, middle


def _draw_marks(axes: Axes, marks: Sequence[tuple[str, float, float]], far: float, width: float) -> None:
    """Draw measured covariates with labels that do not lie on each other."""
    most = 16 if width < _NARROW else 28
    taken: list[tuple[float, float]] = []
    for name, x, y in sorted(marks, key=lambda mark: -mark[2]):
        axes.plot(x, y, "o", ms=4.5, color=BLUE, zorder=5)
        # places are shares of the axes, on which a line of text is some 4 % high
        across, up = (float(np.log(each) / np.log(far)) for each in (x, y))
        while any(abs(across - other) < 0.3 and abs(up - height) < 0.042 for other, height in taken):
            up -= 0.01
        taken.append((across, up))
        left = across > 0.7
        axes.annotate(
            clean(name, most),
            (across + (-0.012 if left else 0.012), up),
            xycoords="axes fraction",
            fontsize=7.5,
            color=BLUE,
            ha="right" if left else "left",
            va="center",
            zorder=6,
        )


# --- specification curve --------------------------------------------------------------------------


def specification_drawing(reading: Reading) -> Drawing | None:
    """Return the specification curve; None without one."""
    result = next((r for r in reading.result.sensitivity if r.method == "specification curve" and r.table), None)
    rows = _estimated(result) if result else []
    if result is None or not rows:
        return None
    admissible = [row for row in rows if row.get("admissible")]
    crossing = sum(not row.get("excludes_one") for row in admissible)
    count = reading.numbers.count
    return Drawing(
        name="specifications",
        title=f"The {clean(result.unit) or 'estimate'} under every reasonable choice of analysis",
        description=f"{count(len(rows))} specifications in the order of their estimates, {count(len(admissible))} of them "
        f"admissible; the interval of {count(crossing)} of these includes 1.",
        note="Filled: admissible; open: shown for what they are. Each column of dots is one specification and its choices.",
        draw=lambda width: specifications(reading, result, width=width),
    )


def _estimated(result: SensitivityResult) -> list[Mapping[str, Any]]:
    return [row for row in result.table if row.get("value") is not None]


def specifications(reading: Reading, result: SensitivityResult, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the sorted estimates over the choices each was made with.

    Parameters
    ----------
    reading : Reading
        The result.
    result : SensitivityResult
        A "specification curve".
    width : float
        In inches.
    """
    rows = _estimated(result)
    choices = _choices(reading, rows)
    names = [(key, level) for key, levels in choices.items() for level in levels]
    left = 1.35 if width < _NARROW else 2.2
    top, bottom, step, plot = 0.25, 0.1, 0.165, 2.1
    below = step * (len(names) + 0.6 * len(choices))
    height = top + plot + 0.12 + below + bottom
    figure = new_figure(width, height)
    x = np.arange(len(rows))
    share = (width - left - 0.15) / width
    axes = figure.add_axes((left / width, 1 - (top + plot) / height, share, plot / height))
    _draw_estimates(axes, reading, rows, clean(result.unit) or "estimate")
    lower = figure.add_axes((left / width, bottom / height, share, below / height), sharex=axes)
    y, ticks, labels = 0.0, [], []
    for key, levels in choices.items():
        for level in levels:
            ticks.append(y)
            labels.append(clean(f"{pretty(key)}: {_in_words(reading, level)}", 22 if width < _NARROW else 40))
            made = np.array([_level(row, key) == level for row in rows])
            solid = np.array([bool(row.get("admissible")) for row in rows])
            lower.scatter(x[made & solid], np.full((made & solid).sum(), y), s=7, color=BLUE, zorder=3)
            lower.scatter(
                x[made & ~solid], np.full((made & ~solid).sum(), y), s=7, facecolor="white", edgecolor=MUTED, lw=0.8
            )
            y -= 1.0
        y -= 0.6
    lower.set_yticks(ticks, labels, fontsize=7)
    lower.set_ylim(y + 1.0, 0.6)
    lower.grid(axis="y", color=LINE, lw=0.5)
    lower.set_axisbelow(True)
    lower.tick_params(axis="both", length=0, labelbottom=False)
    for spine in lower.spines.values():
        spine.set_visible(False)
    return figure


def _choices(reading: Reading, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the choices that differ between specifications, with their levels in the order met."""
    found = {key: list(dict.fromkeys(_level(row, key) for row in rows)) for key in CHOICES if key in rows[0]}
    # a cell without a model has neither curves nor a rule for missing values: that is no choice
    real = {
        key: [x for x in levels if x != "none" or key not in ("curves", "missing")] for key, levels in found.items()
    }
    return {key: levels for key, levels in real.items() if len(levels) > 1}


def _level(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(f"{value:g}" if isinstance(value, float) else str(value))


_LEFT_OUT = "without "


def _in_words(reading: Reading, level: str) -> str:
    """Return a level of a choice as words, a covariate that was left out by its name."""
    if not level.startswith(_LEFT_OUT):
        return level.replace("_", " ")
    return f"{_LEFT_OUT}{mid(clean(reading.covariate(level.removeprefix(_LEFT_OUT))))}"


def _draw_estimates(axes: Axes, reading: Reading, rows: Sequence[Mapping[str, Any]], unit: str) -> None:
    axes.axhline(1, color=INK, lw=0.9, zorder=0)
    values = np.array([float(row["value"]) for row in rows])
    low, high = values.min() / 1.6, values.max() * 1.6
    # admissible ones last, so that they lie above the others where all are close
    for index, row in sorted(enumerate(rows), key=lambda each: bool(each[1].get("admissible"))):
        solid = bool(row.get("admissible"))
        colour = BLUE if solid else MUTED
        if row.get("lower") is not None and row.get("upper") is not None:
            ends = np.clip([float(row["lower"]), float(row["upper"])], low, high)
            axes.plot([index, index], ends, color=colour, lw=1.0, alpha=0.7, solid_capstyle="butt")
        axes.plot(index, float(row["value"]), "o", ms=3.6, color=colour, mfc=BLUE if solid else "white", mew=1.0)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = [tick for tick in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 10.0) if low <= tick <= high]
    axes.yaxis.set_major_locator(fixed_ticks(ticks))
    axes.yaxis.set_minor_locator(fixed_ticks([]))
    axes.yaxis.set_major_formatter(lambda value, _: reading.numbers.general(float(value)))
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylabel(f"{capital(unit)} ({reading.numbers.level(reading.result.protocol.inference.level)}, log scale)")
    axes.tick_params(axis="x", length=0, labelbottom=False)


# --- clones ---------------------------------------------------------------------------------------

_FATES = (
    ("followed", "still in the arm", 0.75),
    ("deviated", "departed from it", 0.4),
    ("events", "had the event", 0.22),
    ("lost", "lost to follow-up", 0.1),
)


def clones_drawing(reading: Reading, flow: CloneFlow) -> Drawing:
    """Return the flow of clones: who is still in which arm, and why the others left."""
    grace = reading.duration(flow.grace_period, flow.unit)
    return Drawing(
        name="clones",
        title="What became of the clones of each arm",
        description=f"{reading.people(flow.n)} patients, each cloned into both arms, with a grace period of {grace}: "
        "shares still followed, departed, with the event and lost, over time.",
        note="A clone departs when its patient no longer follows the arm's strategy; "
        f"the broken line is the end of the grace period, {grace}.",
        draw=lambda width: clones(reading, flow, width=width),
    )


def clones(reading: Reading, flow: CloneFlow, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw the shares of clones still followed, departed, with the event and lost, arm by arm.

    Parameters
    ----------
    reading : Reading
        The result, for its labels.
    flow : CloneFlow
        The flow.
    width : float
        In inches.
    """
    narrow = width < _NARROW
    panel, gap, foot, head = 1.9, 0.75, 0.5, 0.62 if narrow else 0.45
    rows, columns = (2, 1) if narrow else (1, 2)
    height = head + rows * panel + (rows - 1) * gap + foot
    figure = new_figure(width, height)
    each = (width - 0.6 - 0.15 - 0.4 * (columns - 1)) / columns
    unit = TimeUnit(flow.unit)
    for index, arm in enumerate(Arm):
        x = 0.6 if narrow else 0.6 + index * (each + 0.4)
        y = height - head - (index if narrow else 0) * (panel + gap) - panel
        axes = figure.add_axes((x / width, y / height, each / width, panel / height))
        _draw_fates(axes, [row for row in flow.rows if row.arm == arm], flow.n, BLUE if arm == Arm.TREATED else ORANGE)
        axes.axvline(flow.grace_period, color=INK, lw=0.9, ls=(0, (4, 3)))
        axes.set_title(reading.arm(arm, 34))
        axes.set_xlabel(f"{capital(unit.value)} since time zero", labelpad=3)
        if narrow or index == 0:
            axes.set_ylabel("Clones, %")
    handles = _fate_handles()
    figure.legend(handles=handles, loc="upper left", ncol=2 if narrow else 4, bbox_to_anchor=(0, 1), handlelength=1.2)
    return figure


def _draw_fates(axes: Axes, rows: Sequence[CloneFlowRow], n: int, colour: str) -> None:
    rows = sorted(rows, key=lambda row: row.time)
    times = [row.time for row in rows]
    base = np.zeros(len(rows))
    for name, _, alpha in _FATES:
        # A number too small to show is drawn as none.
        share = 100 * np.array([max(getattr(row, name), 0) for row in rows], dtype=float) / max(n, 1)
        axes.fill_between(times, base, base + share, step="post", color=colour, alpha=alpha, lw=0)
        base = base + share
    if times:
        axes.set_xlim(times[0], times[-1])
    axes.set_ylim(0, 100)


def _fate_handles() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(facecolor=MUTED, alpha=alpha, label=label) for _, label, alpha in _FATES]
