#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# The way to the first migration on a host without Kurator, from the administrators' kubeconfigs of two
# clusters with Velero: no-kurator.sh MEMBER1 MEMBER2. KUBECONFIG is that of the host, where the server runs.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# `make manifests KURATOR=0` has these beside the server.
kubectl apply -f artifacts/deploy/components/no-kurator/crds.yaml
kubectl wait --for=condition=Established crd/fleets.fleet.kurator.dev crd/attachedclusters.cluster.kurator.dev

hack/attach-member.sh kurator-member1 "$1"
hack/attach-member.sh kurator-member2 "$2"
kubectl apply -f artifacts/examples/clusters.yaml

kubectl apply -f artifacts/examples/migrate-select-labels.yaml
kubectl wait --for=condition=Ready migrate/select-labels --timeout=60s
kubectl get fleets,attachedclusters,migrates
