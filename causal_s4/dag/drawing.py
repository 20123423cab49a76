"""The graph as a self-contained SVG: no system package, no script, the same bytes for the same graph."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from causal_s4.dag.graph import Dag
from causal_s4.dag.layout import Box, Edge, Layout, Point, layered, positioned, sample

FONT = 14.0
LINE = 17.0
MAX_NODES = 150
MAX_EDGES = 1000
WRAP = 12

INK, BLUE, ORANGE, RED, GREY, LINE_GREY = "#101828", "#0b6fb8", "#b45309", "#b42318", "#667085", "#8a94a6"


@dataclass(frozen=True, kw_only=True)
class _Look:
    """How a kind of node is drawn; every kind differs in shape or stroke as well as in colour."""

    fill: str
    stroke: str
    width: float
    dash: str = ""
    weight: str = ""
    italic: bool = False
    shape: str = "pill"


LOOKS = {
    "exposure": _Look(fill="#dbeefb", stroke=BLUE, width=2.2, weight="600", shape="tag"),
    "outcome": _Look(fill="#fdead7", stroke=ORANGE, width=1.5, weight="600", shape="double"),
    "adjusted": _Look(fill="#ffffff", stroke=INK, width=2.2, shape="square"),
    "latent": _Look(fill="#f2f4f7", stroke="#475467", width=1.3, dash="4 3", italic=True),
    "other": _Look(fill="#ffffff", stroke=LINE_GREY, width=1.2),
}
NODE_LEGEND = {
    "exposure": "exposure",
    "outcome": "outcome",
    "adjusted": "adjusted for",
    "latent": "unmeasured",
    "other": "not adjusted for",
}


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """How a kind of edge is drawn."""

    colour: str
    width: float
    dash: str
    legend: str


STROKES = {
    "plain": _Stroke(colour=LINE_GREY, width=1.3, dash="", legend=""),
    "hidden": _Stroke(colour=LINE_GREY, width=1.3, dash="5 4", legend=""),
    "tie": _Stroke(colour=GREY, width=1.5, dash="2 3", legend="unmeasured common cause"),
    "open": _Stroke(colour=RED, width=2.2, dash="9 3 2 3", legend="path left open"),
    "causal": _Stroke(colour=BLUE, width=2.6, dash="", legend="causal path"),
}
"""In the order they are drawn: the last on top."""


def draw_svg(
    dag: Dag,
    adjusted: Iterable[str] = (),
    *,
    problem_nodes: Iterable[str] = (),
    problem_edges: Iterable[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
    title: str = "Causal diagram",
) -> str:
    """Draw a graph.

    Parameters
    ----------
    dag : Dag
        The graph. Positions are kept when every node has one; otherwise nodes stand in layers.
    adjusted : iterable of str
        Nodes to show as adjusted for, besides those marked so in the graph.
    problem_nodes : iterable of str
        Nodes to mark with an exclamation mark, such as an opened collider.
    problem_edges : iterable of (str, str)
        Edges to show as parts of a path left open, in either direction.
    labels : mapping of str to str, optional
        What to show for a node; its own label, or its name with spaces for underscores, by default.
    title : str
        Title for screen readers.

    Returns
    -------
    str
        An SVG element with title and description. It uses presentation attributes alone, no style sheet
        and no script, so that it stands in a page with a strict content security policy.

    Raises
    ------
    UsageError
        When a named node is not in the graph.
    """
    boxed = {dag.known(name) for name in (*adjusted, *dag.adjusted)}
    flagged = {dag.known(name) for name in problem_nodes}
    wrong = {frozenset(edge) for edge in problem_edges}
    shown = {**{name: name.replace("_", " ") for name in dag.nodes}, **dag.labels, **(labels or {})}
    if len(dag.nodes) > MAX_NODES or len(dag.edges) + len(dag.bidirected) > MAX_EDGES:
        return _too_large(dag, title)
    lines = {name: _wrapped(shown[name] + (" !" if name in flagged else "")) for name in dag.nodes}
    kinds = {name: _node_kind(dag, name, boxed) for name in dag.nodes}
    sizes = {name: _size(lines[name], LOOKS[kinds[name]]) for name in dag.nodes}
    strokes = _edge_kinds(dag, wrong)
    return _compose(dag, _layout(dag, sizes, strokes), lines, kinds, strokes, shown, title)


def _layout(dag: Dag, sizes: Mapping[str, tuple[float, float]], strokes: Mapping[Edge, str]) -> Layout:
    if dag.nodes and len(dag.positions) == len(dag.nodes):
        placed = positioned(dag.positions, strokes, sizes)
        if placed is not None:
            return placed
    return layered(dag.nodes, strokes, sizes, last=dag.outcomes, bundles=strokes)


# --- kinds and sizes -------------------------------------------------------------------------------


def _node_kind(dag: Dag, name: str, boxed: Collection[str]) -> str:
    roles = [("exposure", [dag.exposure]), ("outcome", dag.outcomes), ("latent", dag.latent), ("adjusted", boxed)]
    return next((role for role, names in roles if name in names), "other")


def _edge_kinds(dag: Dag, wrong: Collection[frozenset[str]]) -> dict[Edge, str]:
    causal: set[object] = set()
    if dag.exposure is not None and dag.outcomes:
        causal = set(dag.effects_of([dag.exposure]) & dag.causes_of(dag.outcomes))
    kinds = {}
    for edge in dag.arrows:
        a, arrow, b = edge
        if frozenset((a, b)) in wrong:
            kinds[edge] = "open"
        elif arrow == "->" and causal >= {a, b}:
            kinds[edge] = "causal"
        elif arrow == "<->":
            kinds[edge] = "tie"
        elif {a, b} & set(dag.latent):
            kinds[edge] = "hidden"
        else:
            kinds[edge] = "plain"
    return kinds


def _wrapped(text: str) -> list[str]:
    """Break a label at spaces into lines of about equal length, three at most."""
    count = min(3, max(1, -(-len(text) // WRAP)))
    words, lines = text.split(), [""]
    goal = len(text) / count
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(longer) > goal + 3 and len(lines) < count:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line if len(line) <= 40 else line[:39] + "…" for line in lines]


def _text_width(text: str) -> float:
    """Estimate a width generously, since the reader's font is not known."""
    wide = 0.0
    for char in text:
        if unicodedata.east_asian_width(char) in "WF":
            wide += 1.05
        elif char in "ijlI.,;:'|!() ":
            wide += 0.36
        elif char in "mwMW":
            wide += 0.95
        else:
            wide += 0.72 if char.isupper() else 0.62
    return wide * FONT


