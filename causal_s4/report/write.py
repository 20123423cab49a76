"""Leaving a result on disk: everything, or nothing.

All files are made in memory, written to a hidden folder beside the one asked for (the draft), and put in
its place by one renaming, in which an earlier result and the draft change names. A run that is killed at
any moment so leaves the earlier result or the new one, whole; what is left of its draft is removed by the
next run into the same folder. Where a system cannot exchange two folders in one step (Linux can), the
earlier result is renamed out of the way first; a run killed between the two renamings leaves it under
``.NAME.xxxxxxxx.replaced``, from where the next run brings it back.

An earlier result is replaced only when the folder holds nothing else: ``SHA256SUMS`` names every file
that was written there, so a file of the reader's, or one the reader has edited, is never lost.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from causal_s4.background import begin
from causal_s4.errors import InputError, Problem, UsageError
from causal_s4.report.reading import Reading
from causal_s4.report.results_json import SCHEMA, results_json
from causal_s4.results import StudyResult

CHECKSUMS = "SHA256SUMS"
# Of Linux: paths are seen from the current folder; the two change names.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
# How often, and how many seconds apart, a run looks whether another one has finished renaming.
_ATTEMPTS, _PAUSE = 600, 0.05


# --- contents -----------------------------------------------------------------------------------


def contents(result: StudyResult) -> dict[str, bytes]:
    """Return every file of a report, by its path in the folder.

    Parameters
    ----------
    result : StudyResult
        What was found.

    Returns
    -------
    dict of str to bytes
        The same input gives the same bytes, ``SHA256SUMS`` included.
    """
    from causal_s4.report.manuscript import draft, latex, markdown
    from causal_s4.report.page import render
    from causal_s4.report.plots import draw_ahead, every_drawing
    from causal_s4.report.spreadsheets import sheets
    from causal_s4.report.word import report_docx
    from causal_s4.report.workbook import tables_xlsx

    reading = Reading(result)
    drawn = every_drawing(reading)
    finish_drawing = draw_ahead(reading, drawn)
    drafted = draft(reading)
    files = {
        "methods.md": markdown(drafted).encode(),
        "methods.tex": latex(drafted).encode(),
        "tables.xlsx": tables_xlsx(reading),
        "results.json": results_json(result).encode(),
        "protocol.resolved.toml": result.protocol.to_toml().encode(),
    }
    for name, text in sheets(reading).items():
        files[f"tables/{name}"] = text.encode()
    finish_drawing()
    page = begin(render, reading, drawn)
    pictures = {name: drawing.png() for name, drawing in drawn.items()}
    for name, drawing in drawn.items():
        # The diagram's own drawing is the one that the page shows.
        vectors = result.adjustment.drawing if name == "dag" else drawing.svg()
        files[f"figures/{name}.svg"] = vectors.encode()
        files[f"figures/{name}.png"] = pictures[name]
    files["report.docx"] = report_docx(reading, drawn, pictures)
    files["report.html"] = page().encode()
    files[CHECKSUMS] = "".join(f"{_digest(data)}  {name}\n" for name, data in sorted(files.items())).encode()
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- the folder ---------------------------------------------------------------------------------


def write_result(result: StudyResult, folder: str | os.PathLike[str]) -> None:
    """Write a result to a folder, whole or not at all.

    Parameters
    ----------
    result : StudyResult
        What was found.
    folder : path-like
        Made if missing, with its parents. An earlier result in it is replaced; a folder that holds
        anything else is left alone.

    Raises
    ------
    InputError
        When the folder cannot be written, is not a folder, or holds files that are not an earlier
        result of this package or were changed since. What was there is then still there.
    """
    target = check_folder(folder)
    files = contents(result)
    with _readable(folder), _parents(target.parent), _draft_beside(target) as draft:
        _fill(draft, files)
        with _alone(target):
            # Again: computing took a while, and someone may have put a file there since.
            _refuse_foreign(target)
            _swap(draft, target)


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the real folder a result would go to, before anything long is computed for it.

    Raises
    ------
    InputError
        As :func:`write_result` would.
    """
    with _readable(folder):
        target = Path(os.path.realpath(folder))
        with _alone(target):
            _recover(target)
            _refuse_unfit(target, folder)
            _refuse_foreign(target)
    return target


def _refuse_unfit(target: Path, folder: str | os.PathLike[str]) -> None:
    """Refuse what cannot be replaced as a whole by renaming."""
    if target.exists() and not target.is_dir():
        raise UsageError(f"{folder} is a file; the report needs a folder. Give the name of a new or empty one")
    if target.is_dir() and (target.parent == target or os.path.ismount(target)):
        raise UsageError(
            f"{folder} is the root of a disk or a mounted volume, which cannot be replaced as a whole. "
            "Give a folder inside it"
        )
    if target.is_dir() and Path.cwd().is_relative_to(target):
        raise UsageError(f"{folder} is the folder you are in, which cannot be replaced under you. Give another one")


def _refuse_foreign(target: Path) -> None:
    """Refuse a folder that holds anything but an earlier result, unchanged."""
    foreign, known = _foreign(target)
    if not foreign:
        return
    problems = [
        Problem(
            where=name,
            found="was changed after it was written" if name in known else "is not part of an earlier report",
        )
        for name in foreign[:5]
    ]
    more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
    raise UsageError(
        f"{target} holds {len(foreign)} file{'s' if len(foreign) != 1 else ''} that writing the report would lose; "
        f"move them away or give another folder. Found{more}:",
        problems,
    )


