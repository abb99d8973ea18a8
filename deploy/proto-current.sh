#!/bin/sh
# Remake the generated code in a scratch folder and compare: what is committed must be what protoc makes.
set -eu
bin=$1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
said=$("$bin/python" -m grpc_tools.protoc -Iproto --plugin=protoc-gen-mypy="$bin/protoc-gen-mypy" \
  --plugin=protoc-gen-mypy_grpc="$bin/protoc-gen-mypy_grpc" \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="$out" --mypy_grpc_out="$out" \
  proto/gateway/v1/*.proto 2>&1) || {
  echo "$said" >&2
  echo "proto/ does not compile" >&2
  exit 1
}
touch "$out/gateway/v1/__init__.py"
if ! diff -r -x __pycache__ "$out/gateway/v1" gateway/v1; then
  echo "gateway/v1 is not what proto/ makes: run 'make proto' and commit the result" >&2
  exit 1
fi
echo "generated code is current"
