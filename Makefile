# make demo        animates two example photos with the default model, into examples/out/
# make test        runs the quick tests: every module, and every kernel against its reference
# make test-slow   runs the slow ones: packaging, Ray, recipes, CUDA sources on the CPU, browsers, ...
# make test-all    runs both
# make lint        runs ruff, mypy and clang-format
# make sanitize    runs the kernels' tests with the native library under AddressSanitizer and UndefinedBehaviorSanitizer
# make soak        runs 100,000 random kernel calls (CASES) with that library; opens damaged .cine files; runs the
#                  service on this machine with 200 clients for MINUTES, with requests generated from its schema, with
#                  damaged uploads, killed 20 times, with a disk that is filled and freed for MINUTES (needs root), and
#                  for 500 animations in a row, of which the memory is watched; executes the notebook. Writes to
#                  benchmarks/results/
# make bench       measures speed, into benchmarks/results/; only meaningful on an idle machine
# make quick-figures measures what photo to MP4 costs, of two photos, against the last release, in two minutes
# make gpu         on a machine with a GPU: compares its kernels with the CPU's, alone and under compute-sanitizer, measures
#                  and profiles them, into benchmarks/results/; fails without a GPU
# make quality     measures every loop of the photos in FOLDER (default: examples/), with labels/ and val.txt if it has
#                  them, into benchmarks/results/quality.md and .json
# make pack        packs the photos in FOLDER, with all their labels, into .pack/eye.npz
# make train-gpu   on a machine with a GPU: trains the eye for MINUTES on that pack, in .runs/eye, from where the last
#                  run or else pretrained/eye.safetensors ended, and writes its weights there; with FOLD=0..4, without
#                  that fold of the photos and from .pack/backbone.safetensors (convert_efficientnet.py), which has seen
#                  none. Needs torch, numpy, scipy, Pillow and safetensors in GPU_PYTHON only
# make train-smoke runs every recipe for a few steps, from photos to a model that animates, into .runs/smoke
# make wheels      builds the sdist and the wheels for Linux, macOS and Windows into dist/, and checks them
# make clean       removes everything these created
#
# Each works in a fresh clone: it first creates a virtual environment in .venv. pip's own settings (PIP_INDEX_URL,
# PIP_CONSTRAINT, pip.conf, ...) apply; TORCH chooses the PyTorch to install, for example
# make test TORCH='torch==2.13.0+cpu'.

PYTHON ?= python3
TORCH  ?= torch>=2.11,<2.14
PHOTOS ?= examples/sea.jpg examples/waterfall.jpg
CASES  ?= 100000
MINUTES ?= 5
GPU_PYTHON ?= python3
FOLDER ?= examples

# Python itself is not sanitized, so the sanitizer's library is preloaded; leaks of Python are ignored.
SANITIZE := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=undefined
SANITIZED = STYLECINE_LIB="$(CURDIR)/build/sanitized" ASAN_OPTIONS=detect_leaks=0 CXXFLAGS="$(SANITIZE)" \
  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)"

BIN := .venv/bin
OUT := examples/out
# One thread each: images are small, and every core has a process of its own. If one crashes, the others do the rest:
# xdist waits forever for a replacement in the middle of a group. Bytecode is kept even where the environment says no:
# compiling the tests takes every process half of its start, and the processes they start compile the package again.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --max-worker-restart 0 \
  --dist loadgroup --no-loadscope-reorder
SOURCES := $(wildcard cuda_ops/*.h cuda_ops/*.cpp cuda_ops/*.cu examples/c/*.c tests/ops/cuda_on_cpu/*.h)
NATIVE := $(wildcard cuda_ops/*.h cuda_ops/*.cpp cuda_ops/*.cu cuda_ops/*.py)

.PHONY: demo test test-slow test-all lint sanitize soak soak-service bench quick-figures gpu quality pack train-gpu train-smoke wheels clean

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

test-slow: .venv/installed-test
	$(PYTEST) -m slow

test-all: test test-slow

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
	$(BIN)/python -m benchmarks.soak_kills
	$(BIN)/python -m benchmarks.soak_full_disk --minutes $(MINUTES)
	$(BIN)/python -m benchmarks.soak_memory

build/sanitized: .venv/installed-test $(NATIVE)
	CXXFLAGS="$(SANITIZE) -fno-omit-frame-pointer -g" \
	  STYLECINE_CPU=1 STYLECINE_CUDA=0 $(BIN)/python cuda_ops/build_native.py $@
	touch $@

bench: .venv/installed
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.fps

quick-figures: .venv/installed
	$(BIN)/python -m benchmarks.cost

gpu: .venv/installed-test
	$(BIN)/python -m benchmarks.gpu

quality: .venv/installed-test
	$(BIN)/python -m benchmarks.quality "$(FOLDER)" $(if $(wildcard $(FOLDER)/val.txt),--split "$(FOLDER)/val.txt") --speed

wheels: .venv/installed-wheels
	$(BIN)/python .ci/wheels.py dist

pack: .venv/installed
	$(BIN)/python pretrained/recipes/eye_data.py "$(FOLDER)" --out .pack/eye.npz

train-gpu: .pack/eye.npz
	$(GPU_PYTHON) pretrained/recipes/train_eye.py --photos .pack/eye.npz --device cuda --minutes $(MINUTES) --batch 64 \
	  --workers $$(($$(nproc) - 1)) \
	  $(if $(FOLD),--fold $(FOLD) --backbone .pack/backbone.safetensors,--start pretrained/eye.safetensors)
	$(GPU_PYTHON) pretrained/recipes/train_eye.py --export .runs/eye/eye.safetensors

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
