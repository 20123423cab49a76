"""What the parts of a study file say of each other.

Each rule yields a :class:`Flaw` for what contradicts, is needed and missing, or would have no
effect. A rule that asks for a value which was itself refused ends there: one mistake is told once,
and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from causal_s4.errors import Problem
from causal_s4.protocol.fields import in_days, kind_of
from causal_s4.protocol.methods import (
    DESIGNS,
    MEASURES,
    NOT_AVAILABLE_YET,
    SENSITIVITY_ANALYSES,
    STABILISED_POPULATIONS,
    VARIANCES,
    check_weighting,
)
from causal_s4.protocol.toml_lines import KeyPath
from causal_s4.protocol.vocabulary import Design, Estimand
from causal_s4.protocol.words import did_you_mean, found, key_path, one_of, quoted

LONGEST_INTERVAL_DAYS = 31.0


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A problem that still knows its key path, so that its line can be looked up."""

    path: KeyPath
    found: str
    expected: str = ""
    todo: str = ""

    def at(self, line: int | None) -> Problem:
        """Return the problem, with the line it stands on."""
        return Problem(where=key_path(self.path), found=self.found, expected=self.expected, todo=self.todo, line=line)


class Draft:
    """What could be read of a protocol, and which of its key paths were refused.

    Parameters
    ----------
    sections : mapping
        Name of a section in the study file to its value; None where it is absent or unreadable, and
        a mapping of position to part for lists of tables.
    refused : set of tuple
        Key paths of the values that were refused.
    """

    def __init__(self, sections: Mapping[str, Any], refused: set[KeyPath]) -> None:
        self._sections = sections
        self._refused = refused

    def __call__(self, *path: str | int) -> Any:
        """Return a value by its key path; end the rule that asks when it could not be read."""
        if any(path[: len(bad)] == bad or bad[: len(path)] == path for bad in self._refused):
            raise _Unread
        value: Any = self._sections
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, str(part), None)
            if value is None:
                return None
        return value

    def names(self, section: str) -> list[str]:
        """Return the keys of a table, those of refused values among them."""
        table = self._sections.get(section)
        return list(table) if isinstance(table, Mapping) else []

    def positions(self, section: str) -> list[int]:
        """Return the positions of the readable items of a list of tables."""
        return sorted(self._sections.get(section) or {})

    def all_positions(self, section: str) -> list[int]:
        """Return the positions of all items; end the rule that asks when one could not be read at all."""
        if any(bad[0] == section and len(bad) < 3 for bad in self._refused):
            raise _Unread
        return self.positions(section)


class _Unread(Exception):
    """A value that a rule asks for was refused."""


def check(draft: Draft) -> list[Flaw]:
    """Return everything the rules find."""
    flaws: list[Flaw] = []
    for rule in _RULES:
        flaws += _run(rule, draft)
    for name, rules in _ITEM_RULES.items():
        for position in draft.positions(name):
            for item_rule in rules:
                flaws += _run(item_rule, draft, position)
    return flaws


def _run(rule: Callable[..., Iterator[Flaw]], *arguments: Any) -> list[Flaw]:
    flaws: list[Flaw] = []
    try:
        for flaw in rule(*arguments):
            flaws.append(flaw)
    except _Unread:
        pass
    return flaws


def _given(value: Any) -> bool:
    return value is not None and value != () and value != {}


# --- data, graph, arms ----------------------------------------------------------------------------


def _available(draft: Draft) -> Iterator[Flaw]:
    for path, values in NOT_AVAILABLE_YET.items():
        keys = tuple(path.split("."))
        value = draft(*keys)
        if value in values:
            yield Flaw(path=keys, found=f"{quoted(value)} is not available yet", todo=values[value])


def _arms(draft: Draft) -> Iterator[Flaw]:
    yield from _two_codes(draft, ("treatment",), "treated", "control")


def _two_codes(draft: Draft, table: KeyPath, one: str, other: str) -> Iterator[Flaw]:
    """Two values of one column: different, and of one kind."""
    first, second = draft(*table, one), draft(*table, other)
    if first is None or second is None:
        return
    if first == second:
        yield Flaw(path=(*table, other), found=f"the same value as {one}, {quoted(second)}", expected="two values")
    elif kind_of(first) != kind_of(second):
        yield Flaw(
            path=(*table, other),
            found=f"{found(second)} where {one} is {found(first)}",
            expected="both text or both numbers, since one column holds them",
            todo="Quote both or neither",
        )


def _arm_names(draft: Draft) -> Iterator[Flaw]:
    name = draft("treatment", "name")
    if name is not None and name == draft("treatment", "control_name"):
        yield Flaw(
            path=("treatment", "control_name"), found=f"the same label as name, {quoted(name)}", expected="two labels"
        )


