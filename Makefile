# fastsocks: every target sets up .venv first where that is needed.
# A machine without make, a compiler or headers: scripts/bootstrap.sh TARGET installs them.

PYTHON ?= python3
VENV ?= .venv
OPENSSL_PREFIX ?= $(HOME)/.cache/fastsocks-openssl
# More arguments for pytest: make test ARGS="-k framing -x"
ARGS ?=
# Processes that run tests. Most tests wait for something, so more than there are cores;
# 0 runs them in pytest's own process, for a debugger.
WORKERS ?= 4

python := $(VENV)/bin/python
pip := $(python) -m pip --disable-pip-version-check --quiet
sphinx := $(python) -m sphinx --quiet --fail-on-warning --keep-going --doctree-dir build/docs/doctrees
as_root = $(if $(filter-out 0,$(shell id -u)),sudo --preserve-env)
metadata := pyproject.toml setup.py src/fastsocks/__init__.py

ifneq ($(FASTSOCKS_BUILD),pure)
test test-slow test-root: export FASTSOCKS_REQUIRE_EXTENSIONS ?= 1
endif

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)

# Set-up and build

$(python):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: set PYTHON=")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian: apt-get install python3-venv" >&2; exit 1; }
	$(pip) install --upgrade "pip>=25.1"

# The package is installed in place without its extension modules; `build` makes those.
$(VENV)/installed: $(metadata) | $(python)
	$(pip) install --group build
	FASTSOCKS_BUILD=pure $(pip) install --no-build-isolation --editable .
	@touch $@

$(VENV)/developing: $(VENV)/installed
	$(pip) install --group dev
	! command -v krb5-config >/dev/null || $(pip) install --group test-kerberos
	@touch $@

.PHONY: setup build openssl peers bench-peers
setup: $(VENV)/developing ## Set up .venv with fastsocks and everything for its development

build: $(VENV)/installed ## Build the extension modules in place
	$(python) setup.py --quiet build_ext --inplace

openssl: ## Build a static OpenSSL 3.5 into OPENSSL_PREFIX, for FASTSOCKS_OPENSSL_DIR
	scripts/build_openssl.sh "$(OPENSSL_PREFIX)"

peers: ## Install the programs of others that tests run, for tests and benchmarks
	scripts/install_peers.sh

bench-peers: ## Install every peer that benchmarks know; xray and shadowsocks-rust take minutes
	scripts/install_peers.sh benchmarks

# Running

.PHONY: demo
demo: build ## Run a server and a local proxy on this machine, and say how to try them
	$(python) scripts/demo.py

# Tests and checks

.PHONY: test test-slow test-root outside lint format types layers workflows docs man check bench bench-report bench-micro bench-ratios bench-test
test: setup build ## Run the tests on both implementations
	$(python) -m pytest --numprocesses $(WORKERS) --dist loadfile --benchmark-disable $(ARGS)

test-slow: setup build ## Run the tests that take minutes
	$(python) -m pytest -m slow $(ARGS)

outside: setup build ## Run suites and clients of other projects against fastsocks (Python; cargo, go and node where they are)
	$(python) -m pytest -m outside -p no:cacheprovider tests/outside $(ARGS)

# Everything else runs without; as root, `test` runs these too.
test-root: setup build ## Run the tests that only root can run, by sudo
	$(as_root) $(python) -B -m pytest -m root -p no:cacheprovider $(ARGS)

lint: setup ## Check style
	$(python) -m ruff check .
	$(python) -m ruff format --check .

format: setup ## Repair style
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

types: setup ## Check types
	$(python) -m mypy

layers: setup ## Check that imports and cimports point down the layers
	$(VENV)/bin/lint-imports
	$(python) -m pytest -q tests/test_layers.py

workflows: setup ## Check the workflows and the identifiers of the wheels
	$(VENV)/bin/zizmor --offline --quiet .github
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(python) scripts/check_wheel_identifiers.py

docs: setup ## Build the documentation in build/docs/html; warnings are errors
	$(sphinx) -b html docs build/docs/html

man: setup ## Write the man page and the page of commands, from the help of the commands
	$(python) scripts/command_reference.py

