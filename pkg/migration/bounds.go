// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// What comes from a member is bounded, so that no member can make a status too
// large to be stored.
const (
	// maxMessageLength is for a part or a condition, in bytes.
	maxMessageLength = 4096
	// maxReasonLength is for one reason of Velero's, in bytes.
	maxReasonLength = 2048
	// maxValidationErrors is how many of Velero's validation errors are kept.
	maxValidationErrors = 32
)

// Shorten cuts s to at most n bytes of valid UTF-8, and marks the cut.
func Shorten(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	const mark = "..."
	return strings.ToValidUTF8(s[:n-len(mark)], "") + mark
}

func boundedBackup(status velerov1.BackupStatus) *velerov1.BackupStatus {
	s := status.DeepCopy()
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedRestore(status velerov1.RestoreStatus) *velerov1.RestoreStatus {
	s := status.DeepCopy()
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedErrors(errs []string) []string {
	if len(errs) > maxValidationErrors {
		errs = errs[:maxValidationErrors]
	}
	for i := range errs {
		errs[i] = Shorten(errs[i], maxReasonLength)
	}
	return errs
}
