// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package yamlalias refuses YAML that has aliases.
//
// The YAML library of Kubernetes bounds how many nodes aliases may expand to, but not
// how long these are: a document of 100 KiB that repeats one long string by aliases
// becomes gigabytes of JSON. Without aliases a document grows by a small factor only.
// kubectl expands aliases before it sends a request, and a kubeconfig needs none. So untrusted
// YAML is checked here before that library parses it.
//
// Packages apiserver (request bodies) and member (kubeconfigs) use it, so it is
// internal to neither. It imports nothing of ours.
package yamlalias
