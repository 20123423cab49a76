"""Where nodes stand and how arrows run between them without passing through any.

Layers from left to right after Sugiyama, Tagawa & Toda 1981, 10.1109/TSMC.1981.4308636: an arrow that spans
several layers is led through a gap reserved for it in each. Arrows of one kind from one node share their way
until they part.
With given positions, arrows are straight where they can be and bend around nodes where they cannot.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Edge = tuple[str, str, str]
"""Source, ``->`` or ``<->``, target."""
Vertex = str | tuple[Hashable, int]
"""A node, or the place in a layer that a bundle of arrows passes through."""

GAP_X = (66.0, 46.0)
"""Between layers: of a graph with few, and with many."""
GAP_NODES = 20.0
GAP_LINES = 11.0
CLEARANCE = 5.0
STARTS = 12


@dataclass(frozen=True, kw_only=True)
class Box:
    """A node's place: centre and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """Left border."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Right border."""
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Boxes of the nodes, and for each edge the points of a chain of cubic Bézier curves (3k + 1 of them)."""

    boxes: dict[str, Box]
    routes: dict[Edge, list[Point]]


def sample(route: Sequence[Point], spacing: float = 4.0) -> NDArray[np.float64]:
    """Return points along a chain of Bézier curves, no further apart than about ``spacing``, shape (points, 2)."""
    curves = []
    for i in range(0, len(route) - 1, 3):
        points = np.asarray(route[i : i + 4])
        length = np.hypot(*np.diff(points, axis=0).T).sum()
        t = np.linspace(0, 1, 4 + int(length * 1.5 / spacing))[:, None]
        weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
        curves.append(sum(weight * point for weight, point in zip(weights, points, strict=True)))
    return np.concatenate(curves)


def passes_through(route: Sequence[Point], boxes: Iterable[Box], clearance: float = 0.0) -> bool:
    """Say whether a route comes within ``clearance`` of a box."""
    edges = np.array([[b.x, b.y, b.width / 2 + clearance, b.height / 2 + clearance] for b in boxes])
    if not edges.size:
        return False
    away = np.abs(sample(route)[:, None, :] - edges[None, :, :2])
    return bool((away < edges[None, :, 2:]).all(axis=2).any())


# --- layers ------------------------------------------------------------------------------------------


@dataclass
class _Layers:
    """The layered graph: vertices by layer, links between neighbouring layers, the way of each edge."""

    rows: list[list[Vertex]]
    ways: dict[Edge, list[Vertex]]
    up: dict[Vertex, list[Vertex]] = field(default_factory=dict)
    down: dict[Vertex, list[Vertex]] = field(default_factory=dict)


def layered(
    nodes: Sequence[str],
    edges: Iterable[Edge],
    sizes: Mapping[str, tuple[float, float]],
    *,
    last: Iterable[str] = (),
    bundles: Mapping[Edge, Hashable] | None = None,
) -> Layout:
    """Lay a graph out in layers from left to right.

    Parameters
    ----------
    nodes : sequence of str
        All nodes, in the order that breaks ties.
    edges : iterable of (str, str, str)
        Directed edges, which form no loop and all point to the right, and edges without direction, which
        do not decide on layers.
    sizes : mapping of str to (float, float)
        Width and height of each node.
    last : iterable of str
        Nodes to be put as far right as their effects allow.
    bundles : mapping of edge to hashable, optional
        Directed edges of one source with equal values share their way.
    """
    edges = list(edges)
    if not nodes:
        return Layout(boxes={}, routes={})
    arrows = [edge for edge in edges if edge[1] == "->"]
    depth = _depths(nodes, arrows, set(last))
    ways = {edge: _endpoints(edge, depth) for edge in edges}
    beside = [
        edge
        for edge in edges
        if edge[1] == "<->" and {(edge[0], "->", edge[2]), (edge[2], "->", edge[0])} & set(arrows)
    ]
    level = [edge for edge in edges if depth[edge[0]] == depth[edge[2]]]
    led = {edge: ends for edge, ends in ways.items() if edge not in beside and edge not in level}
    layers = _with_passages(nodes, led, depth, bundles or {})
    _untangle(layers)
    y = _heights(layers, {node: sizes[node][1] for node in nodes})
    widths = [max((sizes[v][0] for v in row if isinstance(v, str)), default=0.0) for row in layers.rows]
    gap = max(GAP_X[1], GAP_X[0] - 4.0 * max(0, len(widths) - 5))
    lefts = [sum(widths[:k]) + k * gap for k in range(len(widths))]
    boxes = {
        node: Box(
            x=lefts[depth[node]] + widths[depth[node]] / 2, y=y[node], width=sizes[node][0], height=sizes[node][1]
        )
        for node in nodes
    }
    columns = [(left, left + width) for left, width in zip(lefts, widths, strict=True)]
    routes = _routes(layers, boxes, columns, y)
    for edge in level:
        routes[edge] = _arc(boxes[edge[0]], boxes[edge[2]], columns[depth[edge[0]]][0])
    for edge in beside:
        ends = ways[edge]
        others = [box for node, box in boxes.items() if node not in ends]
        routes[edge] = _beside(routes[(ends[0], "->", ends[1])], others)
    # A tie that was led from its second node to its first runs the other way round.
    turned = {edge: routes[edge][::-1] for edge in edges if ways[edge][0] != edge[0] and edge not in level}
    return Layout(boxes=boxes, routes={**routes, **turned})


def _endpoints(edge: Edge, depth: Mapping[str, int]) -> tuple[str, str]:
    a, _, b = edge
    return (a, b) if depth[a] <= depth[b] else (b, a)


def _depths(nodes: Sequence[str], arrows: list[Edge], last: set[str]) -> dict[str, int]:
    """Put each node as near as it can be to its causes and effects, the outcomes to the right."""
    causes: dict[str, list[str]] = {node: [] for node in nodes}
    effects: dict[str, list[str]] = {node: [] for node in nodes}
    for a, _, b in arrows:
        effects[a].append(b)
        causes[b].append(a)
    order = [node for node in nodes if not causes[node]]
    waiting = {node: len(causes[node]) for node in nodes}
    for node in order:
        for effect in effects[node]:
            waiting[effect] -= 1
            if not waiting[effect]:
                order.append(effect)
    depth = dict.fromkeys(nodes, 0)
    for node in order:
        for effect in effects[node]:
            depth[effect] = max(depth[effect], depth[node] + 1)
    deepest = max(depth.values(), default=0)
    for _ in range(3):
        for node in reversed(order):
            if node in last and not effects[node]:
                depth[node] = deepest
            elif effects[node] and (len(effects[node]) >= len(causes[node]) or node in last):
                depth[node] = min(depth[effect] for effect in effects[node]) - 1
    return depth


def _with_passages(
    nodes: Sequence[str],
    ends: Mapping[Edge, tuple[str, str]],
    depth: Mapping[str, int],
    bundles: Mapping[Edge, Hashable],
) -> _Layers:
    layers = _Layers(rows=[[] for _ in range(max(depth.values(), default=0) + 1)], ways={})
    for node in nodes:
        layers.rows[depth[node]].append(node)
    links: dict[tuple[Vertex, Vertex], None] = {}
    placed: set[Vertex] = set()
    for edge, (a, b) in ends.items():
        way: list[Vertex] = [a]
        bundle = (a, bundles.get(edge, b)) if edge[1] == "->" else edge
        for k in range(depth[a] + 1, depth[b]):
            passage = (bundle, k)
            if passage not in placed:
                placed.add(passage)
                layers.rows[k].append(passage)
            way.append(passage)
        way.append(b)
        layers.ways[edge] = way
        links.update(dict.fromkeys(pairwise(way)))
    for u, v in links:
        layers.down.setdefault(u, []).append(v)
        layers.up.setdefault(v, []).append(u)
    return layers


# --- order within layers -----------------------------------------------------------------------------


def _untangle(layers: _Layers) -> None:
    """Reorder each layer so that few links cross: medians swept to and fro, then neighbours swapped."""
    size = sum(map(len, layers.rows))
    chance = random.Random(0)
    best = _crossings(layers, layers.rows)
    kept = [list(row) for row in layers.rows]
    for start in range(STARTS if size < 250 else 2):
        rows = [list(row) for row in layers.rows]
        if start:
            for row in rows:
                chance.shuffle(row)
        for sweep in range(10):
            _sweep(layers, rows, forwards=sweep % 2 == 0)
            if size < 250:
                _swap(layers, rows)
            count = _crossings(layers, rows)
            if count < best:
                best, kept = count, [list(row) for row in rows]
    layers.rows[:] = kept


def _sweep(layers: _Layers, rows: list[list[Vertex]], forwards: bool) -> None:
    beside = layers.up if forwards else layers.down
    steps = range(1, len(rows)) if forwards else range(len(rows) - 2, -1, -1)
    for k in steps:
        rank = {v: i for i, v in enumerate(rows[k - 1 if forwards else k + 1])}
        here = {v: i for i, v in enumerate(rows[k])}
        wish = {v: sum(rank[u] for u in beside[v]) / len(beside[v]) if v in beside else None for v in rows[k]}
        settled = sorted((v for v in rows[k] if wish[v] is not None), key=lambda v: (wish[v], here[v]))
        for v in (v for v in rows[k] if wish[v] is None):
            settled.insert(min(here[v], len(settled)), v)
        rows[k] = settled


def _swap(layers: _Layers, rows: list[list[Vertex]]) -> None:
    ranks = [{v: i for i, v in enumerate(row)} for row in rows]
    improved = True
    while improved:
        improved = False
        for k, row in enumerate(rows):
            around = [(layers.up, ranks[k - 1] if k else {}), (layers.down, ranks[k + 1] if k + 1 < len(rows) else {})]
            for i in range(len(row) - 1):
                gain = 0
                for links, rank in around:
                    first = [rank[u] for u in links.get(row[i], ())]
                    second = [rank[u] for u in links.get(row[i + 1], ())]
                    gain += sum((a > b) - (a < b) for a in first for b in second)
                if gain > 0:
                    row[i], row[i + 1] = row[i + 1], row[i]
                    ranks[k][row[i]], ranks[k][row[i + 1]] = i, i + 1
                    improved = True


def _crossings(layers: _Layers, rows: list[list[Vertex]]) -> int:
    count = 0
    for row, following in pairwise(rows):
        rank = {v: i for i, v in enumerate(following)}
        ends = np.array([rank[v] for u in row for v in sorted(layers.down.get(u, ()), key=rank.__getitem__)])
        count += int(np.triu(ends[:, None] > ends[None, :], 1).sum())
    return count


# --- heights -----------------------------------------------------------------------------------------


def _heights(layers: _Layers, heights: Mapping[str, float]) -> dict[Vertex, float]:
    """Give each vertex a height near its neighbours', keeping order and distances."""
    tall = {v: heights[v] if isinstance(v, str) else 0.0 for row in layers.rows for v in row}
    gaps = [
        [
            (tall[u] + tall[v]) / 2
            + (
                GAP_NODES
                if isinstance(u, str) and isinstance(v, str)
                else GAP_LINES
                if tall[u] + tall[v] == 0
                else 15.0
            )
            for u, v in pairwise(row)
        ]
        for row in layers.rows
    ]
    y: dict[Vertex, float] = {}
    for row, between in zip(layers.rows, gaps, strict=True):
        length = sum(between)
        at = -length / 2
        for v, gap in zip(row, [*between, 0.0], strict=True):
            y[v] = at
            at += gap
    for sweep in range(40):
        for k in range(len(layers.rows)) if sweep % 2 == 0 else range(len(layers.rows) - 1, -1, -1):
            row = layers.rows[k]
            wishes, weights = [], []
            for v in row:
                beside = [*layers.up.get(v, ()), *layers.down.get(v, ())]
                pull = [_pull(v, u) for u in beside]
                wishes.append(sum(w * y[u] for w, u in zip(pull, beside, strict=True)) / sum(pull) if beside else y[v])
                weights.append(8.0 if not isinstance(v, str) else 1.0 + len(beside))
            for v, height in zip(row, _spaced(wishes, gaps[k], weights), strict=True):
                y[v] = height
    return y


