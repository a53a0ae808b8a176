# make demo    animate two example photos with the default model, into examples/out/
# make test    run the tests
# make lint    ruff and mypy
# make clean   remove what these made
#
# Each works on a fresh clone: a virtual environment is made in .venv first. pip's own settings (PIP_INDEX_URL,
# PIP_CONSTRAINT, pip.conf, ...) apply; TORCH says which PyTorch to install, for example
# make test TORCH='torch==2.13.0+cpu'.

PYTHON ?= python3
TORCH  ?= torch>=2.11,<2.14
PHOTOS ?= examples/sea.jpg examples/waterfall.jpg

BIN := .venv/bin
OUT := examples/out

.PHONY: demo test lint clean

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
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv build dist *.egg-info $(OUT) .pytest_cache .mypy_cache .ruff_cache

.venv/torch:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install "$(TORCH)"
	touch $@

.venv/installed: .venv/torch pyproject.toml setup.py
	$(BIN)/python -m pip install --editable .
	touch $@

.venv/installed-%: .venv/installed
	$(BIN)/python -m pip install --editable ".[$*]"
	touch $@
