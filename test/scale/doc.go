// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scale proves that a hundred members, thirty of which are refused, silent
// or slow, leave the migrations of the other seventy alone, and our server small and
// quiet.
//
// The members share one real kube-apiserver. Each has a namespace of its own in it,
// by the annotation of its AttachedCluster, and in that a modelled Velero (package
// modelvelero). The kubeconfigs of the thirty lead through proxies (package
// netproxy). The seventy migrate by themselves, among the hundred and by themselves
// again, in the same run, and these are compared: how fast the machine is does not
// matter.
//
// It needs what `make tools build` puts into _output/bin. With -short, nothing runs.
package scale
