"""The second process: it gives the answers of the first, whatever becomes of it."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

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


def test_paths_mean_there_what_they_mean_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").write_text("", encoding="utf-8")
    assert begin(os.listdir, ".")() == os.listdir()
    monkeypatch.chdir(tmp_path)
    waiting = begin(os.listdir, ".")
    time.sleep(0.5)  # it is begun: a task that is not, would be done here
    assert waiting() == ["here"]


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


def test_the_process_ends_when_the_first_is_killed() -> None:
    code = """
import os, signal, time
from causal_s4.background import begin
waiting = begin(os.getpid)
time.sleep(2)
print(waiting(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    # the pipe is read to its end, which comes when nobody holds it any more
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert int(done.stdout) > 0


def threads_of_products() -> list[int]:
    """Return how many threads each library of matrix products has."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def test_matrix_products_have_one_thread_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its numbers would not be those of the first process, which holds to one."""
    for name in background._ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    waiting = begin(threads_of_products)
    time.sleep(0.5)  # it is begun: a task that is not, would be done here
    assert set(waiting()) == {1}


def test_what_will_be_needed_is_imported_there_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[object, ...]] = []
    monkeypatch.setattr(background, "begin", lambda *what: begun.append(what))
    background.get_ready("wave", "colorsys_of_another_world")
    assert begun == [(background._import_all, ("wave", "colorsys_of_another_world"))]
    background.get_ready("os", "wave_of_another_world")  # imported here: the rest is at hand, or soon will be
    assert len(begun) == 1
    with pytest.raises(ModuleNotFoundError):
        background._import_all(["no_such_module_anywhere"])
