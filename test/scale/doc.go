// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scale tests that a hundred members, thirty of which refuse connections, don't
// answer or are slow, do not delay the migrations of the other seventy, and that the
// server then uses little memory and logs little.
//
// The members share one real kube-apiserver. Each has its own namespace, by an annotation
// of its AttachedCluster, with a modelled Velero (package modelvelero). The kubeconfigs of
// the thirty lead through proxies (package netproxy). The test measures the migrations of
// the seventy before, during and after the faults and compares them, so that the speed of
// the machine does not matter.
//
// Fewer members, as in `make test`, are tested by -members.tens=4.
//
// The test needs the programs of `make tools build`. With -short it is skipped.
package scale
