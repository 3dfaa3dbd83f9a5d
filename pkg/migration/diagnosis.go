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

// diagnosisDelay is how long a cluster that waits for Velero makes no progress before it is
// diagnosed.
const diagnosisDelay = 5 * time.Second

// Diagnosis holds what was read from a member to explain why Velero makes no progress with a
// Migrate's object. A zero field is unknown.
type Diagnosis struct {
	// Server is the state of Velero's server.
	Server ServerState
	// Running is the name of another Backup, in the source, or of another Restore that Velero is
	// processing in the cluster.
	Running string
	// Terminating are the namespaces that are being deleted.
	Terminating []string
	// Volumes is the progress of the object's volume data; nil if it has none.
	Volumes *v1alpha1.VolumeProgress
	// Hindrances are why the data of some volumes does not move, each with the object that moves it.
	Hindrances []string
}

// ServerState is whether a Velero server answers a ServerStatusRequest.
type ServerState string

const (
	// ServerAnswers means that it has answered.
	ServerAnswers ServerState = "Answers"
	// ServerSilent means that it did not answer in time.
	ServerSilent ServerState = "Silent"
)

// NeedsDiagnosis reports whether cluster c needs a diagnosis: it has waited for Velero without
// progress for diagnosisDelay. If it has not waited that long, wait is the rest of the delay;
// if it does not wait for Velero, wait is zero.
func NeedsDiagnosis(m *v1alpha1.Migrate, c Cluster, seen Member, now time.Time) (wait time.Duration, needed bool) {
	cs := clusterStatusOf(&m.Status, c)
	if cs == nil || !waitsForVelero(cs) || cs == sourceClusterStatus(&m.Status) && hasEnded(seen.Backup) || hasEnded(seen.Restore) {
		return 0, false
	}
	quiet := cs.LastProgressTime
	if quiet == nil {
		quiet = cs.LastTransitionTime
	}
	if quiet == nil {
		return 0, false
	}
	wait = quiet.Add(diagnosisDelay).Sub(now)
	return max(wait, 0), wait <= 0
}

// hasEnded reports whether the phase of object, which may be nil, is final.
func hasEnded[T *velerov1.Backup | *velerov1.Restore](object T) bool {
	switch o := any(object).(type) {
	case *velerov1.Backup:
		return o != nil && IsTerminal(velero.BackupPhase(o.Status.Phase))
	case *velerov1.Restore:
		return o != nil && IsTerminal(velero.RestorePhase(o.Status.Phase))
	}
	return false
}

// waitsForVelero reports whether the object of a cluster exists and is not finished.
func waitsForVelero(cs *v1alpha1.ClusterStatus) bool {
	return cs.Phase == v1alpha1.MigratePhaseBackupInProgress || cs.Phase == v1alpha1.MigratePhaseRestoreInProgress
}

// diagnosisReasons are the reasons that a diagnosis sets. They are kept until the next diagnosis
// or until the object makes progress.
var diagnosisReasons = []string{v1alpha1.ReasonVeleroNotAnswering, v1alpha1.ReasonRestoreQueued, v1alpha1.ReasonNamespaceTerminating, v1alpha1.ReasonVolumeDataNotMoving}

// withDiagnosis returns the state of a cluster: basic, the state of its object, refined by the
// diagnosis d, which may be nil. cs has the observed phase, and still the recorded reason and
// message; moved is true if the object has made progress since they were recorded, which makes the
// diagnosis obsolete.
func withDiagnosis(m *v1alpha1.Migrate, cs v1alpha1.ClusterStatus, basic state, moved bool, d *Diagnosis) state {
	if !waitsForVelero(&cs) || moved {
		return basic
	}
	if d == nil || d.Server == "" && len(d.Hindrances) == 0 {
		saysMore := cs.Reason == basic.reason && strings.HasPrefix(cs.Message, basic.message)
		if slices.Contains(diagnosisReasons, cs.Reason) || saysMore {
			return state{cs.Reason, cs.Message}
		}
		return basic
	}
	terminating, named := affectedNamespaces(m, d.Terminating)
	switch {
	case d.Server == ServerSilent:
		return state{v1alpha1.ReasonVeleroNotAnswering, fmt.Sprintf(
			"Velero in %s does not answer a ServerStatusRequest; check whether its server runs. %s", cs.ClusterName, basic.message)}
	case basic.reason == v1alpha1.ReasonBackupQueued && d.Running != "":
		return state{v1alpha1.ReasonBackupQueued, fmt.Sprintf(
			"%s Velero in %s is processing Backup %s.", basic.message, cs.ClusterName, d.Running)}
	case basic.reason == v1alpha1.ReasonRestoreNew && d.Running != "":
		return state{v1alpha1.ReasonRestoreQueued, fmt.Sprintf(
			"%s Velero in %s is processing Restore %s.", basic.message, cs.ClusterName, d.Running)}
	case len(d.Hindrances) > 0:
		return state{v1alpha1.ReasonVolumeDataNotMoving, fmt.Sprintf(
			"%s The data of volumes does not move in %s. %s.", basic.message, cs.ClusterName, strings.TrimSuffix(strings.Join(d.Hindrances, "; "), "."))}
	case basic.reason == v1alpha1.ReasonRestoreInProgress && len(terminating) > 0:
		waits := "Velero may be waiting for a namespace that"
		if named {
			waits = "Velero is waiting for a namespace of this Restore that"
		}
		return state{v1alpha1.ReasonNamespaceTerminating, fmt.Sprintf(
			"%s %s is being deleted in %s: %s. See what blocks the deletion: kubectl get namespace %s --output=yaml",
			basic.message, waits, cs.ClusterName, strings.Join(terminating, ", "), terminating[0])}
	}
	return basic
}

// affectedNamespaces returns those of the given namespaces of a target into which m may restore;
// named is true if the filter lists its namespaces by name.
func affectedNamespaces(m *v1alpha1.Migrate, namespaces []string) (into []string, named bool) {
	if m.Spec.Policy == nil {
		return namespaces, false
	}
	mapping, filter := m.Spec.Policy.NamespaceMapping, m.Spec.Policy.ResourceFilter
	named = filter != nil && velero.ListsNamespaces(*filter)
	isSelected := func(source string) bool {
		return filter == nil ||
			(!named || slices.Contains(filter.IncludedNamespaces, source)) && !slices.Contains(filter.ExcludedNamespaces, source)
	}
	for _, target := range namespaces {
		var sources []string
		if _, mapped := mapping[target]; !mapped {
			sources = append(sources, target)
		}
		for source, to := range mapping {
			if to == target {
				sources = append(sources, source)
			}
		}
		if slices.ContainsFunc(sources, isSelected) {
			into = append(into, target)
		}
	}
	return into, named
}

func clusterStatusOf(status *v1alpha1.MigrateStatus, c Cluster) *v1alpha1.ClusterStatus {
	for _, cs := range ClusterStatuses(status) {
		if ClusterOf(*cs) == c {
			return cs
		}
	}
	return nil
}

func sourceClusterStatus(status *v1alpha1.MigrateStatus) *v1alpha1.ClusterStatus {
	if status.SourceClusterStatus == nil {
		return nil
	}
	return &status.SourceClusterStatus.ClusterStatus
}
