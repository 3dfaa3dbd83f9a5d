// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest puts the storages of the API group backup.kurator.dev together:
// which resource of which version is served by what. It imports the API types
// and the storages.
package rest
