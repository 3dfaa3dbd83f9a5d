#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the image with `make image` and fails unless it contains one static program for its
# architecture and nothing else, and runs as non-root. Without buildah the check is skipped.
# ARCHITECTURES="amd64 arm64" checks more images than that of this machine, which compiles everything once more.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v buildah >/dev/null; then
  echo "    SKIPPED: buildah is not installed; the images were not built"
  exit 0
fi

architectures="${ARCHITECTURES:-$(go env GOARCH)}"
make --no-print-directory image ARCHITECTURES="${architectures}"

content="$(mktemp -d)"
trap 'rm -rf "${content}"' EXIT

for arch in ${architectures}; do
  mkdir "${content}/${arch}"
  tar --extract --file "_output/image/migrate-apiserver-${arch}.tar" --directory "${content}/${arch}"

  fail() {
    echo "the image for ${arch} $*" >&2
    exit 1
  }

  config="$(cat "${content}/${arch}"/[0-9a-f]*.json)"
  [[ "${config}" == *'"User":"65532:65532"'* ]] || fail "does not run as user 65532: ${config}"
  [[ "${config}" == *'"Entrypoint":["/migrate-apiserver"]'* ]] || fail "has another entrypoint: ${config}"
  [[ "${config}" == *"\"architecture\":\"${arch}\""* ]] || fail "is for another architecture: ${config}"

  layers=("${content}/${arch}"/[0-9a-f]*.tar)
  [[ "${#layers[@]}" -eq 1 ]] || fail "has ${#layers[@]} layers, not one"
  files="$(tar --list --file "${layers[0]}")"
  [[ "${files}" == migrate-apiserver ]] || fail "has files other than the program: ${files}"

  tar --extract --file "${layers[0]}" --directory "${content}/${arch}"
  version="$(go version -m "${content}/${arch}/migrate-apiserver")"
  grep -q 'CGO_ENABLED=0$' <<<"${version}" || fail "has a program that is not static"
  grep -q "GOARCH=${arch}$" <<<"${version}" || fail "has a program for another architecture"
done
native="${content}/$(go env GOARCH)/migrate-apiserver"
[[ ! -e "${native}" ]] || "${native}" --version
