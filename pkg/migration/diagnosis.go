// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// patience is how long a part that waits for Velero may make no progress before it
// is looked into.
const patience = 5 * time.Second

// Diagnosis is what a member says when it is asked why Velero makes no progress
// with a Migrate's object. What is zero is not known.
type Diagnosis struct {
	// Server says whether Velero's server answers a ServerStatusRequest.
	Server ServerState
	// Running is another Restore in the cluster that Velero is at; empty if none is
	// known.
	Running string
	// Terminating are the namespaces that are being deleted.
	Terminating []string
	// Volumes is how much of the object's volume data is moved; nil if there is none.
	Volumes *v1alpha1.VolumeProgress
}

// ServerState says whether a Velero server is there.
type ServerState string

const (
	// ServerAnswers means that it answered just now.
	ServerAnswers ServerState = "Answers"
	// ServerSilent means that it did not answer in time.
	ServerSilent ServerState = "Silent"
)

// Results are what Velero keeps about the errors of an object beside its status.
type Results struct {
	// Errors are the errors, as Velero words them.
	Errors []string
	// Err is why they can't be read.
	Err error
	// LogMissing says that the storage does not have the object's log either.
	LogMissing bool
}

// NeedsDiagnosis says whether a cluster is to be asked why Velero makes no progress
// there: its part waits for Velero, for longer than is usual. Not yet, it says how
// long that still is; zero where nothing is waited for.
func NeedsDiagnosis(m *v1alpha1.Migrate, c Cluster, seen Member, now time.Time) (wait time.Duration, needed bool) {
	part := partOf(&m.Status, c)
	if part == nil || !waitsForVelero(part) || part == sourcePart(&m.Status) && hasEnded(seen.Backup) || hasEnded(seen.Restore) {
		return 0, false
	}
	quiet := part.LastProgressTime
	if quiet == nil {
		quiet = part.LastTransitionTime
	}
	if quiet == nil {
		return 0, false
	}
	wait = quiet.Add(patience).Sub(now)
	return max(wait, 0), wait <= 0
}

// ResultsRequest says what is to be read from the storage about an object.
type ResultsRequest struct {
	// Results and Log are the kinds of the two files, and Name is the object's.
	Results, Log velerov1.DownloadTargetKind
	Name         string
	// CAs are the certificates of the CAs by which the storage is known, as PEM.
	CAs []byte
}

// NeedsResults says whether the errors of a cluster's object are to be asked for
// before its end is recorded: its status counts them only.
func NeedsResults(m *v1alpha1.Migrate, c Cluster, seen Member) (request ResultsRequest, needed bool) {
	part := partOf(&m.Status, c)
	if part == nil || IsTerminal(part.Phase) {
		return ResultsRequest{}, false
	}
	if b := seen.Backup; part == sourcePart(&m.Status) {
		if b == nil || b.Status.Phase != velerov1.BackupPhasePartiallyFailed {
			return ResultsRequest{}, false
		}
		request.Results, request.Log, request.Name = velerov1.DownloadTargetKindBackupResults, velerov1.DownloadTargetKindBackupLog, b.Name
	} else {
		r := seen.Restore
		if r == nil || r.Status.Phase != velerov1.RestorePhasePartiallyFailed {
			return ResultsRequest{}, false
		}
		request.Results, request.Log, request.Name = velerov1.DownloadTargetKindRestoreResults, velerov1.DownloadTargetKindRestoreLog, r.Name
	}
	if b := seen.Backup; b != nil {
		if l := locationNamed(b.Spec.StorageLocation, seen.Locations); l != nil && l.Spec.ObjectStorage != nil {
			request.CAs = l.Spec.ObjectStorage.CACert
		}
	}
	return request, true
}

// hasEnded says whether Velero has ended an object.
func hasEnded[T *velerov1.Backup | *velerov1.Restore](object T) bool {
	switch o := any(object).(type) {
	case *velerov1.Backup:
		return o != nil && IsTerminal(velero.BackupPhase(o.Status.Phase))
	case *velerov1.Restore:
		return o != nil && IsTerminal(velero.RestorePhase(o.Status.Phase))
	}
	return false
}

