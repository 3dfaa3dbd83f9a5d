#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails on a shell script that bash can't parse, and on findings of shellcheck if it is
# installed.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run)

for script in "${scripts[@]}"; do
  bash -n "${script}"
done
if ! command -v shellcheck >/dev/null; then
  echo "    SKIPPED: shellcheck is not installed; scripts were only parsed"
  exit 0
fi
shellcheck "${scripts[@]}"
