"""The second process: it gives the answers of the first, whatever becomes of it."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Iterator

import pytest

from causal_s4 import background
from causal_s4.background import abandon, begin


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(background, "_processors", lambda: 2)
    abandon()
    yield
    abandon()


def die_elsewhere(here: int) -> str:
    """End the process without a word, unless it is the first one."""
    if os.getpid() != here:
        os._exit(1)
    return "done here"


def test_a_task_is_done_in_another_process() -> None:
    waiting = begin(os.getpid)
    time.sleep(0.5)  # it is begun: a task that is not, would be done here
    assert waiting() != os.getpid()


def test_answers_and_errors_come_back() -> None:
    assert begin(operator.add, 2, 3)() == 5
    assert begin(int, "ff", base=16)() == 255
    with pytest.raises(ZeroDivisionError):
        begin(operator.truediv, 1, 0)()


def test_what_was_not_begun_is_done_here() -> None:
    tasks = [begin(time.sleep, 0.5), *(begin(os.getpid) for _ in range(5))]
    assert tasks[-1]() == os.getpid()


def test_a_process_that_dies_is_done_without() -> None:
    assert begin(die_elsewhere, os.getpid())() == "done here"
    assert begin(operator.add, 2, 3)() == 5


def test_a_process_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no semaphores here")

    monkeypatch.setattr(background, "start", refuse)
    assert begin(os.getpid)() == os.getpid()


def test_one_processor_needs_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_processors", lambda: 1)
    monkeypatch.setattr(background, "start", lambda: pytest.fail("a process was started"))
    assert begin(os.getpid)() == os.getpid()
