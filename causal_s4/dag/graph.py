"""The assumptions as a value: a directed acyclic graph with roles, dagitty text in and out."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from causal_s4.arguments import checked_arguments
from causal_s4.dag.separation import children_of, reachable
from causal_s4.errors import DagSyntaxError, InputError, Problem, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from causal_s4.dag.identify import Verdict
    from causal_s4.dag.implications import Independence

Edge = tuple[str, str]
Hidden = tuple[str, str]
"""The unnamed common cause behind a bidirected edge, known by the two nodes it causes."""
Vertex = str | Hidden
Parents = Mapping[Vertex, frozenset[Vertex]]
"""A graph as the algorithms read it: every node with its direct causes."""

TIERS = ("baseline", "later")
MAX_BYTES = 256 * 1024
_BARE = re.compile(r"[0-9A-Za-z_.]+")
_RESERVED = ("dag", "digraph", "graph", "pdag", "mag", "pag", "node", "edge", "bb", "o")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A variable of the graph and what is said of it.

    Parameters
    ----------
    name : str
        As written; the column of the cohort unless the protocol maps it to others.
    exposure, outcome, latent, adjusted : bool
        Its roles, as in DAGitty.
    position : tuple of float, optional
        x and y (downwards) of the drawing.
    tier : {"baseline", "later"}, optional
        Whether it is known at time zero or only measured afterwards.
    label : str
        What a drawing shows instead of the name.
    """

    name: str
    exposure: bool = False
    outcome: bool = False
    latent: bool = False
    adjusted: bool = False
    position: tuple[float, float] | None = None
    tier: str | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Dag:
    """A directed acyclic graph with the roles DAGitty knows: exposure, outcome, latent, adjusted.

    Made by :meth:`parse` or :meth:`read`. Everything is sorted, so two graphs that say the same are equal.

    Parameters
    ----------
    members : tuple of Node
        The variables.
    edges : tuple of (str, str)
        Cause and effect of every arrow.
    bidirected : tuple of (str, str)
        Pairs that share an unmeasured common cause (``a <-> b``).
    edge_attributes : tuple
        ``((source, arrow, target), ((key, value), ...))`` for arrows that carry ``pos``, ``label`` or
        ``beta``; kept for the round trip, used for nothing.
    name : str
        Name of the graph in its header.

    Raises
    ------
    DagSyntaxError
        Naming every contradiction: a loop, several exposures, a node with roles that exclude one
        another, an edge to an unknown node.
    """

    members: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    bidirected: tuple[Edge, ...] = ()
    edge_attributes: tuple[tuple[tuple[str, str, str], tuple[tuple[str, str], ...]], ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(sorted(self.members, key=lambda node: node.name)))
        object.__setattr__(self, "edges", tuple(sorted(set(self.edges))))
        object.__setattr__(self, "bidirected", tuple(sorted({(min(pair), max(pair)) for pair in self.bidirected})))
        object.__setattr__(self, "edge_attributes", tuple(sorted(self.edge_attributes)))
        problems = [*_contradictions(self.members), *_impossible_edges(self)]
        if problems:
            raise DagSyntaxError("the graph contradicts itself", problems)

    # --- text in and out ------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str) -> Dag:
        """Read dagitty text.

        Parameters
        ----------
        text : str
            ``dag { age -> surgery -> death; age -> death; surgery [exposure]; death [outcome] }``.
            The header may be left out; groups ``{a b} -> c``, chains, quoted names, comments
            (``//``, ``#``, ``/* */``) and the attributes ``exposure outcome latent adjusted pos
            label tier`` with DAGitty's short forms are understood.

        Returns
        -------
        Dag

        Raises
        ------
        DagSyntaxError
            Naming, with line and column, everything that is not understood: nothing is skipped.
        """
        from causal_s4.dag.syntax import parse_dagitty

        return parse_dagitty(text)

    @classmethod
    @checked_arguments
    def read(cls, path: str | Path) -> Dag:
        """Read a file of dagitty text.

        Raises
        ------
        InputError
            When there is no such file, or it is not UTF-8 text, or larger than 256 kB.
        DagSyntaxError
            As :meth:`parse`, with the file's name.
        """
        file = Path(path)
        try:
            content = file.read_bytes() if file.stat().st_size <= MAX_BYTES else None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"cannot read the DAG file {file.name!r}: {reason}. Check the path.") from None
        if content is None:
            raise InputError(
                f"the DAG file {file.name!r} is larger than {MAX_BYTES // 1024} kB; expected a graph as text"
            )
        try:
            return cls.parse(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputError(
                f"the DAG file {file.name!r} is not UTF-8 text (byte {error.start + 1}); save it as UTF-8"
            ) from None
        except DagSyntaxError as error:
            raise DagSyntaxError(f"{file.name}: {error.message}", error.problems) from None

    def to_dagitty(self) -> str:
        """Return dagitty text: nodes sorted, then edges sorted; parsing it gives this graph back."""
        lines = [f"dag {_quoted(self.name)} {{" if self.name else "dag {"]
        for node in self.members:
            attributes = [role for role in ("exposure", "outcome", "latent", "adjusted") if getattr(node, role)]
            if node.position is not None:
                attributes.append(f'pos="{_number(node.position[0])},{_number(node.position[1])}"')
            if node.tier:
                attributes.append(f"tier={node.tier}")
            if node.label:
                attributes.append(f"label={_string(node.label)}")
            lines.append(_quoted(node.name) + (f" [{','.join(attributes)}]" if attributes else ""))
        notes = dict(self.edge_attributes)
        for source, arrow, target in self.arrows:
            kept = ",".join(f"{key}={_string(value)}" for key, value in notes.get((source, arrow, target), ()))
            lines.append(f"{_quoted(source)} {arrow} {_quoted(target)}" + (f" [{kept}]" if kept else ""))
        return "\n".join([*lines, "}", ""])

    def to_dot(self) -> str:
        """Return the graph in the DOT language of Graphviz; a bidirected edge is a dashed double arrow."""
        lines = [f"digraph {_string(self.name)} {{" if self.name else "digraph {", "  rankdir=LR;"]
        for node in self.members:
            style = ["shape=box" if node.adjusted else "shape=ellipse"]
            style += ["style=dashed"] * node.latent + ["penwidth=2"] * (node.exposure or node.outcome)
            style += [f"label={_string(node.label)}"] * bool(node.label)
            lines.append(f"  {_string(node.name)} [{', '.join(style)}];")
        for source, arrow, target in self.arrows:
            style_of_edge = " [dir=both, style=dashed]" if arrow == "<->" else ""
            lines.append(f"  {_string(source)} -> {_string(target)}{style_of_edge};")
        return "\n".join([*lines, "}", ""])

    @cached_property
    def arrows(self) -> tuple[tuple[str, str, str], ...]:
        """Every edge as ``(source, "->" or "<->", target)``, sorted by source."""
        directed = [(source, "->", target) for source, target in self.edges]
        return tuple(
            sorted(directed + [(a, "<->", b) for a, b in self.bidirected], key=lambda each: (each[0], each[2], each[1]))
        )

    # --- who is who -----------------------------------------------------------------------------

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, sorted."""
        return tuple(node.name for node in self.members)

    @property
    def exposure(self) -> str | None:
        """The node marked as exposure."""
        return next((node.name for node in self.members if node.exposure), None)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The nodes marked as outcome."""
        return tuple(node.name for node in self.members if node.outcome)

    @property
    def latent(self) -> tuple[str, ...]:
        """The nodes marked as latent: real, but not measured."""
        return tuple(node.name for node in self.members if node.latent)

    @property
    def adjusted(self) -> tuple[str, ...]:
        """The nodes marked as adjusted for."""
        return tuple(node.name for node in self.members if node.adjusted)

    @property
    def positions(self) -> dict[str, tuple[float, float]]:
        """Coordinates (y downwards) of the nodes that carry them."""
        return {node.name: node.position for node in self.members if node.position is not None}

    @property
    def tiers(self) -> dict[str, str]:
        """``"baseline"`` or ``"later"`` for the nodes that say when they are measured."""
        return {node.name: node.tier for node in self.members if node.tier}

    @property
    def labels(self) -> dict[str, str]:
        """What drawings show, for the nodes that carry a label."""
        return {node.name: node.label for node in self.members if node.label}

    @cached_property
    def parents(self) -> Parents:
        """Direct causes of every node; a bidirected edge counts as an unnamed latent cause of both ends."""
        found: dict[Vertex, set[Vertex]] = {name: set() for name in self.nodes}
        for source, target in self.edges:
            found[target].add(source)
        for pair in self.bidirected:
            found[pair] = set()
            for end in pair:
                found[end].add(pair)
        return {node: frozenset(causes) for node, causes in found.items()}

    @cached_property
    def children(self) -> Mapping[Vertex, list[Vertex]]:
        """Direct effects of every node, the unnamed latent causes included."""
        return children_of(self.parents)

    def ancestors(self, node: str) -> frozenset[str]:
        """Return the nodes with a directed path to a node, itself left out."""
        causes = self.causes_of([self.known(node)])
        return frozenset(each for each in causes if isinstance(each, str) and each != node)

    def descendants(self, node: str) -> frozenset[str]:
        """Return the nodes a directed path leads to from a node, itself left out."""
        effects = self.effects_of([self.known(node)])
        return frozenset(each for each in effects if isinstance(each, str) and each != node)

    def causes_of(self, names: Iterable[Vertex]) -> set[Vertex]:
        """Return everything with a directed path to one of several nodes, these and the unnamed causes included."""
        return reachable(self.parents, names)

    def effects_of(self, names: Iterable[Vertex]) -> set[Vertex]:
        """Return everything a directed path leads to from one of several nodes, these included."""
        return reachable(self.children, names)

    def known(self, name: str) -> str:
        """Return a name that is a node of the graph.

        Raises
        ------
        UsageError
            When it is not, with the nearest name that is.
        """
        if name in self.nodes:
            return name
        import difflib

        near = difflib.get_close_matches(str(name), self.nodes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(self.nodes) or 'none'}"
        raise UsageError(f"the graph has no node {str(name)!r}{hint}")

    def to_networkx(self) -> Any:
        """Return a ``networkx.DiGraph``; each bidirected edge becomes a latent parent of its two ends.

        Latent nodes carry ``observed="no"``, the word dowhy reads.
        """
        graph = nx.DiGraph()
        for node in self.members:
            graph.add_node(node.name, observed="no" if node.latent else "yes")
        graph.add_edges_from(self.edges)
        for a, b in self.bidirected:
            hidden = f"U({a},{b})"
            while hidden in graph:
                hidden += "'"
            graph.add_node(hidden, observed="no")
            graph.add_edges_from([(hidden, a), (hidden, b)])
        return graph

    # --- questions ------------------------------------------------------------------------------

    def adjustment_sets(
        self, exposure: str | None = None, outcome: str | Iterable[str] | None = None
    ) -> list[frozenset[str]]:
        """Return the minimal sufficient adjustment sets; see :func:`causal_s4.dag.identify.adjustment_sets`."""
        from causal_s4.dag.identify import adjustment_sets

        return adjustment_sets(self, exposure, outcome)

    @checked_arguments
    def verdict(
        self,
        names: Iterable[str] | None = None,
        exposure: str | None = None,
        outcome: str | Iterable[str] | None = None,
    ) -> Verdict:
        """Say whether a set suffices, and if not, why; see :func:`causal_s4.dag.identify.verdict`."""
        from causal_s4.dag.identify import verdict

        return verdict(self, names, exposure, outcome)

    def implied_independencies(self) -> list[Independence]:
        """Return what must be independent; see :func:`causal_s4.dag.implications.implied_independencies`."""
        from causal_s4.dag.implications import implied_independencies

        return implied_independencies(self)

    def test(
        self,
        frame: pd.DataFrame,
        columns: Mapping[str, Iterable[str]] | None = None,
        *,
        leave_out: Iterable[str] = (),
    ) -> pd.DataFrame:
        """Hold the implied independencies against data.

        Parameters
        ----------
        frame : DataFrame
            One row a patient.
        columns : mapping of str to sequence of str, optional
            The columns that measure a node; its own name by default.
        leave_out : iterable of str
            Nodes no test may use as one of the pair, such as a censored outcome, whose event indicator
            depends on how long a patient was followed.

        Returns
        -------
        DataFrame
            One row a test: the fields of :class:`causal_s4.results.IndependenceTest`.
        """
        import pandas as pd

        from causal_s4.dag.implications import check_implications
        from causal_s4.results import IndependenceTest

        outcome = check_implications(self, frame, columns, leave_out=leave_out)
        return pd.DataFrame([vars(each) for each in outcome.tests], columns=list(IndependenceTest.__dataclass_fields__))

    def draw(self, adjusted: Iterable[str] = (), *, show_open: bool = False) -> str:
        """Return the graph as a self-contained SVG; see :func:`causal_s4.dag.drawing.draw_svg`.

        Parameters
        ----------
        adjusted : iterable of str
            Nodes to show as adjusted for.
        show_open : bool
            Whether to mark the paths that adjusting for them leaves open.
        """
        from causal_s4.dag.drawing import draw_svg
        from causal_s4.dag.identify import open_edges

        adjusted = tuple(adjusted)
        wrong = open_edges(self, (*adjusted, *self.adjusted)) if show_open else ()
        return draw_svg(self, adjusted, problem_edges=wrong)


# --- what a graph may not say --------------------------------------------------------------------


def printable(text: str) -> bool:
    """Say whether a name can stand in a drawing and a file: no control characters, no half surrogates."""
    return not any(unicodedata.category(char) in ("Cc", "Cs") or char in "\ufffe\uffff" for char in text)


def _contradictions(members: tuple[Node, ...]) -> list[Problem]:
    problems = []
    exposures = [node.name for node in members if node.exposure]
    if len(exposures) > 1:
        problems.append(
            Problem(
                where="exposure",
                found=f"{len(exposures)} nodes are marked as exposure ({', '.join(exposures)})",
                expected="one: a study compares two arms of one treatment",
            )
        )
    counts = Counter(node.name for node in members)
    problems += [Problem(where=name, found="the node is listed twice") for name, n in counts.items() if n > 1]
    exclusive = [
        ("exposure", "outcome", "a treatment cannot be its own outcome"),
        ("exposure", "latent", "a treatment has to be measured"),
        ("outcome", "latent", "an outcome has to be measured"),
        ("exposure", "adjusted", "the treatment is what is compared"),
        ("outcome", "adjusted", "adjusting for the outcome answers no question"),
        ("latent", "adjusted", "what is not measured cannot be adjusted for"),
    ]
    for node in members:
        problems += [
            Problem(where=node.name, found=f"marked both {one} and {other}", todo=why.capitalize())
            for one, other, why in exclusive
            if getattr(node, one) and getattr(node, other)
        ]
        if not node.name or not printable(node.name + node.label):
            problems.append(Problem(where="node", found="a name or label that is empty or holds control characters"))
        if node.tier not in (None, *TIERS):
            problems.append(Problem(where=node.name, found=f"tier {node.tier!r}", expected="baseline or later"))
    return problems


def _impossible_edges(dag: Dag) -> list[Problem]:
    names = set(dag.nodes)
    problems = [
        Problem(where=f"{a}, {b}", found="an edge to a node that is not listed")
        for a, b in (*dag.edges, *dag.bidirected)
        if not {a, b} <= names
    ]
    problems += [Problem(where=a, found=f"{a} <-> {a} joins a node to itself") for a, b in dag.bidirected if a == b]
    try:
        loop = nx.find_cycle(nx.DiGraph(dag.edges)) if dag.edges else []
    except nx.NetworkXNoCycle:
        return problems
    if loop:
        path = " -> ".join([loop[0][0], *(edge[1] for edge in loop)])
        problems.append(
            Problem(
                where="edges",
                found=f"the graph has a cycle: {path}",
                expected="an acyclic graph: no variable causes itself",
                todo="Name what changes over time once for each time, such as response_0 and response_6",
            )
        )
    return problems


def _quoted(name: str) -> str:
    return name if _BARE.fullmatch(name) and name.lower() not in _RESERVED else _string(name)


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(float(value))
