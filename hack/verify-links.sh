#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if a document has a relative link to a file or directory that does not exist.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

status=0
while IFS=: read -r document link; do
  path="${link#](}"
  path="${path%)}"
  path="${path%%#*}"
  if [[ -n "${path}" && ! -e "$(dirname "${document}")/${path}" ]]; then
    echo "${document}: ${path} does not exist" >&2
    status=1
  fi
done < <(git grep --untracked -oE '\]\([^) ]+\)' -- '*.md' | grep -vE '\]\([a-z]+://')
exit "${status}"
