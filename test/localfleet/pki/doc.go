// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki issues the certificates of the local fleet and of tests, so that
// neither needs openssl. It is for development: keys are plain PEM, and nothing is
// revoked or rotated. Package localfleet and the tests on its fleets import it; it
// imports the standard library only.
package pki
