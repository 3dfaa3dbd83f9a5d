#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Runs every hack/verify-*.sh, even after a failure, and reports the failed ones at the
# end. With names it runs only these: hack/verify-all.sh lint tidy.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

checks=("$@")
if [[ ${#checks[@]} -eq 0 ]]; then
  for script in verify-*.sh; do
    name="${script#verify-}"
    [[ "${name}" == all.sh ]] || checks+=("${name%.sh}")
  done
fi

failed=()
for check in "${checks[@]}"; do
  echo "==> verify ${check}"
  began="${SECONDS}"
  if "./verify-${check}.sh"; then
    echo "    done in $((SECONDS - began)) s"
  else
    echo "    FAILED after $((SECONDS - began)) s"
    failed+=("${check}")
  fi
done

if [[ ${#failed[@]} -ne 0 ]]; then
  echo "FAILED: ${failed[*]}" >&2
  exit 1
fi
echo "verified: ${checks[*]}"
