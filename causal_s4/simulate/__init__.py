"""THE TRUTH: worlds that can be observed, or intervened upon.

``stage4``
    Stage IV breast cancer from restaging on; surgery is confounded by what is recorded.
``benign``
    The same women, treatment randomised: nothing confounds.
``unmeasured``
    The same women, surgery confounded by an unrecorded biology too.
``stage4-timeline``
    From the start of systemic therapy on; surgery comes later, after response.
``closed-form``
    A confounded treatment whose true effects are integrals.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from causal_s4.arguments import checked_arguments
from causal_s4.errors import UsageError
from causal_s4.simulate import stage4
from causal_s4.simulate.closed_form import simulate_closed_form
from causal_s4.simulate.draws import known
from causal_s4.simulate.timeline import simulate_timeline, simulate_timeline_history
from causal_s4.simulate.truth import TrueEffect, TrueEffects, true_effects, truth_options

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCENARIOS",
    "TrueEffect",
    "TrueEffects",
    "options_of",
    "simulate",
    "simulate_history",
    "true_effects",
    "truth_options",
]

_OBSERVED: Mapping[str, Callable[..., pd.DataFrame]] = {
    **{scenario: partial(stage4.simulate_stage4, scenario) for scenario in stage4.SCENARIOS},
    "closed-form": simulate_closed_form,
    "stage4-timeline": simulate_timeline,
}
HISTORIES: Mapping[str, Callable[..., pd.DataFrame]] = {"stage4-timeline": simulate_timeline_history}
SCENARIOS = tuple(_OBSERVED)


@checked_arguments
def simulate(scenario: str, *, n: int, seed: int, **options: Any) -> pd.DataFrame:
    """Simulate a cohort whose true effects are known.

    Parameters
    ----------
    scenario : str
        One of :data:`SCENARIOS`.
    n : int
        Patients.
    seed : int
        Same seed, same table; a larger ``n`` only adds patients.
    **options
        The scenario's own: see :func:`causal_s4.simulate.stage4.simulate_stage4`,
        :func:`causal_s4.simulate.timeline.simulate_timeline`,
        :func:`causal_s4.simulate.closed_form.simulate_closed_form`.

    Returns
    -------
    DataFrame
        One row a patient.

    Raises
    ------
    UsageError
        For an unknown scenario or option, or a value out of range.

    Examples
    --------
    >>> simulate("stage4", n=157, seed=1)["surgery"].isin([0, 1]).all()
    True
    """
    generate = _OBSERVED[known(scenario, SCENARIOS, "scenario")]
    _check_options(scenario, options, options_of(scenario))
    return generate(n=n, seed=seed, **options)


def simulate_history(scenario: str, *, n: int, seed: int, **options: Any) -> pd.DataFrame:
    """Simulate the visits of the patients of :func:`simulate`, one row a visit.

    Parameters
    ----------
    scenario : {"stage4-timeline"}
        A scenario in which covariates change.
    n, seed, **options
        As given to :func:`simulate`; and ``visit_interval``, months between visits.

    Returns
    -------
    DataFrame
        ``id``, ``time`` and the covariates that change; see
        :func:`causal_s4.simulate.timeline.simulate_timeline_history`.

    Raises
    ------
    UsageError
        For a scenario in which nothing changes, an unknown option or a value out of range.
    """
    known(scenario, SCENARIOS, "scenario")
    if scenario not in HISTORIES:
        raise UsageError(f"nothing changes over time in {scenario!r}; a history exists for {', '.join(HISTORIES)}")
    _check_options(scenario, options, (*options_of(scenario), "visit_interval"))
    return HISTORIES[scenario](n=n, seed=seed, **options)


def options_of(scenario: str) -> tuple[str, ...]:
    """Return the names of a scenario's own options.

    Raises
    ------
    UsageError
        For an unknown scenario.
    """
    parameters = inspect.signature(_OBSERVED[known(scenario, SCENARIOS, "scenario")]).parameters
    return tuple(name for name in parameters if name not in {"scenario", "n", "seed"})


def _check_options(scenario: str, given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in given:
        known(name, allowed, f"option of {scenario!r}:")


class _CallableModule(ModuleType):
    """The package, callable, since ``causal_s4.simulate`` names both it and its main verb."""

    def __call__(self, scenario: str, *, n: int, seed: int, **options: Any) -> pd.DataFrame:
        return simulate(scenario, n=n, seed=seed, **options)


sys.modules[__name__].__class__ = _CallableModule
