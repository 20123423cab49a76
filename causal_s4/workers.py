"""Blocks of work: done one after another, by threads, by processes or on a cluster, and kept for a later run.

What a block computes depends on the block alone, so that workers and their order change no bit of it. Each
runs its matrix products on one thread: how a library splits a product over threads would change last digits.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import wraps
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from causal_s4.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Block = tuple[int, int]
"""First and last (exclusive) number of the units of work in a block."""
Answer = Mapping[str, NDArray[Any]]
"""Of a block of replicates, by name."""
Progress = Callable[[int, int], None]

DOUBT = "Putting the answer in doubt"
"""What the step of sensitivity analyses is called, before the name of each."""
_MOST_BLOCKS = 64
"""Of a grid: few, for a process is sent the patients with each block."""
_WORTH = 5.0
"""Seconds of work that are left when starting processes, some two seconds each, begins to pay."""
_RETRIES = 3
_PATIENCE = 8
"""Seconds that a cluster has to answer."""


def tell_nobody(*news: object) -> None:
    """Take news and do nothing."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Who does the long work of a study, where finished blocks of it are kept, and who is told how far it is.

    None of it changes a number.

    Parameters
    ----------
    jobs : int, optional
        Workers: threads for resampling, processes for long grids; as the protocol says by default.
    scheduler : str, optional
        Address of a Dask scheduler to work on instead.
    resume : Path, optional
        Folder in which finished blocks are kept and looked up.
    tell : callable
        Told the name of each step as it begins.
    advance : callable
        Told, during a step with many replicates or cells of a grid, how many are done and how many there are.
    part, parts : int
        Which of how many equal parts of a step this is; see :meth:`share`.
    """

    jobs: int | None = None
    scheduler: str | None = None
    resume: Path | None = None
    tell: Callable[[str], None] = tell_nobody
    advance: Progress = tell_nobody
    part: int = 0
    parts: int = 1

    def share(self, part: int, parts: int) -> Effort:
        """Return the effort of one of several equal parts, which is told of as a part of the whole."""
        return replace(self, part=self.part * parts + part, parts=self.parts * parts)

    def workers(self, default: int) -> int:
        """Return how many workers there are here."""
        return 1 if self.scheduler is not None else self.jobs or default

    def progress(self, done: int, total: int) -> None:
        """Pass on how much of this part is done."""
        self.advance(self.part * total + done, self.parts * total)

    def each(self, function: Callable[[T], R], items: Sequence[T], *, jobs: int = 1) -> list[R]:
        """Do something to each of many: the cells of a grid, say. Nothing is kept for a later run.

        A cluster does it if there is one. Here, workers are processes, for a cell is mostly Python, in which threads wait for
        each other: two of them took as long as one for 381 cells of 3,000 patients, at 16 ms a cell. They are started
        when what is left, judged by what is done, takes longer than starting them: at 60,000 patients and 160 ms a cell
        after the first few cells, at 3,000 only for some hundreds of cells.

        Parameters
        ----------
        function : callable
            One item to its answer. It and the items can be pickled by ``cloudpickle``; what they share is sent once.
        items : sequence
        jobs : int
            Workers that the protocol asks for.

        Returns
        -------
        list
            The answers, in the order of the items. Workers change no bit of them.
        """
        workers = self.workers(jobs)
        begun, found = monotonic(), list[R]()
        if self.scheduler is None:
            for item in items:
                left = len(items) - len(found)
                if workers > 1 and found and (monotonic() - begun) / len(found) * left > _WORTH:
                    break
                found.append(function(item))
                self.progress(len(found), len(items))
        done, size = len(found), max(1, -(-len(items) // _MOST_BLOCKS))
        answers = run_blocks(
            _Each(function, items),
            [(first, min(first + size, len(items))) for first in range(done, len(items), size)],
            jobs=workers,
            processes=True,
            scheduler=self.scheduler,
            progress=lambda more, left: self.progress(done + more, len(items)),
        )
        return [*found, *(answer for block in answers for answer in block)]


@dataclass(frozen=True)
class _Each(Generic[T, R]):
    """One function of many items, as a task for workers."""

    function: Callable[[T], R]
    items: Sequence[T]

    def __call__(self, block: Block) -> list[R]:
        return [self.function(item) for item in self.items[slice(*block)]]


class Kept(Protocol[R]):
    """Where the answers of finished blocks are kept."""

    def load(self, block: Block) -> R | None:
        """Return a block's answer if it was finished."""

    def save(self, block: Block, answer: R) -> None:
        """Keep a block's answer."""


