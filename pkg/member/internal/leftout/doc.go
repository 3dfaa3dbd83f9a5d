// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leftout determines what Velero has left out of a completed Backup although the filter
// selects it, and reports nowhere: namespaces that have its label for that, and kinds that were
// younger than its knowledge of the API. What it can't determine for lack of
// permission, is not returned.
//
// It is used by package member, and imports nothing of ours but client, velero and the API types.
package leftout
