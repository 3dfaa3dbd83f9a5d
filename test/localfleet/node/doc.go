// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node runs a Kubernetes node, a kubelet and a containerd with real pods, as one
// process tree on this machine.
//
// A node has a PID namespace, a mount namespace and a network namespace of its own. Its
// first process is Run: when it is killed, the kernel kills every process of the node,
// its containers included, and removes the namespaces with their mounts. Outside of the
// namespaces a node has only its cgroup, which Cgroup creates and removes, and its
// directory.
//
// The network namespace has no interface but loopback. A port of the machine's loopback
// that the node needs, that of its API server for one, is forwarded, so that the same
// address leads to the same server inside and outside; the kubelet's port and those that pods
// publish are forwarded in the other direction. Pods use the node's network.
//
// The package may import apimachinery and golang.org/x/sys.
package node