def _pull(v: Vertex, u: Vertex) -> float:
    """Straighten long arrows before short ones."""
    return (1.0, 3.0, 8.0)[(not isinstance(v, str)) + (not isinstance(u, str))]


def _spaced(wishes: list[float], gaps: list[float], weights: list[float]) -> list[float]:
    """Return the heights nearest to the wishes (least squares) that keep order and gaps: pool adjacent violators."""
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []
    for wish, offset, weight in zip(wishes, offsets, weights, strict=True):
        mean, mass, count = wish - offset, weight, 1
        while pools and pools[-1][0] > mean:
            before, heavy, many = pools.pop()
            mean = (before * heavy + mean * mass) / (heavy + mass)
            mass, count = mass + heavy, count + many
        pools.append((mean, mass, count))
    flat = [mean for mean, _, count in pools for _ in range(count)]
    return [height + offset for height, offset in zip(flat, offsets, strict=True)]


# --- routes ------------------------------------------------------------------------------------------


def _routes(
    layers: _Layers, boxes: Mapping[str, Box], columns: list[tuple[float, float]], y: Mapping[Vertex, float]
) -> dict[Edge, list[Point]]:
    row_of = {v: k for k, row in enumerate(layers.rows) for v in row}
    middle = {v: sum(columns[row_of[v]]) / 2 for v in row_of}
    slope = {v: _slope(v, layers, middle, y) for v in row_of}
    bundles: dict[Hashable, list[Edge]] = {}
    for edge, way in layers.ways.items():
        key = way[1][0] if isinstance(way[1], tuple) else edge
        bundles.setdefault(key, []).append(edge)
    routes = {}
    for edges in bundles.values():
        smooth = {edge: _smooth(layers.ways[edge], boxes, columns, row_of, middle, slope, y) for edge in edges}
        hits = any(
            passes_through(route, (box for node, box in boxes.items() if node not in (edge[0], edge[2])), CLEARANCE)
            for edge, route in smooth.items()
        )
        routes.update(
            {edge: _stepped(layers.ways[edge], boxes, columns, row_of, y) for edge in edges} if hits else smooth
        )
    return routes


