"""The adjustment criterion: which sets suffice, why others do not, and the choice of one.

A set suffices for the total effect when it holds no node on a causal path, no effect of such a
node, and closes every other path from exposure to outcome: it separates the two once the first
arrows of the causal paths are taken away (Shpitser, VanderWeele & Robins 2010; van der Zander,
Liśkiewicz & Textor 2019, 10.1016/j.artint.2018.12.006). Several outcomes are read as one: a set
sufficient for all of them together is sufficient for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise

from causal_s4.dag.graph import Dag, Parents, Vertex
from causal_s4.dag.separation import minimal_separators, open_paths, reachable, separated
from causal_s4.errors import UsageError

MAX_SETS = 1000
"""Minimal sets are enumerated up to this many; a graph can have exponentially many."""
MAX_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a set suffices, and why or why not.

    Parameters
    ----------
    sufficient : bool
        The truth value of the verdict.
    kind : {"none needed", "sufficient", "insufficient", "not identified"}
        ``"none needed"``: the empty set was asked about and suffices. ``"not identified"``: neither
        this set nor any other one that can be measured suffices.
    reasons : tuple of str
        Sentences; also what is allowed but unwise, such as adjusting for an instrument.
    open_paths : tuple of str
        Paths left open, such as ``"surgery <- burden -> death"``, shortest first.
    """

    sufficient: bool
    kind: str
    reasons: tuple[str, ...]
    open_paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether the set suffices."""
        return self.sufficient


@dataclass(frozen=True, kw_only=True)
class Question:
    """One exposure and its outcomes in a graph, with what the adjustment criterion needs of them.

    Parameters
    ----------
    dag : Dag
        The graph.
    exposure : str
        The treatment.
    outcomes : frozenset of str
        One or more, read jointly.
    """

    dag: Dag
    exposure: str
    outcomes: frozenset[str]

    @classmethod
    def of(cls, dag: Dag, exposure: str | None, outcome: str | Iterable[str] | None) -> Question:
        """Return the question, taking what is not named from the graph's marks.

        Raises
        ------
        UsageError
            When a node is unknown, nothing is named or marked, or the exposure is its own outcome.
        """
        treatment = dag.exposure if exposure is None else dag.known(exposure)
        named = dag.outcomes if outcome is None else [outcome] if isinstance(outcome, str) else list(outcome)
        outcomes = frozenset(dag.known(each) for each in named)
        for what, value in (("exposure", treatment), ("outcome", outcomes)):
            if not value:
                raise UsageError(f"no node is marked as {what}; write `name [{what}]` in the graph, or name one")
        if treatment in outcomes:
            raise UsageError(f"{treatment!r} is named both as exposure and as outcome")
        return cls(dag=dag, exposure=str(treatment), outcomes=outcomes)

    @cached_property
    def causal(self) -> frozenset[Vertex]:
        """Nodes on a causal path from exposure to an outcome, the exposure left out."""
        effects = self.dag.effects_of([self.exposure]) - {self.exposure}
        return frozenset(effects & self.dag.causes_of(self.outcomes))

    @cached_property
    def forbidden(self) -> frozenset[Vertex]:
        """Causal nodes and their effects: adjusting for one biases the total effect."""
        return frozenset(self.dag.effects_of(self.causal))

    @cached_property
    def effects(self) -> frozenset[str]:
        """Everything the exposure causes."""
        return self.dag.descendants(self.exposure)

    @cached_property
    def backdoor(self) -> Parents:
        """The graph without the first arrows of the causal paths."""
        return {
            node: causes - {self.exposure} if node in self.causal else causes
            for node, causes in self.dag.parents.items()
        }

    @cached_property
    def candidates(self) -> frozenset[str]:
        """Nodes that may be adjusted for: not latent, not forbidden, not the question itself."""
        barred = {self.exposure, *self.outcomes, *self.dag.outcomes, *self.dag.latent}
        return frozenset(node for node in self.dag.nodes if node not in barred and node not in self.forbidden)

    def is_closed(self, names: Collection[str]) -> bool:
        """Say whether a set leaves no path open that is not causal."""
        return separated(self.backdoor, self.exposure, self.outcomes, names)

    def open_paths(self, names: Collection[str], most: int = 10) -> list[list[Vertex]]:
        """Return paths that are not causal and that a set leaves open."""
        return open_paths(self.backdoor, self.exposure, self.outcomes, names, most)

    def sets(
        self, allowed: Collection[str], forced: Collection[str] = (), limit: int = MAX_SETS
    ) -> list[frozenset[str]]:
        """Return minimal sufficient sets, smallest first, then alphabetical; at most ``limit`` of them."""
        if not set(forced) <= self.candidates:
            return []
        usable = self.candidates & set(allowed)
        found = minimal_separators(self.backdoor, [self.exposure], self.outcomes, usable, forced)
        return sorted(
            (frozenset(map(str, each)) for each in islice(found, limit)), key=lambda each: (len(each), sorted(each))
        )

    def instruments(self, names: Collection[str]) -> list[str]:
        """Return the members of a set that, given the others, bear on the outcome through treatment alone."""
        return [
            name
            for name in sorted(set(names) & self.candidates - self.effects)
            if separated(self.backdoor, name, self.outcomes, set(names) - {name})
            and not separated(self.backdoor, name, {self.exposure}, set(names) - {name})
        ]

    def after_time_zero(self, names: Collection[str]) -> list[str]:
        """Return the members of a set that are effects of the exposure or said to be measured later."""
        later = self.effects | {name for name, tier in self.dag.tiers.items() if tier == "later"}
        return sorted(set(names) & later & self.candidates)

    def since(self, name: str) -> str:
        """Say why a node is not a baseline one."""
        return "is an effect of the treatment" if name in self.effects else "is measured after time zero"

    def text(self, path: list[Vertex]) -> str:
        """Return a path in dagitty's arrows: ``surgery <- burden -> death``."""
        words = [str(path[0])]
        for before, node in pairwise(path):
            if isinstance(node, str):
                if not isinstance(before, str):
                    words.append("<->")
                else:
                    words.append("->" if before in self.dag.parents[node] else "<-")
                words.append(node)
        return " ".join(words)


