"""Adjustment sets and verdicts: textbook graphs, brute force, and the reasons given."""

import itertools
import random
import time

import networkx as nx
import pytest
from dag_graphs import random_dag

from causal_s4.dag import Dag, open_edges
from causal_s4.dag.criterion import Question, choose_set
from causal_s4.dag.separation import minimal_separators, open_paths, separated
from causal_s4.errors import UsageError

ROLES = "A [exposure] Y [outcome] "

TEXTBOOK = {
    # Pearl 2009, Causality; Greenland, Pearl & Robins 1999; Hernan & Robins 2020, ch. 6-8: known by hand.
    "randomised": ("A -> Y", [[]]),
    "confounder": ("L -> A L -> Y A -> Y", [["L"]]),
    "two confounders": ("L -> A L -> Y K -> A K -> Y A -> Y", [["K", "L"]]),
    "chain of confounding": ("L -> K -> A L -> Y A -> Y", [["K"], ["L"]]),
    "mediator": ("A -> M -> Y A -> Y", [[]]),
    "confounder of mediator": ("A -> M -> Y L -> A L -> M", [["L"]]),
    "collider": ("A -> C <- Y A -> Y", [[]]),
    "descendant of outcome": ("A -> Y -> D L -> A L -> Y", [["L"]]),
    "M-bias": ("U1 [latent] U2 [latent] U1 -> A U1 -> L <- U2 -> Y A -> Y", [[]]),
    "butterfly": ("U1 -> A U1 -> L <- U2 -> Y L -> A L -> Y A -> Y", [["L", "U1"], ["L", "U2"]]),
    "instrument": ("Z -> A L -> A L -> Y A -> Y", [["L"]]),
    "instrument, unmeasured confounder": ("U [latent] Z -> A U -> A U -> Y A -> Y", []),
    "front door": ("U [latent] U -> A U -> Y A -> M -> Y", []),
    "proxy of a confounder": ("U [latent] U -> A U -> Y U -> P A -> Y", []),
    "unmeasured cause behind a measured one": ("U [latent] U -> L -> A U -> Y A -> Y", [["L"]]),
    "bidirected confounding": ("A <-> Y A -> Y", []),
    "bidirected before a confounder": ("A <-> L L -> Y A -> Y", [["L"]]),
    "bidirected M-bias": ("A <-> L L <-> Y A -> Y", [[]]),
    "descendant of treatment, off the path": ("A -> D L -> D L -> Y L -> A A -> Y", [["L"]]),
    "outcome causes treatment": ("Y -> A", []),
    "no effect": ("L -> A L -> Y", [["L"]]),
    "adjusted mark": ("L [adjusted] K -> A K -> Y A -> Y L -> Y", [["K", "L"]]),
    "adjusted collider": ("L [adjusted] U1 -> A U1 -> L <- U2 -> Y A -> Y", [["L", "U1"], ["L", "U2"]]),
    "adjusted mediator": ("M [adjusted] A -> M -> Y", []),
    "Greenland, Pearl & Robins 1999, figure 12": ("E -> D A2 -> E A2 -> C B -> C B -> D C -> E C -> D", None),
    "Shrier & Platt 2008": (
        "A -> Y Coach -> {Fitness Team} Genetics -> {Fitness Neuro Tissue} Tissue -> {Neuro Y} Team -> Motivation "
        "Fitness -> {Preoxic Neuro} Motivation -> A Preoxic -> A A -> Proprio Neuro -> {Proprio Y} Contact -> Previous "
        "Team -> Previous",
        None,
    ),
}


@pytest.mark.parametrize("name", [name for name, (_, sets) in TEXTBOOK.items() if sets is not None])
def test_textbook_graphs_have_their_known_minimal_sets(name: str) -> None:
    text, sets = TEXTBOOK[name]
    assert [sorted(each) for each in Dag.parse(ROLES + text).adjustment_sets()] == sets


def test_more_published_graphs() -> None:
    # Greenland, Pearl & Robins 1999 (Epidemiology 10:37): C alone does not do, C with either of its causes does.
    dag = Dag.parse(f"E [exposure] D [outcome] {TEXTBOOK['Greenland, Pearl & Robins 1999, figure 12'][0]}")
    assert [sorted(each) for each in dag.adjustment_sets()] == [["A2", "C"], ["B", "C"]]
    assert not dag.verdict(["C"])
    # Shrier & Platt 2008 (10.1186/1471-2288-8-70): warming up and injury; neuromuscular fatigue and tissue weakness,
    # among others, suffice; pre-game proprioception, an effect of warming up, does not belong.
    sport = Dag.parse(ROLES + TEXTBOOK["Shrier & Platt 2008"][0])
    assert frozenset({"Neuro", "Tissue"}) in sport.adjustment_sets()
    assert sport.verdict(["Proprio"]).kind == "insufficient"
    assert sport.verdict([]).kind == "insufficient"


