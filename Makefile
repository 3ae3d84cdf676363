# Two commands on a fresh Linux machine with Python >= 3.11 and make:
#   make demo    pretrained SevenNet potentials, unmodified, stock and accelerated
#   make test    lint, types and all tests, on e3nn 0.6 and on MACE's e3nn 0.4.4
# Long: `make hosts` (whole suites of hosts), `make bench` (figures of the README).

PYTHON ?= python3
INSTALL := -m pip install --quiet --disable-pip-version-check
# Pinned and first: any other package would pull the newest torch with its CUDA libraries.
TORCH := torch==2.13.0
NEW := .venv/bin/python
OLD := .venv-mace/bin/python
OLD_TESTS := tests/e3nn_host tests/hosts/test_mace.py tests/test_plan.py tests/test_so3.py tests/test_session.py tests/test_bootstrap.py

.PHONY: demo test lint hosts bench clean

demo: .venv/ready
	$(NEW) benchmarks/demo.py

test: .venv/ready .venv-mace/ready lint
	$(NEW) -m pytest tests --ignore tests/hosts/test_mace.py
	$(OLD) -m pytest $(OLD_TESTS)

lint: .venv/ready
	$(NEW) -m ruff check .
	$(NEW) -m ruff format --check .
	$(NEW) -m pyright --pythonpath $(NEW)

hosts: .venv/ready .venv-mace/ready
	WHOLE_SUITES=1 $(NEW) -m pytest tests/hosts --ignore tests/hosts/test_mace.py
	$(OLD) -m pytest tests/hosts/test_mace.py

bench: .venv/ready
	$(NEW) benchmarks/overheads.py

.venv/ready: pyproject.toml tests/e3nn-0.6.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tpregistry needs Python >= 3.11: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(NEW) $(INSTALL) $(TORCH)
	$(NEW) $(INSTALL) -e ".[torch,testing,dev]" -r tests/e3nn-0.6.txt
	touch $@

.venv-mace/ready: pyproject.toml tests/e3nn-0.4.4.txt
	$(PYTHON) -m venv .venv-mace
	$(OLD) $(INSTALL) $(TORCH)
	$(OLD) $(INSTALL) -e ".[torch,testing]" -r tests/e3nn-0.4.4.txt
	touch $@

clean:
	rm -rf .venv .venv-mace .cache
