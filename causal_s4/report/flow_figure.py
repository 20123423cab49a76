"""The flow chart as a figure: from the file to the arms, with who left at each step and why."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from causal_s4.protocol.vocabulary import Arm
from causal_s4.report.drawing import COLOUR, DOUBLE_COLUMN, INK, MUTED, Drawing, new_figure
from causal_s4.report.reading import Reading, capital, clean, mid
from causal_s4.results import AttritionStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _PAD, _GAP, _MARGIN = 0.145, 0.09, 0.3, 0.06  # inches
_FONT = 7.5
_LETTERS = 15.5  # an inch of text holds about so many


def flow_drawing(reading: Reading) -> Drawing | None:
    """Return the flow chart; None when the result tells no steps."""
    steps = reading.result.cohort.attrition
    if not steps:
        return None
    return Drawing(
        name="flow",
        title="Flow of patients",
        description=f"{reading.people(steps[0].n)} patients at the start, {reading.people(steps[-1].n)} analysed, "
        "with the number excluded at each step and the number in each arm.",
        note="Counts of patients, unweighted.",
        draw=lambda width: flow(reading, width=width),
    )


def flow(reading: Reading, *, width: float = DOUBLE_COLUMN) -> Figure:
    """Draw who is left at each step, who was excluded, and how many are in each arm.

    Parameters
    ----------
    reading : Reading
        The result.
    width : float
        In inches.
    """
    steps, room = reading.result.cohort.attrition, width - 2 * _MARGIN
    box, side = 0.56 * room, 0.36 * room
    kept = [_wrap(f"{reading.people(s.n)} {mid(clean(s.step))}", box) for s in steps]
    left = [_excluded(reading, s, side) for s in steps]
    arms = [_arm(reading, arm, 0.48 * room) for arm in Arm]
    heights = [_height(text) for text in kept]
    gaps = [max(_GAP, _height(text) + 0.12 if text else 0) for text in left[1:]]
    total = sum(heights) + sum(gaps) + _GAP + max(map(_height, arms)) + 2 * _MARGIN
    figure = new_figure(width, total)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(total, 0)
    axes.set_axis_off()
    y = _MARGIN
    for index, text in enumerate(kept):
        if index:
            _arrow(axes, (_MARGIN + box / 2, y), (_MARGIN + box / 2, y + gaps[index - 1]))
            if left[index]:
                middle = y + gaps[index - 1] / 2
                _arrow(axes, (_MARGIN + box / 2, middle), (width - _MARGIN - side, middle))
                _box(axes, left[index], width - _MARGIN - side, middle - _height(left[index]) / 2, side, MUTED)
            y += gaps[index - 1]
        _box(axes, text, _MARGIN, y, box, INK)
        y += heights[index]
    for index, (arm, text) in enumerate(zip(Arm, arms, strict=True)):
        x = _MARGIN + index * 0.52 * room
        _arrow(axes, (_MARGIN + box / 2, y), (x + 0.24 * room, y + _GAP))
        _box(axes, text, x, y + _GAP, 0.48 * room, COLOUR[arm])
    return figure


def _excluded(reading: Reading, step: AttritionStep, inches: float) -> Sequence[str]:
    return _wrap(f"{reading.people(step.excluded)} excluded", inches) if step.excluded else ()


def _arm(reading: Reading, arm: Arm, inches: float) -> list[str]:
    cohort = reading.result.cohort
    lines = _wrap(
        f"{reading.people(cohort.treated if arm == Arm.TREATED else cohort.control)} {reading.arm(arm)}", inches
    )
    for outcome in reading.outcomes:
        lines += _wrap(f"{capital(clean(outcome))}: {reading.events(outcome, arm)} with the event", inches)
    return lines


def _wrap(text: str, inches: float) -> list[str]:
    return textwrap.wrap(text, max(10, int((inches - 2 * _PAD) * _LETTERS))) or [""]


def _height(lines: Sequence[str]) -> float:
    return len(lines) * _LINE + 2 * _PAD if lines else 0.0


def _box(axes: Axes, lines: Sequence[str], x: float, y: float, width: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, _height(lines), facecolor="white", edgecolor=colour, lw=1.0, zorder=2))
    for number, line in enumerate(lines):
        middle = y + _PAD + (number + 0.5) * _LINE
        # A dollar sign is no formula.
        axes.text(
            x + _PAD, middle, line, fontsize=_FONT, color=colour, va="center", ha="left", zorder=3, parse_math=False
        )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": MUTED, "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
        zorder=1,
    )
