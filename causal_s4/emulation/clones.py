"""Two clones a patient, one for each strategy: when each leaves its arm and why, as (start, stop] rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.errors import UsageError
from causal_s4.kernels.risk_sets import merge_close
from causal_s4.results import Floats, Ints

Mask = NDArray[np.bool_]


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
        n, ever = len(cohort), np.isfinite(start)
        times = merge_close(np.concatenate([chosen.time, start[ever], [float(grace_period)]]))
        treated = np.full(n, np.inf)
        treated[ever] = times[n:-1]
        # treatment after the end of this outcome's follow-up is as good as none
        treated[treated > times[:n]] = np.inf
        return cls(treated=treated, end=times[:n], event=chosen.event, grace=float(times[-1]))

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

    def split(self, start: Floats, stop: Floats) -> tuple[Ints, Floats, Floats, Ints]:
        """Cut one stretch a patient at the edges.

        Parameters
        ----------
        start, stop : ndarray, shape (n,)
            Within the edges; a stretch that does not start before it stops vanishes.

        Returns
        -------
        patient : ndarray of int, shape (rows,)
        start, stop : ndarray, shape (rows,)
        cell : ndarray of int, shape (rows,)
        """
        first = np.searchsorted(self.edges, start, side="right") - 1
        last = np.searchsorted(self.edges, stop, side="left")
        count = np.where(stop > start, last - first, 0)
        patient = np.repeat(np.arange(len(start)), count)
        cell = np.arange(patient.size) - np.repeat(np.cumsum(count) - count, count) + first[patient]
        begin = np.maximum(start[patient], self.edges[cell])
        return patient, begin, np.minimum(stop[patient], self.edges[cell + 1]), cell


@dataclass(frozen=True, kw_only=True)
class CloneRows:
    """The rows of all clones.

    Parameters
    ----------
    patient, arm : ndarray of int, shape (rows,)
    start, stop : ndarray, shape (rows,)
    event : ndarray of int, shape (rows,)
    settled : ndarray of bool, shape (rows,)
        Whether it can no longer depart from its strategy: treated within the grace period, or untreated after it.
    at : ndarray, shape (rows,)
        Where a weight that changes with time is read off.
    """

    patient: Ints
    arm: Ints
    start: Floats
    stop: Floats
    event: Ints
    settled: Mask
    at: Floats

    def take(self, keep: Mask) -> CloneRows:
        """Return some of the rows."""
        return CloneRows(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})

    @classmethod
    def make(
        cls, course: Course, cells: Cells, *, cut_settled: bool = False, treatment_first: bool = True
    ) -> CloneRows:
        """Clone every patient, censor each clone when it departs from its strategy, and cut rows by cells.

        Parameters
        ----------
        course : Course
        cells : Cells
            From zero to the end of the grace period; with ``cut_settled``, to the end of follow-up.
        cut_settled : bool
            Whether settled rows are cut as well.
        treatment_first : bool
            Whether the day of treatment belongs to the treated, else to both.
        """
        within, end, grace = course.treated_within, course.end, course.grace
        treated = np.where(within, course.treated, 0.0)
        leaves = course.just_before(treated) if treatment_first else treated
        zero = np.zeros(len(end))
        unsettled_until = np.where(within, leaves, np.minimum(end, grace))
        unsettled_event = np.where(~within & (end <= grace), course.event, 0)
        whole = Cells(edges=np.array([0.0, end.max()]), at=np.array([grace]))
        settled_cells = cells if cut_settled else whole
        # a stretch that does not start before it stops is none
        return _join(
            [
                _cut(cells, 0, zero, unsettled_until, unsettled_event, settled=False),
                _cut(settled_cells, 0, np.where(within, end, grace), end, course.event, settled=True),
                _cut(cells, 1, zero, unsettled_until, unsettled_event, settled=False),
                _cut(settled_cells, 1, np.where(within, leaves, end), end, course.event, settled=True),
            ]
        )


def _cut(cells: Cells, arm: int, start: Floats, stop: Floats, event: Ints, *, settled: bool) -> dict[str, NDArray[Any]]:
    patient, begin, until, cell = cells.split(start, stop)
    ending = np.where(until == stop[patient], event[patient], 0)
    # who dies and who is at risk then are weighted at one moment, so that what they share cancels
    at = np.maximum(cells.at[cell], begin)
    at = np.where(ending > 0, at, np.minimum(at, until))
    return {
        "patient": patient,
        "arm": np.full(patient.size, arm, dtype=np.int64),
        "start": begin,
        "stop": until,
        "event": ending,
        "settled": np.full(patient.size, settled),
        "at": at,
    }


def _join(blocks: list[dict[str, NDArray[Any]]]) -> CloneRows:
    return CloneRows(**{name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]})
