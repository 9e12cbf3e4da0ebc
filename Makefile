# Orthogonality Lab. `make` lists the targets; each works alone from a fresh clone (GNU make 3.81 or later).
# FOLDER, OUT: submissions to grade, and where the marks go.
# JOBS: how many tests, or notebooks, run at once (2).
# PYTHON: the interpreter that .venv is made from (3.11 or later).   PIP_FLAGS: extra words for pip install.
PYTHON    ?= python3
PIP_FLAGS ?=
PORT      ?= 8000
JOBS      ?= 2
URL       ?=
FOLDER    ?=
OUT       ?= graded

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help book test test-code test-notebooks test-site lint format lab serve shots course grade slides pdf pyodide dist address \
  requirements clean distclean

BIN  := .venv/bin
SITE := _build/html
CACHE := _build/.jupyter_cache
# A file of tests stays in one process; which come first is said in tests/conftest.py and book/_ext.
SPREAD := -n $(JOBS) --dist loadscope --no-loadscope-reorder
AXE  := .make/axe.min.js
AXE_VERSION := 4.14.1
REVEAL := .make/reveal/dist/reveal.js
REVEAL_VERSION := 5.2.1
PYODIDE := .make/pyodide

# Jupyter, IPython and matplotlib keep their files in the project, not in HOME; one thread a process, as in the tests.
export JUPYTER_CONFIG_DIR  := $(CURDIR)/.make/jupyter/config
export JUPYTER_DATA_DIR    := $(CURDIR)/.make/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/.make/jupyter/runtime
export IPYTHONDIR          := $(CURDIR)/.make/ipython
export MPLCONFIGDIR        := $(CURDIR)/.make/matplotlib
export npm_config_cache    := $(CURDIR)/.make/npm
export PYTHONNOUSERSITE    := 1
export OMP_NUM_THREADS     ?= 1
export ORTHOLAB_JOBS       := $(JOBS)

help: ## list the targets
	@echo "Orthogonality Lab: make <target>"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile

book: .venv/.installed ## install, execute every notebook, build the site, say what to open
	@$(BUILD)
	@echo; echo "The book is built. Open this file:"; echo "  file://$(CURDIR)/$(SITE)/index.html"
	@echo "or run \`make serve\` and open http://localhost:$(PORT)/"

test: lint test-code test-notebooks test-site ## the whole suite: lint, doctests, unit tests, every notebook, the site

lint: .venv/.installed ## ruff over code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.installed ## let ruff rewrite what it can
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

test-code: .venv/.installed ## doctests and unit tests
	$(BIN)/python -m pytest -rs $(SPREAD) --doctest-modules -m "not site" ortholab book/_ext tests

test-notebooks: .venv/.installed ## run every notebook under book/ and its asserts (nbval), and keep what passed for the build
	$(BIN)/python -m pytest -rs $(SPREAD) --nbval-lax --nbval-cell-timeout 300 --fill-cache $(CACHE) book

test-site: .venv/.installed $(AXE) $(REVEAL) ## build the book, then check every page with and without a browser
	@$(BUILD)
	$(BIN)/python -m pytest -rs $(SPREAD) -m site tests/book tests/assignments

lab: .venv/.installed ## open JupyterLab at the first notebook
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) \
	  --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/book/1-isometry/jacobian.ipynb

serve: ## serve the built site on PORT (8000)
	@test -f $(SITE)/index.html || $(MAKE) book
	@echo "http://localhost:$(PORT)/  (Ctrl-C ends it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(SITE)

shots: .venv/.installed ## full-page pictures of every page into _build/shots
	@$(BUILD)
	$(BIN)/python tests/book/shots.py

slides: .venv/.installed $(REVEAL) ## build the chapters as slides too, say what to open
	@$(BUILD)
	$(BIN)/python book/_ext/ortholab_slides.py
	@echo; echo "The slides are built. Open this file:"; echo "  file://$(CURDIR)/_build/slides/index.html"

course: .venv/.installed ## make the students' zip of the assignments into dist/
	$(BIN)/ortholab course release

