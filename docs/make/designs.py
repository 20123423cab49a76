"""A drawing of four patients under four designs: when each counts as treated, and when nobody counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from causal_s4.report.drawing import DOUBLE_COLUMN, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# name, months followed, died, month of treatment
PATIENTS = (("A", 20, True, 4), ("B", 24, False, 9), ("C", 3, True, None), ("D", 16, True, None))
TREATED, UNTREATED, WRONG, NOBODY = "#c2410c", "#0b6fb8", "#c2410c", "#b8bec6"
LANDMARK = GRACE = 6
LAST = 24


def draw_designs(path: Path) -> None:
    """Draw the designs under one another and save them."""
    with figure_style({"svg.hashsalt": "designs"}):
        figure = new_figure(DOUBLE_COLUMN, 7.2)
        panels = figure.subplots(4, 1, sharex=True, height_ratios=[4, 4, 4, 8])
        for axes, (title, draw) in zip(panels, DESIGNS.items(), strict=True):
            axes.set_title(title, loc="left", fontsize=8.5, fontweight="bold")
            draw(axes)
            axes.set_xlim(-0.3, LAST + 0.6)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.invert_yaxis()
        panels[-1].set_xlabel("Months since time zero")
        panels[-1].set_xticks(range(0, LAST + 1, 3))
        figure.legend(handles=legend(), loc="lower center", ncol=3, frameon=False, fontsize=7.5)
        figure.subplots_adjust(left=0.17, right=0.98, top=0.96, bottom=0.15, hspace=0.5)
        figure.savefig(path, format="svg", metadata={"Date": None})


def bar(axes: Axes, row: int, begin: float, end: float, colour: str, *, hatch: str = "") -> None:
    """Draw person-time."""
    axes.barh(
        row, end - begin, left=begin, height=0.46, color="none" if hatch else colour, edgecolor=colour, hatch=hatch
    )


def ending(axes: Axes, row: int, month: float, died: bool, *, censored: bool = False) -> None:
    """Mark how follow-up ends: death, last seen, or a clone that left its strategy."""
    marker = "x" if died and not censored else "|"
    axes.plot([month], [row], marker, color="#1f2933", markersize=6, markeredgewidth=1.4)


def labels(axes: Axes, names: list[str]) -> None:
    """Name the rows."""
    axes.set_yticks(range(len(names)), names)


def ever_or_never(axes: Axes) -> None:
    """Whoever is treated at any time counts as treated from time zero on."""
    for row, (_, end, died, start) in enumerate(PATIENTS):
        if start is None:
            bar(axes, row, 0, end, UNTREATED)
        else:
            bar(axes, row, 0, start, WRONG, hatch="////")
            bar(axes, row, start, end, TREATED)
        ending(axes, row, end, died)
    labels(axes, [f"Patient {each[0]}" for each in PATIENTS])


def as_it_changes(axes: Axes) -> None:
    """Time before treatment counts as untreated."""
    for row, (_, end, died, start) in enumerate(PATIENTS):
        bar(axes, row, 0, end if start is None else start, UNTREATED)
        if start is not None:
            bar(axes, row, start, end, TREATED)
        ending(axes, row, end, died)
    labels(axes, [f"Patient {each[0]}" for each in PATIENTS])


def landmark(axes: Axes) -> None:
    """Whoever is still at risk at the landmark is compared from then on, by treatment until then."""
    for row, (_, end, died, start) in enumerate(PATIENTS):
        bar(axes, row, 0, min(end, LANDMARK), NOBODY)
        if end > LANDMARK:
            treated = start is not None and start <= LANDMARK
            bar(axes, row, LANDMARK, end, TREATED if treated else UNTREATED)
        ending(axes, row, end, died)
    axes.axvline(LANDMARK, color="#1f2933", linewidth=0.9, linestyle=":")
    labels(axes, [f"Patient {each[0]}" for each in PATIENTS])


def clones(axes: Axes) -> None:
    """Each patient follows both strategies until her data contradict one."""
    names = []
    for patient, (name, end, died, start) in enumerate(PATIENTS):
        for clone, (strategy, colour) in enumerate((("in time", TREATED), ("not in time", UNTREATED))):
            row = 2 * patient + clone
            leaves = _leaves(start, treat=clone == 0)
            stop = min(end, leaves)
            bar(axes, row, 0, stop, colour)
            if stop < end:
                bar(axes, row, stop, end, NOBODY)
            ending(axes, row, stop, died, censored=stop < end)
            names.append(f"{name}: {strategy}")
    axes.axvline(GRACE, color="#1f2933", linewidth=0.9, linestyle=":")
    labels(axes, names)


def _leaves(start: int | None, *, treat: bool) -> float:
    """Return when a clone's data contradict its strategy; never, for one that follows it to the end."""
    in_time = start is not None and start <= GRACE
    if treat:
        return LAST if in_time else GRACE
    return start if start is not None and in_time else LAST


DESIGNS: dict[str, Callable[[Axes], None]] = {
    "Ever against never treated": ever_or_never,
    "Treatment as it changes": as_it_changes,
    f"Landmark at {LANDMARK} months": landmark,
    f"Clones: treated within {GRACE} months, or not within {GRACE} months": clones,
}


def legend() -> list[object]:
    """Return what the colours and marks mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ink = "#1f2933"
    return [
        Patch(facecolor=TREATED, label="counted as treated"),
        Patch(facecolor=UNTREATED, label="counted as untreated"),
        Patch(facecolor=NOBODY, label="not counted"),
        Patch(facecolor="none", edgecolor=WRONG, hatch="////", label="immortal: before treatment, counted as treated"),
        Line2D([], [], marker="x", color=ink, linestyle="none", label="died"),
        Line2D([], [], marker="|", color=ink, linestyle="none", label="last seen, or the clone left its strategy"),
    ]
