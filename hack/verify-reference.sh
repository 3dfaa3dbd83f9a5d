#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if docs/api.md differs from the output of hack/update-reference.sh.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fresh="$(mktemp)"
trap 'rm -f "${fresh}"' EXIT
hack/update-reference.sh "${fresh}"
if ! diff -u docs/api.md "${fresh}"; then
  echo "docs/api.md is not up to date: run hack/update-reference.sh and commit" >&2
  exit 1
fi
