"""Random draws that stay put, and the reading of options that every world shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.results import Floats, Ints

MOST_PATIENTS = 50_000_000
"""Simulated at once, at most."""


def uniforms(seed: int, stage: int, n: int, columns: int, block: int | None = None) -> Floats:
    """Draw the uniform numbers of one stage of a world.

    Each stage has a stream of its own, so what is decided at one stage cannot shift the luck of
    another; rows are filled in order, so patient 17 is the same woman in a cohort of any size.

    Parameters
    ----------
    seed : int
        The caller's seed.
    stage : int
        Which stream.
    n, columns : int
        Patients, and draws for each.
    block : int, optional
        Which part of a large sample; None is the observed cohort.

    Returns
    -------
    ndarray, shape (n, columns)
        In [0, 1).

    Raises
    ------
    UsageError
        For more than :data:`MOST_PATIENTS`.
    """
    if n > MOST_PATIENTS:
        raise UsageError(f"at most {MOST_PATIENTS:,} patients are simulated at once; found {n:,}")
    key = (stage,) if block is None else (stage, block)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)).random((n, columns))


def unit_exponential(uniform: Floats) -> Floats:
    """Turn uniform draws into standard exponential ones, by inversion."""
    return -np.log1p(-uniform)


def choose(uniform: Floats, shares: Floats | Sequence[float]) -> Ints:
    """Pick a category for each draw.

    Parameters
    ----------
    uniform : ndarray, shape (n,)
        Draws in [0, 1).
    shares : array-like, shape (k,) or (n, k)
        Probabilities, summing to one.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    edges = np.cumsum(np.atleast_2d(np.asarray(shares, dtype=float)), axis=1)[:, :-1]
    chosen: Ints = (uniform[:, None] >= edges).sum(axis=1)
    return chosen


def read_effect(effect: str | None, hazard_ratio: float | None, named: Mapping[str, float], default: str) -> float:
    """Return the hazard ratio a caller asked for, by name or as a number.

    Raises
    ------
    UsageError
        When both are given, the name is unknown, or the number is not above zero.
    """
    if effect is not None and hazard_ratio is not None:
        found = f"effect={effect!r} and hazard_ratio={hazard_ratio!r}"
        raise UsageError(f"give effect or hazard_ratio, not both; found {found}")
    if hazard_ratio is None:
        return named[known(default if effect is None else effect, named, "effect")]
    return positive(hazard_ratio, "hazard_ratio")


def known(name: str, names: Mapping[str, object] | Sequence[str], what: str) -> str:
    """Return the name if it is one of those known.

    Raises
    ------
    UsageError
        Naming the nearest known one.
    """
    import difflib

    if not isinstance(name, str):
        raise UsageError(f"{what} must be text, one of {', '.join(names)}; found a {type(name).__name__}")
    if name in names:
        return name
    near = difflib.get_close_matches(name, list(names), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown {what} {name!r}; expected one of {', '.join(names)}{hint}")


def finite(value: float, what: str) -> float:
    """Return the value if it is a finite number.

    Raises
    ------
    UsageError
        Otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise UsageError(f"{what} must be a finite number; found {value!r}")
    return float(value)


def positive(value: float, what: str) -> float:
    """Return the value if it is a finite number above zero.

    Raises
    ------
    UsageError
        Otherwise.
    """
    if not finite(value, what) > 0:
        raise UsageError(f"{what} must be a number above zero; found {value!r}")
    return float(value)


def whole(value: int, what: str, at_least: int = 0) -> int:
    """Return the value if it is a whole number of at least ``at_least``.

    Raises
    ------
    UsageError
        Otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
        raise UsageError(f"{what} must be a whole number of {at_least} or more; found {value!r}")
    return int(value)
