# Two commands: `make report` runs the main job, `make test` passes the tests. Each sets everything up first.
PYTHON ?= python3
BIN := .venv/bin
# One thread per process: BLAS threads fight with our own workers on small matrices.
export OMP_NUM_THREADS ?= 1

.PHONY: report test slow docs mutation lint lock clean

report: .venv/ready
	$(BIN)/causal-s4 run analyses/rotterdam_hormone/study.toml --out out/rotterdam_hormone
	@echo "Open out/rotterdam_hormone/report.html"

test: .venv/ready lint
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=95

slow: .venv/ready
	$(BIN)/python -m pytest -n auto --dist load -m slow

# The documentation, with output and figures of real runs; open site/index.html, no server needed.
docs: .venv/ready
	$(BIN)/python -m docs.make
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Change random operators and numbers in a copy of kernels/ and dag/: the tests should notice at least 85% of them.
mutation: .venv/ready
	$(PYTHON) -m venv .venv-mutation
	.venv-mutation/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	.venv-mutation/bin/python -m pip install --quiet "cosmic-ray>=8.4"
	rm -rf out/mutation && mkdir -p out/mutation && git archive HEAD | tar -x -C out/mutation
	cd out/mutation && export PATH="$(CURDIR)/.venv-mutation/bin:$$PATH" && for part in kernels dag; do \
		cosmic-ray init tests/hostile/mutation/$$part.toml $$part.sqlite && \
		cr-filter-operators $$part.sqlite tests/hostile/mutation/$$part.toml && \
		python tests/hostile/mutation/sample.py $$part.sqlite $(or $(MUTANTS),150) $(or $(SEED),2) && \
		cosmic-ray exec tests/hostile/mutation/$$part.toml $$part.sqlite && \
		cr-rate --fail-over 15 $$part.sqlite || exit 1; done

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Write the lock anew from pyproject.toml; it names no host.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet pip-tools
	.venv-lock/bin/pip-compile --quiet --all-extras --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-header --strip-extras --allow-unsafe --output-file requirements.lock pyproject.toml
	rm -rf .venv-lock

clean:
	rm -rf out site docs/generated .venv .venv-mutation
