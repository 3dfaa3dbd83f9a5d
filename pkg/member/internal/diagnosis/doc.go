// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diagnosis determines why a Velero makes no progress: its server does not process a
// request, namespaces are being deleted, another Restore is running, or the data of a volume can't be
// moved, for reasons of the pods or nodes that take part in it.
//
// It creates a ServerStatusRequest, as the velero CLI does, with the UID label of the Migrate.
// Velero removes it after some minutes. Without permission for that, the answer stays unknown.
//
// It is used by package member, and imports nothing of ours but client, limits, migration, pods, velero and the API.
package diagnosis
