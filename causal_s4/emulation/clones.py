"""Two clones a patient, one for each strategy: when each leaves its arm and why, as (start, stop] rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.errors import UsageError
from causal_s4.kernels.risk_sets import merge_close
from causal_s4.results import Floats, Ints

Mask = NDArray[np.bool_]


class Leaving(StrEnum):
    """Why a clone is no longer followed."""

    EVENT = "event"
    LOST = "lost to follow-up"
    DEVIATED = "deviated from the strategy"


@dataclass(frozen=True, kw_only=True)
class Course:
    """When things happened to each patient, with times that differ by rounding made equal.

    Parameters
    ----------
    treated : ndarray, shape (n,)
        Time of treatment, infinite if never.
    end : ndarray, shape (n,)
        End of follow-up.
    event : ndarray of int, shape (n,)
        Code at that end.
    grace : float
        Length of the grace period.
    """

    treated: Floats
    end: Floats
    event: Ints
    grace: float

    @classmethod
    def of(cls, cohort: Cohort, outcome: str | None, grace_period: float) -> Course:
        """Read a cohort.

        Raises
        ------
        UsageError
            When the cohort has no times of treatment, or the grace period is not within follow-up.
        """
        start = treatment_start(cohort)
        chosen = cohort.outcome(outcome)
        if not (np.isfinite(grace_period) and 0 < grace_period < chosen.time.max()):
            raise UsageError(
                f"the grace period must lie within the follow-up of {chosen.time.max():g} {cohort.time_unit}; "
                f"found {grace_period!r}"
            )
        n = len(cohort)
        times = merge_close(np.concatenate([chosen.time, start, [float(grace_period)]]))
        return cls(treated=times[n : 2 * n], end=times[:n], event=chosen.event, grace=float(times[-1]))

    @property
    def treated_within(self) -> Mask:
        """Whether treatment started within the grace period."""
        return self.treated <= self.grace

    @property
    def untreated_until(self) -> Floats:
        """Until when each patient is followed within the grace period and not yet treated."""
        return np.minimum(np.minimum(self.end, self.treated), self.grace)

    @property
    def event_times(self) -> Floats:
        """Distinct times of any event."""
        return np.unique(self.end[self.event > 0])

    def just_before(self, time: Floats) -> Floats:
        """Return times such that a row which ends there is not at risk at the given time, but at every event before.

        Treatment comes before a death of the same day, so its day belongs to the treated. The time itself
        serves unless somebody has an event then; else any time since the event before does, and half way
        is taken.
        """
        known = self.event_times
        place = np.searchsorted(known, time, side="left")
        tied = np.zeros(len(time), dtype=bool)
        within = place < known.size
        tied[within] = known[place[within]] == time[within]
        earlier = np.concatenate([[0.0], known])[place]
        return np.where(tied, (earlier + time) / 2, time)


def treatment_start(cohort: Cohort) -> Floats:
    """Return the time of treatment of each patient, infinite for those never treated.

    Raises
    ------
    UsageError
        When the cohort does not have it.
    """
    if cohort.treatment_start is None:
        raise UsageError(
            "this design needs the time from time zero to treatment; name its column as [treatment] start "
            "(treatment_start in Python), empty for those never treated"
        )
    return cohort.treatment_start


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Stretches of follow-up within which a weight that changes with time is held, and where it is read off.

    A weight matters only at the times of events. A cell holds one such time while there are few, and then
    the weight is exact; with many, neighbouring times share a cell, and the weight is that at their mean.

    Parameters
    ----------
    edges : ndarray, shape (k + 1,)
        From zero.
    at : ndarray, shape (k,)
        Where the weight of a cell is read off.
    """

    edges: Floats
    at: Floats

    @classmethod
    def make(cls, times: Floats, begin: float, end: float, most: int) -> Cells:
        """Divide (begin, end] by event times.

        Parameters
        ----------
        times : ndarray
            Of every event, repeated when shared.
        begin, end : float
        most : int
            The largest number of cells, apart from one for events exactly at the end.
        """
        inside = np.sort(times[(times > begin) & (times <= end)])
        distinct, count = np.unique(inside, return_counts=True)
        at_end = distinct.size > 0 and distinct[-1] == end
        before = distinct[:-1] if at_end else distinct
        groups = np.array_split(np.arange(before.size), min(most, before.size)) if before.size else []
        stops = [float(distinct[group[-1]]) for group in groups]
        at = [float(np.average(distinct[group], weights=count[group])) for group in groups]
        if at_end or not groups:
            return cls(edges=np.array([begin, *stops, end]), at=np.array([*at, end if at_end else (begin + end) / 2]))
        # nothing happens between the last event and the end, so the last cell runs on
        return cls(edges=np.array([begin, *stops[:-1], end]), at=np.array(at))

    def then(self, later: Cells) -> Cells:
        """Return these cells followed by later ones."""
        return Cells(edges=np.concatenate([self.edges, later.edges[1:]]), at=np.concatenate([self.at, later.at]))

    def split(self, patient: Ints, start: Floats, stop: Floats) -> tuple[Ints, Floats, Floats, Ints]:
        """Cut rows at the edges.

        Parameters
        ----------
        patient : ndarray of int, shape (m,)
        start, stop : ndarray, shape (m,)
            Rows with ``start >= stop`` vanish; what lies beyond the last edge is left out.

        Returns
        -------
        row : ndarray of int, shape (rows,)
            Which of the rows given.
        start, stop : ndarray, shape (rows,)
        cell : ndarray of int, shape (rows,)
        """
        first = np.clip(np.searchsorted(self.edges, start, side="right") - 1, 0, len(self.at))
        last = np.clip(np.searchsorted(self.edges, stop, side="left"), 0, len(self.at))
        count = np.where(stop > start, np.maximum(last - first, 0), 0)
        row = np.repeat(np.arange(len(patient)), count)
        cell = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count) + first[row]
        begin = np.maximum(start[row], self.edges[cell])
        end = np.minimum(stop[row], self.edges[cell + 1])
        return row, begin, end, cell