def adjustment_sets(
    dag: Dag,
    exposure: str | None = None,
    outcome: str | Iterable[str] | None = None,
    *,
    limit: int = MAX_SETS,
) -> list[frozenset[str]]:
    """Return the minimal sufficient adjustment sets for the total effect.

    Parameters
    ----------
    dag : Dag
        The graph. Nodes marked adjusted are forced into every set; latent ones are in none.
    exposure, outcome : str, optional
        Nodes; those marked in the graph by default. Several outcomes are read jointly.
    limit : int
        How many sets to list at most, since a graph can have exponentially many: the first ones found, sorted.

    Returns
    -------
    list of frozenset of str
        Smallest first, then alphabetical. ``[frozenset()]`` when nothing needs adjusting, ``[]`` when no set
        suffices (or a node marked adjusted rules every set out).

    Raises
    ------
    UsageError
        When a node is unknown, or nothing is named or marked.
    """
    question = Question.of(dag, exposure, outcome)
    return question.sets(question.candidates, dag.adjusted, limit)


def verdict(
    dag: Dag,
    names: Iterable[str] | None = None,
    exposure: str | None = None,
    outcome: str | Iterable[str] | None = None,
) -> Verdict:
    """Say whether adjusting for a set of nodes identifies the total effect, and if not, why.

    Parameters
    ----------
    dag : Dag
        The graph.
    names : iterable of str, optional
        The set, taken exactly as given; the nodes marked adjusted by default.
    exposure, outcome : str, optional
        Nodes; those marked in the graph by default.

    Returns
    -------
    Verdict

    Raises
    ------
    UsageError
        When a node is unknown, or nothing is named or marked.
    """
    question = Question.of(dag, exposure, outcome)
    if isinstance(names, str):
        raise UsageError(f"expected a list of nodes; found the text {names!r}")
    chosen = frozenset(dag.known(name) for name in (dag.adjusted if names is None else names))
    return judge(question, chosen)


