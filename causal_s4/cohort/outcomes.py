"""The outcomes of a table: times above zero, and events coded as declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from causal_s4.cohort.columns import (
    alike,
    counted,
    is_missing,
    matches,
    named_codes,
    not_numbers,
    numbers_of,
    otherwise_spelled,
    spelled,
    tally,
)
from causal_s4.cohort.inspection import Complaint, Inspection
from causal_s4.cohort.values import OutcomeData
from causal_s4.protocol.vocabulary import DAYS_PER_YEAR, TimeUnit
from causal_s4.protocol.words import did_you_mean
from causal_s4.results import Floats, Ints

HALF = 0.5
"""What is added to a follow-up time of zero, in the cohort's unit, when the protocol says ``half``."""

SHORTEST_MEDIAN_DAYS = 7.0
LONGEST_MEDIAN_YEARS = 50.0
LONGEST_YEARS = 100.0


def read_outcome(table: Inspection, outcome: Mapping[str, Any], zero_time: str, unit: TimeUnit) -> OutcomeData:
    """Read time and event of one outcome; NaN and -1 stand where they cannot be read."""
    time = _read_time(table, outcome["name"], outcome["time"], zero_time, unit)
    return OutcomeData(name=outcome["name"], time=time, event=_read_event(table, outcome))


def end_of_follow_up(outcomes: Sequence[OutcomeData]) -> Floats:
    """Return the latest time of each patient over all outcomes, NaN where none can be read."""
    latest = outcomes[0].time
    for outcome in outcomes[1:]:
        latest = np.fmax(latest, outcome.time)
    return latest


def _read_time(table: Inspection, outcome: str, name: str, zero_time: str, unit: TimeUnit) -> Floats:
    column = table.column(name)
    if column is None:
        return np.full(len(table), np.nan)
    time, strange = numbers_of(column)
    if strange.any():
        table.problems.append(not_numbers(name, column, strange, table.rows))
    zero = time == 0
    give = "Give the time to the event or to the last contact"
    complaints: list[Complaint] = [
        (is_missing(column), "without a follow-up time", give),
        (np.isinf(time), "with an infinite follow-up time", give),
        (time < 0, "with a negative follow-up time", "Check the dates; such follow-up ended before time zero"),
    ]
    if zero_time == "refuse":
        todo = 'State zero_time = "half" to add half a time unit, or correct the dates'
        complaints.append((zero, "with a follow-up time of zero", todo))
    table.complain(name, complaints)
    if zero_time == "half" and zero.any():
        time = np.where(zero, HALF, time)
        table.notice(
            "zero-time",
            "note",
            f"{counted(int(zero.sum()), 'patient')} had a follow-up time of zero for {outcome}; half a time unit was "
            f"added (times are in {unit.value}).",
            outcome=outcome,
            patients=int(zero.sum()),
        )
    _doubt_unit(table, outcome, time[np.isfinite(time) & (time > 0)], unit)
    return time


def _doubt_unit(table: Inspection, outcome: str, time: Floats, unit: TimeUnit) -> None:
    if not time.size:
        return
    median, longest = float(np.median(time)), float(time.max())
    median_days, longest_years = median * unit.in_days, longest * unit.in_days / DAYS_PER_YEAR
    if (
        median_days < SHORTEST_MEDIAN_DAYS
        or median_days / DAYS_PER_YEAR > LONGEST_MEDIAN_YEARS
        or longest_years > LONGEST_YEARS
    ):
        table.notice(
            "time-unit",
            "caution",
            f"If the times of {outcome} are in {unit.value}, half of the patients were followed for less than "
            f"{median:.3g} {unit.value} and the longest for {longest_years:.3g} years. Check time_unit.",
            outcome=outcome,
            time_unit=unit.value,
            median=median,
            longest=longest,
        )


