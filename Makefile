# `make` lists what there is. Needs Python 3.11 and, for a local Kafka, Java 17 with Maven, or Docker; what the tests need
# besides (openssl, promtool, Chromium), `.ci/tools` names where it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= 2

.PHONY: help setup demo test check bench peers garbage horizon soak chaos fuzz sbom compose-test secrets screenshots schemas reference docs format requirements clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: pyproject.toml .ci/requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 with its venv module, or set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/ready ## make the virtual environment

demo: setup ## the main job on a real Kafka (ARGS="--events 20000")
	$(BIN)/gateway demo $(ARGS)

test: setup ## all tests but the containers', JOBS=2 at a time (ARGS="-k horizon"); needs openssl, promtool, Chromium
	@.ci/tools openssl promtool chromium
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

check: setup ## style, types, imports, contract files, list
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/gateway schema check
	$(BIN)/gateway list validate
	$(BIN)/python -m docs.reference --check

bench: setup peers ## the gateway beside its peers (ARGS="--quick"; about an hour), and all else that benchmarks/README.md tells
	$(BIN)/python -m benchmarks $(ARGS)

$(VENV)-peers/ready: .ci/requirements-peers.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-peers.txt
	@touch $@

peers: $(VENV)-peers/ready ## the environment of the benchmark's peers, which shares nothing with the gateway's

garbage: setup ## how much a topic full of garbage slows the good partition next to it (ARGS="--rounds 5")
	$(BIN)/python -m benchmarks.garbage $(ARGS)

horizon: setup ## memory that a million ids of duplicates' horizon take (ARGS="--ids 1000000")
	$(BIN)/python -m benchmarks.horizon $(ARGS)

soak: setup ## half an hour at 5,000/s: memory, lag, latency, plotted in dist/soak (ARGS="--minutes 30 --rate 5000")
	$(BIN)/python -m benchmarks.soak $(ARGS)

chaos: setup ## every fault many times amid 2 million events, and what came of it (ARGS="--events 100000 --only broker")
	$(BIN)/python -m tests.faults $(ARGS)
	REJECTIONS=100000 $(BIN)/pytest tests/kafka/test_feedback.py -k kills_and_rebalances

secrets: setup .env.example ## the passwords that docker-compose.yml wants, in secrets/ (made once)
	$(BIN)/gateway secrets secrets

.env.example: $(wildcard docker-compose*.yml) # every variable of the files, with its default
	@{ echo "# Copy to .env and change what you like. Passwords are files in SECRETS_DIR, never variables."; \
	  grep -ohE '\$$\{[A-Z0-9_]+:-[^}]*\}' $^ | sort -u | sed -E 's/^\$$\{([A-Z0-9_]+):-(.*)\}$$/\1=\2/'; } > $@

fuzz: setup ## coverage-guided fuzzing of reading and deciding (ARGS="-runs=5000000")
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-fuzz.txt
	$(BIN)/python -m tests.fuzz .fuzz -max_len=4096 -print_final_stats=1 $(or $(ARGS),-max_total_time=600)

sbom: ## what is installed with the gateway, as CycloneDX, in dist/sbom.cdx.json
	$(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-sbom.txt
	mkdir -p dist
	$(VENV)-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sbom.cdx.json .ci/requirements.txt

compose-test: setup ## image, docker-compose.yml and testcontainers, run for real (needs a Docker engine)
	@.ci/tools openssl promtool
	$(BIN)/pytest tests/compose -p no:randomly $(ARGS)

screenshots: setup ## the documents' pictures, taken of the real page
	@.ci/tools chromium
	$(BIN)/python -m docs.screenshots

schemas: setup ## write schemas/ from the code
	$(BIN)/gateway schema export

reference: setup ## write docs/reference/ from the code
	$(BIN)/python -m docs.reference

docs: reference ## the documentation as pages in dist/docs/, strictly
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-docs.txt
	$(VENV)-docs/bin/sphinx-build -q -W --keep-going -E -b dirhtml docs dist/docs
	$(BIN)/python -m docs.outside dist/docs

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PINS := --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --upgrade \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# What the image's commands and settings need; not `demo`: no broker is started in a container. By name, as `all` would pin
# this package itself.
IMAGE_EXTRAS := --extra=otel --extra=report --extra=sm2

requirements: ## pin the dependencies again, with hashes and without addresses
	$(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/pip install --quiet pip-tools
	$(VENV)-pins/bin/pip-compile $(PINS) $(IMAGE_EXTRAS) -o .ci/requirements.txt pyproject.toml
	$(VENV)-pins/bin/pip-compile $(PINS) $(IMAGE_EXTRAS) --extra=demo --extra=dev -o .ci/requirements-dev.txt pyproject.toml
	$(VENV)-pins/bin/pip-compile $(PINS) --build-deps-for=wheel --only-build-deps -o .ci/requirements-build.txt pyproject.toml
	echo cyclonedx-bom | $(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-sbom.txt -
	$(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-peers.txt benchmarks/peers/requirements.in
	echo atheris | $(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-fuzz.txt -

clean: ## remove what was made
	rm -rf $(VENV) $(VENV)-peers $(VENV)-pins $(VENV)-sbom benchmarks/kafka-streams/target .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
