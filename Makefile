# The front door. `make lesson` and `make test` create what they need in .venv and reuse it; `make help` lists the rest.
#
#   PYTHON=python3.12     another interpreter
#   TORCH=torch==2.12.0   another torch (anything pip understands, options included)
#   SEQGRAD_CUDA=0        never compile the CUDA kernels (1: fail without a toolkit)

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
OUT ?= lesson_out
LANGUAGE ?= en
DEVICE ?= cuda
GPU_OUT ?= gpu_report

BIN := $(VENV)/bin
NATIVE := $(shell find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

.DEFAULT_GOAL := help
.PHONY: help lesson test check lint types cpp cpp-sanitized neon format emulate emulate-cpp emulate-python teeth cuda bench docs gpu build clean tools
.DELETE_ON_ERROR:

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## */\t/' | expand -t 16

lesson: $(VENV)/.package  ## measure real networks, write figures and the report (LANGUAGE=es for Spanish)
	@$(BIN)/python -m seqgrad lesson --out $(OUT) --lang $(LANGUAGE)

test: $(VENV)/.test  ## the Python tests
	$(BIN)/python -m pytest

check: lint types cpp-sanitized  ## formatting, lint, types, C++ tests under sanitizers

lint: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	find csrc tests benchmarks \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 \
	  | xargs -0 $(BIN)/clang-format --dry-run --Werror

types: tools
	$(BIN)/mypy

format: tools  ## rewrite all sources in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find csrc tests benchmarks \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | xargs -0 $(BIN)/clang-format -i

cpp: tools  ## the C++ tests, without torch
	$(BIN)/cmake -S . -B build/cpp -DCMAKE_BUILD_TYPE=Release
	$(BIN)/cmake --build build/cpp --parallel
	$(BIN)/ctest --test-dir build/cpp --output-on-failure

cpp-sanitized: tools  ## the C++ tests under ASan + UBSan, then under TSan
	for kind in address thread; do \
	  $(BIN)/cmake -S . -B build/cpp-$$kind -DSEQGRAD_SANITIZE=$$kind && \
	  $(BIN)/cmake --build build/cpp-$$kind --parallel && \
	  $(BIN)/ctest --test-dir build/cpp-$$kind --output-on-failure || exit 1; \
	done

# Debian and Ubuntu: apt install g++-aarch64-linux-gnu qemu-user
neon: tools  ## the C++ tests for 64-bit Arm: cross-compiled, run under qemu
	$(BIN)/cmake -S . -B build/neon -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ "-DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64;-L;/usr/aarch64-linux-gnu"
	$(BIN)/cmake --build build/neon --parallel
	$(BIN)/ctest --test-dir build/neon --output-on-failure

cuda: $(VENV)/.nvcc  ## static gates on the CUDA kernels, without a GPU (GATES=--update writes the register budgets)
	PYTHONPATH=tests $(BIN)/python -m cuda_gates $(GATES)

emulate: tools  ## the CUDA kernels on the host emulator, without a GPU
	@PYTHONPATH=tests $(BIN)/python -m toolchain || $(MAKE) $(VENV)/.nvcc
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target emulate-cpp emulate-python

emulate-cpp:
	$(BIN)/cmake -S . -B build/emulator -DCMAKE_BUILD_TYPE=Release
	$(BIN)/cmake --build build/emulator --parallel --target emulated
	$(BIN)/ctest --test-dir build/emulator -L emulator --output-on-failure

emulate-python:
	$(BIN)/python -m pytest -m emulator tests/test_emulated_cuda.py

teeth: tools  ## whether that suite bites: kernels with one planted bug each, all of which it must catch
	@PYTHONPATH=tests $(BIN)/python -m toolchain || $(MAKE) $(VENV)/.nvcc
	$(BIN)/python tests/emulator/teeth.py

bench: $(VENV)/.dev  ## this machine, seqgrad against torch.nn: a table, bench.json and bench.svg
	$(BIN)/python benchmarks/bench_layers.py --quick --json bench.json
	$(BIN)/python benchmarks/report.py bench.json --figure bench.svg

docs: tools  ## the documentation into build/docs/site, Spanish part in es/; any warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/docs/doctrees/en docs/en build/docs/site
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -t es -d build/docs/doctrees/es docs/es build/docs/site/es

gpu: $(VENV)/.dev  ## where there is a GPU: CUDA build, its tests, compute-sanitizer, benchmark against cuDNN (DEVICE=cpu: a trial)
	if [ $(DEVICE) = cuda ]; then SEQGRAD_CUDA=1 $(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .; fi
	.ci/gpu $(BIN)/python $(GPU_OUT) $(DEVICE)

build: $(VENV)/.package  ## .venv with torch and the package, editable

tools: $(VENV)/.dev

clean:  ## remove everything that was built or measured
	rm -rf $(VENV) build dist $(OUT) $(GPU_OUT) bench.json bench.svg seqgrad/*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

# What an ordinary Debian or Ubuntu may lack, named all at once before anything is downloaded.
$(VENV)/.torch:
	@missing=""; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	command -v c++ >/dev/null || missing="$$missing g++"; \
	if [ -n "$$missing" ]; then \
	  echo "make: this machine lacks:$$missing. On Debian or Ubuntu: sudo apt install$$missing" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH) "setuptools>=77" wheel ninja
	@touch $@

# Rebuilt when a kernel, its build or the dependencies change; Python files are read where they are.
$(VENV)/.package: $(VENV)/.torch pyproject.toml setup.py $(NATIVE)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[plot,cli,pandas]'
	@touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[dev]'
	@touch $@

# The pinned compiler, unless this machine has the same one and a disassembler.
$(VENV)/.nvcc: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m cuda_gates --find || \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[nvcc]'
	@touch $@
