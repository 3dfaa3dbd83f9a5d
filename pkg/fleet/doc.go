// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet is the host's inventory: which clusters a fleet has, which of
// them are ready, and the kubeconfig that leads into each.
//
// Kurator's kinds are read without importing Kurator: Fleet
// (fleet.kurator.dev), AttachedCluster and Cluster (cluster.kurator.dev) are
// plain unstructured objects here, of which only a few fields matter. A kind
// whose CRD isn't installed is a kind of which there is nothing, until it is
// installed.
//
// There are two ways to ask. Observe answers from informers, which watch only
// while Run runs, so only the replica that drives migrations loads the host.
// Ask and Kubeconfig make live calls and work in every replica. Secrets are
// only ever read one at a time by name (verb get), never listed or watched, and
// nothing of their content reaches an error or a log.
//
// An Inventory may be of some namespaces only. Then nothing is asked of any other,
// and each is read by itself: one that can't be read holds up no other.
//
// It imports nothing of ours but the API types and packages migration and recovery.
package fleet
