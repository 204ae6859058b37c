# make run    set up this machine and run a shipped plan on its kernel
# make quick  set up this machine and run the tests that need neither root nor a virtual machine
# make test   set up this machine and run the tests (kernels with kprobes are booted under QEMU)
# make help   the other targets

PYTHON := .venv/bin/python
PLAN ?= plans/sched/context-switches.yaml
DURATION ?= 10s
ARGS ?=
MATRIX := 5.10,6.12,7.x,6.1-arm64,6.12-arm64

.PHONY: help run quick test test-matrix check deb docs measure bench trends soak fuzz facts clean setup

help:
	@sed -n 's/^# make /make /p' Makefile
	@echo "make check        ruff, mypy --strict, import-linter, and the words of docs/style.md"
	@echo "make test-matrix  the kernel lanes on $(MATRIX)"
	@echo "make deb          the Debian package, in build/deb"
	@echo "make docs         the site of docs/, in build/docs"
	@echo "make measure      figures of the code: folders, functions, names, comments, tests"
	@echo "make bench        figures compared with bpftrace and bcc's tools"
	@echo "make trends       does Apache Otava find a step in the series that checks write?"
	@echo "make soak         overload without silent loss; runs killed at random; checks, many times"
	@echo "make fuzz         coverage-guided fuzzing of everything that reads input"
	@echo "make facts        record the facts of the booted kernels again"

setup:
	@scripts/setup.sh run

run: setup
	@$(PYTHON) -m orchestrator.cli run $(PLAN) --duration $(DURATION) $(ARGS)

quick:
	@scripts/setup.sh quick
	@$(PYTHON) -m pytest -q -n auto --hypothesis-profile quick \
		-m "not root and not guest and not slow" $(ARGS)

test:
	@scripts/setup.sh test
	@scripts/fetch_projects.sh
	@scripts/fetch_debian_roots.sh
	@$(PYTHON) -m pytest $(ARGS)

test-matrix:
	@scripts/setup.sh test
	@PROBEPLAN_MATRIX=$(MATRIX) $(PYTHON) -m pytest -m guest $(ARGS)

check:
	@scripts/setup.sh check
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PYTHON) scripts/check_words.py

deb:
	@scripts/setup.sh deb
	@scripts/build_deb.sh

docs:
	@scripts/setup.sh docs
	@$(PYTHON) scripts/generate_docs.py
	@$(PYTHON) -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

measure:
	@scripts/setup.sh check
	@$(PYTHON) scripts/measure_code.py

bench:
	@scripts/setup.sh bench
	@$(PYTHON) -m bench $(ARGS)

trends:
	@scripts/setup.sh test
	@$(PYTHON) -m bench.trends

soak:
	@scripts/setup.sh test
	@$(PYTHON) -m tests.faults $(ARGS)
	@$(PYTHON) -m tests.soak

fuzz:
	@scripts/setup.sh test
	@scripts/fuzz.sh $(ARGS)

facts:
	@scripts/setup.sh test
	@$(PYTHON) -m tests.support.record_facts $(ARGS)

clean:
	rm -rf .venv .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis out