grade: .venv/.installed ## with FOLDER=submissions: grade them into graded/ (OUT=...)
	@test -n "$(FOLDER)" || { echo "error: name the folder of submissions: make grade FOLDER=submissions" >&2; exit 1; }
	$(BIN)/ortholab grade "$(FOLDER)" --out "$(OUT)"

pdf: .venv/.installed ## print the built pages into one file, _build/orthogonality-lab.pdf (needs a Chromium)
	@$(BUILD)
	$(BIN)/python tests/book/print_book.py

pyodide: .venv/.installed ## fetch the browser's Python, 36 MB, each file checked; then `ORTHOLAB_PYODIDE=.make/pyodide make book`
	$(BIN)/python -m ortholab.explore.pyodide $(PYODIDE)

dist: .venv/.installed ## build the library's wheel and source archive into dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

address: ## with URL=https://github.com/OWNER/NAME (or none): write the repository's address everywhere
	$(PYTHON) book/_ext/ortholab_address.py $(URL)

requirements: ## remake requirements.txt from the ranges in pyproject.toml
	@$(CHECK_PYTHON)
	rm -rf .make/freeze && $(PYTHON) -m venv .make/freeze
	.make/freeze/bin/python -m pip install $(PIP_FLAGS) $$(grep -E '^torch==' requirements.txt) ".[book,test]"
	{ sed -n '/^#/p' requirements.txt; .make/freeze/bin/python -m pip freeze --exclude ortholab | sed 's/+cpu//'; } > .make/requirements.txt
	mv .make/requirements.txt requirements.txt && rm -rf .make/freeze

clean: ## remove the built book and its execution cache
	rm -rf _build

distclean: clean ## remove the environment and everything else that make wrote
	rm -rf .venv .make ortholab.egg-info .pytest_cache .ruff_cache

define CHECK_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "error: Python 3.11 or later is needed, but $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
  echo "       name another one: make <target> PYTHON=python3.12"; exit 1; }
endef

# A page that fails must fail again: Sphinx repeats no warning for a page that it has already read, so a failed build
# forgets what it has read (the executed notebooks stay in their cache).
define BUILD
$(BIN)/jupyter-book build . -W -n --keep-going -q || { rm -rf _build/.doctrees; echo "error: the book was not built" >&2; exit 1; }
endef

.venv/.installed: requirements.txt pyproject.toml
	@$(CHECK_PYTHON)
	@echo "Installing into .venv: about 2 GB and three minutes; on Linux with a GPU build of torch, more of both."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r requirements.txt --editable .
	@mkdir -p $(MPLCONFIGDIR) $(IPYTHONDIR)/profile_default && $(BIN)/python -c "import matplotlib.font_manager"
	@# A kernel warns on each start that it talks over TCP; it does so on this machine alone.
	@echo "c.IPKernelApp.log_level = 'ERROR'" > $(IPYTHONDIR)/profile_default/ipython_kernel_config.py
	@touch $@

# axe-core audits the pages for accessibility. Without npm the audit is skipped, and the tests say so.
$(AXE):
	@mkdir -p .make
	@if command -v npm >/dev/null; then cd .make && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && \
	  tar -xzf axe-core-$(AXE_VERSION).tgz package/axe.min.js && mv package/axe.min.js . && rm -r package axe-core-$(AXE_VERSION).tgz; \
	else echo "npm was not found: the accessibility audit will be skipped"; fi

# reveal.js shows the slides. Without npm the decks load it from a public server, and the build says so.
$(REVEAL):
	@mkdir -p .make/reveal
	@if command -v npm >/dev/null; then cd .make && npm pack --silent reveal.js@$(REVEAL_VERSION) >/dev/null && \
	  tar -xzf reveal.js-$(REVEAL_VERSION).tgz -C reveal --strip-components=1 package/dist/reveal.js package/dist/reveal.css \
	    package/dist/reset.css package/plugin/notes/notes.js package/LICENSE && rm reveal.js-$(REVEAL_VERSION).tgz && touch reveal/dist/reveal.js; \
	else echo "npm was not found: the slides will need a network"; fi
