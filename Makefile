# What each target does can be done by hand: see site/running.md.

PYTHON ?= python3
BIN := .venv/bin

# Makes .venv ready. If PYTHON is given, .venv must have that Python. With WHEELS=folder, packages come from there and
# from nowhere else.
READY := "$(PYTHON)" tools/environment.py $(if $(filter file,$(origin PYTHON)),,--chosen) \
	$(if $(WHEELS),--wheels "$(WHEELS)") $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)")

# Further options for JupyterLab, as in make lab LAB_OPTIONS="--no-browser --port=8890".
LAB_OPTIONS :=

# What make nbval runs.
NOTEBOOKS := notebooks

# The saved outputs come from mini; with the network off, no other model can be used by accident.
OFFLINE := HEADLAB_MODEL=mini HF_HUB_OFFLINE=1

# In a container the user is often root, which JupyterLab refuses without this option.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# Each file of tests, and each notebook, runs in one of two processes with one thread each. With more threads than cores,
# they wait for each other, and a lesson takes several times as long.
TWO_AT_A_TIME := -n 2 --no-loadscope-reorder
test nbval lowest: export OMP_NUM_THREADS := 1

.PHONY: lab test nbval handout offline-class wheels ready-lab ready-test ready-wheels notebooks site course class bench fuzz stress mutants audit lowest lock clean help

lab: ready-lab  ## open lesson 1 in JupyterLab; installs and repairs what is missing
	@test -n "$$HEADLAB_MODEL" || $(BIN)/python -m headlab download gpt2 --if-reachable
	@$(BIN)/python tools/own_copies.py
	$(BIN)/python -m jupyterlab $(ALLOW_ROOT) --ServerApp.ip=127.0.0.1 $(LAB_OPTIONS) \
		--notebook-dir=my-lessons my-lessons/01_causal_masking.ipynb

test: ready-test  ## run every test and every notebook
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(if $(wildcard tools/build_notebooks.py),$(BIN)/python tools/build_notebooks.py --check)
	$(BIN)/python -m pytest $(TWO_AT_A_TIME) --dist loadfile --durations=10
	@$(MAKE) --no-print-directory nbval

# Every cell of every notebook, or of the one that NOTEBOOKS names, its output compared with the saved one.
nbval: ready-test  ## run the notebooks and compare their outputs; NOTEBOOKS=... for one of them
	$(OFFLINE) $(BIN)/python -m pytest $(TWO_AT_A_TIME) --dist loadscope \
		--nbval -p no:cacheprovider -o addopts= -o filterwarnings= -o timeout=600 $(NOTEBOOKS)

# The course as students get it: handout/headlab.zip.
handout: ready-test  ## make the copy for students: handout/headlab.zip
	$(BIN)/python tools/handout.py

# A class without a network, with the commands of site/running.md as they stand: a quarter of an hour. Linux only.
offline-class: handout wheels  ## simulate a class without a network: a quarter of an hour, Linux only
	$(BIN)/python tools/offline_class.py handout/headlab wheels

# The packages as files, for machines without a network: in wheels/, or the folder that WHEELS names.
wheels: ready-wheels  ## download the packages for machines without a network

ready-lab ready-test ready-wheels: ready-%:
	@command -v "$(PYTHON)" > /dev/null || { \
		echo "There is no $(PYTHON) here: install Python 3.12 (python.org has it), or name yours: make $* PYTHON=..." >&2; \
		exit 1; }
	@$(READY) $*

notebooks: ready-test  ## build the notebooks from lessons/
	$(BIN)/python tools/build_notebooks.py

# The course as a static website: build/site/html.
site: ready-test  ## build the website: build/site/html
	$(BIN)/python tools/build_site.py

# An nbgrader course of the masters, in course/: sources, release and settings (COURSE_OPTIONS="--model gpt2").
course: ready-test  ## build an nbgrader course: course/
	$(BIN)/python tools/course.py $(COURSE_OPTIONS)

