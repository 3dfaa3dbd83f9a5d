#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Runs every hack/update-*.sh: code generation first, formatting last.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

for update in codegen reference chart versions tidy lint; do
  echo "==> update ${update}"
  "hack/update-${update}.sh"
done