def _slope(v: Vertex, layers: _Layers, x: Mapping[Vertex, float], y: Mapping[Vertex, float]) -> float:
    """Return the slope at a passage: between those on either side, level at a turning point."""
    if isinstance(v, str):
        return 0.0
    before, after = layers.up[v][0], layers.down[v]
    left = (y[v] - y[before]) / (x[v] - x[before])
    right = sum((y[u] - y[v]) / (x[u] - x[v]) for u in after) / len(after)
    return 0.0 if left * right <= 0 else 2 * left * right / (left + right)


def _smooth(
    way: list[Vertex],
    boxes: Mapping[str, Box],
    columns: list[tuple[float, float]],
    row_of: Mapping[Vertex, int],
    x: Mapping[Vertex, float],
    slope: Mapping[Vertex, float],
    y: Mapping[Vertex, float],
) -> list[Point]:
    first, final = boxes[str(way[0])], boxes[str(way[-1])]
    knots = [(columns[row_of[way[0]]][1], first.y, 0.0)]
    knots += [(x[v], y[v], slope[v]) for v in way[1:-1]]
    knots.append((columns[row_of[way[-1]]][0], final.y, 0.0))
    route = [(first.right, first.y), *_on_to((first.right, first.y), knots[0][:2])]
    for (x0, y0, s0), (x1, y1, s1) in pairwise(knots):
        reach = (x1 - x0) * 0.42
        route += [(x0 + reach, y0 + reach * s0), (x1 - reach, y1 - reach * s1), (x1, y1)]
    return route + _on_to(knots[-1][:2], (final.left, final.y))


