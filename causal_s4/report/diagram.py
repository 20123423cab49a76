"""The causal diagram as a figure: the drawing that the page shows, redrawn for print.

The drawing is an SVG of few means (paths, rectangles, text); reading it back keeps page, paper and Word
alike, and lays out nothing a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.report.drawing import Drawing, new_figure
from causal_s4.report.reading import Reading, clean, join, mid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEP = re.compile(r"([MLHVCZhlvz])([^MLHVCZhlvz]*)")
# The figures' font runs wider than the page's, for which the boxes were measured.
_NARROWER = 0.84


def diagram(reading: Reading) -> Drawing | None:
    """Return the causal diagram of a study as a figure; None without one."""
    adjustment = reading.result.adjustment
    if not adjustment.drawing:
        return None
    names = join(mid(reading.covariate(node)) for node in adjustment.nodes)
    return Drawing(
        name="dag",
        title="Causal diagram",
        description=f"The assumed causes as a graph. Adjusted for: {names}."
        if names
        else "The assumed causes as a graph.",
        note="Arrows are assumed causes; a missing arrow is the stronger assumption. "
        "Boxed nodes are adjusted for, dashed ones not measured.",
        draw=lambda width: draw_diagram(adjustment.drawing, width),
    )


def draw_diagram(svg: str, width: float) -> Figure:
    """Redraw the diagram of an adjustment set.

    Parameters
    ----------
    svg : str
        ``AdjustmentSet.drawing``.
    width : float
        In inches.

    Raises
    ------
    UsageError
        When there is no drawing, or it is none of this package's.
    """
    try:
        root = ElementTree.fromstring(svg)
        left, top, wide, high = (float(number) for number in root.attrib["viewBox"].split())
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise UsageError("this result holds no drawing of its causal diagram") from error
    figure = new_figure(width, width * high / wide)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(left, left + wide)
    axes.set_ylim(top + high, top)
    points = 72 * width / wide  # of one unit of the drawing
    for rank, (element, size) in enumerate(_elements(root, float(root.get("font-size", "14")))):
        _DRAW[_tag(element)](axes, element, points, size, rank)
    return figure


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _elements(parent: ElementTree.Element, size: float) -> Iterator[tuple[ElementTree.Element, float]]:
    """Yield what is to be drawn, from back to front, with the size of its letters."""
    for child in parent:
        if _tag(child) in _DRAW:
            yield child, float(child.get("font-size", size))
        elif _tag(child) != "defs":
            yield from _elements(child, float(child.get("font-size", size)))


def _paint(element: ElementTree.Element, points: float) -> dict[str, Any]:
    dashes = [max(float(number) * points, 0.1) for number in (element.get("stroke-dasharray") or "").split()]
    return {
        "facecolor": element.get("fill", "none"),
        "edgecolor": element.get("stroke", "none"),
        "linewidth": float(element.get("stroke-width", "1")) * points,
        "linestyle": (0, tuple(dashes)) if dashes else "-",
    }


def _draw_rectangle(axes: Axes, element: ElementTree.Element, points: float, size: float, rank: int) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    x, y, width, height, radius = (float(element.get(name, "0")) for name in ("x", "y", "width", "height", "rx"))
    paint = _paint(element, points)
    if radius > 0:
        radius = min(radius, width / 2, height / 2)
        style = f"round,pad=0,rounding_size={radius}"
        axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, zorder=rank, **paint))
    else:
        axes.add_patch(Rectangle((x, y), width, height, zorder=rank, **paint))


def _draw_path(axes: Axes, element: ElementTree.Element, points: float, size: float, rank: int) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    vertices, codes = _read_path(element.get("d", ""))
    if len(vertices) < 2:
        return
    axes.add_patch(PathPatch(Path(vertices, codes), zorder=rank, capstyle="butt", **_paint(element, points)))
    for end, tip, before in (("marker-end", vertices[-1], vertices[-2]), ("marker-start", vertices[0], vertices[1])):
        if element.get(end):
            _draw_arrowhead(axes, np.array(tip), np.array(before), element, rank)


def _draw_arrowhead(axes: Axes, tip: Any, before: Any, element: ElementTree.Element, rank: int) -> None:
    from matplotlib.patches import Polygon

    size = 6 + 2.5 * float(element.get("stroke-width", "1"))

    length = float(np.hypot(*(tip - before)))
    if length > 0:
        along = (tip - before) / length
        across = np.array([-along[1], along[0]])
        back = tip - size * along
        corners = [tip + 0.1 * size * along, back + 0.46 * size * across, back - 0.46 * size * across]
        colour = element.get("stroke", "none")
        axes.add_patch(Polygon(corners, closed=True, facecolor=colour, edgecolor="none", zorder=rank))


def _read_path(text: str) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the corners of a path and what joins them, as matplotlib has them."""
    from matplotlib.path import Path

    vertices: list[tuple[float, float]] = []
    codes: list[int] = []
    x = y = 0.0
    for step, rest in _STEP.findall(text):
        numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", rest)]
        if step in "Zz":
            vertices.append(vertices[0])
            codes.append(int(Path.CLOSEPOLY))
            continue
        if step in "HhVv":
            across = step in "Hh"
            start = 0.0 if step in "HV" else (x if across else y)
            numbers = [start + numbers[0], y] if across else [x, start + numbers[0]]
        elif step == "l":
            numbers = [numbers[0] + x, numbers[1] + y]
        code = {"M": Path.MOVETO, "C": Path.CURVE4}.get(step, Path.LINETO)
        made = list(zip(numbers[::2], numbers[1::2], strict=True))
        vertices += made
        codes += [int(code)] * len(made)
        x, y = vertices[-1]
    return vertices, codes


def _draw_text(axes: Axes, element: ElementTree.Element, points: float, size: float, rank: int) -> None:
    lines = [child for child in element if _tag(child) == "tspan"] or [element]
    for line in lines:
        axes.text(
            float(line.get("x", element.get("x", "0"))),
            float(line.get("y", element.get("y", "0"))),
            clean(line.text or ""),
            ha="center" if element.get("text-anchor") == "middle" else "left",
            va="baseline",
            fontsize=_NARROWER * size * points,
            color=element.get("fill", "black"),
            weight="bold" if element.get("font-weight") else "normal",
            style="italic" if element.get("font-style") == "italic" else "normal",
            zorder=rank,
        )


_DRAW = {"path": _draw_path, "rect": _draw_rectangle, "text": _draw_text}