def test_sets_are_sorted_by_size_then_alphabetically() -> None:
    dag = Dag.parse(ROLES + "A -> Y B -> A B -> C -> Y D -> A D -> E -> Y D -> F -> Y")
    sets = [sorted(each) for each in dag.adjustment_sets()]
    assert sets == sorted(sets, key=lambda each: (len(each), each))
    assert sets[0] == ["B", "D"]


@pytest.mark.parametrize("seed", range(30))
def test_sets_are_those_of_brute_force(seed: int) -> None:
    # The criterion spelled out with networkx: subsets of the candidates that separate in the proper back-door graph.
    dag = random_dag(seed, n=7)
    graph = dag.to_networkx()
    x, (y,) = dag.exposure, dag.outcomes
    causal = (nx.descendants(graph, x) & nx.ancestors(graph, y)) | ({y} & nx.descendants(graph, x))
    forbidden = causal.union(*(nx.descendants(graph, node) for node in causal))
    backdoor = graph.copy()
    backdoor.remove_edges_from([(x, node) for node in causal])
    free = sorted(set(graph) - forbidden - {x, y} - set(dag.latent))
    valid = {
        frozenset(each)
        for k in range(len(free) + 1)
        for each in itertools.combinations(free, k)
        if nx.is_d_separator(backdoor, {x}, {y}, set(each))
    }
    minimal = {each for each in valid if not any(other < each for other in valid)}
    assert set(dag.adjustment_sets()) == minimal
    for k in range(len(dag.nodes) - 1):
        for each in itertools.combinations([node for node in dag.nodes if node not in (x, y)], k):
            assert bool(dag.verdict(each)) == (frozenset(each) in valid)


@pytest.mark.parametrize("seed", range(40))
def test_separation_paths_and_separators_agree_with_networkx(seed: int) -> None:
    dag = random_dag(seed, n=7, share=0.35)
    graph, chance = dag.to_networkx(), random.Random(seed)
    a, b, *others = chance.sample(dag.nodes, 7)
    goals = {b, others.pop()} if seed % 3 == 0 else {b}
    allowed = {node for node in others if chance.random() < 0.8}
    forced = {node for node in allowed if chance.random() < 0.2}
    separating = set()
    for k in range(len(others) + 1):
        for each in itertools.combinations(others, k):
            apart = nx.is_d_separator(graph, {a}, goals, set(each))
            assert separated(dag.parents, a, goals, each) == apart
            paths = open_paths(dag.parents, a, goals, each)
            assert bool(paths) != apart
            assert all(len(set(path)) == len(path) and path[-1] in goals for path in paths)
            if apart and forced <= set(each) <= allowed:
                separating.add(frozenset(each))
    minimal = {each for each in separating if not any(other < each for other in separating)}
    found = list(minimal_separators(dag.parents, [a], goals, allowed, forced))
    assert len(found) == len(set(found))
    assert set(found) == minimal


def test_several_outcomes_are_read_jointly() -> None:
    text = "A [exposure] Y [outcome] Z [outcome] L -> A L -> Y K -> A K -> Z A -> Y -> Z"
    dag = Dag.parse(text)
    assert dag.adjustment_sets() == [frozenset({"K", "L"})]
    assert dag.adjustment_sets(outcome="Y") == [frozenset({"L"})]
    assert dag.adjustment_sets("A", ["Z", "Y"]) == dag.adjustment_sets()
    assert dag.verdict(["K", "L"]).sufficient
    assert dag.verdict(["L"]).open_paths == ("A <- K -> Z",)
    assert "Y is an outcome" in dag.verdict(["Y"]).reasons[0]
    assert "Y is a mediator" in dag.verdict(["Y"], outcome="Z").reasons[0]


# --- the verdicts ----------------------------------------------------------------------------------