def run_blocks(
    task: Callable[[Block], R],
    blocks: Sequence[Block],
    *,
    jobs: int = 1,
    processes: bool = False,
    scheduler: str | None = None,
    kept: Kept[R] | None = None,
    progress: Progress | None = None,
) -> list[R]:
    """Do every block and return the answers in the blocks' order.

    Parameters
    ----------
    task : callable
        Block to its answer. For processes and clusters it must be picklable.
    blocks : sequence of (int, int)
    jobs : int
        Workers on this machine; they change no number.
    processes : bool
        Workers are processes; by default threads, for tasks whose time goes into compiled loops.
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://...``) to work on instead. A block whose worker is lost is done
        again by another.
    kept : Kept, optional
        Where finished blocks are looked up, and kept.
    progress : callable, optional
        Called with the units done and all units after each block.

    Raises
    ------
    UsageError
        When a scheduler is given and ``distributed`` is not installed, or with jobs beside it.
    """
    refuse_jobs_beside(scheduler, jobs)
    total = sum(last - first for first, last in blocks)
    answers: dict[Block, R] = {}
    done = 0

    def add(block: Block, answer: R) -> None:
        nonlocal done
        answers[block] = answer
        done += block[1] - block[0]
        if progress is not None:
            progress(done, total)

    waiting = []
    for block in blocks:
        found = kept.load(block) if kept is not None else None
        if found is None:
            waiting.append(block)
        else:
            add(block, found)
    for block, answer in _finished(task, waiting, jobs, processes, scheduler):
        if kept is not None:
            kept.save(block, answer)
        add(block, answer)
    return [answers[block] for block in blocks]


def _finished(
    task: Callable[[Block], R], blocks: Sequence[Block], jobs: int, processes: bool, scheduler: str | None
) -> Iterator[tuple[Block, R]]:
    if scheduler is not None:
        yield from _on_cluster(task, blocks, scheduler)
    elif jobs > 1 and len(blocks) > 1:
        from joblib import Parallel, delayed

        pool = Parallel(
            n_jobs=jobs,
            backend="loky" if processes else "threading",
            return_as="generator_unordered",
            batch_size=1,
        )
        with one_thread():
            yield from pool(delayed(_in_process if processes else _labelled)(task, block) for block in blocks)
    else:
        with one_thread():
            for block in blocks:
                yield block, task(block)


def _labelled(task: Callable[[Block], R], block: Block) -> tuple[Block, R]:
    return block, task(block)


def _in_process(task: Callable[[Block], R], block: Block) -> tuple[Block, R]:
    one_thread()  # for good: a cluster's worker may have other threads at work
    return block, task(block)


def one_thread() -> Any:
    """Limit matrix products to one thread, at once and until the returned context ends."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function whose numbers must not hang on how many threads share a matrix product's sums."""

    @wraps(function)
    def alone(*arguments: P.args, **options: P.kwargs) -> R:
        with one_thread():
            return function(*arguments, **options)

    return alone


def refuse_jobs_beside(scheduler: str | None, jobs: int | None) -> None:
    """Refuse a number of workers that a cluster would not heed."""
    if scheduler is not None and jobs not in (None, 1):
        raise UsageError(f"jobs={jobs} would have no effect with a scheduler; the cluster says how many workers it has")


def _on_cluster(task: Callable[[Block], R], blocks: Sequence[Block], scheduler: str) -> Iterator[tuple[Block, R]]:
    if not blocks:
        return
    with cluster(scheduler) as client, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        # submitted, not scattered: the scheduler can make it again when the worker that holds it is lost
        shared = client.submit(_same, task, pure=False, retries=_RETRIES)
        pending = [client.submit(_in_process, shared, block, pure=False, retries=_RETRIES) for block in blocks]
        for future in import_module("distributed").as_completed(pending):
            yield future.result()