def judge(question: Question, chosen: frozenset[str]) -> Verdict:
    """Give the verdict on a set, with reasons."""
    faults = _faults(question, chosen)
    paths = question.open_paths(chosen)
    if not faults and not paths:
        return Verdict(
            sufficient=True,
            kind="sufficient" if chosen else "none needed",
            reasons=(_why_sufficient(question, chosen), *_unwise(question, chosen)),
        )
    stuck = unclosable(question, question.candidates)
    if stuck is not None:
        shown = [stuck, *(path for path in map(question.text, paths) if path != stuck)]
        reason = f"No set of measured nodes suffices: {stuck} stays open whatever is adjusted for."
        return Verdict(sufficient=False, kind="not identified", reasons=(reason, *faults), open_paths=tuple(shown))
    reasons = [*faults, *(_why_open(question, chosen, path) for path in paths[:MAX_REASONS])]
    if len(paths) > MAX_REASONS:
        reasons.append("Further paths are open.")
    return Verdict(
        sufficient=False,
        kind="insufficient",
        reasons=(*reasons, *_unwise(question, chosen)),
        open_paths=tuple(map(question.text, paths)),
    )


def unclosable(question: Question, allowed: Collection[str]) -> str | None:
    """Return a path no subset of ``allowed`` closes, or None when some set suffices."""
    if question.sets(allowed, limit=1):
        return None
    ends: set[Vertex] = {question.exposure, *question.outcomes}
    relevant = reachable(question.backdoor, ends)
    widest = [name for name in question.candidates if name in allowed and name in relevant]
    return question.text(question.open_paths(widest, most=1)[0])


def _faults(question: Question, chosen: frozenset[str]) -> list[str]:
    """Say which members no sufficient set may hold."""
    found = []
    for name in sorted(chosen):
        if name == question.exposure:
            found.append(f"{name} is the treatment itself.")
        elif name in question.outcomes:
            found.append(f"{name} is an outcome: adjusting for it hides the effect.")
        elif name in question.dag.latent:
            found.append(f"{name} is latent: it is not measured, so it cannot be adjusted for.")
        elif name in question.causal:
            path = " -> ".join(
                _directed(question, question.exposure, [name]) + _directed(question, name, question.outcomes)[1:]
            )
            found.append(
                f"{name} is a mediator and a descendant of the treatment ({path}): "
                "adjusting for it removes part of the effect."
            )
        elif name in question.forbidden:
            path = " -> ".join(_directed(question, question.exposure, [name]))
            found.append(f"{name} is a descendant of the treatment ({path}): adjusting for it biases the effect.")
    return found


def _directed(question: Question, start: str, goals: Collection[str]) -> list[str]:
    """Return a shortest directed path, the exposure's own effects found through causal nodes."""
    cause: dict[str, str] = {}
    frontier = [start]
    while frontier:
        step = []
        for node in frontier:
            for effect in map(str, question.dag.children[node]):
                if effect not in cause:
                    cause[effect] = node
                    step.append(effect)
        reached = sorted(set(goals) & set(step))
        if reached:
            path = reached[:1]
            while path[0] != start:
                path.insert(0, cause[path[0]])
            return path
        frontier = step
    return [start]


def _why_sufficient(question: Question, chosen: frozenset[str]) -> str:
    ends = f"from {question.exposure} to {listed(question.outcomes)}"
    lead = "" if question.causal else f"The graph has no directed path {ends}: it assumes no effect. "
    if not chosen:
        return f"{lead}Nothing needs adjusting: no back-door path {ends} is open."
    if question.is_closed(()):
        return f"{lead}Nothing needs adjusting, and adjusting for {listed(chosen)} does no harm under this graph."
    verb = "close" if len(chosen) > 1 else "closes"
    return f"{lead}{listed(chosen)} {verb} every back-door path {ends}."


