// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubeconfig turns the kubeconfig of a member into the configuration of a client.
//
// Whoever may write the Secret of a kubeconfig decides what this server does with it, so it
// is untrusted input: nothing in it may run a program, read a file, name a proxy or another
// user, have YAML aliases, or be larger than a Secret. Package transport checks
// the address that it leads to, when a connection is opened.
//
// It is used by package client, and imports nothing of ours but migration and yamlalias.
package kubeconfig
