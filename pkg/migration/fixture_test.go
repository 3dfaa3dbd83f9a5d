// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"maps"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

var (
	start   = time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)
	errDown = errors.New("connection refused")

	usableState = ClusterState{Ready: true, VeleroNamespace: "velero"}

	m1 = Cluster{KindAttachedCluster, "m1"}
	m2 = Cluster{KindAttachedCluster, "m2"}
	m3 = Cluster{KindAttachedCluster, "m3"}
)

// fixture holds a Migrate and what is observed of its host and members. It starts with a fleet of
// three ready clusters that share a storage, and a Migrate from m1 to the given targets.
type fixture struct {
	t    *testing.T
	m    *v1alpha1.Migrate
	host Inventory
	// access has the access to some clusters; access to all others is allowed.
	access map[Cluster]Access
	seen   Observation
	now    time.Time
}

func newFixture(t *testing.T, targets ...Cluster) *fixture {
	fleet := Fleet{Found: true, Members: []Cluster{m1, m2, m3}}
	s := &fixture{
		t:   t,
		now: start,
		m: &v1alpha1.Migrate{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "app", UID: "c948154d-1727", Generation: 1,
				CreationTimestamp: metav1.NewTime(start),
			},
			Spec: v1alpha1.MigrateSpec{
				SourceCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: references(m1)},
				TargetCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: references(targets...)},
			},
		},
		host: Inventory{
			SourceFleet: fleet, TargetFleet: fleet,
			Clusters: map[Cluster]ClusterState{m1: usableState, m2: usableState, m3: usableState},
		},
		access: map[Cluster]Access{},
		seen:   Observation{Members: map[Cluster]Member{}},
	}
	for _, c := range fleet.Members {
		s.seen.Members[c] = Member{Locations: []velerov1.BackupStorageLocation{bucket("velero")}, Turn: &Turn{}, Checked: &Checked{}}
	}
	return s
}

func references(clusters ...Cluster) []corev1.ObjectReference {
	var refs []corev1.ObjectReference
	for _, c := range clusters {
		refs = append(refs, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
	}
	return refs
}

func bucket(name string) velerov1.BackupStorageLocation {
	return velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{
			Default: true, Provider: "aws",
			StorageType: velerov1.StorageType{ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: name}},
		},
		Status: velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
	}
}

// with changes what is read from one member.
func (s *fixture) with(c Cluster, change func(*Member)) *fixture {
	member := s.seen.Members[c]
	change(&member)
	s.seen.Members[c] = member
	return s
}

// plan returns the plan of the Migrate.
func (s *fixture) plan() Plan {
	access := map[Cluster]Access{}
	for c := range s.host.Clusters {
		access[c] = Access{Allowed: true}
	}
	maps.Copy(access, s.access)
	return Resolve(s.m, s.host).WithAccess(access)
}

// observed returns the observation with the plan of the Migrate.
func (s *fixture) observed() Observation {
	s.seen.Plan = s.plan()
	return s.seen
}

// record computes the status, records it and returns it.
func (s *fixture) record() v1alpha1.MigrateStatus {
	s.m.Status = Status(s.m, s.observed(), s.now)
	return s.m.Status
}

// next returns the actions that are due and executes them.
func (s *fixture) next() []Action {
	actions := Next(s.m, s.observed())
	for _, action := range actions {
		switch a := action.(type) {
		case CreateBackup:
			s.with(a.Source, func(m *Member) { m.Backup = a.Backup })
		case StartRestore:
			s.with(a.Target, func(m *Member) {
				if m.Restore = a.Restore; a.TargetBackup == nil {
					m.Backup = velero.NewHandedOverBackup(s.m, a.Restore.Spec.BackupName, a.SourceBackup, a.Location, 0)
				}
			})
		}
	}
	return actions
}

// started advances to the time after the creation of the Backup.
func (s *fixture) started() *fixture {
	s.record()
	s.next()
	s.record()
	return s
}

func (s *fixture) backup(phase velerov1.BackupPhase, items int) *fixture {
	s.with(m1, func(m *Member) {
		m.Backup = m.Backup.DeepCopy()
		m.Backup.Status.Phase = phase
		m.Backup.Status.Progress = &velerov1.BackupProgress{TotalItems: items, ItemsBackedUp: items}
		if _, needed := backupResults(s.m, m.Backup); needed && m.Results == nil {
			m.Results = &Results{Lists: &Lists{Items: v1alpha1.ItemCounts{Total: int64(items)}}}
		}
	})
	s.record()
	return s
}

// restoring advances to the time after the completion of the Backup and the creation of the
// Restore in every target that is ready.
func (s *fixture) restoring() *fixture {
	s.started().backup(velerov1.BackupPhaseCompleted, 5)
	s.next()
	s.record()
	return s
}

// refuse lets Velero reject the Restore in a target because it does not know the Backup yet.
func (s *fixture) refuse(target Cluster) *fixture {
	return s.with(target, func(m *Member) {
		m.Restore = m.Restore.DeepCopy()
		m.Restore.Status.ValidationErrors = []string{`Error retrieving backup: can't find backup "b"`}
	}).restore(target, velerov1.RestorePhaseFailedValidation)
}

func (s *fixture) restore(c Cluster, phase velerov1.RestorePhase) *fixture {
	s.with(c, func(m *Member) {
		m.Restore = m.Restore.DeepCopy()
		m.Restore.Status.Phase = phase
		if _, needed := restoreResults(s.m, s.m.Status.SourceClusterStatus, targetOf(&s.m.Status, c), m.Restore); needed && m.Results == nil {
			m.Results = &Results{Lists: &Lists{Items: v1alpha1.ItemCounts{Total: 5, Created: 5}}}
		}
	})
	s.record()
	return s
}

func (s *fixture) wantPhase(want v1alpha1.MigratePhase) {
	s.t.Helper()
	if got := s.m.Status.Phase; got != want {
		s.t.Errorf("phase %s, want %s", got, want)
	}
}

func (s *fixture) wantCondition(kind string, status metav1.ConditionStatus, reason string) {
	s.t.Helper()
	for _, c := range s.m.Status.Conditions {
		if c.Type == kind {
			if c.Status != status || c.Reason != reason {
				s.t.Errorf("condition %s is %s (%s: %s), want %s (%s)", kind, c.Status, c.Reason, c.Message, status, reason)
			}
			return
		}
	}
	s.t.Errorf("there is no condition %s, want %s (%s)", kind, status, reason)
}

func (s *fixture) condition(kind string) metav1.Condition {
	return *meta.FindStatusCondition(s.m.Status.Conditions, kind)
}

func (s *fixture) wantNoActions() {
	s.t.Helper()
	if actions := Next(s.m, s.observed()); len(actions) > 0 {
		s.t.Errorf("actions %+v, want none", actions)
	}
}
