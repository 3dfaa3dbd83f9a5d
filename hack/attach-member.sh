#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Gives the server access to a member: hack/attach-member.sh NAME MEMBER_KUBECONFIG [NAMESPACE]
#
# It applies artifacts/member to the member, as the administrator that MEMBER_KUBECONFIG is of, and writes a kubeconfig with the
# ServiceAccount's token into Secret NAME of the host, by KUBECONFIG, in NAMESPACE (default). VELERO_NAMESPACE is that of the
# member's Velero: velero, or openshift-adp where OADP installs it. It can be run again, and does not create the AttachedCluster.

set -o errexit
set -o nounset
set -o pipefail

if [[ $# -lt 2 ]]; then
  echo "usage: $0 NAME MEMBER_KUBECONFIG [NAMESPACE]" >&2
  exit 2
fi
name="$1" admin="$2" namespace="${3:-default}" velero="${VELERO_NAMESPACE:-velero}"
manifests="$(dirname "${BASH_SOURCE[0]}")/../artifacts/member"

for manifest in "${manifests}"/*.yaml; do
  sed "s/namespace: velero\$/namespace: ${velero}/" "${manifest}" | kubectl --kubeconfig "${admin}" apply -f - >/dev/null
done
kubectl --kubeconfig "${admin}" --namespace "${velero}" wait --for=jsonpath='{.data.token}' --timeout=30s secret/migrate-apiserver >/dev/null

member() { kubectl --kubeconfig "${admin}" config view --minify --raw --flatten -o "jsonpath={.clusters[0].cluster.$1}"; }
token="$(kubectl --kubeconfig "${admin}" --namespace "${velero}" get secret migrate-apiserver -o jsonpath='{.data.token}' | base64 --decode)"
authority="$(member certificate-authority-data)" tls_name="$(member tls-server-name)"

kubectl --namespace "${namespace}" create secret generic "${name}" --dry-run=client -o yaml --from-file=value=<(cat <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: ${name}
  cluster:
    server: $(member server)
${authority:+    certificate-authority-data: ${authority}}
${tls_name:+    tls-server-name: ${tls_name}}
contexts:
- name: ${name}
  context: {cluster: ${name}, user: migrate-apiserver}
current-context: ${name}
users:
- name: migrate-apiserver
  user: {token: ${token}}
KUBECONFIG
) | kubectl apply --server-side --force-conflicts -f -

if [[ "${velero}" != velero ]]; then
  echo "Its AttachedCluster needs the annotation backup.kurator.dev/velero-namespace=${velero}"
fi
