# `make demo` and `make test` do all the set-up they need, on a machine with git, make and Python alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help judge browser demo deb test check lint bench fuzz faults soak clean

help:
	@echo "make demo    a real Xen host in QEMU; create, save and restore a guest on it"
	@echo "make deb     a package for this Debian, or for another one (SUITE=trixie), in dist/"
	@echo "make test    every test, the lab's too"
	@echo "make check   lint, types, and the tests that need no lab"
	@echo "make bench   pyxl against xl, paired, on the lab; the memory engine without Xen (BENCH, SIZES, FILLS, PAIRS choose)"
	@echo "make fuzz    ten thousand damaged files through what reads checkpoints; minutes"
	@echo "make faults  the table of faults, through pyxl and through xl, on the lab (PYXL_FAULTS=REGEX chooses)"
	@echo "make soak    that, damaged files, cycles, signals, races, and every example's boot, as often as it takes; hours"
	@echo "make clean   remove the virtual environment (the lab: pyxl lab destroy)"

# Debian splits venv off Python, and forbids pip outside of one.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv; \
		else echo "pyxl: Python has no venv; run: sudo apt-get install python3-venv" >&2; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

# Judges: zstd of compressed checkpoints, mandoc and groff of the manual's pages, zsh and fish of what completes in them.
JUDGES := zstd mandoc groff-base zsh fish
judge:
	@for program in $(JUDGES:-base=); do command -v $$program >/dev/null || missing=$$program; done; \
	[ -z "$$missing" ] || { \
		if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends $(JUDGES); \
		else echo "pyxl: $$missing is not installed; run: sudo apt-get install $(JUDGES)" >&2; exit 1; fi; }

# Debian's Chromium is the judge of HTML pages.
BROWSER := chromium chromium-driver fonts-dejavu-core
browser:
	@command -v chromedriver >/dev/null && command -v chromium >/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends $(BROWSER); \
		else echo "pyxl: Chromium is not installed; run: sudo apt-get install $(BROWSER)" >&2; exit 1; fi; }

demo: $(STAMP)
	$(BIN)/pyxl lab demo

deb:
	@debian/build-package $(SUITE)

test: $(STAMP) judge browser lint
	$(BIN)/python -m pytest

check: $(STAMP) judge lint
	$(BIN)/python -m pytest -m "not lab"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP) judge browser
	$(BIN)/python -m tests.bench

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz

faults: $(STAMP)
	$(BIN)/python -m tests.xen.faults faults

soak: $(STAMP)
	$(BIN)/python -m tests.xen.faults soak
	PYXL_SOAK=1 $(BIN)/python -m pytest -m soak
	PYXL_TEST_SUITE=trixie $(BIN)/python -m pytest

clean:
	rm -rf $(VENV) *.egg-info build
