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

# golangci-lint runs per module: ours, and those of tools with Go files of ours.
status=0
while IFS= read -r module; do
  (cd "${module}" && "${lint}" run --config "${config}" "$@" ./...) || status=1
done < <(echo . && find hack/tools -name '*.go' -exec dirname {} + | sort -u)
exit "${status}"