# --- event codes -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Coding:
    """What was declared of an event column, and what was found in it."""

    outcome: str
    column: str
    event_value: Any
    competing_value: Any
    codes: Mapping[Any, int]
    others: Mapping[Any, int]
    events: int
    competing: int

    @property
    def declared(self) -> str:
        """The declared codes, as a study file states them."""
        text = f"event_value = {spelled(self.event_value)}"
        return text if self.competing_value is None else f"{text} and competing_value = {spelled(self.competing_value)}"

    @property
    def share(self) -> str:
        """Events among patients, in words."""
        return f"{counted(self.events, 'event')} in {counted(sum(self.codes.values()), 'patient')}"


def _read_event(table: Inspection, outcome: Mapping[str, Any]) -> Ints:
    name, value, competing = outcome["event"], outcome.get("event_value"), outcome.get("competing_value")
    unread = np.full(len(table), -1, dtype=np.int64)
    column = table.column(name)
    if column is None:
        return unread
    missing = is_missing(column)
    todo = "Give the code of censoring to those who were event-free at the end of follow-up"
    table.complain(name, [(missing, "without an event code", todo)])
    if value is None:
        found = f"event_value is not stated; the codes are {named_codes(tally(column))}"
        table.problem(name, found, expected="the code of the event")
        return unread
    if alike(value, competing):
        found = f"event_value and competing_value are both {spelled(value)}"
        table.problem(name, found, expected="two different codes")
        return unread
    is_event = matches(column, value)
    is_competing = matches(column, competing)
    coding = _Coding(
        outcome=outcome["name"],
        column=name,
        event_value=value,
        competing_value=competing,
        codes=tally(column),
        others=tally(column[~is_event & ~is_competing]),
        events=int(is_event.sum()),
        competing=int(is_competing.sum()),
    )
    hint = _respelled(coding)
    if len(coding.others) > 1 or hint:
        _refuse_codes(table, coding, hint)
    else:
        _doubt_codes(table, coding)
    return np.select([missing, is_event, is_competing], [-1, 1, 2], default=0).astype(np.int64)


def _respelled(coding: _Coding) -> str:
    """Return a hint when a declared code occurs only in another type or spelling."""
    hint = "" if coding.events else otherwise_spelled(coding.event_value, coding.codes)
    if coding.competing_value is not None and not coding.competing:
        hint = hint or otherwise_spelled(coding.competing_value, coding.codes)
    return hint


def _refuse_codes(table: Inspection, coding: _Coding, hint: str) -> None:
    found = (
        f"besides {coding.declared} it holds {named_codes(coding.others)}"
        if coding.events
        else f"no patient has event_value = {spelled(coding.event_value)}; the codes are {named_codes(coding.codes)}"
    )
    if not hint and not coding.events:
        hint = did_you_mean(coding.event_value, [code for code in coding.codes if isinstance(code, str)])
    table.problem(
        coding.column,
        found,
        expected="exactly one code beside the declared ones, that of censoring",
        todo=hint or "Name a competing event by competing_value; find out what the others mean, and recode them",
    )


def _doubt_codes(table: Inspection, coding: _Coding) -> None:
    """Say which reading was taken where the usual coding is another one."""
    named_like_censoring = any(word in coding.column.casefold() for word in ("cens", "cnsr"))
    if coding.competing_value is not None and not coding.competing:
        message = f"No patient has the competing event declared for {coding.outcome}."
        table.notice("no-competing-event", "caution", message, outcome=coding.outcome)
    if not coding.others:
        message = f"Nobody is censored for {coding.outcome}: {coding.share}. Check event_value."
        table.notice("nobody-censored", "caution", message, outcome=coding.outcome, events=coding.events)
    elif alike(coding.event_value, 1) and any(alike(code, 2) for code in coding.others):
        message = (
            f"{coding.column} is coded 1 and 2. As declared, 1 is the event and 2 is censored ({coding.share}); "
            "many files code it the other way round."
        )
        table.notice("event-coding", "caution", message, outcome=coding.outcome, events=coding.events)
    elif alike(coding.event_value, 0) or (alike(coding.event_value, 1) and named_like_censoring):
        message = (
            f"As declared, {spelled(coding.event_value)} in {coding.column} is the event ({coding.share}); check that "
            "it is not the code of censoring."
        )
        table.notice("event-coding", "caution", message, outcome=coding.outcome, events=coding.events)