def _stepped(
    way: list[Vertex],
    boxes: Mapping[str, Box],
    columns: list[tuple[float, float]],
    row_of: Mapping[Vertex, int],
    y: Mapping[Vertex, float],
) -> list[Point]:
    """Keep level across every column and change height only between columns, where no node stands."""
    first, final = boxes[str(way[0])], boxes[str(way[-1])]
    route: list[Point] = [(first.right, first.y)]
    for v, following in pairwise(way):
        leave, arrive = columns[row_of[v]][1], columns[row_of[following]][0]
        route += _on_to(route[-1], (leave, y[v]))
        half = (arrive - leave) / 2
        route += [(leave + half, y[v]), (arrive - half, y[following]), (arrive, y[following])]
    return route + _on_to(route[-1], (final.left, final.y))


def _on_to(start: Point, end: Point) -> list[Point]:
    """Return a straight line as the further points of a curve; nothing when the two are one."""
    if math.dist(start, end) < 0.05:
        return []
    return [_between(start, end, 1 / 3), _between(start, end, 2 / 3), end]


def _beside(route: list[Point], others: list[Box], distance: float = 7.0) -> list[Point]:
    """Return a route next to another one, between the same nodes."""
    above, below = ([(x, y + shift) for x, y in route] for shift in (-distance, distance))
    return below if passes_through(above, others) else above


