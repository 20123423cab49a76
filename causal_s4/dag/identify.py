"""From a graph and a study to one adjustment set, with reasons, findings and a second opinion."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from causal_s4.dag.criterion import (
    MAX_SETS,
    Question,
    Verdict,
    adjustment_sets,
    choose_set,
    judge,
    listed,
    open_edges,
    unclosable,
    verdict,
)
from causal_s4.dag.drawing import draw_svg
from causal_s4.dag.graph import Dag
from causal_s4.dag.implications import check_implications
from causal_s4.errors import DagSyntaxError, NotIdentifiedError, Problem, ProtocolError, UsageError
from causal_s4.results import AdjustmentSet, Finding, IndependenceTest

if TYPE_CHECKING:
    import pandas as pd

MAX_CANDIDATES = 12
"""dowhy's search takes five times longer for every two further candidates."""
MAX_ALTERNATIVES = 50
CONTRADICTION = 0.1
"""Partial correlation from which a contradicted independence is a caution, not a note."""


def identify(
    dag: Dag,
    *,
    treatment_node: str,
    outcome_nodes: Iterable[str],
    columns: Mapping[str, Iterable[str]],
    adjust_for: Iterable[str] = (),
    cohort_frame: pd.DataFrame | None = None,
    ask_dowhy: bool = True,
) -> tuple[AdjustmentSet, tuple[Finding, ...]]:
    """Choose what a study adjusts for, with reasons, tests of the graph and a drawing.

    Parameters
    ----------
    dag : Dag
        The assumptions.
    treatment_node : str
        Node of the treatment.
    outcome_nodes : iterable of str
        Nodes of the outcomes; one set serves all of them.
    columns : mapping of str to iterable of str
        The columns that measure each node; a node left out, or without columns, is not measured.
    adjust_for : iterable of str
        A set of the reader's own, refused unless it suffices; by default :func:`choose_set` chooses.
    cohort_frame : DataFrame, optional
        Table of the eligible patients, to hold the implied independencies against. Those about an
        outcome are left out: its event indicator depends on the length of follow-up.
    ask_dowhy : bool
        Whether to ask dowhy for a second opinion on the set (its import takes seconds).

    Returns
    -------
    AdjustmentSet
        The set, its columns, the minimal alternatives, the reasons and the drawing.
    tuple of Finding
        What a reader has to know.

    Raises
    ------
    ProtocolError
        When nodes are unknown, the graph's marks disagree with the study, or ``adjust_for`` does not suffice.
    NotIdentifiedError
        When no set of measured nodes suffices, with a path that stays open.
    """
    outcome_nodes, adjust_for = tuple(outcome_nodes), tuple(adjust_for)
    named = {node: tuple(of) for node, of in columns.items()}
    _check_names(dag, treatment_node, outcome_nodes, (*named, *adjust_for))
    question = Question.of(dag, treatment_node, outcome_nodes)
    measured = frozenset(node for node, of in named.items() if of) - set(dag.latent)
    if adjust_for:
        chosen = frozenset(adjust_for) | set(dag.adjusted)
        _refuse_insufficient(question, chosen, measured)
    else:
        found = choose_set(question, measured)
        if found is None:
            raise _not_identified(question, measured)
        chosen = found
    judged = judge(question, chosen)
    minimal = question.sets(measured, dag.adjusted)
    findings = _findings_of_graph(question, chosen, measured, named, judged, len(minimal))
    tests: tuple[IndependenceTest, ...] = ()
    if cohort_frame is not None:
        present = {node: of for node, of in named.items() if set(of) <= set(cohort_frame.columns)}
        tested = check_implications(dag, cohort_frame, present, leave_out=outcome_nodes)
        tests = tested.tests
        findings += _findings_of_tests(tested.tests, tested.untested, outcome_nodes)
    opinion = "not asked: switched off"
    if ask_dowhy:
        opinion = second_opinion(dag, chosen, exposure=treatment_node, outcomes=outcome_nodes, observed=measured)
        findings += opinion_findings(opinion)
    nodes = tuple(sorted(chosen))
    asked = _as_asked(dag, treatment_node, outcome_nodes)
    return (
        AdjustmentSet(
            nodes=nodes,
            columns=tuple(dict.fromkeys(column for node in nodes for column in named[node])),
            alternatives=tuple(tuple(sorted(each)) for each in minimal if each != chosen)[:MAX_ALTERNATIVES],
            verdict="adjust" if nodes else "none needed",
            reasons=(*judged.reasons, *_how_chosen(question, chosen, adjust_for, minimal)),
            untested_assumptions=tuple(_untestable(question, chosen, measured)),
            tests=tests,
            second_opinion=opinion,
            dagitty=asked.to_dagitty(),
            drawing=draw_svg(asked, nodes),
            labels=dict(dag.labels),
        ),
        tuple(findings),
    )


