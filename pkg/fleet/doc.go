// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet reads the inventory of the host: the clusters of a fleet, whether they are
// ready, and their kubeconfigs.
//
// It reads the kinds of others without importing them, as unstructured objects of which only a few fields matter: Kurator's
// Fleet (fleet.kurator.dev), AttachedCluster and Cluster (cluster.kurator.dev), and SIG-Multicluster's ClusterProfile
// (multicluster.x-k8s.io), whose fleet is a cluster set. A kind whose CRD is not installed has no objects until it is installed.
//
// A kind of clusters is a clusterKind, in a file of its own: what its objects say, and how to get a kubeconfig. Two more have
// been asked for, and are not there:
//
//   - Argo CD has a cluster in a Secret with label argocd.argoproj.io/secret-type=cluster, with its address in key server and its
//     credentials in key config, as JSON. read would take both, and kubeconfig make one of them; what runs a program there
//     (execProviderConfig, awsAuthConfig) must be refused. A cluster has no status, so it needs Options.Probe, and no fleet but a
//     label. The server would have to watch Secrets, which it must not: such a cluster could only be named, not be found.
//   - OCM's ManagedCluster (cluster.open-cluster-management.io) is cluster-scoped: source would read it without a namespace, and
//     its use in a namespace would have to follow from a ManagedClusterSetBinding there. Its condition is
//     ManagedClusterConditionAvailable, its set a label, its addresses are in spec.managedClusterClientConfigs, and the token of a
//     ManagedServiceAccount in a Secret of the namespace with the name of the cluster. OCM publishes ClusterProfiles as well.
//
// A cluster is ready if its status says so, or with Options.Probe always: package member asks its API server before anything is
// done there.
//
// Observe reads from informers, which watch only while Run runs, so that only the replica that
// drives migrations loads the host. Read and Kubeconfig make live calls and work in every
// replica. Secrets are read one at a time by name (verb get), never listed or watched, and
// their content never appears in an error or a log.
//
// An Inventory may be restricted to some namespaces. It then reads each of them separately, so
// that one which can't be read does not delay another.
//
// It imports nothing of ours but the API types and packages migration and recovery. Below internal, access runs the operator's
// programs for the credentials of ClusterProfiles.
package fleet
