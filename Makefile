# make sweep, make test: everything else follows. Every target sets up what it needs.
# The first of these that fits sets up .venv; `requires-python` of pyproject.toml says the same.
PYTHON ?= python3.11 python3.12 python3.13 python3
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
BIN := .venv/bin
# Two processes, a file of tests in each; all that start Ray in one of them (tests/two_processes.py).
PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest --numprocesses=$(PROCESSES)
# Where runs lie; a submitted job runs in a copy of this folder that vanishes, so the path is absolute.
export DQ_STORAGE ?= $(CURDIR)/runs
ARGS ?= experiment=quickstart

.DEFAULT_GOAL := help
.PHONY: help sweep search pretrain agora nights real-encoder fast test test-all fuzz chaos infra-check format ui ray ray-stop lint clean clean-cache

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

sweep: .venv/installed ## run the main job on this machine (ARGS="key=value ..." for another configuration)
	@$(BIN)/python infra/laptop.py submit -- python jobs/dq_sweep.py storage.path=$(DQ_STORAGE) $(ARGS)

search: ARGS = experiment=ose_quickstart
search: .venv/installed ## search students within a limit of bytes, then train what was chosen
	@$(BIN)/python infra/laptop.py submit -- python jobs/ose_search.py storage.path=$(DQ_STORAGE) $(ARGS)
	@$(BIN)/python infra/laptop.py submit -- python jobs/dq_sweep.py storage.path=$(DQ_STORAGE) $(ARGS)

pretrain: ARGS = experiment=pretrain_quickstart
pretrain: .venv/installed ## pre-train a small encoder with a teacher's help, and one without
	@$(BIN)/python infra/laptop.py submit -- python jobs/bort_pretrain.py storage.path=$(DQ_STORAGE) $(ARGS)

agora: ARGS = experiment=agora_quickstart
agora: .venv/installed ## fine-tune a small model on few examples, and on what its teacher says near its mistakes
	@$(BIN)/python infra/laptop.py submit -- python jobs/agora_finetune.py storage.path=$(DQ_STORAGE) $(ARGS)

nights: ARGS =
nights: .venv/installed ## simulated nights of scheduled retraining: a champion, nothing new, more, refused, kept, back
	@$(BIN)/python infra/nights.py "$(DQ_STORAGE)/nights" cluster=process $(ARGS)

# Weights are fetched, never committed; the job gets an absolute path because it runs in a copy of this folder.
ENCODER = $(DQ_STORAGE)/models/all-MiniLM-L6-v2
real-encoder: ARGS =
real-encoder: .venv/installed ## fetch a real pre-trained encoder, make it small (ARGS="data.root=... task=...")
	@$(BIN)/python infra/minilm.py "$(ENCODER)"
	@$(BIN)/python infra/laptop.py submit -- python jobs/dq_sweep.py storage.path=$(DQ_STORAGE) experiment=real_encoder \
	model.pretrained="$(ENCODER)" $(ARGS)

fast: .venv/installed ## run the unit tests: a minute, while you work
	@$(PYTEST) -m "not slow" tests/unit

test: .venv/installed ## run what CI runs: units, numerics, ranks, whole jobs, Ray
	@$(PYTEST) -m "not slow"

test-all: .venv/installed ## run everything: also a cluster of three raylets, and what takes long
	@$(PYTEST)

fuzz: ARGS =
fuzz: .venv/installed ## read 10,000 damaged or odd files, settings and requests (ARGS="--subject zips --seed 2 ...")
	@$(BIN)/python tests/fuzz --processes $(PROCESSES) $(ARGS)

chaos: ARGS =
chaos: .venv/installed ## disturb real jobs in every way that clusters do (ARGS="--fault 'disk full'" for one, --list)
	@$(BIN)/python tests/chaos --processes $(PROCESSES) $(ARGS)

infra-check: ARGS =
infra-check: .venv-infra/installed ## render and check all manifests under infra/ (ARGS="--crds FOLDER" with KubeRay's definitions)
	@.venv-infra/bin/python infra/check $(ARGS)

lint: .venv/installed ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy --strict pipeline jobs infra/check

format: .venv/installed ## mend style, as far as ruff can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

ui: .venv/installed ## the MLflow UI of the runs here, on http://127.0.0.1:5000
	@case "$$MLFLOW_TRACKING_URI" in http*) \
	echo "the runs are at $$(printf '%s' "$$MLFLOW_TRACKING_URI" | sed -e 's|://.*@|://|' -e 's|?.*||')";; \
	*) MLFLOW_BACKEND_STORE_URI="$${MLFLOW_TRACKING_URI:-sqlite:///$(DQ_STORAGE)/mlflow.db}" \
	$(BIN)/mlflow server --host 127.0.0.1 --port 5000;; esac

ray: .venv/installed ## start a Ray head on loopback and leave it running
	@$(BIN)/python infra/laptop.py start

ray-stop: .venv/installed ## stop the head that `make ray` started
	@$(BIN)/python infra/laptop.py stop

clean: ## remove what tools left in this folder; neither .venv nor anything that jobs stored
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find "$(CURDIR)" \( -path "$(CURDIR)/.venv*" -o -path "$(CURDIR)/runs" -o -path "$(DQ_STORAGE)" \) -prune -o \
	-name __pycache__ -prune -exec rm -rf {} +
	@echo "$(DQ_STORAGE) is untouched: \`make clean-cache\` frees its cache, results in it are yours to remove"

# A job renews its lease every ten seconds.
clean-cache: ## remove caches of jobs, which can be made again, from $DQ_STORAGE; not while a job runs there
	@held=$$(find "$(DQ_STORAGE)" -path '*/lease/*.json' -newermt '-60 seconds' -exec grep -L '"released": true' {} + 2>/dev/null); \
	if [ -n "$$held" ]; then echo "a job runs in $(DQ_STORAGE), or did a minute ago ($$held): wait for its end"; exit 1; fi
	@du -sh "$(DQ_STORAGE)/cache" 2>/dev/null || echo "no cache in $(DQ_STORAGE)"
	@rm -rf -- "$(DQ_STORAGE)/cache"

# An empty environment in folder $(1), of the first Python that fits.
define new_environment
@echo "setting up $(1) (once, a few minutes)"
@for python in $(PYTHON); do "$$python" -c "$(FITS)" 2>/dev/null && break; python=; done; \
[ -n "$$python" ] || { echo "Python 3.11, 3.12 or 3.13 is needed, and none of '$(PYTHON)' is one:" \
"install python3.11 with python3.11-venv, or name yours with make PYTHON=/path/to/python"; exit 1; }; \
"$$python" -m venv $(1) || { echo "python3-venv is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
endef

.venv/installed: pyproject.toml infra/constraints.txt
	$(call new_environment,.venv)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c infra/constraints.txt -e '.[dev]'
	@touch $@

# Apart from .venv: checkov needs networkx below 2.7 and packaging below 24, where Ray and MLflow have 3.6 and 26.
.venv-infra/installed: infra/check/requirements.txt
	$(call new_environment,.venv-infra)
	@.venv-infra/bin/pip install --quiet --disable-pip-version-check -r infra/check/requirements.txt
	@touch $@
