#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if the templates of the Helm chart are not those that hack/update-chart.sh generates, or if Helm
# and kustomize render other objects for the same installation.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT

cp -R artifacts/chart "${work}/chart"
go run ./hack/chart write "${work}/chart/templates"
if ! diff -ru artifacts/chart "${work}/chart"; then
  echo "the chart is not up to date: run hack/update-chart.sh and commit" >&2
  exit 1
fi

make --no-print-directory _output/bin/kubectl _output/bin/helm
# One file of helm's configuration for all, which is not that of the machine.
export HELM_CONFIG_HOME="${work}/helm" HELM_CACHE_HOME="${work}/helm" HELM_DATA_HOME="${work}/helm"
_output/bin/helm lint --quiet --set 'namespaces={team-a}' artifacts/chart

# same NAME MANIFESTS-FLAGS... -- HELM-FLAGS...
same() {
  local name="$1" manifests=()
  shift
  while [[ "$1" != -- ]]; do
    manifests+=("$1")
    shift
  done
  shift
  go run ./hack/manifests --out "${work}/${name}" "${manifests[@]}"
  _output/bin/kubectl kustomize "${work}/${name}" >"${work}/${name}.kustomize.yaml"
  _output/bin/helm template migrate artifacts/chart --namespace migrate-system "$@" >"${work}/${name}.helm.yaml"
  echo -n "    ${name}: "
  go run ./hack/chart compare "${work}/${name}.kustomize.yaml" "${work}/${name}.helm.yaml"
}

image=registry.example.com/migrate-apiserver
same standalone --image "${image}:v1" --namespaces "team-a team-b" -- \
  --set "image.repository=${image},image.tag=v1,namespaces={team-a,team-b}"
same no-kurator --image "${image}@sha256:$(printf '0%.0s' {1..64})" --kurator=false --all-namespaces --components "openshift monitoring" --flags "--v=2 --member-access-review" -- \
  --set "image.repository=${image},image.digest=sha256:$(printf '0%.0s' {1..64}),allNamespaces=true,kurator.enabled=false,openshift=true,monitoring.enabled=true,extraArgs={--v=2,--member-access-review}"
same ha --image "${image}:v1" --namespaces team-a --kurator-namespace fleets --etcd-servers "https://etcd-0:2379,https://etcd-1:2379" --components cert-manager -- \
  --set "image.repository=${image},image.tag=v1,namespaces={team-a},kurator.namespace=fleets,etcd.servers={https://etcd-0:2379,https://etcd-1:2379},certManager=true"

# What must not be rendered.
for values in "namespaces={}" "namespaces={a},allNamespaces=true" "namespaces={a},nosuch=1"; do
  if _output/bin/helm template migrate artifacts/chart --set "${values}" >/dev/null 2>&1; then
    echo "the chart accepts ${values}" >&2
    exit 1
  fi
done
