# Everything a fresh machine needs is python3, pip and make: the environment builds itself in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench docs faults walks suites clean

demo: .venv/ready
	$(BIN)/python examples/demo.py $(if $(ONCE),--once)

test: .venv/ready
	$(BIN)/pytest --numprocesses=2 --dist=loadfile $(ARGS)

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv-bench/ready .venv/ready
	.venv-bench/bin/python benchmarks/obfuscation.py
	.venv-bench/bin/python benchmarks/overhead.py
	$(BIN)/python benchmarks/license.py
	$(BIN)/python benchmarks/store.py

docs: .venv/ready
	$(BIN)/calos-telemetry dictionary --format markdown > docs/dictionary.md

faults: .venv/ready
	CALOS_FAULT_ROUNDS=$(or $(ROUNDS),200) $(BIN)/pytest tests/sdk/record tests/lifecycle tests/flow/test_fault_proxy.py $(ARGS)

# 100,000 random walks of clock, network and license server: about an hour.
walks: .venv/ready
	CALOS_FAULT_ROUNDS=$(or $(ROUNDS),200) $(BIN)/pytest tests/sdk/license/test_walks.py $(ARGS)

# The request tests of Starlette, FastAPI, Flask and Django themselves, with our middleware around every application.
suites: .venv/ready
	CALOS_SUITES=1 $(BIN)/pytest tests/suites $(ARGS)

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[server,postgres,clickhouse,django,flask,fastapi,otel,geo]' --group test --group check
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --group clickhouse-server \
		|| echo 'There is no ClickHouse for this machine: its tests will be skipped.'
	touch $@

# Peers have needs of their own: they live in an environment of their own, which nothing else uses.
.venv-bench/ready: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --editable '.[fastapi]' \
		--requirement benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-bench build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
