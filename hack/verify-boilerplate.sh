#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if a source file lacks the license header of hack/boilerplate.go.txt as a comment
# in its language. Manifests and documents need none.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t header < <(sed 's|^// ||' hack/boilerplate.go.txt)

status=0
while IFS= read -r file; do
  [[ -f "${file}" ]] || continue
  case "${file}" in
    *.go) comment='//' ;;
    *) comment='#' ;;
  esac
  want="${comment} ${header[0]}"$'\n'"${comment} ${header[1]}"
  if [[ "$(head -n 8 "${file}")" != *"${want}"* ]]; then
    echo "${file}: no license header" >&2
    status=1
  fi
done < <(git ls-files --cached --others --exclude-standard -- '*.go' '*.sh' '.ci/*' '*.mk' Makefile Dockerfile .golangci.yaml .gitattributes)
exit "${status}"
