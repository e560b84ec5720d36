# `make` lists what there is. Needs Python 3.11 and, for a local Kafka, Java 17 with Maven, or Docker; what the tests need
# besides (openssl, promtool, Chromium), `.ci/tools` names where it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
KERNEL ?= auto
JOBS ?= 3

.PHONY: help setup kernel demo test clients clients-built check bench peers garbage horizon archive-bench soak chaos fuzz fuzz-kernel sbom compose-test secrets screenshots schemas reference docs format requirements clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: pyproject.toml .ci/requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 with its venv module, or set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/ready ## make the virtual environment, and the native kernel where Rust 1.88 is installed (KERNEL=off: without)
	@kernel/install $(VENV) $(KERNEL)

kernel: $(VENV)/ready ## build the native kernel, and fail where it cannot be built
	@kernel/install $(VENV) on

demo: setup ## the main job on a real Kafka (ARGS="--events 20000")
	$(BIN)/gateway demo $(ARGS)

test: setup ## all tests but the containers', JOBS=3 at a time, as most wait for a broker (ARGS="-k horizon"); needs openssl, promtool, Chromium
	@.ci/tools openssl promtool chromium
	KAFKA_JVM_PERFORMANCE_OPTS="$$($(BIN)/python -m tests.class_archive)" $(BIN)/pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

$(VENV)-clients/ready: .ci/requirements-clients.txt
	$(PYTHON) -m venv $(VENV)-clients
	$(VENV)-clients/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-clients.txt
	@touch $@

tests/clients/java/target/ready: tests/clients/java/pom.xml $(shell find tests/clients/java/src -name '*.java')
	cd tests/clients/java && mvn --quiet --batch-mode compile dependency:copy-dependencies
	@touch $@

tests/clients/node/node_modules/ready: tests/clients/node/package-lock.json
	cd tests/clients/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

tests/clients/go/build/client: $(wildcard tests/clients/go/*.go) tests/clients/go/go.sum
	cd tests/clients/go && go build -o build/client .

CLIENTS := $(VENV)-clients/ready tests/clients/java/target/ready tests/clients/node/node_modules/ready tests/clients/go/build/client

# The tools come first: they are named before something fails for want of one.
clients-built: setup ## the programs of `make clients`, fetched and compiled
	@.ci/tools --only-name java mvn node npm go
	@$(MAKE) --no-print-directory $(CLIENTS)

clients: clients-built ## CloudEvents SDKs of 4 languages against the gateway, ajv against its schemas (ARGS="-k java"); needs Java, Node, Go
	$(BIN)/pytest tests/clients $(ARGS)

check: setup ## style, types, imports, contract files, list
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/gateway schema check
	$(BIN)/gateway list validate
	$(BIN)/python -m docs.reference --check
	@kernel/check $(BIN)/python

bench: setup peers ## the gateway beside its peers (ARGS="--quick"; about an hour), and all else that benchmarks/README.md shows
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

archive-bench: setup ## events/s archived beside a relay, bytes an event, one event found in a year of 10 million (ARGS="--year 1000000")
	$(BIN)/python -m benchmarks.archive $(ARGS)

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

fuzz-kernel: kernel ## the native kernel against the reference on mutated events (ARGS="--events 10000000 --seed 1")
	$(BIN)/python -m tests.kernel $(ARGS)

sbom: ## what is installed with the gateway, and the kernel's crates, as CycloneDX, in dist/sbom.cdx.json
	$(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements-sbom.txt
	mkdir -p dist
	$(VENV)-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sbom.cdx.json .ci/requirements.txt
	$(PYTHON) kernel/sbom dist/sbom.cdx.json

compose-test: setup ## image, docker-compose.yml and testcontainers, run for real (needs a Docker engine)
	@.ci/tools openssl promtool
	$(BIN)/pytest tests/compose -p no:randomly $(ARGS)

screenshots: setup ## the documents' pictures, taken of the real page
	@.ci/tools chromium chinese-font
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
IMAGE_EXTRAS := --extra=archive --extra=otel --extra=report --extra=sm2

requirements: ## pin the dependencies again, with hashes and without addresses
	$(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/pip install --quiet pip-tools
	$(VENV)-pins/bin/pip-compile $(PINS) $(IMAGE_EXTRAS) -o .ci/requirements.txt pyproject.toml
	$(VENV)-pins/bin/pip-compile $(PINS) $(IMAGE_EXTRAS) --extra=demo --extra=dev -o .ci/requirements-dev.txt pyproject.toml
	$(VENV)-pins/bin/pip-compile $(PINS) --build-deps-for=wheel --only-build-deps -o .ci/requirements-build.txt pyproject.toml
	$(VENV)-pins/bin/pip-compile $(PINS) --build-deps-for=wheel --only-build-deps -o .ci/requirements-kernel.txt kernel/pyproject.toml
	cd kernel && cargo generate-lockfile && grep -v '^source = ' Cargo.lock > Cargo.lock.in
	echo cyclonedx-bom | $(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-sbom.txt -
	$(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-peers.txt benchmarks/peers/requirements.in
	$(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-clients.txt tests/clients/python/requirements.in
	cd tests/clients/node && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --loglevel=error && \
	  node -e 'const lock = JSON.parse(fs.readFileSync("package-lock.json")); for (const each of Object.values(lock.packages)) delete each.funding; fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n")'
	echo atheris | $(VENV)-pins/bin/pip-compile $(PINS) -o .ci/requirements-fuzz.txt -

clean: ## remove what was made
	rm -rf $(VENV) $(VENV)-peers $(VENV)-pins $(VENV)-sbom $(VENV)-clients benchmarks/kafka-streams/target \
	  tests/clients/java/target tests/clients/node/node_modules tests/clients/go/build kernel/target kernel/Cargo.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
