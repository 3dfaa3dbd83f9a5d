#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if gitleaks finds a secret in a file that git tracks or would add. It does not scan
# the history, because a committed secret must be revoked anyway.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

gitleaks="${PWD}/_output/tools/gitleaks"
go -C hack/tools/gitleaks build -o "${gitleaks}" github.com/zricethezav/gitleaks/v8

tree="$(mktemp -d)"
trap 'rm -rf "${tree}"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  [[ ! -e "${file}" ]] || printf '%s\0' "${file}"
done | tar --create --null --files-from=- | tar --extract --directory "${tree}"
(cd "${tree}" && "${gitleaks}" dir --no-banner --no-color --redact --verbose .)