def _arc(a: Box, b: Box, left: float) -> list[Point]:
    """Join two nodes of one layer through the empty space on their left."""
    bulge = min(GAP_X[1] * 0.8, 18 + abs(a.y - b.y) * 0.25)
    route = [(a.left, a.y), *_on_to((a.left, a.y), (left, a.y))]
    route += [(left - bulge, a.y), (left - bulge, b.y), (left, b.y)]
    return route + _on_to((left, b.y), (b.left, b.y))


# --- given positions ---------------------------------------------------------------------------------


def positioned(
    places: Mapping[str, Point],
    edges: Iterable[Edge],
    sizes: Mapping[str, tuple[float, float]],
    width: float = 820.0,
    height: float = 520.0,
) -> Layout | None:
    """Lay a graph out at given positions, scaled to the size of a page; None when nodes cannot be kept apart.

    Parameters
    ----------
    places : mapping of str to (float, float)
        Position of every node, y downwards, in any unit.
    edges : iterable of (str, str, str)
        What to route.
    sizes : mapping of str to (float, float)
        Width and height of each node.
    width, height : float
        Size to aim at.
    """
    boxes = _apart(places, sizes, width, height)
    if boxes is None:
        return None
    edges = list(edges)
    arrows = {frozenset((a, b)) for a, arrow, b in edges if arrow == "->"}
    return Layout(
        boxes=boxes,
        routes={
            (a, arrow, b): _around(boxes, a, b, bent=arrow == "<->" and frozenset((a, b)) in arrows)
            for a, arrow, b in edges
        },
    )


def _apart(
    places: Mapping[str, Point], sizes: Mapping[str, tuple[float, float]], width: float, height: float
) -> dict[str, Box] | None:
    names = sorted(places)
    at = np.array([places[name] for name in names], dtype=float)
    spread = np.ptp(at, axis=0)
    scale_x = width / spread[0] if spread[0] > 0 else 1.0
    scale_y = height / spread[1] if spread[1] > 0 else 1.0
    at = (at - at.min(axis=0)) * np.array([scale_x, min(scale_y, scale_x * 1.5) if spread[0] > 0 else scale_y])
    need = np.array([sizes[name] for name in names])
    need = (need[:, None, :] + need[None, :, :]) / 2 + np.array([26.0, 18.0])
    before = np.triu(np.ones((len(names), len(names)), dtype=bool), 1)
    for _ in range(500):
        apart = at[None, :, :] - at[:, None, :]
        short = need - np.abs(apart)
        close = np.argwhere((short > 1e-6).all(axis=2) & before)
        if not close.size:
            return {
                name: Box(x=float(x), y=float(y), width=sizes[name][0], height=sizes[name][1])
                for name, (x, y) in zip(names, at, strict=True)
            }
        for i, j in close:
            axis = int(short[i, j][1] <= short[i, j][0])
            push = short[i, j][axis] / 2 * (1.0 if apart[i, j][axis] >= 0 else -1.0)
            at[i][axis] -= push
            at[j][axis] += push
    return None