def _adjusted_nodes(draft: Draft) -> Iterator[Flaw]:
    nodes = draft("dag", "adjust_for") or ()
    treatment = draft("treatment", "node")
    outcomes = [draft("outcome", position, "node") for position in draft.positions("outcome")]
    for index, node in enumerate(nodes):
        if node == treatment or node in outcomes:
            role = "treatment" if node == treatment else "outcome"
            yield Flaw(
                path=("dag", "adjust_for", index),
                found=f"{quoted(node)} is the {role} itself",
                expected="causes of treatment or outcome",
            )


def _roles(draft: Draft) -> Iterator[Flaw]:
    """No column can be two things."""
    roles: list[KeyPath] = [("data", "id"), ("treatment", "column"), ("treatment", "start")]
    roles += [("treatment", "non_protocol_start"), ("inference", "cluster")]
    roles += [("outcome", position, role) for position in draft.positions("outcome") for role in ("time", "event")]
    taken: dict[str, KeyPath] = {}
    for path in roles:
        column = draft(*path)
        if column is None:
            continue
        other = taken.setdefault(column, path)
        if other == path or (other[0] == path[0] == "outcome" and other[-1] == path[-1]):
            continue  # outcomes may share a time or an event column
        yield Flaw(
            path=path, found=f"column {quoted(column)} is {key_path(other)} already", expected="a column of its own"
        )


# --- time zero ------------------------------------------------------------------------------------


def _design_requires(draft: Draft) -> Iterator[Flaw]:
    design = draft("time_zero", "design")
    for path, reason in DESIGNS[design].requires.items():
        keys = tuple(path.split("."))
        if _readable(draft, keys) and not _given(draft(*keys)):
            yield Flaw(path=keys, found=f"missing, but design {quoted(design)} needs it", expected=reason)


def _design_refuses(draft: Draft) -> Iterator[Flaw]:
    design = draft("time_zero", "design")
    for path, reason in DESIGNS[design].refuses.items():
        keys = tuple(path.split("."))
        if _readable(draft, keys) and _given(draft(*keys)):
            yield Flaw(
                path=keys,
                found=f"would have no effect with design {quoted(design)}: {reason}",
                todo=_other_designs(path),
            )


def _readable(draft: Draft, path: KeyPath) -> bool:
    """Whether a value can be asked for without ending the rule."""
    try:
        draft(*path)
    except _Unread:
        return False
    return True


def _other_designs(path: str) -> str:
    takers = [design for design, record in DESIGNS.items() if path not in record.refuses]
    return f"Leave it out, or set [time_zero] design to {one_of(takers)}"


def _history(draft: Draft) -> Iterator[Flaw]:
    history, columns = draft("data", "history"), draft("time_zero", "time_varying")
    if "data.history" in DESIGNS[draft("time_zero", "design")].refuses:
        return
    if _given(history) and not columns:
        yield Flaw(
            path=("data", "history"),
            found="would have no effect without [time_zero] time_varying",
            todo="Name the columns of the history that drive treatment and outcome",
        )
    if columns and not _given(history):
        yield Flaw(
            path=("time_zero", "time_varying"),
            found="columns that change, but no [data] history to read them from",
            expected="a long table with the id column, time, and these columns",
        )
    if _given(history) and draft("data", "id") is None:
        yield Flaw(
            path=("data", "id"), found="missing, but a history is joined by it", expected="the column in both files"
        )


def _max_carry(draft: Draft) -> Iterator[Flaw]:
    if draft("time_zero", "max_carry") is not None and not draft("time_zero", "time_varying"):
        yield Flaw(
            path=("time_zero", "max_carry"),
            found="would have no effect without time_varying",
            todo="Leave it out, or name the columns of the history that drive treatment and outcome",
        )


def _unless(draft: Draft) -> Iterator[Flaw]:
    """Refuse a release that the model of starting treatment would know nothing of."""
    if draft("time_zero", "design") is not Design.CLONE_CENSOR_WEIGHT:
        return
    known = draft("time_zero", "time_varying") or ()
    for name in draft("time_zero", "unless") or ():
        if name not in known:
            yield Flaw(
                path=("time_zero", "unless", name),
                found=f"{quoted(name)} is not among time_varying, so the model of starting treatment would not know it",
                expected="columns of the history that time_varying names",
                todo=did_you_mean(name, known) or f"Add {quoted(name)} to time_varying",
            )


