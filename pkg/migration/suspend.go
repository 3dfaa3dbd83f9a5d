// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Bounds of the preview in a status, which the object has for ever.
const maxShownFindings, maxShownTargets, maxShownResources = 30, 20, 50

// isSuspended reports whether nothing new is to be started for m.
func isSuspended(m *v1alpha1.Migrate) bool { return ptr.Deref(m.Spec.Suspend, false) }

// IsWritable reports whether objects of m may be created in the members: it has not ended, is not being deleted,
// suspended or canceled.
func IsWritable(m *v1alpha1.Migrate) bool {
	return !IsTerminal(m.Status.Phase) && m.DeletionTimestamp == nil && !isSuspended(m) && !isCanceled(m)
}

// NeedsPreview reports whether m is suspended and has not started.
func NeedsPreview(m *v1alpha1.Migrate) bool {
	return isPlanned(m, &m.Status) && m.DeletionTimestamp == nil
}

// isPlanned reports whether m is suspended and, by a status, has not started.
func isPlanned(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus) bool {
	source := status.SourceClusterStatus
	return isSuspended(m) && status.Cancellation == nil && !IsTerminal(status.Phase) && (source == nil || source.BackupStatusInCluster == nil)
}

func suspended() state {
	return state{v1alpha1.ReasonSuspended, "Suspended: nothing new is started. To start it, set spec.suspend to false."}
}

// shortened returns a preview for a status.
func shortened(preview *v1alpha1.MigratePreviewStatus) *v1alpha1.MigratePreviewStatus {
	short := preview.DeepCopy()
	short.Findings = short.Findings[:min(len(short.Findings), maxShownFindings)]
	for i := range short.Findings {
		short.Findings[i].Message = Shorten(short.Findings[i].Message, maxErrorLength)
	}
	short.Message = Shorten(short.Message, maxErrorLength)
	short.Targets = short.Targets[:min(len(short.Targets), maxShownTargets)]
	if short.Source != nil {
		short.Source.Resources = short.Source.Resources[:min(len(short.Source.Resources), maxShownResources)]
		if short.Source.Volumes != nil {
			short.Source.Volumes.Items = nil
		}
	}
	return short
}

// planned returns the state of a suspended migration, with its plan if it has not started.
func planned(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus) state {
	s := suspended()
	if status.Cancellation != nil {
		return state{s.reason, "Suspended, and canceled: nothing new is begun."}
	}
	if status.Preview != nil && isPlanned(m, status) {
		s.message += " Plan: " + string(status.Preview.Verdict) + ". " + status.Preview.Message
	}
	return s
}
