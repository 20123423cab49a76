"""The same question gets the same bytes: whatever the run, the workers, the order of hashing, or the version of Python.

Versions of Python are told apart by the variable ``CAUSAL_S4_PYTHONS``: paths of interpreters, separated by colons,
each with the locked dependencies installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import make_result
from small_study import STUDY, write_study

BOOTSTRAP = STUDY + '\n[sensitivity.e-value]\n\n[inference]\nmethod = "bootstrap"\nreplicates = 60\n'
CODE = """import sys, causal_s4
sys.stdout.buffer.write(causal_s4.Study.read(sys.argv[1]).run(jobs=int(sys.argv[2])).to_json().encode())"""


def answer(study: Path, *, seed: int, jobs: int, python: str = sys.executable) -> bytes:
    """Run a study in a process of its own and return its ``results.json``."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-c", CODE, str(study), str(jobs)],
        env=environment,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), study=BOOTSTRAP)


@pytest.fixture(scope="module")
def first(study: Path) -> bytes:
    return answer(study, seed=0, jobs=1)


@pytest.mark.slow
def test_hash_seeds_and_workers_change_no_byte(study: Path, first: bytes) -> None:
    assert hashlib.sha256(answer(study, seed=4242, jobs=2)).hexdigest() == hashlib.sha256(first).hexdigest()


def test_results_name_neither_the_version_of_python_nor_the_day() -> None:
    result = make_result()
    assert result.provenance is not None
    provenance = json.loads(result.to_json())["provenance"]
    assert provenance["packages"]
    assert result.provenance.python not in json.dumps(provenance)
    assert not {"python", "date", "time", "host", "user", "platform", "created"} & set(provenance)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_more_workers_and_seeds_change_no_byte(study: Path, first: bytes, jobs: int) -> None:
    for seed in (1, 2**31):
        assert answer(study, seed=seed, jobs=jobs) == first


OTHERS = [path for path in os.environ.get("CAUSAL_S4_PYTHONS", "").split(os.pathsep) if path]


@pytest.mark.skipif(not OTHERS, reason="CAUSAL_S4_PYTHONS names no other interpreters")
@pytest.mark.parametrize("python", OTHERS)
def test_other_versions_of_python_change_no_byte(study: Path, first: bytes, python: str) -> None:
    assert answer(study, seed=0, jobs=1, python=python) == first
