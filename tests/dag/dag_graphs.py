"""Graphs that several tests share."""

import random

from causal_s4.dag import Dag


def random_dag(seed: int, n: int = 7, share: float = 0.4) -> Dag:
    """Return a graph of n nodes in random order with an exposure, an outcome and perhaps latent nodes."""
    chance = random.Random(seed)
    names = [f"v{i}" for i in range(n)]
    chance.shuffle(names)
    edges = [f"{a} -> {b}" for i, a in enumerate(names) for b in names[i + 1 :] if chance.random() < share]
    exposure, outcome = sorted(chance.sample(range(n), 2))
    roles = [f"{names[exposure]} [exposure]", f"{names[outcome]} [outcome]"]
    roles += [
        f"{name} [latent]" for i, name in enumerate(names) if i not in (exposure, outcome) and chance.random() < 0.2
    ]
    return Dag.parse("dag { " + " ".join([*names, *roles, *edges]) + " }")
