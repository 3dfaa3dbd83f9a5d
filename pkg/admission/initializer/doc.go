// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package initializer initializes admission plugins beyond what k8s.io/apiserver does.
package initializer
