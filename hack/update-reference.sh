#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Generates docs/api.md, the reference of the API, from the types, or writes it to the path of an argument.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

out="${1:-docs/api.md}"
log="$(mktemp)"
trap 'rm -f "${log}"' EXIT
go -C hack/tools/crd-ref-docs build -o "${PWD}/_output/tools/crd-ref-docs" github.com/elastic/crd-ref-docs
_output/tools/crd-ref-docs --source-path=pkg/apis/backup/v1alpha1 --config=hack/tools/crd-ref-docs/config.yaml \
  --renderer=markdown --output-path="${out}" >"${log}" 2>&1 || { cat "${log}" >&2; exit 1; }
