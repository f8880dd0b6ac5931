# The verbs of the project, by hand and in CI. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -eo pipefail -c

PYTHON ?= $(shell command -v python3.11 || echo python3)
# Where pip looks for torch when set: the address of PyTorch's own CPU index saves a PC without a GPU gigabytes (CONTRIBUTING.md).
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# What is installed is named by what it was installed from: a change of these installs anew, and nothing else does.
LOCKS := images/requirements-dev.lock images/torch.txt images/mmcv/requirements.lock images/openmmlab.lock images/oracles.lock
PACKAGES := $(VENV)/.packages-$(shell ($(PYTHON) -VV; cat $(LOCKS)) 2>&1 | sha256sum | cut -c 1-16)
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check types rules format bench docs gpu gpu-pack e2e crash golden lock images rehearsal manifests kind clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install the locked packages; does nothing when they are there

demo: $(INSTALLED) ## the whole pipeline on generated data, with its own object store
	@$(BIN)/detkds demo

test: $(INSTALLED) ## all tests
	@$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## format, lint, types, import rules, compiled pipelines, manifests, Dockerfiles
	@$(MAKE) --no-print-directory --jobs=2 types rules

types: $(INSTALLED)
	@$(BIN)/mypy

rules: $(INSTALLED)
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pipelines.compile --check
	@$(BIN)/python -m pipelines.lint
	@$(BIN)/python -m manifests.check
	@$(BIN)/shellcheck manifests/kind.sh
	@for file in images/Dockerfile images/Dockerfile.light; do $(BIN)/hadolint --config .hadolint.yaml $$file || exit 1; done

format: $(INSTALLED) ## put every file in the one format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

bench: $(INSTALLED) ## the figures of benchmarks/RESULTS.md
	@for suite in benchmarks/*/bench.py; do $(BIN)/python "$$suite"; done

# Where `make gpu-pack` puts, and `make gpu` looks for, what a machine with a GPU and no network lacks; BCCD is the blood cells' folder.
GPU_PACK := .gpu-pack
BCCD ?=

gpu-pack: $(INSTALLED) ## fill .gpu-pack with what make gpu needs on a machine without a network
	@$(BIN)/python benchmarks/gpu/pack.py $(GPU_PACK) $(if $(BCCD),--data $(BCCD))

# Needs that machine's own Python 3.12 with torch; results go to gpu.jsonl, line by line, in at most eight minutes.
gpu: ## measure on this machine's GPU, with .gpu-pack
	@site=$$(mktemp -d) && trap 'rm -rf "$$site"' EXIT && \
	    python3 -m pip install -q --no-index --no-deps --no-compile --target "$$site" $(GPU_PACK)/wheels/*.whl && \
	    tar xzf $(GPU_PACK)/python.tar.gz -C "$$site" && \
	    PYTHONPATH=$(CURDIR):$$site timeout 480 python3 -W ignore benchmarks/gpu/bench.py --out gpu.jsonl \
	        $(if $(wildcard $(GPU_PACK)/bccd),--data $(GPU_PACK)/bccd)

e2e: $(INSTALLED) ## only the tests that run whole pipelines
	@$(PYTEST) tests/e2e

crash: $(INSTALLED) ## only the tests that kill, cut and restart
	@$(PYTEST) tests/crash

docs: $(INSTALLED) ## the documentation with its API pages, into build/site; every warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

golden: $(INSTALLED) ## compile the pipelines into detkds/compiled
	@$(BIN)/python -m pipelines.compile

# Keeps the versions that are pinned; to raise one: make lock UPGRADE="--upgrade-package NAME"
lock: $(INSTALLED) ## pin the packages of images/*.in, with hashes
	@cd images && for name in requirements requirements-dev light; do \
	    CUSTOM_COMPILE_COMMAND="make lock" ../$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --annotation-style=line $(UPGRADE) \
	        --output-file=$$name.lock $$name.in || exit 1; \
	done

# Options of images/build.py: make images OPTIONS="--repository registry.example.org/team --push"
images: ## build the container images with docker, podman or buildah
	@$(PYTHON) images/build.py $(OPTIONS)

# Other images, or a GPU: make rehearsal OPTIONS="--image detkds:mine --flags '--gpus all'"
rehearsal: ## the six stages in containers of the built images, without a cluster
	@$(PYTHON) -m images.rehearsal $(OPTIONS)

manifests: $(INSTALLED) ## build and check the manifests for Kubernetes
	@$(BIN)/python -m manifests.check

kind: $(INSTALLED) ## a cluster on this machine, KFP, our manifests, and a run; needs docker and kind
	@manifests/kind.sh

clean: ## remove .venv and what tools leave behind; results in .detkds stay
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): $(PACKAGES) pyproject.toml
	@echo "4/4 detkds"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# torch before mmcv, whose operators are compiled against it; OpenMMLab's packages without their OpenCV (docs/adr).
# Compiling the 19,000 files of the first two steps takes pip a minute and a half; Python compiles those that are used, when they first are.
# mmdet's own files are compiled here, because that gives warnings, and a warning in a test is an error.
$(PACKAGES):
	@$(PYTHON) -c pass 2>/dev/null || { echo "cannot install: no $(PYTHON); apt install python3.11 python3.11-venv python3.11-dev"; exit 1; }
	@$(PYTHON) images/preflight.py
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "1/4 locked packages"
	@$(PIP) install --no-compile --require-hashes -r images/requirements-dev.lock
	@echo "2/4 torch"
	@$(PIP) install --no-compile $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r images/torch.txt
	@echo "3/4 mmengine, mmdet and mmcv, whose operators take a minute or two to compile, once a machine"
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r images/openmmlab.lock
	@$(PIP) install --require-hashes --no-deps -r images/oracles.lock
	@wheel=$$($(BIN)/python images/mmcv/build_wheel.py | tail -n 1) && $(PIP) install --no-deps "$$wheel"
	@touch $@
