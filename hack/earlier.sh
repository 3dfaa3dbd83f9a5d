#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds the server of an earlier commit of the main branch, which the tests run beside the current one, as during an upgrade. It
# knows all fields that the current one stores without a feature gate: a replica drops those that it does not know.
# A repository that lacks the commit, because it was not cloned completely, fetches it.
#
#   hack/earlier.sh _output/earlier

set -o errexit
set -o nounset
set -o pipefail

commit=ddce3f238a6b034bf59b20ab32ce1c2c9d83a673

out="${1:?a directory for the program}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rm -rf "${out}"
mkdir -p "${out}/source"
out="$(cd "${out}" && pwd)"

if ! git cat-file -e "${commit}^{commit}" 2>/dev/null && ! git fetch --quiet --depth=1 origin "${commit}"; then
  echo "the server of commit ${commit} can't be built: this repository does not have it. Run git fetch --unshallow; the tests that need it are skipped by their names" >&2
  exit
fi
echo "building the server of commit ${commit}"
git archive "${commit}" | tar -x -C "${out}/source"
# With the libraries of the current one, which are compiled already.
cp go.mod go.sum "${out}/source"
go -C "${out}/source" build -buildvcs=false -o "${out}/migrate-apiserver" ./cmd/migrate-apiserver
rm -rf "${out}/source"
touch "${out}/.built"