def _size(lines: list[str], look: _Look) -> tuple[float, float]:
    width = max(map(_text_width, lines)) * (1.06 if look.weight else 1.0) + 22
    return (width + (12 if look.shape == "tag" else 6 if look.shape == "double" else 0), LINE * len(lines) + 11)


# --- the picture -----------------------------------------------------------------------------------


def _compose(
    dag: Dag,
    layout: Layout,
    lines: Mapping[str, list[str]],
    kinds: Mapping[str, str],
    strokes: Mapping[Edge, str],
    shown: Mapping[str, str],
    title: str,
) -> str:
    left, top, right, bottom = _extent(layout)
    legend, legend_width, legend_height = _legend(kinds, strokes, left, bottom + 26, max(right - left, 420.0))
    width, height = max(right - left, legend_width) + 24, bottom + legend_height + 26 - top + 24
    # Several drawings may stand in one page, so what they refer to by id carries a mark of the content.
    content = repr((dag.to_dagitty(), sorted(kinds.items()), sorted(strokes.items()), sorted(lines.items()), title))
    mark = hashlib.sha256(content.encode()).hexdigest()[:10]
    body = "".join(_edge_svg(edge, layout.routes[edge], strokes[edge], mark) for edge in _drawing_order(strokes))
    body += "".join(_node_svg(name, layout.boxes[name], lines[name], LOOKS[kinds[name]]) for name in dag.nodes)
    markers = "".join(
        f'<marker id="{kind}-{mark}" viewBox="0 0 10 10" refX="9" refY="5" markerUnits="userSpaceOnUse" '
        f'markerWidth="{size}" markerHeight="{size}" orient="auto-start-reverse">'
        f'<path d="M0 0.8L10 5L0 9.2z" fill="{STROKES[kind].colour}"/></marker>'
        for kind, size in (("plain", 10), ("hidden", 10), ("tie", 10), ("open", 13), ("causal", 14))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title-{mark} desc-{mark}" '
        f'viewBox="{left - 12:.1f} {top - 12:.1f} {width:.1f} {height:.1f}" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="system-ui, \'Segoe UI\', Helvetica, Arial, sans-serif" font-size="{FONT:g}">'
        f'<title id="title-{mark}">{escape(title)}</title>'
        f'<desc id="desc-{mark}">{escape(_description(dag, kinds, shown))}</desc>'
        f"<defs>{markers}</defs>{body}{legend}</svg>"
    )


def _extent(layout: Layout) -> tuple[float, float, float, float]:
    xs = [side for box in layout.boxes.values() for side in (box.left, box.right)]
    ys = [side for box in layout.boxes.values() for side in (box.y - box.height / 2, box.y + box.height / 2)]
    for route in layout.routes.values():
        points = sample(route)
        xs += [float(points[:, 0].min()), float(points[:, 0].max())]
        ys += [float(points[:, 1].min()), float(points[:, 1].max())]
    return min(xs, default=0.0), min(ys, default=0.0), max(xs, default=0.0), max(ys, default=0.0)


def _drawing_order(strokes: Mapping[Edge, str]) -> list[Edge]:
    rank = {kind: position for position, kind in enumerate(STROKES)}
    return sorted(strokes, key=lambda edge: (rank[strokes[edge]], edge))


