"""A second process for work that others need not wait for: begun early, asked for when it is needed.

Its answers are those that the same function gives here, so nothing depends on whether there is one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE = 60
"""Seconds after which the process ends by itself."""


def begin(task: Callable[..., T], *arguments: Any, **options: Any) -> Callable[[], T]:
    """Hand a task to the second process.

    Parameters
    ----------
    task : callable
        A function of a module. It and what it is given can be pickled.
    *arguments, **options : object
        What it is given.

    Returns
    -------
    callable
        Waits for the answer, or raises the task's error. A task that was not begun yet is done at once, here; so
        is every task where there is one processor, or no second process.
    """
    here = partial(task, *arguments, **options)
    if len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) < 2:
        return here
    try:
        future = _process().submit(task, *arguments, **options)
    except (OSError, RuntimeError):  # a sandbox without semaphores, or a program that is about to end
        return here

    def wait() -> T:
        if future.cancel():
            return here()
        try:
            return future.result()  # type: ignore[no-any-return]
        except BrokenExecutor:
            return here()

    return wait


@cache
def _process() -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(max_workers=1, timeout=_IDLE, initializer=_leave_interrupts_to_the_first)


def _leave_interrupts_to_the_first() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def abandon() -> None:
    """End the second process without waiting for what it is at."""
    if _process.cache_info().currsize:
        _process().shutdown(wait=False, kill_workers=True)
        _process.cache_clear()