def _foreign(target: Path) -> tuple[list[str], dict[str, str]]:
    """Return what is not an earlier result as it was written, and what was written, by path."""
    if not target.is_dir():
        return [], {}
    found = list(_files(target))
    known = _checksums(target)
    return [name for name, path in found if known.get(name) is None or not _unchanged(path, known[name])], known


def _files(target: Path) -> Iterator[tuple[str, Path]]:
    """Yield every entry that is not a plain folder, with its path from the target."""
    for folder, folders, names in os.walk(target):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        empty = [name for name in folders if here == target and name not in ("tables", "figures")]
        for name in sorted({*names, *links, *empty}):
            if name not in _LITTER:
                yield (here / name).relative_to(target).as_posix(), here / name
        folders[:] = sorted(name for name in folders if name not in links and name not in empty)


def _checksums(target: Path) -> dict[str, str]:
    """Return what an earlier run wrote, by path; nothing when the folder is not one of ours."""
    listing = target / CHECKSUMS
    if (
        listing.is_symlink()
        or not listing.is_file()
        or f'"schema": "{SCHEMA.rpartition("/")[0]}/' not in _text(target / "results.json")
    ):
        return {}
    text = _text(listing)
    known = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines()) if name}
    return {**known, CHECKSUMS: _digest(text.encode())}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _unchanged(path: Path, digest: str) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and _digest(path.read_bytes()) == digest
    except FileNotFoundError:
        return False


def _fill(draft: Path, files: Mapping[str, bytes]) -> None:
    for folder in sorted({Path(name).parent for name in files} - {Path()}):
        (draft / folder).mkdir()
    for name, data in files.items():
        (draft / name).write_bytes(data)


def _swap(draft: Path, target: Path) -> None:
    """Let the draft and the target change places; if that fails, the target is what it was."""
    if not target.is_dir():
        draft.rename(target)
        return
    shutil.copymode(target, draft)
    if _exchange(draft, target):
        return
    aside = _beside(target, "replaced")
    try:
        target.rename(aside)
        draft.rename(target)
    except BaseException:
        if aside.is_dir() and not target.is_dir():
            aside.rename(target)
        raise
    aside.rename(draft)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; False where the system or its disk knows no such step."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


# --- beside the folder --------------------------------------------------------------------------


def _beside(target: Path, kind: str) -> Path:
    """Return a new hidden name for something of the target's that lies beside it for a moment."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{kind}")


def _left_behind(target: Path, kind: str) -> list[Path]:
    """Return what earlier runs, killed on the way, left beside the target."""
    form = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.{kind}")
    if not target.parent.is_dir():
        return []
    with os.scandir(target.parent) as entries:
        return sorted(
            Path(entry.path) for entry in entries if form.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        )


def _recover(target: Path) -> None:
    """Bring back a result that a run, killed between two renamings, left under a hidden name."""
    if os.path.lexists(target):
        return
    for aside in _left_behind(target, "replaced"):
        foreign, known = _foreign(aside)
        if known and not foreign:
            aside.rename(target)
            return


def _clean_up(target: Path) -> None:
    """Remove what killed runs left beside the target: drafts that nobody holds, results that were replaced."""
    for draft in _left_behind(target, "partial"):
        with suppress(FileNotFoundError), _held(draft) as held:  # its owner may be removing it
            if held:
                shutil.rmtree(draft, ignore_errors=True)
    for aside in _left_behind(target, "replaced"):
        if not _foreign(aside)[0]:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _draft_beside(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside the target, held as long as this run lives, and remove what is left of it."""
    draft = _beside(target, "partial")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, draft, ignore_errors=True)
        with _alone(target):
            _clean_up(target)
            draft.mkdir()
            stack.enter_context(_held(draft))
        yield draft


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the folder above the target against other runs, for the moments that looking and renaming take.

    Where a file system knows no locks, runs are not held apart.
    """
    if not target.parent.is_dir():
        yield
        return
    with _held(target.parent, _ATTEMPTS) as held:
        if held is False:
            raise UsageError(f"{target} is being written by another run. Wait for it, or give another folder")
        yield


@contextmanager
def _held(folder: Path, attempts: int = 1) -> Iterator[bool | None]:
    """Hold a folder against other runs; tell whether it could be: None where there are no locks.

    A lock on the folder itself leaves no file behind, and the system releases it when a run is killed.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        held: bool | None = False
        for attempt in range(attempts):
            if attempt:
                time.sleep(_PAUSE)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:
                held = None
            else:
                held = True
            break
        yield held
    finally:
        os.close(opened)


@contextmanager
def _parents(parent: Path) -> Iterator[None]:
    """Make the folders above the target; unmake those that were made when what follows fails."""
    missing = [each for each in (parent, *parent.parents) if not each.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        raise


_REASONS = {
    errno.ENOSPC: "the disk is full. Free some room or give a folder on another disk",
    errno.EDQUOT: "your quota of disk space is used up. Free some room or give a folder on another disk",
    errno.EFBIG: "a file would be larger than you may write. Lift that limit (ulimit -f), or ask who set it",
    errno.EACCES: "you may not write there. Give a folder of your own",
    errno.EPERM: "you may not write there. Give a folder of your own",
    errno.EROFS: "that disk is read-only. Give a folder on another one",
    errno.ENOTDIR: "a part of that path is a file. Give another folder",
    errno.ENAMETOOLONG: "the name is too long. Give a shorter one",
    errno.ELOOP: "its symbolic links go in a circle. Give another folder",
}


@contextmanager
def _readable(target: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an operating system's error into one that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
        raise InputError(
            f"the report could not be written to {target}: {reason}. What was there is unchanged"
        ) from error