def _as_asked(dag: Dag, exposure: str, outcomes: Collection[str]) -> Dag:
    """Return the graph with the study's exposure and outcomes marked."""
    return replace(
        dag,
        members=tuple(
            replace(node, exposure=node.name == exposure, outcome=node.name in outcomes or node.outcome)
            for node in dag.members
        ),
    )


def _check_names(dag: Dag, treatment: str, outcomes: tuple[str, ...], others: Iterable[str]) -> None:
    problems = []
    for where, names in (("treatment", [treatment]), ("outcome", outcomes), ("dag", others)):
        for name in dict.fromkeys(names):
            try:
                dag.known(name)
            except UsageError as error:
                problems.append(Problem(where=where, found=error.message))
    if dag.exposure is not None and dag.exposure != treatment:
        problems.append(
            Problem(
                where="treatment",
                found=f"the study's treatment is {treatment}, the graph marks {dag.exposure} as exposure",
                todo="Name the node in [treatment] node, or change the mark",
            )
        )
    strange = [name for name in outcomes if dag.outcomes and name not in dag.outcomes]
    if strange:
        problems.append(
            Problem(
                where="outcome",
                found=f"the graph marks {listed(dag.outcomes)} as outcome, not the study's {listed(strange)}",
                todo="Name the node in [[outcome]] node, or change the marks",
            )
        )
    if not problems and treatment in dag.latent:
        problems.append(Problem(where="treatment", found=f"the graph marks the treatment {treatment} as latent"))
    problems += [
        Problem(where="outcome", found=f"the graph marks the outcome {name} as latent")
        for name in outcomes
        if name in dag.latent
    ]
    if problems:
        raise ProtocolError("the graph and the study do not fit together", problems)


def _refuse_insufficient(question: Question, chosen: frozenset[str], measured: Collection[str]) -> None:
    judged = judge(question, chosen)
    unmeasured = sorted(chosen - set(measured) - set(question.dag.latent))
    problems = [
        Problem(where=name, found="no column measures this node", todo="Map it in [dag.columns]") for name in unmeasured
    ]
    if judged and not problems:
        return
    if not judged:
        problems += [Problem(where="adjust_for", found=reason.rstrip(".")) for reason in judged.reasons]
    message = f"adjust_for = {listed(chosen)} does not suffice under this graph"
    if judged.kind == "not identified":
        raise NotIdentifiedError(message, problems)
    sets = question.sets(measured, question.dag.adjusted)
    hint = f"; {{{', '.join(sorted(sets[0]))}}} would" if sets else ""
    raise ProtocolError(message + hint if not judged else "adjust_for names nodes that are not measured", problems)


def _not_identified(question: Question, measured: frozenset[str]) -> NotIdentifiedError:
    marked = sorted(set(question.dag.adjusted) - (question.candidates & measured))
    if marked:
        return NotIdentifiedError(
            f"no sufficient set can hold {listed(marked)}, which the graph marks as adjusted",
            [_unusable_mark(question, name) for name in marked],
        )
    effect = f"the effect of {question.exposure} on {listed(question.outcomes)}"
    path = unclosable(question, question.candidates)
    if path is not None:
        todo = "Measure a node on it, or state in the graph why the path does not exist"
        return NotIdentifiedError(
            f"{effect} is not identified: no set of measured covariates closes every back-door path",
            [Problem(where="open path", found=path, todo=todo)],
        )
    wanted = question.sets(question.candidates, question.dag.adjusted, limit=20)
    absent = " or ".join(f"{{{', '.join(sorted(each - measured))}}}" for each in wanted[:3])
    if not absent:
        return NotIdentifiedError(
            f"{effect} is not identified with {listed(question.dag.adjusted)}, which the graph marks as adjusted",
            [
                Problem(where="adjusted", found=reason.rstrip("."))
                for reason in judge(question, frozenset(question.dag.adjusted)).reasons
            ],
        )
    todo = f"Columns are missing for {absent}: add them, or map nodes to columns in [dag.columns]"
    return NotIdentifiedError(
        f"{effect} is not identified from the columns at hand",
        [Problem(where="open path", found=unclosable(question, measured) or "", todo=todo)],
    )


