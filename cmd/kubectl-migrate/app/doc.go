// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app has the commands of the kubectl plugin. Each is a file: it reads its flags, sends requests to the host cluster as the user's
// kubeconfig says, and prints what package view makes of the answer. What a command may do is decided by the API server alone, so that the
// plugin can do nothing that kubectl can't.
//
// It imports the API types, the generated client and the pure core, and nothing else of the server. Its exit codes are in exit.go.
package app
