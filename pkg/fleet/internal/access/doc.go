// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package access gets the credentials of clusters from programs that the operator of this server names in a file, as
// KEP-5339 defines it for ClusterProfiles: an access provider of a ClusterProfile has a name and how to reach the cluster,
// and the file has the program for each name, which speaks the protocol of client-go's credential plugins
// (client.authentication.k8s.io). A cluster can't add arguments or environment variables, which the KEP leaves to the
// operator.
//
// client-go runs such a program within a call, for as long as it takes; here it is bounded, and runs once at a time for each
// cluster. What it returns becomes a kubeconfig, to which all rules for kubeconfigs apply.
//
// It imports nothing of ours but package recovery.
package access