def _edge_svg(edge: Edge, route: list[Point], kind: str, mark: str) -> str:
    source, arrow, target = edge
    stroke = STROKES[kind]
    ends = f' marker-end="url(#{kind}-{mark})"' + (f' marker-start="url(#{kind}-{mark})"' if arrow == "<->" else "")
    dash = f' stroke-dasharray="{stroke.dash}"' if stroke.dash else ""
    return (
        f'<path d="{_path(route)}" fill="none" stroke="{stroke.colour}" stroke-width="{stroke.width}"{dash}{ends}>'
        f"<title>{escape(source)} {'→' if arrow == '->' else '↔'} {escape(target)}</title></path>"
    )


def _path(route: list[Point]) -> str:
    start, *rest = route
    curves = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    return f"M{start[0]:.1f} {start[1]:.1f}" + "".join(
        "C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in curve) for curve in curves
    )


def _node_svg(name: str, box: Box, lines: list[str], look: _Look) -> str:
    weight = f' font-weight="{look.weight}"' if look.weight else ""
    italic = ' font-style="italic"' if look.italic else ""
    x = box.x - (4 if look.shape == "tag" else 0)
    first = box.y + FONT * 0.35 - LINE * (len(lines) - 1) / 2
    text = "".join(
        f'<tspan x="{x:.1f}" y="{first + LINE * i:.1f}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    return (
        f"<g data-node={quoteattr(name)}><title>{escape(name)}</title>{_shape(box, look)}"
        f'<text text-anchor="middle" fill="{INK}"{weight}{italic}>{text}</text></g>'
    )


def _shape(box: Box, look: _Look) -> str:
    left, right, top, width, height = box.left, box.right, box.y - box.height / 2, box.width, box.height
    paint = f'fill="{look.fill}" stroke="{look.stroke}" stroke-width="{look.width}"'
    paint += f' stroke-dasharray="{look.dash}"' if look.dash else ""
    if look.shape == "tag":
        return (
            f'<path d="M{left:.1f} {top:.1f}H{right - 12:.1f}L{right:.1f} {box.y:.1f}'
            f'L{right - 12:.1f} {top + height:.1f}H{left:.1f}z" {paint} stroke-linejoin="round"/>'
        )
    round_by = 2.0 if look.shape == "square" else min(height / 2, 16.0)
    rectangle = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_by:.1f}" {paint}/>'
    )
    if look.shape == "double":
        rectangle += (
            f'<rect x="{left + 3.5:.1f}" y="{top + 3.5:.1f}" width="{width - 7:.1f}" height="{height - 7:.1f}" '
            f'rx="{max(round_by - 3.5, 1):.1f}" fill="none" stroke="{look.stroke}" stroke-width="1.1"/>'
        )
    return rectangle


def _legend(
    kinds: Mapping[str, str], strokes: Mapping[Edge, str], left: float, top: float, width: float
) -> tuple[str, float, float]:
    """Return the legend of what is in the picture, and the width and height it takes."""
    entries = [(kind, text, True) for kind, text in NODE_LEGEND.items() if kind in kinds.values()]
    entries += [
        (kind, STROKES[kind].legend, False)
        for kind in reversed(STROKES)
        if kind in strokes.values() and STROKES[kind].legend
    ]
    parts, x, y, widest = [], left, top, 0.0
    for kind, text, is_node in entries:
        needed = 34 + _text_width(text) * 12 / FONT + 20
        if x > left and x + needed > left + width:
            x, y = left, y + 24
        if is_node:
            parts.append(_shape(Box(x=x + 13, y=y, width=26, height=15), LOOKS[kind]))
        else:
            stroke = STROKES[kind]
            dash = f' stroke-dasharray="{stroke.dash}"' if stroke.dash else ""
            parts.append(
                f'<path d="M{x:.1f} {y:.1f}h26" fill="none" stroke="{stroke.colour}" '
                f'stroke-width="{stroke.width}"{dash}/>'
            )
        parts.append(f'<text x="{x + 33:.1f}" y="{y + 4:.1f}" font-size="12" fill="#344054">{escape(text)}</text>')
        x += needed
        widest = max(widest, x - left)
    return f'<g data-legend="true">{"".join(parts)}</g>', widest, y - top + 12


def _description(dag: Dag, kinds: Mapping[str, str], shown: Mapping[str, str]) -> str:
    said = [
        f"{NODE_LEGEND[kind].capitalize()}: {', '.join(shown[name] for name in dag.nodes if kinds[name] == kind)}."
        for kind in NODE_LEGEND
        if kind in kinds.values()
    ]
    arrows = [f"{shown[a]} causes {shown[b]}" for a, b in dag.edges]
    arrows += [f"{shown[a]} and {shown[b]} share an unmeasured cause" for a, b in dag.bidirected]
    return " ".join([*said, "; ".join(arrows) + "." if arrows else "No arrows."])


def _too_large(dag: Dag, title: str) -> str:
    said = f"This graph has {len(dag.nodes)} nodes and {len(dag.edges) + len(dag.bidirected)} edges: too many to draw."
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 640 60" width="640" height="60" '
        f'font-family="system-ui, sans-serif" font-size="{FONT:g}"><title>{escape(title)}</title>'
        f"<desc>{escape(said)}</desc>"
        f'<text x="12" y="34" fill="{INK}">{escape(said)}</text></svg>'
    )
