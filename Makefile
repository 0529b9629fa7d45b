# `make demo` and `make test` set up their own .venv; nothing outside this folder is touched.
# The demo times each file for 3 seconds, where `lesionlite build` takes 10; FLAGS come later and win.
PYTHON ?= python3
OUT ?= dist/demo
FLAGS ?=
BIN = .venv/bin
INSTALL = $(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable
# On all cores, where pip takes one, and without what nothing here imports.
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/(tests?|examples)/|transformers/models/' .venv/lib || true

.PHONY: demo test clean

demo: .venv/demo
	$(BIN)/lesionlite build --out $(OUT) --seconds 3 $(FLAGS)

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# What converts and executes the five formats, 2.6 GB. The tests need 3.2 GB more.
.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[onnx,tflite,coreml,executorch]'
	$(COMPILE)
	touch $@

.venv/ready: .venv/demo
	$(INSTALL) '.[dev]'
	$(COMPILE)
	touch $@

clean:
	rm -rf .venv dist build *.egg-info