def test_nothing_needed_is_not_not_identified() -> None:
    needless = Dag.parse(ROLES + "A -> Y")
    assert needless.adjustment_sets() == [frozenset()]
    assert needless.verdict([]).kind == "none needed"
    assert bool(needless.verdict([]))
    hopeless = Dag.parse(ROLES + "U [latent] U -> A U -> Y A -> Y")
    assert hopeless.adjustment_sets() == []
    verdict = hopeless.verdict([])
    assert (verdict.kind, bool(verdict), verdict.open_paths) == ("not identified", False, ("A <- U -> Y",))
    assert "A <- U -> Y stays open" in verdict.reasons[0]
    wrong = Dag.parse(ROLES + "L -> A L -> Y A -> Y").verdict([])
    assert (wrong.kind, wrong.open_paths) == ("insufficient", ("A <- L -> Y",))
    assert "adjusting for L closes it" in wrong.reasons[0]


@pytest.mark.parametrize(
    ("text", "names", "kind", "words"),
    [
        ("L -> A L -> Y A -> Y", ["L"], "sufficient", ["L closes every back-door path from A to Y"]),
        ("A -> Y L -> Y", ["L"], "sufficient", ["Nothing needs adjusting", "does no harm"]),
        ("U1 -> A U1 -> L <- U2 -> Y A -> Y", ["L"], "insufficient",
         ["Adjusting for L opens the collider L", "U1 or U2 would close it"]),
        ("U1 -> A U1 -> L <- U2 -> Y A -> Y L -> D", ["D"], "insufficient",
         ["Adjusting for D, an effect of the collider L, opens it"]),
        ("A -> M -> Y", ["M"], "insufficient", ["M is a mediator", "descendant of the treatment (A -> M -> Y)"]),
        ("A -> M -> Y M -> D", ["D"], "insufficient", ["D is a descendant of the treatment (A -> M -> D)"]),
        ("A -> Y -> D", ["D"], "insufficient", ["D is a descendant of the treatment (A -> Y -> D)"]),
        ("A -> Y", ["Y"], "insufficient", ["Y is an outcome"]),
        ("A -> Y", ["A"], "insufficient", ["A is the treatment itself"]),
        ("U [latent] U -> L -> A U -> Y A -> Y", ["U"], "insufficient", ["U is latent"]),
        ("Z -> A L -> A L -> Y A -> Y", ["L", "Z"], "sufficient", ["Z is an instrument given the rest", "precision"]),
        ("A -> S L -> S L -> Y L -> A A -> Y", ["L", "S"], "sufficient", ["S is an effect of the treatment"]),
        ("L [tier=later] L -> A L -> Y A -> Y", ["L"], "sufficient", ["L is measured after time zero"]),
        ("L -> A L -> Y", ["L"], "sufficient", ["no directed path from A to Y", "assumes no effect"]),
        ("A <-> Y A -> Y L -> Y", ["L"], "not identified", ["A <-> Y stays open"]),
        ("Y -> A", [], "not identified", ["A <- Y stays open"]),
        ("U [latent] U -> A U -> Y A -> M -> Y", ["M"], "not identified", ["A <- U -> Y", "M is a mediator"]),
    ],
)  # fmt: skip
def test_verdicts_say_why(text: str, names: list[str], kind: str, words: list[str]) -> None:
    verdict = Dag.parse(ROLES + text).verdict(names)
    assert verdict.kind == kind
    assert verdict.sufficient == bool(verdict) == (kind in ("sufficient", "none needed"))
    for word in words:
        assert word in " ".join(verdict.reasons)


def test_a_verdict_without_names_is_about_the_marked_nodes() -> None:
    dag = Dag.parse(ROLES + "L [adjusted] L -> A L -> Y A -> Y")
    assert dag.verdict().kind == "sufficient"
    assert dag.verdict([]).kind == "insufficient"


def test_what_cannot_be_asked_is_refused() -> None:
    dag = Dag.parse("A -> Y")
    with pytest.raises(UsageError, match="no node is marked as exposure"):
        dag.adjustment_sets()
    with pytest.raises(UsageError, match="no node is marked as outcome"):
        dag.verdict([], exposure="A")
    with pytest.raises(UsageError, match="both as exposure and as outcome"):
        dag.verdict([], "A", "A")
    with pytest.raises(UsageError, match="no node 'B'"):
        dag.verdict(["B"], "A", "Y")
    with pytest.raises(UsageError, match="names: a str; expected a list of texts"):
        dag.verdict("A", "A", "Y")


def test_open_edges_are_those_of_the_open_paths() -> None:
    dag = Dag.parse(ROLES + "L -> A L -> Y K -> A K <-> Y A -> Y")
    assert {frozenset(edge) for edge in open_edges(dag, ["L"])} == {frozenset("AK"), frozenset("KY")}
    assert open_edges(dag, ["L", "K"]) == []


