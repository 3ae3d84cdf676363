# Two commands on a fresh Linux machine with Python >= 3.11 and make:
#   make demo    a pretrained SevenNet potential, unmodified, stock and accelerated
#   make test    lint, types and tests of every part, on e3nn 0.6 and on MACE's e3nn 0.4.4
# `make help` lists all targets, CONTRIBUTING.md says what belongs into which and how long each takes.

PYTHON ?= python3
INSTALL := -m pip install --quiet --disable-pip-version-check
# Pinned and first: any other package would pull the newest torch with its CUDA libraries.
TORCH := torch==2.13.0
NEW := .venv/bin/python
OLD := .venv-mace/bin/python
# Two test processes with one thread each: most tests are small products.
PYTEST := -m pytest -n 2 --dist worksteal
SUBMAKE := OMP_NUM_THREADS=1 $(MAKE) --no-print-directory --jobs 2 --output-sync=target --keep-going
# What the old e3nn can tell that the new one cannot: how its modules are read.
OLD_TESTS := tests/e3nn_host tests/cg/test_llvm.py tests/test_plan.py tests/so3 tests/test_session.py tests/test_bootstrap.py
HOSTS := on-triton on-old on-e3nn on-e3nn-jax on-sevenn on-mace on-nequip
APART := $(addprefix --ignore tests/,hosts interpreted jax/test_suite.py)

# The tier: which markers are left out, and how many problems are drawn (tests/tiers.py).
TIER ?= test
MARKERS_fast := not (slow or processes or xla or gpu or exhaustive)
MARKERS_test := not exhaustive
MARKERS_all :=
CHOSEN = -m "$(MARKERS_$(TIER))" --hypothesis-profile=$(TIER)

.PHONY: help fast test test-all demo demo-full lint types format bench docs clean unit $(HOSTS)

help: ## list all targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s "|"

fast: .venv/ready ## two minutes: lint, types, and what runs in this process
	$(SUBMAKE) TIER=fast lint types unit

test: .venv/ready .venv-mace/ready ## a quarter of an hour: every part and every host; what CI runs
	$(SUBMAKE) lint types
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory unit
	$(SUBMAKE) $(HOSTS)

test-all: ## hours: all tests in full numbers, whole suites of the hosts under every backend
	$(MAKE) test TIER=all

lint: .venv/ready
	$(NEW) -m ruff check .
	$(NEW) -m ruff format --check .

types: .venv/ready
	$(NEW) -m pyright --pythonpath $(NEW)

format: .venv/ready ## put all sources in order
	$(NEW) -m ruff check --fix .
	$(NEW) -m ruff format .

unit: .venv/ready
	$(NEW) $(PYTEST) $(CHOSEN) tests $(APART)

# Programs as their users run them, each in a process or an environment of its own; two at a time, the longest first.
on-e3nn: .venv/ready
	$(NEW) -m pytest $(CHOSEN) tests/hosts/test_e3nn_suite.py
on-old: .venv-mace/ready
	$(OLD) -m pytest $(CHOSEN) $(OLD_TESTS)
on-triton: .venv/ready
	TRITON_INTERPRET=1 $(NEW) -m pytest $(CHOSEN) tests/interpreted
on-e3nn-jax: .venv/ready
	$(NEW) -m pytest $(CHOSEN) tests/jax/test_suite.py
on-sevenn: .venv/ready
	$(NEW) -m pytest $(CHOSEN) tests/hosts/test_sevenn.py
on-mace: .venv-mace/ready
	$(OLD) -m pytest $(CHOSEN) tests/hosts/test_mace.py tests/hosts/test_mace_contraction.py
on-nequip: .venv/ready  # apart: torch_geometric, which sevenn imports, replaces torch.index_select by what TorchScript cannot read
	$(NEW) -m pytest $(CHOSEN) tests/hosts/test_nequip.py

demo: .venv/ready ## SevenNet-0, unmodified: stock and accelerated; the first result within four minutes
	$(NEW) benchmarks/demo.py

demo-full: .venv/ready ## the same with SevenNet-l3i5, and each backend forced
	$(NEW) benchmarks/demo.py --full

bench: .venv/ready .venv-mace/ready ## the figures of README and docs; wants a quiet machine, and takes long
	$(NEW) benchmarks/overheads.py
	$(NEW) benchmarks/builds.py
	$(NEW) benchmarks/kernels.py --batch 1000 --dtype float32
	$(NEW) benchmarks/kernels.py --batch 4000 --dtype float32 --rounds 5 --without cg-dense cg-hoist --name kernels-4000
	$(NEW) benchmarks/kernels.py --batch 1 10 100 --dtype float32 --without cg-dense cg-hoist --name kernels-small
	$(NEW) benchmarks/kernels.py --batch 1000 --dtype float64 --rounds 7 --without cg-dense cg-hoist --name kernels-float64
	$(NEW) benchmarks/kernels.py --batch 1000 --dtype float32 --rounds 7 --only connection --auto --name kernels-uvw
	$(NEW) benchmarks/convolutions.py
	$(OLD) benchmarks/model_step.py
	$(NEW) benchmarks/jax_kernels.py

docs: .venv/ready ## build the documentation
	NO_MKDOCS_2_WARNING=1 $(NEW) -m mkdocs build --quiet --strict --config-file docs/mkdocs.yml
	@echo "built: .cache/docs/index.html"

.venv/ready: pyproject.toml tpregistry/trigger.py tests/e3nn-0.6.txt tests/without-dependencies.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tpregistry needs Python >= 3.11: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(NEW) $(INSTALL) $(TORCH)
	$(NEW) $(INSTALL) -e ".[torch,jax,testing,dev]" -r tests/e3nn-0.6.txt
	$(NEW) $(INSTALL) --no-deps -r tests/without-dependencies.txt
	touch $@

.venv-mace/ready: pyproject.toml tpregistry/trigger.py tests/e3nn-0.4.4.txt
	$(PYTHON) -m venv .venv-mace
	$(OLD) $(INSTALL) $(TORCH)
	$(OLD) $(INSTALL) -e ".[torch,testing]" -r tests/e3nn-0.4.4.txt
	touch $@

clean: ## remove environments and everything that is kept between runs
	rm -rf .venv .venv-mace .cache
