# make demo    animate two example photos with the default model, into examples/out/
# make test    run the quick tests: every module, every kernel against its reference
# make test-all    the same, then the slow ones: packaging, Ray, recipes, CUDA sources run on the CPU, browsers, ...
# make lint    ruff, mypy and clang-format
# make sanitize    the kernels' tests, the native library compiled with AddressSanitizer and UndefinedBehaviorSanitizer
# make soak    100,000 random cases (CASES) with that library, into benchmarks/results/fuzz.json; goes on where it stopped;
#              damaged .cine files; the service, on this machine alone: 200 clients for MINUTES, requests made up from its
#              description, damaged uploads; into benchmarks/results/soak_*.json; the tutorial notebook, executed
# make bench   how fast it is on this machine, quiet if the figures are to mean something: into benchmarks/results/
# make quality FOLDER=...   every measure of a loop, on a folder of photos (with labels/ and val.txt where it has them),
#              into benchmarks/results/quality.md and .json; without FOLDER, of examples/
# make train-smoke   every recipe for a few steps, from photos to a model that animates, into .runs/smoke
# make clean   remove what these made
#
# Each works on a fresh clone: a virtual environment is made in .venv first. pip's own settings (PIP_INDEX_URL,
# PIP_CONSTRAINT, pip.conf, ...) apply; TORCH says which PyTorch to install, for example
# make test TORCH='torch==2.13.0+cpu'.

PYTHON ?= python3
TORCH  ?= torch>=2.11,<2.14
PHOTOS ?= examples/sea.jpg examples/waterfall.jpg
CASES  ?= 100000
MINUTES ?= 5
FOLDER ?= examples

# Python itself is not sanitized, so the sanitizer's library has to be there before it; its own leaks are no matter.
SANITIZE := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=undefined
SANITIZED = STYLECINE_LIB="$(CURDIR)/build/sanitized" ASAN_OPTIONS=detect_leaks=0 CXXFLAGS="$(SANITIZE)" \
  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)"

BIN := .venv/bin
OUT := examples/out
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadgroup --no-loadscope-reorder
SOURCES := $(wildcard cuda_ops/*.h cuda_ops/*.cpp cuda_ops/*.cu examples/c/*.c tests/ops/cuda_on_cpu/*.h)
NATIVE := $(wildcard cuda_ops/*.h cuda_ops/*.cpp cuda_ops/*.cu cuda_ops/*.py)

.PHONY: demo test test-all lint sanitize soak soak-service bench quality train-smoke clean

demo: .venv/installed
	mkdir -p $(OUT)
	@set -e; for photo in $(PHOTOS); do \
	  name=$$(basename "$${photo%.*}"); \
	  echo "$$photo -> $(OUT)/$$name.mp4"; \
	  $(BIN)/stylecine animate "$$photo" -o "$(OUT)/$$name.mp4" --json > "$(OUT)/$$name.json.part"; \
	  mv "$(OUT)/$$name.json.part" "$(OUT)/$$name.json"; \
	  $(BIN)/python -m json.tool "$(OUT)/$$name.json"; \
	done

test: .venv/installed-test
	$(PYTEST) -m "not slow"

test-all: test
	$(PYTEST) -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(SOURCES)

sanitize: build/sanitized
	$(SANITIZED) $(BIN)/python -m pytest --capture=sys tests/ops

soak: build/sanitized .venv/installed-notebook soak-service
	$(SANITIZED) $(BIN)/python -m benchmarks.fuzz_kernels --cases $(CASES)
	$(BIN)/python -m benchmarks.fuzz_cine
	$(BIN)/jupyter-execute examples/tutorial.ipynb

soak-service: .venv/installed-soak
	$(BIN)/python -m benchmarks.soak_clients --minutes $(MINUTES)
	$(BIN)/python -m benchmarks.soak_schema
	$(BIN)/python -m benchmarks.soak_uploads

build/sanitized: .venv/installed-test $(NATIVE)
	CXXFLAGS="$(SANITIZE) -fno-omit-frame-pointer -g" \
	  STYLECINE_CPU=1 STYLECINE_CUDA=0 $(BIN)/python cuda_ops/build_native.py $@
	touch $@

bench: .venv/installed-bench
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/baseline.py
	$(BIN)/python benchmarks/fps.py
	$(BIN)/python benchmarks/plots.py

quality: .venv/installed-test
	$(BIN)/python benchmarks/quality.py "$(FOLDER)" $(if $(wildcard $(FOLDER)/val.txt),--split "$(FOLDER)/val.txt") --speed

train-smoke: .venv/installed
	$(BIN)/python pretrained/recipes/smoke.py

clean:
	rm -rf .venv build dist stylecine/lib *.egg-info $(OUT) .pytest_cache .mypy_cache .ruff_cache

.venv/torch:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install "$(TORCH)"
	touch $@

.venv/installed: .venv/torch pyproject.toml setup.py $(NATIVE)
	$(BIN)/python -m pip install --editable .
	touch $@

.venv/installed-%: .venv/installed
	$(BIN)/python -m pip install --editable ".[$*]"
	touch $@
