# Everything runs in .venv, with versions pinned by constraints.txt. Another Python has a folder of its own: "make test
# PYTHON=python3.13", or the path of one, runs in .venv-3.13.
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV := .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN := $(VENV)/bin

.PHONY: demo test slow torture ecosystem lint dist docs tutorials gallery

demo: $(VENV)/.package
	$(BIN)/scfcmi demo --overwrite

# In up to four processes of one thread each: threads of processes side by side would spin while they wait for each other.
test: $(VENV)/.test
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

# What takes too long for "make test": tutorials, examples in docstrings, Slurm, whole benchmarks.
slow: $(VENV)/.test
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# All that tests/torture tries a little of in "make test", at full size; writes docs/reliability.md.
torture: $(VENV)/.test
	SCFCMI_TORTURE=docs/reliability.md OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/torture

# The page "With other tools" with those tools, at their newest: they do not fit beside the pinned versions, but for torch.
ecosystem: .venv-ecosystem/.tools .venv-cellxgene/.tools
	PATH="$(CURDIR)/.venv-ecosystem/bin:$$PATH:$(CURDIR)/.venv-cellxgene/bin" OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
		.venv-ecosystem/bin/python -m pytest tests/test_other_tools.py

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

# What a release uploads, checked as the index does. The recipe for conda is parsed and rendered.
dist: .venv-release/.tools
	rm -rf dist
	.venv-release/bin/python -m build
	.venv-release/bin/python -m twine check --strict dist/*
	.venv-release/bin/python -c 'from rattler_build import Stage0Recipe; print(Stage0Recipe.from_file("conda/recipe.yaml").render())'

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -E -W --keep-going -q docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html

# Execute the notebooks in place, with the data in SCFCMI_DATA_DIR.
tutorials: $(VENV)/.test
	$(BIN)/python docs/execute_tutorials.py tutorials/*.ipynb

# Every plot on real data, with the data in SCFCMI_DATA_DIR: look at docs/_build/gallery/index.html.
gallery: $(VENV)/.test
	$(BIN)/python docs/gallery.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "pip>=25.1"

$(VENV)/.package: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	@touch $@

.venv-ecosystem/.tools: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet "pip>=25.1"
	grep '^torch' constraints.txt > $(@D)/torch.txt
	$(@D)/bin/python -m pip install --quiet --constraint $(@D)/torch.txt --editable . --group test --group ecosystem
	@touch $@

.venv-release/.tools: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet "pip>=25.1"
	$(@D)/bin/python -m pip install --quiet --group release
	@touch $@

.venv-cellxgene/.tools:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet cellxgene-schema
	@touch $@
