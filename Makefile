# Two commands do everything: `make demo` and `make test`. Each sets itself up; a second run skips that.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Processes that run tests, each with the files of its own.
TEST_JOBS ?= 2

# One thread keeps tests repeatable and lets two of them share a small machine.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

.PHONY: demo test lint bench docs setup clean

demo: $(STAMP)
	OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 $(BIN)/ocrtune demo --run runs/demo

test: $(STAMP) lint
	$(TEST_ENV) $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(TEST_ENV) $(BIN)/python benchmarks/encode.py
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/speed.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/vision.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/packing.py
	OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/input_pipeline.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/decoder.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/planner.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/synth.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/million_rows.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/streaming.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evaluate.py
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/predict.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/demo.py
	$(BIN)/python benchmarks/tables.py

docs: $(STAMP)
	$(BIN)/python docs/reference/generate.py

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs
