# The doors of this project; `make help` lists them. What they do is in tests/stages.py.

PYTHON ?= python3
STAGES = .venv/bin/python tests/stages.py
# Not LAB: that one chooses the lab, and make would hand this value on in its place.
LAB_PY = $(PYTHON) tests/lab/lab.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test stages lint unit docs ansible-lint build sanity ansible-units molecule integration readme \
	smoke bench fuzz-paths fuzz-parsers lab-up lab-down lab-status lab-shell lab-clean clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv and .collections (once per machine; later runs reuse the cache)
	@$(PYTHON) tests/toolchain.py

demo: setup ## Three Docker hosts: what you believe and what is true, the run, what is true now
	@.venv/bin/python tests/demo/demo.py

test: setup ## Every stage, fast ones first (KEEP_GOING=1: the slow ones too when a fast one failed)
	@$(STAGES)

stages: setup ## List all stages, or run some: S="ruff mypy"
	@$(STAGES) $(if $(S),$(S),--list)

lint: setup ## ruff, mypy, the import columns, yamllint, shellcheck, changelog
	@$(STAGES) lint

unit: setup ## Unit tests on every ansible-core (one test, on the main one: T=tests/unit/...::test_name)
	@$(if $(T),$(STAGES) --pytest "$(T)" unit,$(STAGES) units)

docs: setup ## Documentation of modules and roles, their markup and references
	@$(STAGES) docs

ansible-lint: setup ## ansible-lint, production profile
	@$(STAGES) ansible-lint

build: setup ## The archive for Galaxy, and galaxy-importer's opinion of it
	@$(STAGES) build

sanity: setup ## ansible-test sanity, all tests, on every ansible-core
	@$(STAGES) sanities

ansible-units: setup ## ansible-test units, on every ansible-core
	@$(STAGES) ansible-units-all

molecule: setup ## Scenarios of the roles on lab hosts (one: SCENARIO=name, on one engine: ENGINE=20|26|28)
	@$(STAGES) $(if $(ENGINE),--engine "$(ENGINE)") $(if $(SCENARIO),--scenario "$(SCENARIO)") molecule

integration: setup ## Modules on the lab's engines (one: ENGINE=20|26|28, T=module or T=PATH::test_name)
	@$(STAGES) $(if $(ENGINE),--engine "$(ENGINE)") $(if $(T),--target "$(T)") integration

readme: setup ## Run the commands that README.md shows
	@$(STAGES) readme

smoke: setup ## A short run on the newest ansible-core
	@$(STAGES) smoke-newest

bench: setup ## Ratios: one call against a loop (networks, and members on them), a module against ping; the computed path on hosts of 100 to 10,000 rules
	@.venv/bin/python tests/bench/bench.py
	@.venv/bin/python tests/bench/attached.py
	@.venv/bin/python tests/bench/crowded_host.py

fuzz-paths: setup ## Random rules and packets: the computed path against a real kernel's (SEED=text, PAIRS=20000)
	@.venv/bin/python tests/paths/fuzz.py $(if $(SEED),--seed "$(SEED)") $(if $(PAIRS),--pairs "$(PAIRS)")

fuzz-parsers: setup ## Damaged texts for the parsers of iptables-save and nft (SEED=text, EXAMPLES=100000)
	@.venv/bin/python tests/fuzz/parsers.py $(if $(SEED),--seed "$(SEED)") $(if $(EXAMPLES),--examples "$(EXAMPLES)")

lab-up: ## Start lab hosts (all of the default set, or HOSTS="a b")
	@$(LAB_PY) up $(HOSTS)

lab-down: ## Stop and remove the lab's hosts; images stay cached
	@$(LAB_PY) down

lab-status: ## What runs in the lab
	@$(LAB_PY) status

lab-shell: ## A shell on a lab host: HOST=name
	@$(LAB_PY) shell $(HOST)

lab-clean: ## Remove the lab with its images and its Docker daemon
	@$(LAB_PY) clean

clean: ## Remove what builds and tests left in the checkout (not the user's cache)
	@rm -rf build dist collections reports tests/output .ansible .hypothesis .import_linter_cache .molecule .mypy_cache .pytest_cache .ruff_cache .venv .collections
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
