// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +groupName=backup.kurator.dev

// Package backup holds the internal types of the API group
// backup.kurator.dev: what registry, admission and validation work with.
// The wire types are in v1alpha1.
package backup