@contextmanager
def cluster(scheduler: str) -> Iterator[Any]:
    """Open a client of a Dask scheduler, for as long as the context lasts.

    Raises
    ------
    UsageError
        When ``distributed`` is not installed, nobody answers, or no worker has this version of this package.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UsageError("a cluster needs the package 'distributed': install causal-s4[cluster]") from None
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}, within {_PATIENCE} seconds). "
            "Give the address that `dask scheduler` printed, such as tcp://host:8786"
        ) from None
    with client:
        yield client


def check_cluster(scheduler: str) -> None:
    """Find out, before anything long begins, whether a cluster can do the work.

    Raises
    ------
    UsageError
        As :func:`cluster`; or when it has no workers, or workers without this version of this package.
    """
    with cluster(scheduler) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise UsageError(
                f"the cluster at {scheduler} has no workers: start some with `dask worker {scheduler}`"
            ) from None
        found = client.run(_version_here, on_error="return")
    ours = _version_here()
    others = {str(each) for each in found.values() if each != ours}
    if others:
        raise UsageError(
            f"{len(others)} kinds of workers of the cluster at {scheduler} would not give the same numbers: expected "
            f"{ours}, found {'; '.join(sorted(others))}. Install the same versions on every worker"
        )


def _version_here() -> str:
    import causal_s4

    return f"causal-s4 {causal_s4.__version__}, numpy {np.__version__}"


def _same(value: Any) -> Any:
    return value


# --- finished blocks, kept ----------------------------------------------------------------------


@dataclass(frozen=True)
class KeptBlocks:
    """A folder with the answers of finished blocks, for continuing where a run was interrupted.

    Each block is one ``.npz`` file that appears whole or not at all. Its name carries the fingerprint of
    everything that went into it, so that blocks of another question are never taken for it.

    Parameters
    ----------
    folder : Path
        Made if missing.
    fingerprint : str
        See :func:`fingerprint`.
    """

    folder: Path
    fingerprint: str

    def load(self, block: Block) -> Answer | None:
        """Return a block's answer if it was finished."""
        try:
            with np.load(self._path(block), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            return None
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"{self._path(block).name} in the resume folder cannot be read ({error}); delete it and run again"
            ) from None

    def save(self, block: Block, answer: Answer) -> None:
        """Keep a block's answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **answer)  # type: ignore[arg-type]
            os.replace(name, self._path(block))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, block: Block) -> Path:
        return self.folder / f"{self.fingerprint[:24]}-{block[0]}-{block[1]}.npz"


_OWNER = "study.json"


def claim(folder: Path, study: Mapping[str, str]) -> None:
    """Keep a folder of finished blocks for one study.

    Parameters
    ----------
    folder : Path
        Made if missing.
    study : mapping of str to str
        Checksums, by what they are of.

    Raises
    ------
    UsageError
        When it holds the blocks of another study, or files that are none.
    """
    owner = folder / _OWNER
    try:
        if owner.is_file():
            before = json.loads(owner.read_text(encoding="utf-8"))
        elif folder.is_dir() and any(folder.iterdir()):
            raise UsageError(
                f"{folder} holds other files; finished blocks go into a folder of their own. Give a new one"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            draft = owner.with_suffix(".part")
            draft.write_text(json.dumps(dict(study), indent=2, sort_keys=True) + "\n", encoding="utf-8")
            draft.replace(owner)
            return
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot keep finished blocks: {error}. Delete it, or choose another place") from None
    changed = sorted(name for name in {*before, *study} if before.get(name) != study.get(name))
    if changed:
        raise UsageError(
            f"{folder} holds finished blocks of another study: {', '.join(changed)} changed since. Take the change "
            "back to continue, or delete that folder to begin anew"
        )


def fingerprint(*values: Any) -> str:
    """Return a checksum of values: arrays, numbers, text, and records of them."""
    digest = hashlib.sha256()
    for value in values:
        _digest(digest, value)
    return digest.hexdigest()


def _digest(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(f"{type(value).__name__} ".encode())
        for each in fields(value):
            digest.update(f"{each.name}=".encode())
            _digest(digest, getattr(value, each.name))
    elif isinstance(value, tuple | list):
        digest.update(f"{len(value)} values ".encode())
        for each in value:
            _digest(digest, each)
    elif isinstance(value, np.generic):
        _digest(digest, value.item())
    elif value is None or isinstance(value, bool | int | float | str | Enum):
        digest.update(f"{type(value).__name__} {value!r} ".encode())
    else:
        raise TypeError(f"no checksum for {type(value).__name__}")
