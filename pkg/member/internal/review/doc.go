// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package review checks in a member, by SubjectAccessReviews, whether the requester of a Migrate may do
// there what Velero will do for them. Which permissions are needed is the plan of package migration;
// which of the resources of the member Velero selects is the rule of package velero.
//
// It is used by package member, and imports nothing of ours but client, migration, resources, velero and the API.
package review