check: lint types layers workflows docs ## lint, types, layers, workflows and docs

bench: setup build ## Measure fastsocks and its peers side by side (ARGS=--quick: minutes)
	$(python) -m benchmarks $(ARGS)

bench-report: setup ## Write docs/benchmarks from what bench measured last
	$(python) -m benchmarks --report .benchmarks/latest.json --publish docs/benchmarks

bench-ratios: setup build ## Measure what Cython is worth against pure Python
	$(python) -m benchmarks.ratios $(ARGS)

# The commit that is built and measured beside this tree; bench-instructions finds one where none is given.
BASE ?= HEAD
.PHONY: bench-compare bench-instructions
bench-compare: setup build ## Measure this tree against BASE=<commit> and pure Python; fails if it is worse for certain
	$(python) -m benchmarks.compare $(BASE) $(ARGS)

bench-instructions: setup build ## Count instructions of fixed work, here and at BASE (valgrind); fails if more without a word of it
	$(python) -m benchmarks.instructions $(if $(filter file,$(origin BASE)),,--base $(BASE)) $(ARGS)

bench-test: setup build ## Test the load generator and the reports
	$(python) -m pytest benchmarks/test_load.py benchmarks/test_report.py benchmarks/test_compare.py benchmarks/test_instructions.py $(ARGS)

bench-micro: setup build ## Measure single functions in both implementations
	$(python) -m pytest benchmarks/micro $(ARGS)

# Builds of their own for diagnosis, below build/

.PHONY: sanitize fuzz coverage
sanitize: setup ## Run the tests on extension modules with AddressSanitizer and UBSan (ARGS: of pytest)
	WORKERS=$(WORKERS) scripts/sanitize.sh $(python) $(ARGS)

# Seconds for each of TARGETS, which are all without it; KEEP=1 adds to the corpus what reached more.
SECONDS ?= 60
fuzz: setup build ## Run the fuzz targets (clang: also guided by the C code; SECONDS=60, TARGETS="url rule", KEEP=1)
	$(pip) install --group fuzz
	! command -v clang >/dev/null || CC=clang $(python) scripts/build_variant.py fuzz
	PYTHONPATH=src:tests $(python) -m fuzz --seconds $(SECONDS) $(if $(KEEP),--keep) $(TARGETS)

coverage: setup ## Print which lines tests run, of Python and Cython together (ARGS: of pytest)
	$(pip) install --group coverage
	scripts/coverage.sh $(python) $(ARGS)

# Distributions

.PHONY: sdist wheel pure-wheel wheels prove-wheels prove-systems sbom clean
sdist: setup ## Make the source distribution in dist/
	$(python) -m build --sdist

wheel: setup ## Make a wheel for this machine in dist/
	$(python) -m build --wheel

pure-wheel: setup ## Make the wheel without extension modules in dist/
	FASTSOCKS_BUILD=pure $(python) -m build --wheel

wheels: setup ## Make the wheels of this machine's platform in dist/, as they are released (Docker, or macOS)
	$(pip) install --group wheels
	$(python) -m cibuildwheel --archs native --output-dir dist

# The interpreters for which prove-wheels builds and tries wheels.
PYTHONS ?= $(PYTHON)
prove-wheels: ## Build wheels for PYTHONS without Docker, and try them where no compiler is found
	test -f "$(OPENSSL_PREFIX)/version" || $(MAKE) openssl
	FASTSOCKS_OPENSSL_DIR="$(OPENSSL_PREFIX)" scripts/prove_wheels.sh $(PYTHONS)

# SYSTEMS of scripts/prove_systems.sh; empty is all.
SYSTEMS ?=
prove-systems: ## Run what the README says on new Debian 12 and 13 and Ubuntu 24.04, as root and not (ARGS: of pytest)
	ARGS="$(ARGS)" scripts/prove_systems.sh $(SYSTEMS)

sbom: setup ## Write what a wheel brings along to dist/sbom.cdx.json (CycloneDX)
	scripts/sbom.sh $(PYTHON) dist/sbom.cdx.json

clean: ## Remove what was built, but not .venv
	rm -rf build dist src/*.egg-info
	find src -name '*.so' -delete
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
