# The verbs a person types. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MODEL ?= book/models/books

# One home for models and downloads, whichever folder a command runs in.
export COURSE_HOME ?= $(CURDIR)/runs
# A backend from outside would keep figures out of the pages.
unexport MPLBACKEND
export HF_HUB_DISABLE_TELEMETRY ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

JB := $(BIN)/jupyter-book build . -W -n --keep-going
PYTEST := $(BIN)/python -m pytest -rfEs --durations=10

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help hello shipped env book pdf epub zip links test quick unit \
  notebooks pages pairs timings constraints clean

help: ## list these verbs
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) \
	  | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# One thread: on a busy machine two wait for each other at every product.
hello: shipped $(INSTALLED) ## a page of text by the model of the book
	@OMP_NUM_THREADS=1 $(BIN)/python -m course_lib sample "$(MODEL)" \
	  --prompt "life is about" --tokens 300 --seed 0 --stream

shipped: # asked before anything is installed
	@$(if $(shell cat "$(MODEL)/config.json" "$(MODEL)/run.json" 2>&-),,$(error \
	  no model in $(MODEL): the one of the book is not there yet; \
	  `make hello MODEL=FOLDER` takes a run, or another in its format))

env: $(INSTALLED) ## create .venv/ with every dependency, once

# Made again only when what it is made from changes.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed and \
	$(PYTHON) is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt \
	  -e '.[notebooks,export,book,test]'
	@touch $@

book: export COURSE_SCALE ?= laptop
book: $(INSTALLED) ## train the model, run every chapter, render the book
	$(BIN)/python -c 'from course_lib import presets, stages; \
	  stages.trained(presets.load_preset())'
	TQDM_DISABLE=1 $(JB) --all
	@echo; echo "$(CURDIR)/_build/html/index.html"

# The pages that `book` has just read, put together in another way.
pdf: book ## the whole book as one file to print, _build/book.pdf
	$(JB) --builder singlehtml
	$(BIN)/python book/print.py _build/singlehtml _build/book.pdf

zip: book ## the pages as one file to read offline, _build/book.zip
	$(BIN)/python -c 'import shutil; \
	  shutil.make_archive("_build/book", "zip", "_build", "html")'

epub: book ## the book for an e-reader, _build/book.epub
	$(JB) --builder custom --custom-builder epub
	cp _build/epub/book.epub _build/book.epub

links: $(INSTALLED) ## ask every external link whether it still answers
	COURSE_SCALE=smoke TQDM_DISABLE=1 $(JB) --all --builder linkcheck \
	  --path-output _build/links

# The next three verbs at once, with each chapter run once: by nbmake, in what
# the build would give it, and the build takes it from there. Files go to two
# workers in the order of tests/conftest.py. Each has one thread, as two that
# share two processors wait for each other.
test: export OMP_NUM_THREADS := 1
test: export TQDM_DISABLE := 1
test: $(INSTALLED) ## everything that checks the project
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --nbmake tests \
	  notebooks

quick: $(INSTALLED) ## the inner loop: unit tests, without the slow ones
	$(PYTEST) -m "not book and not slow" tests

unit: $(INSTALLED) ## all unit tests
	$(PYTEST) -m "not book" tests

notebooks: $(INSTALLED) ## run every chapter at the smallest scale
	$(PYTEST) --nbmake notebooks

pages: $(INSTALLED) ## build strictly, then read every page in a browser
	$(PYTEST) tests/book/test_book.py

pairs: $(INSTALLED) ## bring each notebook up to date with its .py
	$(BIN)/python book/_ext/colab.py
	$(BIN)/jupytext --update --to ipynb notebooks/[0-9n]*.py
	$(BIN)/jupytext --to py:percent notebooks/[0-9n]*.ipynb

timings: $(INSTALLED) ## time every chapter, for the cards that open them
	$(BIN)/python benchmarks/timings.py

constraints: ## resolve every pin again, in a fresh environment
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/pip install -q '.[notebooks,export,book,test]'
	{ sed -n '/^#/p' constraints.txt; build/pins/bin/pip freeze \
	  --all --exclude course-lib --exclude pip | sed 's/^\(torch==[0-9.]*\)+.*/\1/'; } \
	  > build/pins.txt
	mv build/pins.txt constraints.txt

clean: ## remove what is built; trained models in runs/ stay
	rm -rf _build build *.egg-info