def _unusable_mark(question: Question, name: str) -> Problem:
    found = "no column measures this node"
    if name not in question.candidates:
        found = judge(question, frozenset([name])).reasons[0].rstrip(".")
    return Problem(where=name, found=found, todo="Take the mark away, or measure it")


# --- what is said about it -------------------------------------------------------------------------


def _how_chosen(
    question: Question, chosen: frozenset[str], asked: Collection[str], minimal: list[frozenset[str]]
) -> list[str]:
    if asked:
        return ["The set was asked for in the study."]
    if not chosen:
        return []
    if chosen in minimal:
        return ["It is minimal: without any one of its nodes it would not suffice."]
    return [
        "It holds every measured direct cause of the outcome that may be adjusted for, and what sufficiency needs "
        "besides; smaller sets that also suffice are listed as alternatives."
    ]


def _untestable(question: Question, chosen: frozenset[str], measured: Collection[str]) -> list[str]:
    outcomes = listed(question.outcomes, "or")
    said = [
        f"No common cause of {question.exposure} and {outcomes} is missing from the graph; the data cannot show one."
    ]
    for node in question.dag.latent:
        effects = sorted(map(str, question.dag.children[node]))
        targets = listed(effects) if effects else "nothing"
        sentence = f"{node} is not measured; it is assumed to act directly on {targets} only."
        if question.exposure not in effects and _breaks(question, node, question.exposure, measured):
            sentence += f" If it also acted on {question.exposure} directly, no measured set would suffice."
        said.append(sentence)
    said += [
        f"{a} and {b} share an unmeasured common cause that acts on nothing else." for a, b in question.dag.bidirected
    ]
    absent = sorted(question.candidates - set(measured))
    if absent:
        said.append(
            f"{listed(absent)}: drawn, but without a column, so the arrows from and to it rest on the graph alone."
        )
    if chosen:
        said.append(f"{listed(chosen)}: recorded without error; errors of measurement leave part of the confounding.")
    return said


def _breaks(question: Question, cause: str, effect: str, measured: Collection[str]) -> bool:
    """Say whether one more arrow would leave no sufficient set."""
    try:
        dag = replace(question.dag, edges=(*question.dag.edges, (cause, effect)))
    except DagSyntaxError:
        return False
    return choose_set(replace(question, dag=dag), measured) is None


def _findings_of_graph(
    question: Question,
    chosen: frozenset[str],
    measured: Collection[str],
    columns: Mapping[str, tuple[str, ...]],
    judged: Verdict,
    n_sets: int,
) -> list[Finding]:
    found = []

    def add(code: str, severity: str, message: str, **numbers: Any) -> None:
        found.append(Finding(code=code, severity=severity, step="identify", message=message, numbers=numbers))

    if not chosen:
        add("nothing-to-adjust-for", "note", f"{judged.reasons[0]} The weighted analysis equals the naive one.")
    if not question.causal:
        add(
            "no-causal-path",
            "caution",
            f"The graph has no directed path from {question.exposure} to {listed(question.outcomes)}: "
            "it assumes that there is no effect.",
        )
    for name in question.after_time_zero(chosen):
        add(
            "adjusted-after-time-zero",
            "serious",
            f"The set holds {name}, which {question.since(name)}: it may already be a consequence of the treatment, "
            "and adjusting for it can bias the effect in either direction.",
            node=name,
        )
    for name in question.instruments(chosen):
        add(
            "instrument-in-set",
            "caution",
            f"The set holds {name}, an instrument given the rest: adjusting for it costs precision and enlarges "
            "any bias that is left.",
            node=name,
        )
    hidden = sorted(node for node in question.dag.latent if columns.get(node))
    if hidden:
        add(
            "latent-with-column",
            "note",
            f"The graph marks {listed(hidden)} as latent, so its column is not used.",
            nodes=hidden,
        )
    absent = sorted(question.candidates - set(measured))
    if absent:
        add(
            "node-without-column",
            "note",
            f"No column measures {listed(absent)}; the graph's other nodes suffice without.",
            nodes=absent,
        )
    if n_sets >= MAX_SETS:
        add(
            "adjustment-sets-capped",
            "note",
            f"The graph has at least {MAX_SETS} minimal adjustment sets; only the first found were considered.",
            sets=n_sets,
        )
    return found


