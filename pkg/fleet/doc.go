// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet reads the inventory of the host: the clusters of a fleet, whether they are
// ready, and their kubeconfigs.
//
// It reads Kurator's kinds without importing Kurator: Fleet (fleet.kurator.dev),
// AttachedCluster and Cluster (cluster.kurator.dev) are unstructured objects, of which only a
// few fields matter. A kind whose CRD is not installed has no objects until it is installed.
//
// A cluster is ready if its status says so, which Kurator writes, or without Kurator (Options.Probe) always: package member asks its
// API server before anything is done there.
//
// Observe reads from informers, which watch only while Run runs, so that only the replica that
// drives migrations loads the host. Read and Kubeconfig make live calls and work in every
// replica. Secrets are read one at a time by name (verb get), never listed or watched, and
// their content never appears in an error or a log.
//
// An Inventory may be restricted to some namespaces. It then reads each of them separately, so
// that one which can't be read does not delay another.
//
// It imports nothing of ours but the API types and packages migration and recovery.
package fleet