def _around(boxes: Mapping[str, Box], a: str, b: str, bent: bool) -> list[Point]:
    """Return a straight arrow (unless ``bent``), else the least bent one, else one that turns corners."""
    others = [box for name, box in boxes.items() if name not in (a, b)]
    start, end = boxes[a], boxes[b]
    across = (end.y - start.y, start.x - end.x)
    length = math.hypot(*across)
    for share in (0.0, 0.1, -0.1, 0.18, -0.18, 0.27, -0.27, 0.38, -0.38, 0.5, -0.5, 0.7, -0.7)[bent:]:
        bend = ((start.x + end.x) / 2 + across[0] * share, (start.y + end.y) / 2 + across[1] * share)
        first, final = _border(start, bend), _border(end, bend)
        route = [first, _between(first, bend, 2 / 3), _between(final, bend, 2 / 3), final]
        if not passes_through(route, others, CLEARANCE) and (abs(share) * length < 240):
            return route
    return _corners(boxes, a, b)


def _between(one: Point, other: Point, share: float) -> Point:
    return (one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share)


def _border(box: Box, towards: Point) -> Point:
    """Return where the line from a box's centre leaves it."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    reach = [half / abs(step) for half, step in ((box.width / 2, dx), (box.height / 2, dy)) if step]
    share = min([1.0, *reach])
    return (box.x + dx * share, box.y + dy * share)


def _corners(boxes: Mapping[str, Box], a: str, b: str) -> list[Point]:
    """Return the shortest way along the corners of boxes, its turns rounded."""
    margin = CLEARANCE + 3
    others = [box for name, box in boxes.items() if name not in (a, b)]
    points: list[Point] = [(boxes[a].x, boxes[a].y), (boxes[b].x, boxes[b].y)]
    for box in boxes.values():
        points += [
            (box.x + sx * (box.width / 2 + margin), box.y + sy * (box.height / 2 + margin))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
    places = np.array(points)
    barriers = np.array([[box.x, box.y, box.width / 2 + CLEARANCE, box.height / 2 + CLEARANCE] for box in others])
    best = np.full(len(points), math.inf)
    best[0] = 0.0
    came: dict[int, int] = {}
    queue = [(0.0, 0)]
    while queue:
        far, here = heapq.heappop(queue)
        if here == 1:
            break
        if far > best[here]:
            continue
        cost = far + np.hypot(*(places - places[here]).T) + 12.0
        nearer = np.flatnonzero(cost < np.minimum(best, best[1]))
        for there in nearer[_clear(places[here], places[nearer], barriers)]:
            best[there], came[int(there)] = cost[there], here
            heapq.heappush(queue, (float(cost[there]), int(there)))
    turns = [points[1]]
    step = 1
    while step in came:
        step = came[step]
        turns.insert(0, points[step])
    if len(turns) == 1:
        turns.insert(0, points[0])
    turns[0], turns[-1] = _border(boxes[a], turns[1]), _border(boxes[b], turns[-2])
    return _rounded(turns)


def _clear(start: NDArray[np.float64], ends: NDArray[np.float64], barriers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which straight lines from one point to many miss all boxes, given as centre and half sizes."""
    if not len(barriers):
        return np.ones(len(ends), dtype=bool)
    step = (ends - start)[:, None, :]
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    enter = (barriers[:, :2] - start - np.sign(step) * barriers[:, 2:]) / step
    leave = (barriers[:, :2] - start + np.sign(step) * barriers[:, 2:]) / step
    within = np.maximum(enter.max(axis=2), 0.0) < np.minimum(leave.min(axis=2), 1.0)
    missed: NDArray[np.bool_] = ~within.any(axis=1)
    return missed


def _rounded(turns: list[Point], radius: float = 9.0) -> list[Point]:
    route: list[Point] = [turns[0]]
    for before, turn, after in zip(turns, turns[1:], turns[2:], strict=False):
        near, past = (
            _between(turn, end, min(radius / max(math.dist(turn, end), 1e-9), 0.5)) for end in (before, after)
        )
        route += _on_to(route[-1], near)
        route += [_between(near, turn, 2 / 3), _between(past, turn, 2 / 3), past]
    return route + _on_to(route[-1], turns[-1])