def _findings_of_tests(
    tests: Collection[IndependenceTest], untested: Collection[str], outcomes: Collection[str]
) -> list[Finding]:
    found = []
    for test in tests:
        if test.p_adjusted < 0.05:
            given = f" given {listed(test.given)}" if test.given else ""
            found.append(
                Finding(
                    code="independence-contradicted",
                    severity="caution" if abs(test.estimate) >= CONTRADICTION else "note",
                    step="identify",
                    message=f"The graph says that {test.x} and {test.y} are independent{given}; in this cohort they "
                    f"are not (partial correlation {test.estimate:.2f}, {test.lower:.2f} to {test.upper:.2f}). "
                    "An arrow or a common cause may be missing.",
                    numbers={
                        "estimate": test.estimate,
                        "lower": test.lower,
                        "upper": test.upper,
                        "p_adjusted": test.p_adjusted,
                        "n": test.n,
                    },
                )
            )
    found.append(
        Finding(
            code="independencies-tested",
            severity="note",
            step="identify",
            message=f"{len(tests)} of the independencies the graph implies were held against the cohort, "
            f"{len(found)} of them contradicted. Those about {listed(outcomes)} were left out, because an event "
            "indicator depends on the length of follow-up. What is not contradicted is not thereby shown.",
            numbers={"tested": len(tests), "contradicted": len(found), "untested": list(untested)},
        )
    )
    return found


def opinion_findings(opinion: str) -> list[Finding]:
    """Say that a second opinion disagrees, if it does."""
    if not opinion.startswith("disagrees"):
        return []
    return [
        Finding(
            code="second-opinion-disagrees",
            severity="serious",
            step="identify",
            message=f"dowhy {opinion}. Check the graph before trusting the set.",
        )
    ]


# --- the second opinion ----------------------------------------------------------------------------


def second_opinion(
    dag: Dag,
    chosen: Collection[str],
    *,
    exposure: str,
    outcomes: Iterable[str],
    observed: Collection[str] | None = None,
) -> str:
    """Ask dowhy whether a set closes the back-door paths, and whether it finds one itself.

    dowhy gets a ``networkx.DiGraph`` with neutral names and latent parents for bidirected edges, never text.
    Its own search is run only for at most 12 candidates.

    Parameters
    ----------
    dag : Dag
        The graph.
    chosen : collection of str
        The set.
    exposure : str
        The treatment's node.
    outcomes : iterable of str
        The outcomes' nodes, asked about one by one.
    observed : collection of str, optional
        Measured nodes; all that are not latent by default.

    Returns
    -------
    str
        ``"agrees"``, ``"disagrees: ..."`` or ``"not asked: ..."``.
    """
    late = sorted(set(chosen) & dag.descendants(exposure))
    if late:
        return f"not asked: dowhy does not consider effects of the treatment ({', '.join(late)})"
    try:
        with _quiet():
            return _ask_dowhy(dag, frozenset(chosen), exposure, tuple(outcomes), observed)
    except Exception as error:  # dowhy's failures are not the reader's problem
        return f"not asked: dowhy failed with {type(error).__name__}"


def _ask_dowhy(
    dag: Dag, chosen: frozenset[str], exposure: str, outcomes: tuple[str, ...], observed: Collection[str] | None
) -> str:
    import networkx as nx
    from dowhy.causal_identifier.auto_identifier import BackdoorAdjustment, identify_backdoor
    from dowhy.graph import check_valid_backdoor_set

    whole = dag.to_networkx()
    measured = set(dag.nodes if observed is None else observed) - set(dag.latent)
    for outcome in outcomes:
        relevant = set().union(*(nx.ancestors(whole, node) | {node} for node in (exposure, outcome, *chosen)))
        part = whole.subgraph(relevant)
        code = {node: f"v{position}" for position, node in enumerate(sorted(part))}
        graph = nx.relabel_nodes(part, code)
        treatment, target = [code[exposure]], [code[outcome]]
        if not check_valid_backdoor_set(graph, treatment, target, {code[name] for name in chosen})["is_dseparated"]:
            return f"disagrees: it finds a back-door path from {exposure} to {outcome} that the set leaves open"
        candidates = measured & relevant - {exposure, *outcomes}
        if len(candidates) <= MAX_CANDIDATES and not identify_backdoor(
            graph, treatment, target, [code[name] for name in candidates], BackdoorAdjustment.BACKDOOR_MIN
        ):
            return f"disagrees: its own search finds no set for the effect of {exposure} on {outcome}"
    return "agrees"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence dowhy's warnings and log, and put both back as they were."""
    logger = logging.getLogger("dowhy")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


__all__ = [
    "Question",
    "Verdict",
    "adjustment_sets",
    "choose_set",
    "identify",
    "open_edges",
    "opinion_findings",
    "second_opinion",
    "verdict",
]
