#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds Velero of another version, for members of a local fleet: the program in hack/tools/velero with the pinned
# requirements of hack/tools/velero-VERSION.
# Of the oldest version, which CI builds, the libraries of clouds are as new as those of hack/tools/velero, so that Go compiles them once.
#
#   hack/velero.sh v1.14.1 _output/velero/v1.14.1

set -o errexit
set -o nounset
set -o pipefail

version="${1:?a version such as v1.14.1}"
out="${2:?a directory for the program}"
tools="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tools"
pinned="${tools}/velero-${version}"
[[ -d "${pinned}" ]] || { echo "VELERO=${version}: there is no module hack/tools/velero-${version}; make one like the others" >&2; exit 1; }
mkdir -p "${out}/module"
out="$(cd "${out}" && pwd)"

echo "building velero ${version} (the first time takes some minutes)"
cp "${pinned}/go.mod" "${pinned}/go.sum" "${tools}/velero/main.go" "${out}/module"
cd "${out}/module"
go build -ldflags "-s -w -X github.com/vmware-tanzu/velero/pkg/buildinfo.Version=${version}" -o "${out}/velero" .
touch "${out}/.built"
