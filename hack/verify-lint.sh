#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails on findings of golangci-lint with .golangci.yaml: formatting, vet, lint, import
# directions. With --fix, as in hack/update-lint.sh, it fixes what it can. golangci-lint is
# built from hack/tools; the first build takes minutes.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

lint="${PWD}/_output/tools/golangci-lint"
config="${PWD}/.golangci.yaml"
go -C hack/tools/golangci-lint build -o "${lint}" github.com/golangci/golangci-lint/v2/cmd/golangci-lint

status=0
"${lint}" run --config "${config}" "$@" ./... || status=1
# The few lines of ours in the modules of tools are built with each tool; the linters that read all of its dependencies, too,
# would take longer than that.
while IFS= read -r module; do
  (cd "${module}" && "${lint}" run --fast-only --config "${config}" "$@" ./...) || status=1
done < <(find hack/tools -name '*.go' -exec dirname {} + | sort -u)
exit "${status}"
