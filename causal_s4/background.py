"""A second process for work that others need not wait for: begun early, asked for when it is needed.

Its answers are those that the same function gives here, so nothing depends on whether there is one.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from importlib import import_module
from threading import Lock, Thread
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE = 60
"""Seconds after which the process ends by itself."""
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""How a library splits a matrix product over threads would change last digits."""


class _Task:
    """Something to do, and its answer to come once it was handed over."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.answer: Any = None


class _Second:
    """The second process, and those in line for it: one at a time, so that who waits can take theirs back."""

    def __init__(self) -> None:
        self.line: deque[_Task] = deque()
        self.busy = False
        self.process: Any = None
        self.lock = Lock()

    def add(self, task: _Task) -> None:
        """Put a task in line."""
        with self.lock:
            self.line.append(task)
        self._hand_over()

    def _hand_over(self) -> None:
        with self.lock:
            if self.busy or not self.line:
                return
            task = self.line.popleft()
            try:
                if self.process is None:
                    self.process = start()
                    atexit.register(self.end)  # before the interpreter takes apart what ending it needs
                task.answer = self.process.submit(_from, os.getcwd(), task.call)
            except (OSError, RuntimeError):  # a sandbox without semaphores, or a program that is about to end
                return
            self.busy = True
        task.answer.add_done_callback(self._done)

    def _done(self, answer: Any) -> None:
        self.busy = False
        self._hand_over()

    def wait(self, task: _Task) -> Any:
        """Return a task's answer; do it here if it was not handed over, or the process is gone."""
        with self.lock:
            if task in self.line:
                self.line.remove(task)
        if task.answer is None:
            return task.call()
        try:
            return task.answer.result()
        except BrokenExecutor:
            return task.call()

    def end(self) -> None:
        """End the process, whatever it is at."""
        with self.lock:
            self.line.clear()
            process, self.process, self.busy = self.process, None, False
        if process is not None:
            atexit.unregister(self.end)
            process.shutdown(wait=False, kill_workers=True)


_second = _Second()


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
    call = partial(task, *arguments, **options)
    if _processors() < 2:
        return call
    one = _Task(call)
    _second.add(one)
    return partial(_second.wait, one)


def get_ready(*modules: str) -> None:
    """Let the second process import what it will need while this one does, unless some of it was imported here before.

    Parameters
    ----------
    *modules : str
        Their names.
    """
    if not set(modules) & set(sys.modules):
        begin(_import_all, modules)


def _import_all(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)


def abandon() -> None:
    """End the second process without waiting for what it is at."""
    _second.end()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start() -> Any:
    """Start the second process; one that is not forked, for threads may be running here."""
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(
        max_workers=1, timeout=_IDLE, initializer=_follow, initargs=(os.getpid(),), env=_ONE_THREAD
    )


def _from(folder: str, call: Callable[[], Any]) -> Any:
    os.chdir(folder)  # the first process may be elsewhere now than when this one was started
    return call()


def _follow(first: int) -> None:
    """Leave interrupts to the first process, and end when it is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_after, args=(first,), daemon=True).start()


def _end_after(first: int) -> None:
    while os.getppid() == first:
        time.sleep(1)
    os._exit(1)