# A hundred invented students of lesson 1, graded by nbgrader, timed: a few minutes.
class: ready-test  ## grade a hundred invented students: a few minutes
	$(BIN)/python tools/planted_class.py 100

# headlab compared with similar packages, which have an environment of their own: the tables and the figure of
# benchmarks/. Takes a quarter of an hour on an otherwise idle machine; the explorers' table needs Chromium.
bench: .venv-bench/.bench ready-test  ## compare speed and memory with similar packages: a quarter of an hour
	.venv-bench/bin/python benchmarks/peers.py | tee benchmarks/peers.md
	.venv-bench/bin/python benchmarks/interventions.py | tee benchmarks/interventions.md
	.venv-bench/bin/python benchmarks/scaling.py benchmarks/scaling.png | tee benchmarks/scaling.md
	$(BIN)/python benchmarks/explorers.py | tee benchmarks/explorers.md

.venv-bench/.bench: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q -c constraints.txt -e ".[bench]"
	touch $@

# 10,000 examples for every function of the fuzz suite: an hour.
fuzz: ready-test  ## try 10,000 examples of each function: an hour
	$(BIN)/python -m pytest --hypothesis-profile=fuzz -o timeout=0 tests/test_fuzz.py tests/test_fuzz_figures.py

# Twenty runs of all notebooks in kernels with no network and little memory, then interrupted cells: hours. Linux only.
stress: ready-test  ## run all notebooks twenty times: hours, Linux only
	setpriv --bounding-set -dac_override $(BIN)/python tools/stress.py

# Random mistakes in the committed code, and which of them the tests notice: build/mutants.csv. It has an environment of
# its own, since cosmic-ray in .venv would make a test of the packages fail.
mutants:  ## plant 200 random mistakes and count those that the tests notice: an hour and a half
	$(PYTHON) -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install -q -c constraints.txt -e ".[test,cluster,teach]" cosmic-ray==8.7.0
	.venv-mutants/bin/python tools/mutants.py $(MUTANTS)

# Known vulnerabilities in the packages of the lock; fails, too, if a package could not be looked up.
audit:  ## look for known vulnerabilities in the packages
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install -q pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# The tests with the oldest packages that pyproject.toml allows, except torch, whose version is the lock's. Old packages
# cause each other's warnings, so a warning is no failure here. The notebooks must run; their outputs may look different.
lowest:  ## test with the oldest packages
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install -q uv
	.venv-lowest/bin/uv pip compile -q pyproject.toml --extra test --extra cluster --extra teach --resolution lowest-direct \
		--override tools/lock-torch.txt --no-header --no-annotate --output-file .lowest.part
	grep -vE '^(triton|nvidia-|cuda-)' .lowest.part > .venv-lowest/constraints.txt
	rm .lowest.part
	.venv-lowest/bin/python -m pip install -q -c .venv-lowest/constraints.txt -e ".[test,cluster,teach]"
	.venv-lowest/bin/python -m pytest $(TWO_AT_A_TIME) --dist loadfile -o filterwarnings=
	$(OFFLINE) .venv-lowest/bin/python -m pytest $(TWO_AT_A_TIME) --dist loadscope \
		--nbval-lax -p no:cacheprovider -o addopts= -o filterwarnings= -o timeout=600 notebooks

# The whole set of packages for Python 3.11 to 3.13 on Linux, macOS and Windows. torch's CUDA packages stay out:
# torch pins them itself where its CUDA build is wanted.
lock:  ## choose the newest versions of all packages: constraints.txt
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		--constraint tools/lock-torch.txt --output-file .lock.part
	(cat tools/lock-torch.txt; grep -vE '^(torch|triton|nvidia-|cuda-)|emscripten' .lock.part) > constraints.txt
	rm .lock.part

clean:  ## delete the environments and caches
	rm -rf .venv .venv-bench .venv-mutants .venv-audit .venv-lowest screenshots .pytest_cache .ruff_cache .hypothesis

help:  ## list these commands
	@awk -F ":.*  ## " '/^[a-z-]+:.*  ## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile
