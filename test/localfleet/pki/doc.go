// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki issues the certificates of the local fleet and of tests without
// openssl. It is for development: it writes keys as plain PEM and neither revokes nor
// rotates certificates. Package localfleet and the tests on its fleets import it; it
// imports only the standard library.
package pki
