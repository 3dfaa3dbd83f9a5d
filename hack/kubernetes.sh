#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Builds kube-apiserver and kube-controller-manager of any version of Kubernetes from
# its Go module, for a local fleet of that version:
#
#   hack/kubernetes.sh v1.34.4 _output/kubernetes/v1.34.4
#
# It uses the pinned module hack/tools/kubernetes-VERSION if there is one. Otherwise it
# creates a module in the output directory.

set -o errexit
set -o nounset
set -o pipefail

version="${1:?a version such as v1.34.4}"
out="${2:?a directory for the programs}"
[[ "${version}" =~ ^v1\.[0-9]+\.[0-9]+$ ]] || { echo "KUBERNETES=${version} is not a version such as v1.34.4" >&2; exit 1; }
mkdir -p "${out}"
out="$(cd "${out}" && pwd)"
programs=(kube-apiserver kube-controller-manager)

pinned="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tools/kubernetes-${version}"
if [[ -d "${pinned}" ]]; then
  cd "${pinned}"
else
  mkdir -p "${out}/module"
  cd "${out}/module"
  if [[ ! -f go.sum ]]; then
    rm -f go.mod
    go mod init kurator.dev/migrate-apiserver/hack/tools/kubernetes 2>/dev/null
    go mod edit -require "k8s.io/kubernetes@${version}"
    for program in "${programs[@]}"; do go mod edit -tool "k8s.io/kubernetes/cmd/${program}"; done
    # k8s.io/kubernetes requires its staging modules at v0.0.0, which does not exist.
    required="$(go mod download -json "k8s.io/kubernetes@${version}" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')"
    [[ -n "${required}" ]] || { echo "Kubernetes ${version} is not available: see go list -m -versions k8s.io/kubernetes" >&2; exit 1; }
    sed -n 's/^\t*\(k8s\.io\/[^ ]*\) v0\.0\.0\( .*\)*$/\1/p' "${required}" | while read -r module; do
      go mod edit -replace "${module}=${module}@v0.${version#v1.}"
    done
    go mod tidy
  fi
fi

IFS=. read -r _ minor _ <<<"${version}"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X ${package}.gitVersion=${version} -X ${package}.gitMajor=1 -X ${package}.gitMinor=${minor} -X ${package}.gitCommit= -X ${package}.gitTreeState=clean"
done
for program in "${programs[@]}"; do
  echo "building ${program} ${version} (the first time takes some minutes)"
  go build -ldflags "${flags}" -o "${out}/${program}" "k8s.io/kubernetes/cmd/${program}"
done
touch "${out}/.built"
