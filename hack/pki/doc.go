// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes the certificate authorities and certificates that the local
// fleet and the rendered manifests need, so that neither asks for openssl or
// another tool. It is for development and for first installs: keys are plain
// PEM, nothing is revoked or rotated. It imports the standard library only.
package pki
