#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# No secret may be in the tree: gitleaks looks through every file that git tracks or
# would add. The history is not looked through; a key that was committed is burnt.

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
