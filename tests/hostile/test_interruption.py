"""Kill signals, full disks, read-only folders, several runs at once: the earlier report stays whole, or the new one is.

Most tests write small reports in a process that is forked and killed; the slow ones kill real runs.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_study import write_study

from causal_s4.errors import InputError
from causal_s4.report import write

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill signals and forks are not known here")

Files = dict[str, bytes]


def report(mark: str, count: int = 6, size: int = 2_000) -> Files:
    """Return the files of a small report with its checksums, as a run would leave them."""
    files = {
        "report.html": f"<p>{mark}</p>".encode() * size,
        "results.json": f'{{"schema": "causal-s4/results/1", "mark": "{mark}"}}\n'.encode(),
        **{f"tables/{mark if k % 2 else 'both'} {k}.csv": f"{mark},{k}\n".encode() * size for k in range(count)},
        "figures/curves.svg": f"<svg>{mark}</svg>".encode(),
    }
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return {**files, "SHA256SUMS": "".join(lines).encode()}


OLD, NEW = report("old"), report("new", count=9)


def tree(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[Files, Path], None]:
    """Write given files as if they had been computed."""
    monkeypatch.setattr(write, "contents", lambda files: files)
    anything: Any = write.write_result
    return lambda files, folder: anything(files, folder)


def in_a_fork(work: Callable[[], None]) -> int:
    """Do some work in a forked process and return its process id; it ends with status 0, or 1 after an error."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def ended(child: int) -> int:
    """Wait for a process; return its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- kill signals -------------------------------------------------------------------------------

_TOUCHES_THE_DISK = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.scandir", "ctypes.dlsym"}


def killed_before_step(step: int, work: Callable[[], None]) -> int:
    """Do some work in a process that is killed before it touches the disk for the given time, counted from 1."""

    def counted() -> None:
        seen = 0

        def watch(event: str, _: object) -> None:
            nonlocal seen
            if event in _TOUCHES_THE_DISK:
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()

    return ended(in_a_fork(counted))


@pytest.mark.parametrize("exchanged", [True, False], ids=["exchange", "two renamings"])
@pytest.mark.parametrize("earlier", [OLD, {}], ids=["over an earlier report", "into a new folder"])
def test_a_run_killed_at_any_step_leaves_the_earlier_report_or_the_new_one(
    tmp_path: Path,
    put: Callable[[Files, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    exchanged: bool,
    earlier: Files,
) -> None:
    if not exchanged:
        monkeypatch.setattr(write, "_exchange", lambda one, other: False)
    outcomes: list[Files] = []
    for step in range(1, 500):
        target = tmp_path / str(step) / "out"
        target.parent.mkdir()
        if earlier:
            put(earlier, target)
        status = killed_before_step(step, lambda target=target: put(NEW, target))
        if exchanged:
            assert tree(target) in ([earlier, NEW] if earlier else [{}, NEW]), step
        write.check_folder(target)  # as the next run begins
        assert tree(target) in (earlier, NEW), step
        outcomes.append(tree(target))
        put(NEW, target)
        assert tree(target) == NEW
        assert [path.name for path in target.parent.iterdir()] == ["out"], step
        if status == 0:
            break
    else:
        raise AssertionError("the work never ended by itself")
    killed = len(outcomes) - 1
    assert killed > 20
    assert outcomes[0] == earlier
    assert (NEW in outcomes[:-1]) == bool(earlier)  # killed while tidying up what was replaced
    assert outcomes == sorted(outcomes, key=lambda files: files == NEW)  # once new, never old again


def test_runs_killed_at_random_moments_never_leave_a_mixture(
    tmp_path: Path, put: Callable[[Files, Path], None]
) -> None:
    target, rng = tmp_path / "out", random.Random(20261124)
    put(OLD, target)

    def forever() -> None:
        while True:
            put(NEW, target)
            put(OLD, target)

    left = set()
    for _ in range(40):
        child = in_a_fork(forever)
        time.sleep(rng.uniform(0.001, 0.04))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL
        found = tree(target)
        assert found in (OLD, NEW)
        left.add(len(found))
    put(NEW, target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_report_is_never_missing_while_it_is_replaced(tmp_path: Path, put: Callable[[Files, Path], None]) -> None:
    target = tmp_path / "out"
    put(OLD, target)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    if not write._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this disk knows no exchange of two folders")

    def often() -> None:
        for _ in range(15):
            put(NEW, target)
            put(OLD, target)

    child = in_a_fork(often)
    looks = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert (target / "SHA256SUMS").is_file()
        looks += 1
    assert looks > 100
    assert tree(target) == OLD


def test_the_draft_of_a_run_that_lives_is_left_alone(tmp_path: Path, put: Callable[[Files, Path], None]) -> None:
    target, dead = tmp_path / "out", tmp_path / ".out.01234567.partial"
    dead.mkdir()
    (dead / "report.html").write_bytes(b"<p>ha")
    others = [tmp_path / name for name in (".out.x.partial", ".out2.01234567.partial", ".out.01234567.replaced")]
    for other in others:
        other.mkdir()
        (other / "mine.txt").write_bytes(b"mine")
    with write._draft_beside(target) as draft:
        assert not dead.exists()
        (draft / "report.html").write_bytes(b"<p>hal")
        put(OLD, target)
        assert tree(draft) == {"report.html": b"<p>hal"}
    assert tree(target) == OLD
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])


# --- the disk -----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte, where that may be done."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_earlier_report_and_says_so(
    small_disk: Path, put: Callable[[Files, Path], None]
) -> None:
    target = small_disk / "out"
    put(OLD, target)
    with pytest.raises(InputError, match="the disk is full") as refusal:
        put(report("larger", size=100_000), target)
    assert "What was there is unchanged" in str(refusal.value)
    assert tree(target) == OLD
    assert [path.name for path in small_disk.iterdir()] == ["out"]
    put(NEW, target)
    assert tree(target) == NEW


def test_a_disk_that_became_read_only_leaves_the_earlier_report_and_says_so(
    small_disk: Path, put: Callable[[Files, Path], None]
) -> None:
    target = small_disk / "out"
    put(OLD, target)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(InputError, match="that disk is read-only"):
        put(NEW, target)
    assert tree(target) == OLD


def test_a_limit_on_the_size_of_files_leaves_the_earlier_report_and_says_so(
    tmp_path: Path, put: Callable[[Files, Path], None]
) -> None:
    target = tmp_path / "out"
    put(OLD, target)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with pytest.raises(InputError, match="a file would be larger than you may write"):
            put(NEW, target)

    assert ended(in_a_fork(limited)) == 0
    assert tree(target) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser may become another user"
)
@pytest.mark.parametrize("locked", ["out", "."])
def test_a_folder_one_may_not_write_to_keeps_its_report(put: Callable[[Files, Path], None], locked: str) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        target = place / "reports" / "out"
        put(OLD, target)
        (target if locked == "out" else target.parent).chmod(0o555)

        def as_nobody() -> None:
            os.setuid(65534)
            with pytest.raises(InputError, match="you may not write there"):
                put(NEW, target)

        assert ended(in_a_fork(as_nobody)) == 0
        assert tree(target) == OLD
        assert [path.name for path in target.parent.iterdir()] == ["out"]
    finally:
        shutil.rmtree(place)


# --- several runs -------------------------------------------------------------------------------


def test_several_processes_into_one_folder_leave_one_whole_report(
    tmp_path: Path, put: Callable[[Files, Path], None]
) -> None:
    target = tmp_path / "deep" / "out"
    reports = [report(f"run {number}", count=number) for number in range(1, 5)]

    def eight_times(files: Files) -> Callable[[], None]:
        return lambda: [put(files, target) for _ in range(8)] and None

    children = [in_a_fork(eight_times(files)) for files in reports]
    assert [ended(child) for child in children] == [0, 0, 0, 0]
    assert tree(target) in reports
    assert [path.name for path in target.parent.iterdir()] == ["out"]


# --- real runs ----------------------------------------------------------------------------------


def command(study: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "causal_s4.cli", "run", str(study), "--out", str(out), "--quiet"]


def assert_whole(folder: Path) -> None:
    """Hold a report against the checksums that came with it."""
    listed = dict(line.split("  ", 1)[::-1] for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    found = {name: hashlib.sha256(data).hexdigest() for name, data in tree(folder).items() if name != "SHA256SUMS"}
    assert found == listed


@pytest.mark.slow
def test_real_runs_killed_at_random_moments_leave_a_whole_report(tmp_path: Path) -> None:
    study, out, rng = write_study(tmp_path), tmp_path / "out", random.Random(7)
    began = time.monotonic()
    subprocess.run(command(study, out), check=True)
    whole_run = time.monotonic() - began
    earlier = tree(out)
    study.write_text(study.read_text("utf-8").replace("seed = 7", "seed = 8"), encoding="utf-8")
    for _ in range(20):
        process = subprocess.Popen(command(study, out), stderr=subprocess.PIPE)
        time.sleep(rng.uniform(0.2, 1.1) * whole_run)
        process.kill()
        assert b"Traceback" not in (process.communicate()[1] or b"")
        assert_whole(out)
        if b"seed = 7" in (out / "protocol.resolved.toml").read_bytes():
            assert tree(out) == earlier
    subprocess.run(command(study, out), check=True)
    assert_whole(out)
    assert b"seed = 8" in (out / "protocol.resolved.toml").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "study.toml", "small.dag", "cohort.csv"}


@pytest.mark.slow
def test_two_real_runs_into_one_folder_leave_one_whole_report(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "new" / "out"
    runs = [subprocess.Popen(command(study, out), stderr=subprocess.PIPE) for _ in range(2)]
    assert [(run.communicate()[1], run.returncode) for run in runs] == [(b"", 0), (b"", 0)]
    assert_whole(out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
