#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds Velero of an old version from its pinned module hack/tools/velero-VERSION, for members of a local fleet:
#
#   hack/velero.sh v1.14.1 _output/velero/v1.14.1

set -o errexit
set -o nounset
set -o pipefail

version="${1:?a version such as v1.14.1}"
out="${2:?a directory for the program}"
module="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tools/velero-${version}"
[[ -d "${module}" ]] || { echo "VELERO=${version}: there is no module hack/tools/velero-${version}; make one like the others" >&2; exit 1; }
mkdir -p "${out}"
out="$(cd "${out}" && pwd)"

echo "building velero ${version} (the first time takes some minutes)"
cd "${module}"
go build -ldflags "-s -w -X github.com/vmware-tanzu/velero/pkg/buildinfo.Version=${version}" -o "${out}/velero" .
touch "${out}/.built"