# --- the choice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "measured", "chosen"),
    [
        # The optimal set of Henckel, Perkovic & Maathuis 2022: direct causes of the outcome, no instrument.
        ("Z -> A L -> K -> Y L -> A P -> Y A -> Y", "ZLKPAY", ["K", "P"]),
        ("Z -> A L -> A L -> M A -> M -> Y P -> M Q -> Y A -> Y", "ZLMPQAY", ["L", "P", "Q"]),
        # Nothing needed: nothing taken, even if it would be more precise.
        ("A -> Y P -> Y", "PAY", []),
        # The direct cause has no column: the other minimal set.
        ("L -> K -> Y L -> A A -> Y", "LAY", ["L"]),
        ("L -> K -> Y L -> A A -> Y", "KAY", ["K"]),
        ("L -> K -> Y L -> A A -> Y", "AY", None),
        # A direct cause that is a collider gets the company it needs.
        ("U1 -> A U1 -> L <- U2 -> Y L -> Y A -> Y L -> A", ["U1", "L", "A", "Y"], ["L", "U1"]),
        # A direct cause that opens an unmeasured path is left out.
        ("U1 [latent] U2 [latent] U1 -> A U1 -> L <- U2 -> Y L -> Y K -> A K -> Y A -> Y", "LKAY", None),
        # What is measured later is taken only when nothing else does.
        ("L -> K -> Y K [tier=later] L -> A A -> Y", "LKAY", ["L"]),
        ("K -> Y K [tier=later] K -> A A -> Y", "KAY", ["K"]),
        # Marked nodes are in, whatever else.
        ("L [adjusted] A -> Y", "LAY", ["L"]),
        ("M [adjusted] A -> M -> Y", "MAY", None),
    ],
)
def test_the_default_choice(text: str, measured: list[str] | str, chosen: list[str] | None) -> None:
    dag = Dag.parse(ROLES + text)
    found = choose_set(Question.of(dag, None, None), list(measured))
    assert (None if found is None else sorted(found)) == chosen
    if found is not None:
        assert dag.verdict(found).sufficient


@pytest.mark.parametrize("seed", range(40))
def test_the_choice_suffices_whenever_any_measured_set_does(seed: int) -> None:
    dag = random_dag(seed, n=9, share=0.3)
    question = Question.of(dag, None, None)
    measured = random.Random(seed).sample(dag.nodes, 6)
    found = choose_set(question, measured)
    assert (found is None) == (not question.sets(measured))
    if found is not None:
        assert found <= set(measured)
        assert dag.verdict(found).sufficient
        assert question.instruments(found) == []


# --- size ------------------------------------------------------------------------------------------


def test_thirty_nodes_take_about_a_millisecond() -> None:
    chance = random.Random(3)
    confounders = [f"c{i}" for i in range(28)]
    edges = [f"{c} -> A {c} -> Y" for c in confounders]
    edges += [f"{a} -> {b}" for i, a in enumerate(confounders) for b in confounders[i + 1 :] if chance.random() < 0.2]
    dag = Dag.parse(ROLES + " ".join(edges) + " A -> Y")
    dag.verdict(confounders)
    start = time.perf_counter()
    for _ in range(10):
        assert dag.adjustment_sets() == [frozenset(confounders)]
    assert (time.perf_counter() - start) / 10 < 0.05  # about 1 ms on a quiet machine; shared ones are slower


def test_exponentially_many_sets_are_capped() -> None:
    # Twenty independent paths of two nodes: 2 ** 20 minimal sets.
    dag = Dag.parse(ROLES + "A -> Y " + " ".join(f"A <- a{i} <- b{i} -> Y" for i in range(20)))
    start = time.perf_counter()
    sets = dag.adjustment_sets()
    assert len(sets) == len(set(sets)) == 1000
    assert all(len(each) == 20 for each in sets)
    assert time.perf_counter() - start < 5
    assert dag.verdict(sets[0]).sufficient


def test_open_paths_of_a_dense_graph_are_found_quickly() -> None:
    names = [f"v{i}" for i in range(40)]
    edges = [f"{a} -> {b}" for i, a in enumerate(names) for b in names[i + 1 :]]
    dag = Dag.parse(f"v20 [exposure] v39 [outcome] {' '.join(edges)}")
    start = time.perf_counter()
    verdict = dag.verdict([])
    assert verdict.open_paths[0] == "v20 <- v0 -> v39"
    assert len(verdict.open_paths) == 10
    assert dag.adjustment_sets() == [frozenset(names[:20])]
    assert time.perf_counter() - start < 3
