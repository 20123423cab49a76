"""Paths and separation in a graph given as {node: its direct causes}; knows nothing of roles or studies.

Open paths are found over (node, way of arrival), minimal separators in the moral graph of the
ancestors as bit masks, so thirty nodes cost well under a millisecond. Sources: van der Zander,
Liśkiewicz & Textor 2019, 10.1016/j.artint.2018.12.006 (separators with forced and forbidden
nodes); Shen & Liang 1997, 10.1016/S0304-3975(97)83809-8 (enumeration, each one in polynomial time).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

N = TypeVar("N", bound=Hashable)
State = tuple[N, bool]
"""A node, and whether the edge by which it was reached points into it."""

MAX_STEPS = 20_000


def reachable(step: Mapping[N, Iterable[N]], start: Iterable[N]) -> set[N]:
    """Return the nodes reached by one or more steps, or none: the start belongs to them."""
    reached = set(start)
    frontier = list(reached)
    while frontier:
        for each in step[frontier.pop()]:
            if each not in reached:
                reached.add(each)
                frontier.append(each)
    return reached


def children_of(parents: Mapping[N, Collection[N]]) -> dict[N, list[N]]:
    """Turn {node: causes} into {node: effects}."""
    children: dict[N, list[N]] = {node: [] for node in parents}
    for node, causes in parents.items():
        for cause in causes:
            children[cause].append(node)
    return children


def _moves(
    parents: Mapping[N, Collection[N]], start: N, goals: Collection[N], given: Collection[N]
) -> dict[State[N], list[State[N]]]:
    """Return the steps an open path may take, from each state.

    A path may pass a node as a chain or fork when it is not in ``given``, as a collider when it, or
    something it causes, is.
    """
    children = children_of(parents)
    opened = reachable(parents, given)
    order = {node: position for position, node in enumerate(parents)}
    moves: dict[State[N], list[State[N]]] = {}
    for node in parents:
        up = [(cause, False) for cause in sorted(parents[node], key=order.__getitem__) if cause != start]
        down = [(effect, True) for effect in children[node] if effect != start]
        if node == start:
            moves[node, True] = up + down
        elif node in goals:
            moves[node, True] = moves[node, False] = []
        else:
            free = node not in given
            moves[node, False] = (up + down) if free else []
            moves[node, True] = (down if free else []) + (up if node in opened else [])
    return moves


def _steps_to_goal(moves: Mapping[State[N], list[State[N]]], goals: Collection[N]) -> dict[State[N], int]:
    back: dict[State[N], list[State[N]]] = {}
    for state, targets in moves.items():
        for target in targets:
            back.setdefault(target, []).append(state)
    distance = {(goal, arrival): 0 for goal in goals for arrival in (True, False)}
    queue = deque(distance)
    while queue:
        state = queue.popleft()
        for before in back.get(state, ()):
            if before not in distance:
                distance[before] = distance[state] + 1
                queue.append(before)
    return distance


def separated(parents: Mapping[N, Collection[N]], start: N, goals: Collection[N], given: Collection[N]) -> bool:
    """Say whether ``given`` d-separates a node from all of ``goals``."""
    goals = set(goals)
    moves = _moves(parents, start, goals, set(given))
    seen = {(start, True)}
    frontier = [(start, True)]
    while frontier:
        for state in moves[frontier.pop()]:
            if state[0] in goals:
                return False
            if state not in seen:
                seen.add(state)
                frontier.append(state)
    return True


def open_paths(
    parents: Mapping[N, Collection[N]], start: N, goals: Collection[N], given: Collection[N], most: int = 10
) -> list[list[N]]:
    """Return paths that ``given`` leaves open, shortest first, each node once.

    Parameters
    ----------
    parents : mapping
        Each node's direct causes.
    start : node
        One end.
    goals : collection of nodes
        The other end: a path stops at the first it meets.
    given : collection of nodes
        What is conditioned on.
    most : int
        How many to return. The search also stops after a fixed number of steps, once it has one.
    """
    goals, given = set(goals), set(given)
    moves = _moves(parents, start, goals, given)
    distance = _steps_to_goal(moves, goals)
    found: list[list[N]] = []
    if (start, True) not in distance:
        return found
    steps = 0
    # A shortest walk never meets a node twice (the loop could be cut out), so the first length succeeds.
    for length in range(distance[start, True], len(parents)):
        trail: list[tuple[State[N], Iterator[State[N]]]] = [((start, True), iter(moves[start, True]))]
        on_trail = {start}
        while trail:
            steps += 1
            if len(found) >= most or (found and steps > MAX_STEPS):
                return found
            state = next(trail[-1][1], None)
            if state is None:
                on_trail.discard(trail.pop()[0][0])
            elif state[0] in goals:
                if len(trail) == length:
                    found.append([each[0] for each, _ in trail] + [state[0]])
            elif state[0] not in on_trail and state in distance and len(trail) + distance[state] <= length:
                trail.append((state, iter(moves[state])))
                on_trail.add(state[0])
    return found


def minimal_separators(
    parents: Mapping[N, Collection[N]],
    starts: Collection[N],
    goals: Collection[N],
    allowed: Collection[N],
    forced: Collection[N] = (),
) -> Iterator[frozenset[N]]:
    """Yield the sets that separate ``starts`` from ``goals`` and lose that when any one node is left out.

    Parameters
    ----------
    parents : mapping
        Each node's direct causes.
    starts, goals : collection of nodes
        What to separate.
    allowed : collection of nodes
        What a set may hold.
    forced : collection of nodes
        What every set holds; minimal then means that nothing else can be left out.

    Yields
    ------
    frozenset
        Each minimal set once, those close to ``starts`` first; nothing when no set separates.
    """
    starts, goals, forced = set(starts), set(goals), set(forced)
    kept = reachable(parents, starts | goals | forced)
    neighbours: dict[N, set[N]] = {node: set() for node in parents if node in kept}
    for node in neighbours:
        family = [node, *parents[node]]
        for one in family:
            neighbours[one].update(family)
    free = [node for node in neighbours if node in allowed and node not in starts | goals | forced]
    index = {node: position + 2 for position, node in enumerate(free)}
    index.update(dict.fromkeys(starts, 0))
    index.update(dict.fromkeys(goals, 1))
    barred = [node for node in neighbours if node not in index and node not in forced]
    adjacency = _projected(neighbours, index, barred)
    if adjacency[0] & 2:
        return
    for mask in _enumerate(adjacency):
        yield frozenset(free[bit - 2] for bit in _bits(mask)) | forced


def _projected(neighbours: Mapping[N, set[N]], index: Mapping[N, int], barred: list[N]) -> list[int]:
    """Return adjacency as bit masks, a path through barred nodes alone counting as an edge."""
    size = max(index.values()) + 1
    adjacency = [0] * size
    blocked = set(barred)

    def link(group: Iterable[N]) -> None:
        members = sorted({index[node] for node in group if node in index})
        mask = sum(1 << member for member in members)
        for member in members:
            adjacency[member] |= mask & ~(1 << member)

    for node in index:
        for other in neighbours[node]:
            link((node, other))
    while blocked:
        part = {blocked.pop()}
        frontier = list(part)
        border: set[N] = set()
        while frontier:
            for each in neighbours[frontier.pop()]:
                if each in blocked:
                    blocked.discard(each)
                    part.add(each)
                    frontier.append(each)
                else:
                    border.add(each)
        link(border)
    return adjacency


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _component(adjacency: list[int], seed: int, within: int) -> int:
    component = frontier = seed
    while frontier:
        low = frontier & -frontier
        frontier ^= low
        new = adjacency[low.bit_length() - 1] & within & ~component
        component |= new
        frontier |= new
    return component


def _border(adjacency: list[int], component: int) -> int:
    border = 0
    for bit in _bits(component):
        border |= adjacency[bit]
    return border & ~component


def _enumerate(adjacency: list[int]) -> Iterator[int]:
    """Yield every minimal separator of vertices 0 and 1 of an undirected graph, as bit masks."""
    everything = (1 << len(adjacency)) - 1
    goal = 2
    # Vertex 0 need not be taken away: nothing leads to it once its neighbours, or a separator, are gone.
    first = _border(adjacency, _component(adjacency, goal, everything & ~adjacency[0]))
    seen = {first}
    queue = deque([first])
    while queue:
        separator = queue.popleft()
        yield separator
        for bit in _bits(separator):
            if adjacency[bit] & goal:
                continue
            side = _component(adjacency, goal, everything & ~(separator | adjacency[bit]))
            further = _border(adjacency, side)
            if further not in seen:
                seen.add(further)
                queue.append(further)