def _published_timing(draft: Draft) -> Iterator[Flaw]:
    """Name what the weights of published code do not use."""
    if draft("time_zero", "timing") != "maringe":
        return
    idle: tuple[KeyPath, ...] = (
        ("time_zero", "time_varying"),
        ("time_zero", "never"),
        ("time_zero", "unless"),
        ("treatment", "non_protocol_start"),
        ("initiation", "interval"),
        ("initiation", "loss_weights"),
    )
    for path in idle:
        if _readable(draft, path) and draft(*path):
            yield Flaw(
                path=path,
                found='would have no effect with timing "maringe"',
                todo='Leave it out, or set timing = "density"',
            )


def _natural_until(draft: Draft) -> Iterator[Flaw]:
    until, timing = draft("time_zero", "natural_until"), draft("time_zero", "timing")
    if until is None or draft("time_zero", "design") is not Design.CLONE_CENSOR_WEIGHT:
        return
    path: KeyPath = ("time_zero", "natural_until")
    if timing != "natural":
        yield Flaw(
            path=path,
            found=f"would have no effect with timing {quoted(timing)}",
            todo='Leave it out, or set timing = "natural"',
        )
        return
    too_short = [grace for grace in draft("time_zero", "grace_period") if in_days(grace) <= in_days(until)]
    if too_short:
        yield Flaw(
            path=path,
            found=f'"{until}" is not within the grace period "{too_short[0]}"',
            expected="less than every grace period",
        )


def _initiation_interval(draft: Draft) -> Iterator[Flaw]:
    interval = draft("initiation", "interval")
    if interval is None:
        return
    shortest = min((in_days(grace) for grace in draft("time_zero", "grace_period")), default=LONGEST_INTERVAL_DAYS)
    if in_days(interval) > min(LONGEST_INTERVAL_DAYS, shortest):
        yield Flaw(
            path=("initiation", "interval"),
            found=f'"{interval}"',
            expected="a month at most, and no more than the grace period",
        )


# --- estimand and weights -------------------------------------------------------------------------


def _populations(draft: Draft) -> Iterator[Flaw]:
    design = draft("time_zero", "design")
    possible = DESIGNS[design].populations
    if draft("estimand") is None or not possible:
        return
    for path, population in _asked_populations(draft):
        if population not in possible:
            yield Flaw(
                path=path,
                found=f"{quoted(population)} is not possible with design {quoted(design)}",
                expected=one_of(possible),
            )


def _asked_populations(draft: Draft) -> list[tuple[KeyPath, Estimand]]:
    primary: list[tuple[KeyPath, Estimand]] = [(("estimand", "population"), draft("estimand", "population"))]
    also = draft("estimand", "also") or ()
    return primary + [(("estimand", "also", index), population) for index, population in enumerate(also)]


def _also(draft: Draft) -> Iterator[Flaw]:
    primary = draft("estimand", "population")
    for index, population in enumerate(draft("estimand", "also") or ()):
        if population == primary:
            yield Flaw(
                path=("estimand", "also", index),
                found=f"{quoted(population)} is the population already",
                todo="Leave it out",
            )


def _weighting(draft: Draft) -> Iterator[Flaw]:
    if draft("estimand") is None or draft("propensity") is None:
        return
    options = {name: draft("propensity", name) for name in ("method", "stabilise", "truncate", "trim")}
    asked = _asked_populations(draft)
    if any(population in STABILISED_POPULATIONS for _, population in asked):
        del options["stabilise"]  # it changes the weights of one of the populations at least
    told: set[KeyPath] = set()
    for population, path in {population: path for path, population in reversed(asked)}.items():
        for problem in check_weighting(population, **options):
            where = path if problem.where == "population" else ("propensity", problem.where)
            if where not in told:
                yield Flaw(path=where, found=problem.found, expected=problem.expected, todo=problem.todo)
            told.add(where)


def _quantile_method(draft: Draft) -> Iterator[Flaw]:
    if draft("propensity", "quantile_method") is not None and draft("propensity", "truncate") is None:
        yield Flaw(
            path=("propensity", "quantile_method"), found="would have no effect without truncate", todo="Leave it out"
        )


# --- intervals, doubt -----------------------------------------------------------------------------


def _inference_options(draft: Draft) -> Iterator[Flaw]:
    method = draft("inference", "method")
    taken = () if method is None else VARIANCES[method].options
    for option in sorted({option for record in VARIANCES.values() for option in record.options}):
        if option in taken or not _readable(draft, ("inference", option)):
            continue
        if draft("inference", option) is not None:
            takers = [name for name, record in VARIANCES.items() if option in record.options]
            yield Flaw(
                path=("inference", option),
                found="would have no effect "
                + ("without a method" if method is None else f"with method {quoted(method)}"),
                todo=f"Leave it out, or set method to {one_of(takers)}",
            )


