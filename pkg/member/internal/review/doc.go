// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package review checks in a member what a Migrate asks for: by SubjectAccessReviews, whether its
// requester may do there what Velero will do for them, and by discovery, whether the member serves
// the resources that its filter names. Which permissions are needed is the plan of package
// migration; which of the resources of the member Velero selects is the rule of package velero.
//
// It is used by package member, and imports nothing of ours but client, limits, migration, velero and the API.
package review
