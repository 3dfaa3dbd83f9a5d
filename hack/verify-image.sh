#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the image with `make image` and fails unless it contains one static program and
# nothing else, and runs as non-root. Without buildah the check is skipped.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v buildah >/dev/null; then
  echo "    SKIPPED: buildah is not installed; the image was not built"
  exit 0
fi

make --no-print-directory image

content="$(mktemp -d)"
trap 'rm -rf "${content}"' EXIT
tar --extract --file _output/image/migrate-apiserver.tar --directory "${content}"

fail() {
  echo "the image $*" >&2
  exit 1
}

config="$(cat "${content}"/[0-9a-f]*.json)"
[[ "${config}" == *'"User":"65532:65532"'* ]] || fail "does not run as user 65532: ${config}"
[[ "${config}" == *'"Entrypoint":["/migrate-apiserver"]'* ]] || fail "has another entrypoint: ${config}"

layers=("${content}"/[0-9a-f]*.tar)
[[ "${#layers[@]}" -eq 1 ]] || fail "has ${#layers[@]} layers, not one"
files="$(tar --list --file "${layers[0]}")"
[[ "${files}" == migrate-apiserver ]] || fail "has files other than the program: ${files}"

tar --extract --file "${layers[0]}" --directory "${content}"
go version -m "${content}/migrate-apiserver" | grep -q 'CGO_ENABLED=0$' || fail "has a program that is not static"
"${content}/migrate-apiserver" --version
