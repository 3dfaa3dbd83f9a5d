// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +groupName=backup.kurator.dev

// Package backup has the internal types of the API group backup.kurator.dev, which
// the registry, admission and validation use. The wire types are in v1alpha1.
package backup
