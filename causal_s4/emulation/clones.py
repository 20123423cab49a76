"""Two clones a patient, one for each strategy: when each leaves its arm and why, as (start, stop] rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from causal_s4.cohort import Cohort
from causal_s4.emulation.history import first_known
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
    diverted : ndarray, shape (n,)
        Time of treatment outside both strategies, before any other; infinite if none.
    released : ndarray, shape (n,)
        When the strategy of treatment stops asking for it, before anyone treated; infinite if never.
    never : bool
        Whether the strategy without treatment allows none after the grace period either.
    """

    treated: Floats
    end: Floats
    event: Ints
    grace: float
    diverted: Floats
    released: Floats
    never: bool = False

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        outcome: str | None,
        grace_period: float,
        *,
        never: bool = False,
        unless: Mapping[str, Sequence[Any]] | None = None,
    ) -> Course:
        """Read a cohort.

        Parameters
        ----------
        cohort : Cohort
        outcome : str or None
        grace_period : float
        never : bool
        unless : mapping of str to sequence, optional
            Columns of the history, and the values that release.

        Raises
        ------
        UsageError
            When the cohort has no times of treatment, the grace period is not within follow-up, or nobody has a
            value that releases.
        """
        start = treatment_start(cohort)
        chosen = cohort.outcome(outcome)
        if not (np.isfinite(grace_period) and 0 < grace_period < chosen.time.max()):
            raise UsageError(
                f"the grace period must lie within the follow-up of {chosen.time.max():g} {cohort.time_unit}; "
                f"found {grace_period!r}"
            )
        n = len(cohort)
        other = np.full(n, np.inf) if cohort.non_protocol_start is None else cohort.non_protocol_start
        known = first_known(cohort, unless) if unless else np.full(n, np.inf)
        given = np.concatenate([chosen.time, start, other, known, [float(grace_period)]])
        finite = np.isfinite(given)
        given[finite] = merge_close(given[finite])
        end, treated, other, known = given[:-1].reshape(4, n)
        grace = float(given[-1])
        # treatment after the end of this outcome's follow-up is as good as none
        treated, other = (np.where(time > end, np.inf, time) for time in (treated, other))
        diverted = np.where(other < treated, other, np.inf)
        before = np.minimum(np.minimum(treated, diverted), np.minimum(end, grace))
        return cls(
            treated=treated,
            end=end,
            event=chosen.event,
            grace=grace,
            diverted=diverted,
            released=np.where(known < before, known, np.inf),
            never=never,
        )

    @property
    def starts_within(self) -> Mask:
        """Whether treatment started within the grace period, and nothing else was done before."""
        return (self.treated <= self.grace) & (self.treated <= self.diverted)

    @property
    def treated_within(self) -> Mask:
        """Whether it started while the strategy asked for it."""
        return self.starts_within & (self.treated <= self.released)

    @property
    def diverted_within(self) -> Mask:
        """Whether something else was done within the grace period, and before treatment."""
        return self.diverted <= self.grace

    @property
    def first_treatment(self) -> Floats:
        """Time of treatment of either kind, infinite if none."""
        return np.minimum(self.treated, self.diverted)

    @property
    def untreated_until(self) -> Floats:
        """Until when each patient is followed within the grace period and nothing was done yet."""
        return np.minimum(np.minimum(self.end, self.grace), self.first_treatment)

    @property
    def event_times(self) -> Floats:
        """Distinct times of any event."""
        return np.unique(self.end[self.event > 0])

    @property
    def strategies(self) -> tuple[Mask, Mask]:
        """Who is treated within the grace period, and who is followed beyond it without."""
        return self.treated_within, (self.departs(0) > self.grace) & (self.end > self.grace)

    def settles(self, arm: int) -> Floats:
        """Return from when on nothing within the grace period can take a clone out of its arm, infinite if never."""
        if arm == 0:
            return np.full(len(self.end), self.grace)
        return np.where(self.treated_within, self.treated, self.released)

    def departs(self, arm: int) -> Floats:
        """Return when a clone departs from its strategy, infinite if it stays."""
        if arm == 0:
            first = self.first_treatment
            return first if self.never else np.where(first <= self.grace, first, np.inf)
        waits = np.where(self.end > self.grace, self.grace, np.inf)
        departs = np.where(self.diverted_within, self.diverted, waits)
        return np.where(np.isfinite(self.settles(1)), np.inf, departs)

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
        cls, course: Course, cells: Cells, *, cut_settled: Sequence[int] = (), treatment_first: bool = True
    ) -> CloneRows:
        """Clone every patient, censor each clone when it departs from its strategy, and cut rows by cells.

        Parameters
        ----------
        course : Course
        cells : Cells
            From zero to the end of the grace period; with ``cut_settled``, to the end of follow-up.
        cut_settled : sequence of int
            Arms whose settled rows are cut as well.
        treatment_first : bool
            Whether the day of treatment belongs to the treated, else to both.
        """
        end, grace = course.end, course.grace
        whole = Cells(edges=np.array([0.0, end.max()]), at=np.array([grace]))

        def row_ends(time: Floats) -> Floats:
            by_treatment = (time == course.treated) | (time == course.diverted)
            return np.where(by_treatment, course.just_before(time), time) if treatment_first else time

        blocks = []
        for arm in (0, 1):
            settles, departs = course.settles(arm), course.departs(arm)
            event = np.where(np.isfinite(departs), 0, course.event)
            until = np.minimum(end, row_ends(departs))
            begins = np.minimum(end, row_ends(settles))
            unsettled = np.minimum(until, begins)
            # a stretch that does not start before it stops is none
            blocks += [
                _cut(cells, arm, np.zeros(len(end)), unsettled, np.where(unsettled < end, 0, event), settled=False),
                _cut(cells if arm in cut_settled else whole, arm, begins, until, event, settled=True),
            ]
        return _join(blocks)


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