def _sensitivity_names(draft: Draft) -> Iterator[Flaw]:
    for name in draft.names("sensitivity"):
        if name not in SENSITIVITY_ANALYSES:
            yield Flaw(
                path=("sensitivity", name),
                found="unknown sensitivity analysis",
                todo=did_you_mean(name, SENSITIVITY_ANALYSES) or f"Known are {', '.join(SENSITIVITY_ANALYSES)}",
            )


# --- outcomes and benchmarks, one at a time -------------------------------------------------------


def _outcome_codes(draft: Draft, position: int) -> Iterator[Flaw]:
    yield from _two_codes(draft, ("outcome", position), "event_value", "competing_value")


def _outcome_name(draft: Draft, position: int) -> Iterator[Flaw]:
    name = draft("outcome", position, "name")
    for earlier in draft.positions("outcome"):
        if earlier < position and draft("outcome", earlier, "name") == name:
            yield Flaw(
                path=("outcome", position, "name"),
                found=f"{quoted(name)} is the name of another outcome",
                expected="a name of its own",
            )
            return


def _benchmark_outcome(draft: Draft, position: int) -> Iterator[Flaw]:
    name = draft("benchmark", position, "outcome")
    names = [draft("outcome", each, "name") for each in draft.all_positions("outcome")]
    if name not in names:
        yield Flaw(
            path=("benchmark", position, "outcome"),
            found=f"no outcome is named {quoted(name)}",
            expected=one_of(names),
            todo=did_you_mean(name, names),
        )


def _benchmark_values(draft: Draft, position: int) -> Iterator[Flaw]:
    record = MEASURES[draft("benchmark", position, "measure")]
    lower, value, upper = (draft("benchmark", position, name) for name in ("lower", "value", "upper"))
    path: KeyPath = ("benchmark", position, "value")
    if not lower <= value <= upper or lower == upper:
        yield Flaw(
            path=path,
            found=f"{quoted(value)} with an interval from {quoted(lower)} to {quoted(upper)}",
            expected="a value within its interval, lower limit first",
        )
    elif lower < record.lowest or upper > record.highest or (record.kind == "ratio" and lower <= 0):
        yield Flaw(
            path=path,
            found=f"an interval from {quoted(lower)} to {quoted(upper)}",
            expected=f"values that a {record.measure} can have",
        )


def _benchmark_measure(draft: Draft, position: int) -> Iterator[Flaw]:
    measure = draft("benchmark", position, "measure")
    if MEASURES[measure].kind == "arm":
        comparisons = [each for each, record in MEASURES.items() if record.kind != "arm"]
        yield Flaw(
            path=("benchmark", position, "measure"),
            found=f"{quoted(measure)} is of one arm and compares nothing",
            expected=one_of(comparisons),
        )


def _benchmark_horizon(draft: Draft, position: int) -> Iterator[Flaw]:
    measure = draft("benchmark", position, "measure")
    record, horizon = MEASURES[measure], draft("benchmark", position, "horizon")
    path: KeyPath = ("benchmark", position, "horizon")
    if record.kind == "arm":
        return
    if not record.needs_horizon:
        if horizon is not None:
            yield Flaw(path=path, found=f"would have no effect on a {measure}", todo="Leave it out")
        return
    if horizon is None:
        yield Flaw(path=path, found=f"missing, but a {measure} has one", expected='a length such as "5 years"')
        return
    name = draft("benchmark", position, "outcome")
    for each in draft.all_positions("outcome"):
        if draft("outcome", each, "name") == name:
            horizons = draft("outcome", each, "horizons")
            if in_days(horizon) not in {in_days(other) for other in horizons}:
                yield Flaw(
                    path=path,
                    found=f'"{horizon}" is not a horizon of the outcome {quoted(name)}',
                    expected=one_of(horizons) or "a horizon of that outcome",
                    todo="Add it to the outcome's horizons",
                )


_RULES = (
    _available,
    _roles,
    _arms,
    _arm_names,
    _adjusted_nodes,
    _design_requires,
    _design_refuses,
    _history,
    _max_carry,
    _unless,
    _published_timing,
    _natural_until,
    _initiation_interval,
    _populations,
    _also,
    _weighting,
    _quantile_method,
    _inference_options,
    _sensitivity_names,
)
_ITEM_RULES: Mapping[str, tuple[Callable[[Draft, int], Iterator[Flaw]], ...]] = {
    "outcome": (_outcome_codes, _outcome_name),
    "benchmark": (_benchmark_outcome, _benchmark_values, _benchmark_measure, _benchmark_horizon),
}
