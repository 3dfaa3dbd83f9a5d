#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if a document has a relative link to a file, directory or heading that does not exist.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# anchors FILE prints the anchors of its headings, as GitHub makes them.
anchors() {
  awk '/^ *```/ { code = !code } !code && /^#+ / { sub(/^#+ /, ""); print tolower($0) }' "$1" | sed -e 's/[^a-z0-9 _-]//g' -e 's/ /-/g'
}

status=0
while IFS=: read -r document link; do
  link="${link#](}"
  link="${link%)}"
  path="${link%%#*}"
  target="${document}"
  [[ -z "${path}" ]] || target="$(dirname "${document}")/${path}"
  if [[ ! -e "${target}" ]]; then
    echo "${document}: ${path} does not exist" >&2
    status=1
  elif [[ "${link}" == *#* ]] && ! anchors "${target}" | grep -qx -- "${link#*#}"; then
    echo "${document}: ${target} has no heading #${link#*#}" >&2
    status=1
  fi
done < <(git grep --untracked -oE '\]\([^) ]+\)' -- '*.md' | grep -vE '\]\([a-z]+://')
exit "${status}"
