# Everything runs out of .venv, which the first target that needs it makes from the locked versions.
# Needed beforehand: Python 3.11 or later, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.sealmount-ready
UV := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)
# Tests of one xdist_group share a process; a test folder with heavy fixtures names itself one.
PYTEST_ARGS ?= -n 2 --dist loadgroup

export IMAGES STORE
export DIR ?= .sealmount

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench protos clean
# What make check consists of; make -k check goes on after a failure.
.PHONY: lint types imports contract documents house

help:  ## Shows this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: $(READY)  ## Mounts a folder of images, rotates, moves, revokes (IMAGES=folder for your own)
	@$(BIN)/sealmount demo $${IMAGES:+--images "$$IMAGES"}

up: $(READY)  ## Runs the pair with the embedded defaults, in .sealmount (DIR=folder for another, STORE=origin of a store on http)
	@$(BIN)/sealmount up --dir "$$DIR" $${STORE:+--store-origin "$$STORE"}

test: $(READY)  ## Runs the whole test suite (PYTEST_ARGS="-k word" for a part)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types imports contract documents house  ## Lint, types, dependency rules, contract, documents, house rules

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

contract: $(READY)
	$(BIN)/python tools/protos.py check

documents: $(READY)
	$(BIN)/python tools/docs_lint.py

house: $(READY)
	$(BIN)/python tools/house_lint.py

bench: $(READY)  ## Measures beside the peers; writes benchmarks/results.json
	@$(BIN)/python -m benchmarks

protos: $(READY)  ## Generates the clients' stubs from the contract
	$(BIN)/python tools/protos.py generate

clean:  ## Removes what the other targets made, .venv included; keeps .sealmount
	rm -rf $(VENV) .build demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): uv.lock pyproject.toml clients/python/pyproject.toml tools/make_venv.sh
	@PYTHON="$(PYTHON)" sh tools/make_venv.sh "$(VENV)" "$(UV)"
	@touch $@
