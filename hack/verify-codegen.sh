#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if the generated code differs from the output of hack/update-codegen.sh. It
# generates code in a copy, so that the check never changes the checkout.

set -o errexit
set -o nounset
set -o pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
copy="$(mktemp -d)"
trap 'rm -rf "${copy}"' EXIT

mkdir -p "${copy}/pkg" "${copy}/hack"
cp "${root}/go.mod" "${root}/go.sum" "${copy}/"
cp "${root}/hack/boilerplate.go.txt" "${root}/hack/update-codegen.sh" "${copy}/hack/"
cp -R "${root}/hack/openapi-gen" "${root}/hack/models-schema" "${copy}/hack/"
cp -R "${root}/pkg/apis" "${root}/pkg/generated" "${copy}/pkg/"

"${copy}/hack/update-codegen.sh"

status=0
for tree in pkg/apis pkg/generated; do
  diff -ru "${root}/${tree}" "${copy}/${tree}" || status=1
done
if [[ "${status}" -ne 0 ]]; then
  echo "generated code is not up to date: run hack/update-codegen.sh and commit" >&2
fi
exit "${status}"
