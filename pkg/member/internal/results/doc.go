// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package results reads the errors of a Backup or Restore from the storage, as the velero CLI
// does: it creates a DownloadRequest, for which Velero provides a URL.
//
// The URL is untrusted input like the address of a member, and a secret: package transport
// checks the address, and no error or log line repeats it. Redirects are not followed.
//
// After a retry it also reads what is in the target by the Restores of earlier attempts.
//
// It is used by package member, and imports nothing of ours but client, limits, resources, transport, migration and velero.
package results
