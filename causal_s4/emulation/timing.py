"""When, within the grace period, treatment is taken to start.

"Treatment within six months" is not one intervention until its timing is fixed: Wanis et al. 2024,
10.1093/jrsssa/qnae002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causal_s4.errors import UsageError
from causal_s4.protocol.methods import TIMINGS
from causal_s4.protocol.words import one_of
from causal_s4.results import Floats

Density = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A distribution of the time of treatment, for those alive then; practice is left alone before it begins.

    Parameters
    ----------
    rule : str
        ``"density"``, ``"natural"`` or ``"uniform"``.
    since : float
        Until then practice is left as it is.
    edges : tuple of float, length k + 1
        The distribution is uniform between two edges.
    masses : tuple of float, length k
        Sum to one.
    """

    rule: str
    since: float
    edges: tuple[float, ...]
    masses: tuple[float, ...]

    def remaining(self, time: Floats) -> Floats:
        """Return the share that starts after a time."""
        started = np.cumsum(self.masses)
        # exactly nothing is left at the end, whatever rounding does to the sum
        return np.asarray(np.interp(time, self.edges, np.concatenate([[1.0], 1.0 - started[:-1], [0.0]])))

    def density(self, time: Floats) -> Floats:
        """Return the density of starting at a time, zero outside the edges."""
        edges = np.array(self.edges)
        place = np.searchsorted(edges, time, side="left") - 1
        inside = (place >= 0) & (place < len(self.masses))
        height = np.array(self.masses) / np.diff(edges)
        found: Floats = np.where(inside, height[np.clip(place, 0, len(self.masses) - 1)], 0.0)
        return found


def check_timing(rule: str, grace: float, natural_until: float | None, density: Density | None) -> None:
    """Refuse an unknown rule, and options that the rule does not use.

    Raises
    ------
    UsageError
    """
    if rule not in TIMINGS:
        raise UsageError(f"timing must be {one_of(TIMINGS)}; found {rule!r}")
    if natural_until is not None and rule != "natural":
        raise UsageError(f"natural_until would have no effect with timing={rule!r}; it belongs to timing='natural'")
    if rule == "natural" and not (natural_until is not None and 0 < natural_until < grace):
        raise UsageError(
            f"timing='natural' needs natural_until within the grace period of {grace:g}; found {natural_until!r}"
        )
    if density is None:
        return
    if rule != "density":
        raise UsageError(f"timing_density would have no effect with timing={rule!r}; it belongs to timing='density'")
    edges, masses = np.asarray(density[0], dtype=float), np.asarray(density[1], dtype=float)
    sound = (
        len(edges) == len(masses) + 1 >= 2
        and bool(np.isfinite(edges).all() and np.isfinite(masses).all())
        and bool((np.diff(edges) > 0).all() and (masses >= 0).all())
        and edges[0] >= 0
        and edges[-1] <= grace * (1 + 1e-9)
        and masses.sum() > 0
    )
    if not sound:
        raise UsageError(
            f"timing_density needs rising edges from 0 to {grace:g} and between each two a mass of 0 or more; found "
            f"{len(edges)} edges and {len(masses)} masses"
        )


def fixed_timing(
    rule: str, grace: float, natural_until: float | None, density: Density | None, observed: Floats, levels: Floats
) -> Timing:
    """Return the distribution of a rule.

    Parameters
    ----------
    rule : {"density", "natural", "uniform"}
    grace : float
    natural_until : float, optional
    density : (edges, masses), optional
        With ``"density"``, the investigator's; else that of the patients treated within the grace period,
        as shares of levels of time, and taken as fixed.
    observed : ndarray, shape (treated,)
        When they were treated.
    levels : ndarray
        Inner edges of the levels of time.
    """
    if rule != "density":
        since = natural_until or 0.0
        return Timing(rule=rule, since=since, edges=(since, grace), masses=(1.0,))
    if density is not None:
        edges, masses = np.asarray(density[0], dtype=float), np.asarray(density[1], dtype=float)
    else:
        edges = np.concatenate([[0.0], levels, [grace]])
        masses = np.bincount(np.searchsorted(levels, observed, side="left"), minlength=len(levels) + 1).astype(float)
    return Timing(rule=rule, since=0.0, edges=tuple(edges.tolist()), masses=tuple((masses / masses.sum()).tolist()))
