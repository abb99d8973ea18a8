# Users need two words: `make demo`, `make test`. No logic here beyond the order of things.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PROTOS := $(wildcard proto/gateway/v1/*.proto)
SRC    := gateway matcher keys tests

.PHONY: demo test check lint types rooms proto-current buf proto lock bench help-texts clean

demo: $(STAMP)  ## the main job on this machine, from nothing
	$(BIN)/passerelle demo --workdir .demo

test: check  ## everything that must hold; ends with pytest's summary
	$(BIN)/python -m pytest -n auto

check: lint types rooms proto-current buf  ## habits: style, types, import law, wire

lint: $(STAMP)
	$(BIN)/ruff check $(SRC)
	$(BIN)/ruff format --check $(SRC)

types: $(STAMP)
	$(BIN)/mypy

rooms: $(STAMP)
	$(BIN)/lint-imports --no-cache

proto: $(STAMP)  ## remake gateway/v1 from proto/
	$(BIN)/python -m grpc_tools.protoc -Iproto --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. $(PROTOS)

proto-current: $(STAMP)  ## the committed generated code is what protoc makes today
	sh deploy/proto-current.sh $(BIN)

buf: ## proto lint and break check, where npm is present
	sh deploy/buf.sh

lock:  ## remake requirements.lock (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

bench: $(STAMP)  ## measure the exchange on this machine
	$(BIN)/passerelle bench exchange

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) deploy/require_python.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
