// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// MaxTargets is how many targets a migration has at most: its status is one object,
// which etcd has to take.
const MaxTargets = 500

// What comes from a member is bounded, so that no member can make a status too
// large to be stored.
const (
	// maxMessageLength is for a part or a condition, in bytes.
	maxMessageLength = 4096
	// maxReasonLength is for one reason of Velero's, in bytes.
	maxReasonLength = 2048
	// maxValidationErrors is how many of Velero's validation errors are kept.
	maxValidationErrors = 32
	// maxWordLength is for what is one word, such as a phase, in bytes.
	maxWordLength = 253
	// maxTextOfParts is for the messages of all parts, and again for what Velero says
	// in all of them, in bytes.
	maxTextOfParts = 192 << 10
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
	s.Phase = velerov1.BackupPhase(Shorten(string(s.Phase), maxWordLength))
	s.FormatVersion = Shorten(s.FormatVersion, maxWordLength)
	s.FailureReason = Shorten(s.FailureReason, maxReasonLength)
	s.ValidationErrors = boundedErrors(s.ValidationErrors)
	return s
}

func boundedRestore(status velerov1.RestoreStatus) *velerov1.RestoreStatus {
	s := status.DeepCopy()
	s.Phase = velerov1.RestorePhase(Shorten(string(s.Phase), maxWordLength))
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

// boundParts cuts what is told of each part where there are so many that all of it
// would be too much.
func boundParts(status *v1alpha1.MigrateStatus) {
	room := maxTextOfParts / (1 + len(status.TargetClusterStatus))
	for _, part := range partsOf(status) {
		part.Message = Shorten(part.Message, room)
	}
	if source := status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
		s := source.BackupStatusInCluster
		boundWords(&s.FailureReason, &s.ValidationErrors, room)
	}
	for _, target := range status.TargetClusterStatus {
		if s := target.RestoreStatusInCluster; s != nil {
			boundWords(&s.FailureReason, &s.ValidationErrors, room)
		}
	}
}

// boundWords keeps as many of Velero's errors as there is room for beside its reason.
func boundWords(reason *string, errs *[]string, room int) {
	*reason = Shorten(*reason, room)
	room -= len(*reason)
	for i, err := range *errs {
		if room -= len(err); room < 0 {
			*errs = (*errs)[:i]
			return
		}
	}
}
