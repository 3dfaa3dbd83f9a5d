#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if `go mod tidy` would change a go.mod or go.sum of our module or of a tool.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

status=0
for module in . hack/tools/*/; do
  if ! go -C "${module}" mod tidy -diff; then
    echo "${module%/}: not tidy: run hack/update-tidy.sh" >&2
    status=1
  fi
done
exit "${status}"
