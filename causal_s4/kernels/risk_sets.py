"""Rows sorted once against the distinct event times: the frame every weighted functional shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def merge_close(times: Floats, tolerance: float = 1e-9) -> Floats:
    """Give times that differ by less than a relative tolerance one value.

    0.1 + 0.2 and 0.3 are one event time; left apart they would make two risk sets.
    """
    ordered = np.sort(times)
    if ordered.size < 2:
        return times
    gap = np.diff(ordered)
    scale = np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1]))
    joined = (gap > 0) & (gap <= tolerance * scale)
    if not joined.any():
        return times
    # each run of close values is represented by its smallest
    begins = np.concatenate([[True], ~((gap == 0) | joined)])
    merged = np.empty_like(times)
    merged[np.argsort(times)] = ordered[begins][np.cumsum(begins) - 1]
    return merged


def _places(times: Floats, values: Floats, order: Ints) -> Ints:
    """Count the times at or before each value, given the values' order: times are looked up among values, not each value."""
    edges = np.concatenate([[0], np.searchsorted(values[order], times), [len(values)]])
    places = np.empty(len(values), dtype=np.int64)
    places[order] = np.repeat(np.arange(len(times) + 1), np.diff(edges))
    return places


@dataclass(frozen=True)
class RiskSets:
    """Where each (start, stop] row stands among the distinct event times.

    Attributes
    ----------
    times : ndarray, shape (k,)
        Distinct event times, ascending.
    first : ndarray of int, shape (rows,)
        Number of event times at or before the row's start: it is at risk from ``first`` ...
    last : ndarray of int, shape (rows,)
        ... to ``last - 1``; ``last`` is the number of event times at or before its stop.
    dead : ndarray of int, shape (events,)
        Rows that end in an event.
    when : ndarray of int, shape (events,)
        Index of their event time.
    delayed : bool
        Whether any row enters after the first event time.
    order : ndarray of int, shape (rows,)
        Rows by their stop.
    """

    times: Floats
    first: Ints
    last: Ints
    dead: Ints
    when: Ints
    delayed: bool
    order: Ints

    @classmethod
    def of(cls, start: Floats | None, stop: Floats, event: NDArray[np.bool_]) -> RiskSets:
        """Sort rows against their event times.

        Parameters
        ----------
        start : ndarray, shape (rows,), or None
            None means at risk from the beginning.
        stop : ndarray, shape (rows,)
        event : ndarray of bool, shape (rows,)
        """
        if start is None:
            stop = merge_close(stop)
        else:
            both = merge_close(np.concatenate([start, stop]))
            start, stop = both[: len(stop)], both[len(stop) :]
        dead = np.flatnonzero(event)
        order = np.argsort(stop)
        of_dead = stop[order][event[order]]
        times = of_dead[np.diff(of_dead, prepend=-np.inf) > 0]
        last = _places(times, stop, order)
        first = np.zeros(len(stop), dtype=np.int64)
        if start is not None:
            first = np.minimum(_places(times, start, np.argsort(start)), last)
        return cls(times, first, last, dead, last[dead] - 1, bool(first.any()), order)

    def at_risk(self, values: Floats) -> Floats:
        """Sum row values over the rows at risk at each event time.

        Parameters
        ----------
        values : ndarray, shape (rows,)

        Returns
        -------
        ndarray, shape (k,)
        """
        k = len(self.times)
        leaving = np.bincount(self.last, weights=values, minlength=k + 1)
        # a row with last = j is at risk at times 0..j-1: sum from the far end
        total = np.cumsum(leaving[::-1])[::-1][1:]
        if self.delayed:
            entering = np.bincount(self.first, weights=values, minlength=k + 1)
            total = total - np.cumsum(entering[::-1])[::-1][1:]
        return np.asarray(total)

    def events(self, values: Floats) -> Floats:
        """Sum row values over the rows with an event at each event time, shape (k,)."""
        # without any event, bincount would count in whole numbers
        return np.asarray(
            np.bincount(self.when, weights=values[self.dead], minlength=len(self.times)), dtype=np.float64
        )

    def between(self, increments: Floats) -> Floats:
        """Sum event-time increments over each row's time at risk.

        Parameters
        ----------
        increments : ndarray, shape (k,)

        Returns
        -------
        ndarray, shape (rows,)
        """
        running: Floats = np.concatenate([[0.0], np.cumsum(increments)])
        total: Floats = running[self.last]
        if self.delayed:
            total = total - running[self.first]
        return total