def _why_open(question: Question, chosen: frozenset[str], path: list[Vertex]) -> str:
    shown = question.text(path)
    parents = question.backdoor
    colliders, closers = [], []
    for before, node, after in zip(path, path[1:], path[2:], strict=False):
        if before in parents[node] and after in parents[node]:
            colliders.append(str(node))
        elif node in question.candidates:
            closers.append(str(node))
    if colliders:
        opened = []
        for collider in colliders:
            below = [name for name in sorted(chosen) if name in question.dag.effects_of([collider])]
            via = collider if collider in below else below[0]
            opened.append(
                f"adjusting for {via} opens the collider {collider}"
                if via == collider
                else f"adjusting for {via}, an effect of the collider {collider}, opens it"
            )
        tail = f"; {listed(closers, 'or')} would close it again" if closers else ""
        said = " and ".join(opened)
        return f"{said[0].upper()}{said[1:]} on the path {shown}{tail}."
    tail = f": adjusting for {listed(closers, 'or')} closes it" if closers else ", and no measured node lies on it"
    return f"The back-door path {shown} is open{tail}."


def _unwise(question: Question, chosen: frozenset[str]) -> list[str]:
    """Say what is allowed but costs something."""
    found = [
        f"{name} is an instrument given the rest: it bears on {listed(question.outcomes)} through {question.exposure} "
        "alone, so adjusting for it costs precision and enlarges any bias that is left."
        for name in question.instruments(chosen)
    ]
    return found + [
        f"{name} {question.since(name)}: a value taken after time zero may already be a consequence of the treatment."
        for name in question.after_time_zero(chosen)
    ]


def listed(names: Iterable[str], word: str = "and") -> str:
    """Join names, sorted, as in a sentence."""
    *most, last = sorted(names)
    return f"{', '.join(most)} {word} {last}" if most else last


def open_edges(
    dag: Dag, names: Iterable[str] = (), exposure: str | None = None, outcome: str | Iterable[str] | None = None
) -> list[tuple[str, str]]:
    """Return the edges of the paths that a set leaves open, for a drawing of what is wrong with it.

    Parameters
    ----------
    dag : Dag
        The graph.
    names : iterable of str
        The set.
    exposure, outcome : str, optional
        Nodes; those marked in the graph by default.

    Returns
    -------
    list of (str, str)
        Pairs of neighbours on at most 50 open paths, sorted.

    Raises
    ------
    UsageError
        When a node is unknown, or nothing is named or marked.
    """
    question = Question.of(dag, exposure, outcome)
    found: set[tuple[str, str]] = set()
    for path in question.open_paths(frozenset(dag.known(name) for name in names), most=50):
        found.update(pairwise(node for node in path if isinstance(node, str)))
    return sorted(found)


# --- the choice ----------------------------------------------------------------------------------


def choose_set(question: Question, measured: Collection[str]) -> frozenset[str] | None:
    """Choose one sufficient set out of measured nodes.

    The rule: nothing when nothing needs adjusting. Otherwise every measured direct cause of an outcome
    or of a step between treatment and outcome, with as few further nodes as sufficiency needs; without
    latent nodes this is the set of smallest asymptotic variance (Henckel, Perković & Maathuis 2022,
    10.1111/rssb.12451), and it is what an epidemiologist expects: common causes and prognostic factors, no
    instruments. When no sufficient set holds all of these, the smallest minimal set. Nodes measured
    after time zero are used only when no set without them suffices. Nodes marked adjusted are in every set.

    Parameters
    ----------
    question : Question
        Exposure and outcomes in a graph.
    measured : collection of str
        Nodes that have columns.

    Returns
    -------
    frozenset of str or None
        None when no set of measured nodes suffices.
    """
    marked = frozenset(question.dag.adjusted)
    usable = question.candidates & set(measured)
    if not marked <= usable:
        return None
    if not marked and question.is_closed(()):
        return frozenset()
    steps = question.causal | question.outcomes
    causes = frozenset(map(str, frozenset().union(*(question.dag.parents[node] for node in steps)) & usable))
    for pool in (usable - set(question.after_time_zero(usable)), usable):
        for forced in ((causes & pool) | marked, marked):
            sets = question.sets(pool | marked, forced)
            if sets:
                return sets[0]
    return None
