# Two commands on a fresh Linux machine with Python >= 3.11 and make:
#   make demo    pretrained SevenNet potentials, unmodified, stock and accelerated
#   make test    lint, types and all tests, on e3nn 0.6 and on MACE's e3nn 0.4.4
# Long: `make hosts` (whole suites of hosts), `make bench` (figures of the README). `make docs` builds the documentation.

PYTHON ?= python3
INSTALL := -m pip install --quiet --disable-pip-version-check
# Pinned and first: any other package would pull the newest torch with its CUDA libraries.
TORCH := torch==2.13.0
NEW := .venv/bin/python
OLD := .venv-mace/bin/python
OLD_TESTS := tests/e3nn_host tests/cg/test_llvm.py tests/test_plan.py tests/so3 tests/test_session.py tests/test_bootstrap.py
# Two test processes: most tests are small products, for which one thread each is best.
PARALLEL := OMP_NUM_THREADS=1

.PHONY: demo test lint hosts bench docs clean on-e3nn on-e3nn-jax on-sevenn on-mace on-nequip

demo: .venv/ready
	$(NEW) benchmarks/demo.py

test: .venv/ready .venv-mace/ready lint
	$(PARALLEL) $(NEW) -m pytest -n 2 --dist worksteal tests --ignore tests/hosts --ignore tests/interpreted --ignore tests/jax/test_suite.py
	TRITON_INTERPRET=1 $(PARALLEL) $(NEW) -m pytest -n 2 tests/interpreted
	$(PARALLEL) $(OLD) -m pytest -n 2 $(OLD_TESTS)
	$(PARALLEL) $(MAKE) --jobs 2 --output-sync=target --keep-going on-e3nn on-e3nn-jax on-sevenn on-mace on-nequip

# Tests in which a program runs as its users run it; two at a time.
on-e3nn: .venv/ready
	$(NEW) -m pytest tests/hosts/test_e3nn_suite.py
on-e3nn-jax: .venv/ready
	$(NEW) -m pytest tests/jax/test_suite.py
on-sevenn: .venv/ready
	$(NEW) -m pytest tests/hosts/test_sevenn.py
on-mace: .venv-mace/ready
	$(OLD) -m pytest tests/hosts/test_mace.py
on-nequip: .venv/ready  # apart: torch_geometric, which sevenn imports, replaces torch.index_select by what TorchScript cannot read
	$(NEW) -m pytest tests/hosts/test_nequip.py

lint: .venv/ready
	$(NEW) -m ruff check .
	$(NEW) -m ruff format --check .
	$(NEW) -m pyright --pythonpath $(NEW)

hosts: .venv/ready .venv-mace/ready
	$(PARALLEL) WHOLE_SUITES=1 $(NEW) -m pytest -n 2 --dist worksteal tests/test_gate.py tests/jax/test_gate.py tests/gaunt tests/cuequivariance
	WHOLE_SUITES=1 TRITON_INTERPRET=1 $(PARALLEL) $(NEW) -m pytest -n 2 tests/interpreted
	WHOLE_SUITES=1 $(PARALLEL) $(MAKE) --jobs 2 --output-sync=target --keep-going on-e3nn on-e3nn-jax on-sevenn on-mace on-nequip

# A quiet machine; it takes long.
bench: .venv/ready .venv-mace/ready
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

docs: .venv/ready
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

clean:
	rm -rf .venv .venv-mace .cache
