# `make demo` and `make test` set up their own .venv; nothing outside this folder is touched.
# The demo times each file for 3 seconds, where `lesionlite build` takes 10; FLAGS come later and win.
PYTHON ?= python3
OUT ?= dist/demo
FLAGS ?=
BIN = .venv/bin

.PHONY: demo test clean

demo: .venv/ready
	$(BIN)/lesionlite build --out $(OUT) --seconds 3 $(FLAGS)

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv dist build *.egg-info
