# Users need two words: `make demo`, `make test`. No logic here beyond the order of things.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PROTOS := $(wildcard proto/gateway/v1/*.proto)
SRC    := gateway matcher keys tests deploy

.PHONY: demo test check lint types imports settings settings-current operations operations-current law law-current law-mutants proto proto-current buf lock bench clean

demo: $(STAMP)  ## the main job on this machine, from nothing
	$(BIN)/passerelle demo

test: $(STAMP)  ## everything that must hold, the habits of `check` among it
	sh deploy/chromium.sh $(VENV)
	$(BIN)/python -m pytest -n auto --dist worksteal -r s

check: lint types imports law-current settings-current operations-current proto-current buf  ## the habits alone, one after the other: quicker to read

lint: $(STAMP)  ## style
	$(BIN)/ruff check --quiet $(SRC)
	$(BIN)/ruff format --quiet --check $(SRC)

types: $(STAMP)  ## mypy --strict over gateway, matcher, keys
	$(BIN)/mypy

imports: $(STAMP)  ## the import law
	$(BIN)/lint-imports --no-logo --no-cache

settings: $(STAMP)  ## remake docs/settings.md from gateway/config.py
	$(BIN)/python -m gateway.exercises.settings_reference

settings-current: $(STAMP)  ## the reference of settings says what the code says
	$(BIN)/python -m gateway.exercises.settings_reference --check

operations: $(STAMP)  ## remake docs/operations.md from gateway/operations
	$(BIN)/python -m gateway.exercises.operations_reference

operations-current: $(STAMP)  ## the reference of operations says what the code says
	$(BIN)/python -m gateway.exercises.operations_reference --check

law: $(STAMP)  ## remake docs/law.md from docs/law.toml
	$(BIN)/python -m gateway.exercises.compliance_table

law-current: $(STAMP)  ## every paragraph of Part 19.1 has its row, and the row tells the truth
	$(BIN)/python -m gateway.exercises.compliance_table --check

law-mutants: $(STAMP)  ## break the rule of every row of docs/law.md: the row's own test must fail; minutes
	$(BIN)/python -m gateway.exercises.law_mutants

proto: $(STAMP)  ## remake gateway/v1 from proto/
	$(BIN)/python -m grpc_tools.protoc -Iproto --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. $(PROTOS)

proto-current: $(STAMP)  ## the committed generated code is what protoc makes today
	sh deploy/proto-current.sh $(BIN)

buf:  ## wire contract: lint and break check, where npm is present
	sh deploy/buf.sh

lock:  ## remake requirements.lock and deploy/requirements.lock; needs the network
	sh deploy/lock.sh

bench: $(STAMP)  ## measure the exchange on this machine
	$(BIN)/passerelle bench exchange

# Who names a Python gets that one: an environment of another version is made anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(BIN)/python --version 2>&1),$(shell $(PYTHON) --version 2>&1))
.PHONY: $(STAMP)
endif
endif

$(STAMP): requirements.lock pyproject.toml
	@sh deploy/install.sh $(PYTHON) $(VENV)
	@touch $@

clean:  ## back to a fresh clone
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