// waitsForVelero says whether a part's object is made and Velero has not ended it.
func waitsForVelero(part *v1alpha1.ClusterPart) bool {
	return part.Phase == v1alpha1.MigratePhaseBackupInProgress || part.Phase == v1alpha1.MigratePhaseRestoreInProgress
}

// diagnosed are the reasons that come from a diagnosis. They stay until there is
// another one, or the object moves.
var diagnosed = []string{v1alpha1.ReasonVeleroNotAnswering, v1alpha1.ReasonRestoreQueued, v1alpha1.ReasonNamespaceTerminating}

// explained is the state of a part that was recorded and whose object is in the
// given basic state now, with what a diagnosis adds. moved says that the object is
// no longer as it was recorded.
func explained(m *v1alpha1.Migrate, part v1alpha1.ClusterPart, basic state, moved bool, d *Diagnosis) state {
	if !waitsForVelero(&part) {
		return basic
	}
	if moved {
		return basic
	}
	if d == nil || d.Server == "" {
		if slices.Contains(diagnosed, part.Reason) {
			return state{part.Reason, part.Message}
		}
		return basic
	}
	terminating, named := intoNamespaces(m, d.Terminating)
	switch {
	case d.Server == ServerSilent:
		return state{v1alpha1.ReasonVeleroNotAnswering, fmt.Sprintf(
			"Velero in %s does not answer a ServerStatusRequest; check whether its server runs. %s", part.ClusterName, basic.message)}
	case basic.reason == v1alpha1.ReasonRestoreNew && d.Running != "":
		return state{v1alpha1.ReasonRestoreQueued, fmt.Sprintf(
			"%s Velero in %s is processing Restore %s.", basic.message, part.ClusterName, d.Running)}
	case basic.reason == v1alpha1.ReasonRestoreInProgress && len(terminating) > 0:
		waits := "Velero may be waiting for a namespace that"
		if named {
			waits = "Velero is waiting for a namespace of this Restore that"
		}
		return state{v1alpha1.ReasonNamespaceTerminating, fmt.Sprintf(
			"%s %s is being deleted in %s: %s. See what blocks the deletion: kubectl get namespace %s --output=yaml",
			basic.message, waits, part.ClusterName, strings.Join(terminating, ", "), terminating[0])}
	}
	return basic
}

// intoNamespaces are those of the given namespaces of a target that m may restore
// into; named says that the filter names them.
func intoNamespaces(m *v1alpha1.Migrate, namespaces []string) (into []string, named bool) {
	if m.Spec.Policy == nil {
		return namespaces, false
	}
	mapping := m.Spec.Policy.NamespaceMapping
	from := func(target string) string {
		for source, to := range mapping {
			if to == target {
				return source
			}
		}
		return target
	}
	filter := m.Spec.Policy.ResourceFilter
	named = filter != nil && len(filter.IncludedNamespaces) > 0 &&
		!slices.ContainsFunc(filter.IncludedNamespaces, func(n string) bool { return strings.Contains(n, "*") })
	into = slices.DeleteFunc(slices.Clone(namespaces), func(target string) bool {
		source := from(target)
		if _, moved := mapping[source]; moved && mapping[source] != target {
			return true
		}
		if filter == nil {
			return false
		}
		return named && !slices.Contains(filter.IncludedNamespaces, source) || slices.Contains(filter.ExcludedNamespaces, source)
	})
	return into, named
}

func partOf(status *v1alpha1.MigrateStatus, c Cluster) *v1alpha1.ClusterPart {
	for _, part := range partsOf(status) {
		if ClusterOf(*part) == c {
			return part
		}
	}
	return nil
}

func sourcePart(status *v1alpha1.MigrateStatus) *v1alpha1.ClusterPart {
	if status.SourceClusterStatus == nil {
		return nil
	}
	return &status.SourceClusterStatus.ClusterPart
}
