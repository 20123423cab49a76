"""The assumptions: a causal graph in dagitty syntax, what it says must be adjusted for, and its drawing."""

from __future__ import annotations

from causal_s4.dag.drawing import draw_svg
from causal_s4.dag.graph import Dag, Node
from causal_s4.dag.identify import Verdict, adjustment_sets, identify, open_edges, second_opinion, verdict
from causal_s4.dag.implications import Implications, Independence, check_implications, implied_independencies

__all__ = [
    "Dag",
    "Implications",
    "Independence",
    "Node",
    "Verdict",
    "adjustment_sets",
    "check_implications",
    "draw_svg",
    "identify",
    "implied_independencies",
    "open_edges",
    "second_opinion",
    "verdict",
]
