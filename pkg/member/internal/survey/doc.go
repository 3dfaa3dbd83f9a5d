// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package survey reads in a source what a Migrate would move, and in a target what that would meet. It changes
// nothing: it lists and gets, and asks the target by dry runs. What it can't read it reports, and goes on.
//
// What a survey means, and how severe it is, package migration determines. An answer of a cluster is bounded by the
// numbers of objects here and by the limits of package client. Secrets are read by their metadata only, but for
// those that the source and a target both have, which are compared.
//
// It is used by package member, and imports nothing of ours but client, migration, recovery, resources,
// serverstatus, velero and the API.
package survey
