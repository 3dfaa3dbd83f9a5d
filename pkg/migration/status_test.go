// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestStatusOfACompleteMigration(t *testing.T) {
	s := newFixture(t, m2, m3)

	s.record()
	s.wantPhase("Pending")
	s.wantCondition("Ready", "False", "BackupStarting")
	if got := s.m.Status.SourceClusterStatus.BackupNameInCluster; got != "m1-migrate-default-app-c948154d" {
		t.Errorf("the name of the Backup is %q", got)
	}

	actions := s.next()
	if len(actions) != 1 || actions[0].(CreateBackup).Source != m1 {
		t.Fatalf("actions %+v, want one Backup in m1", actions)
	}
	s.record()
	s.wantPhase("BackupInProgress")
	s.wantCondition("sourceReady", "False", "BackupNew")
	s.wantNoActions()

	s.backup(velerov1.BackupPhaseInProgress, 5)
	s.wantPhase("BackupInProgress")
	s.wantNoActions()

	s.backup(velerov1.BackupPhaseCompleted, 5)
	s.wantPhase("RestoreInProgress")
	s.wantCondition("sourceReady", "True", "BackupCompleted")
	s.wantCondition("ItemsFound", "True", "ItemsFound")

	if actions = s.next(); len(actions) != 2 || actions[0].Cluster() != m2 || actions[1].Cluster() != m3 {
		t.Fatalf("actions %+v, want a Restore in m2 and one in m3", actions)
	}
	s.record()
	s.wantNoActions()

	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.wantPhase("RestoreInProgress")
	s.wantCondition("Ready", "False", "RestoreNew")
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.wantPhase("Completed")
	s.wantCondition("Ready", "True", "Completed")
	s.wantCondition("Finished", "True", "Completed")
	s.wantCondition("Reconciling", "False", "Completed")
	s.wantCondition("Stalled", "False", "Progressing")
	s.wantCondition("MembersReachable", "True", "AllReachable")
	s.wantNoActions()
}

func TestNextReturnsNothingBeforeTheClustersAreRecorded(t *testing.T) {
	s := newFixture(t, m2)
	s.wantNoActions()
}

func TestPendingReasons(t *testing.T) {
	for _, tt := range []struct {
		name    string
		targets []Cluster
		change  func(*fixture)
		reason  string
	}{
		{"host unreachable", []Cluster{m2}, func(s *fixture) { s.host.Err = errDown }, "HostUnreachable"},
		{"source fleet missing", []Cluster{m2}, func(s *fixture) { s.host.SourceFleet = Fleet{} }, "FleetNotFound"},
		{"target fleet missing", []Cluster{m2}, func(s *fixture) { s.host.TargetFleet = Fleet{} }, "FleetNotFound"},
		{"source not in fleet", []Cluster{m2}, func(s *fixture) { s.host.SourceFleet.Members = []Cluster{m2} }, "ClusterNotInFleet"},
		{"source missing", []Cluster{m2}, func(s *fixture) { delete(s.host.Clusters, m1) }, "ClusterNotFound"},
		{"source not ready", []Cluster{m2}, func(s *fixture) { s.host.Clusters[m1] = ClusterState{} }, "ClusterNotReady"},
		{"source not read yet", []Cluster{m2}, func(s *fixture) { delete(s.seen.Members, m1) }, "Connecting"},
		{"source unreachable", []Cluster{m2}, func(s *fixture) { s.with(m1, func(m *Member) { m.Err = errDown }) }, "MemberUnreachable"},
		{"source's kubeconfig not accepted", []Cluster{m2}, func(s *fixture) {
			s.with(m1, func(m *Member) { m.Err = fmt.Errorf("%w: exec is not allowed", ErrKubeconfigNotAccepted) })
		}, "KubeconfigNotAccepted"},
		{"source at an address that is not allowed", []Cluster{m2}, func(s *fixture) {
			s.with(m1, func(m *Member) { m.Err = fmt.Errorf("%w: it is a loopback address", ErrAddressNotAllowed) })
		}, "MemberAddressNotAllowed"},
		{"source exceeds a limit", []Cluster{m2}, func(s *fixture) {
			s.with(m1, func(m *Member) { m.Err = fmt.Errorf("%w: an event takes more than 8 MiB", ErrLimitExceeded) })
		}, "MemberLimitExceeded"},
		{"source without storage", []Cluster{m2}, func(s *fixture) { s.with(m1, func(m *Member) { m.Locations = nil }) }, "StorageNotConfigured"},
		{"storage not validated", []Cluster{m2}, func(s *fixture) {
			s.with(m1, func(m *Member) {
				l := bucket("velero")
				l.Status.Phase = ""
				m.Locations = []velerov1.BackupStorageLocation{l}
			})
		}, "StorageUnavailable"},
		{"storage read-only", []Cluster{m2}, func(s *fixture) {
			s.with(m1, func(m *Member) {
				l := bucket("velero")
				l.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
				m.Locations = []velerov1.BackupStorageLocation{l}
			})
		}, "StorageReadOnly"},
		{"the only target unreachable", []Cluster{m2}, func(s *fixture) { s.with(m2, func(m *Member) { m.Err = errDown }) }, "NoTargetReady"},
		{"no target shares the storage", []Cluster{m2, m3}, func(s *fixture) {
			for _, c := range []Cluster{m2, m3} {
				s.with(c, func(m *Member) { m.Locations = []velerov1.BackupStorageLocation{bucket("other")} })
			}
		}, "NoTargetReady"},
		{"no target in the fleet", nil, func(s *fixture) { s.host.TargetFleet.Members = []Cluster{m1} }, "NoTargets"},
		{"several sources in the fleet", []Cluster{m2}, func(s *fixture) { s.m.Spec.SourceCluster.Clusters = nil }, "SourceAmbiguous"},
		{"the source resolves to a target", []Cluster{m2}, func(s *fixture) {
			s.m.Spec.SourceCluster.Clusters = nil
			s.host.SourceFleet.Members = []Cluster{m2}
		}, "SourceIsTarget"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, tt.targets...)
			tt.change(s)
			s.record()
			s.wantPhase("Pending")
			s.wantCondition("Ready", "False", tt.reason)
			s.wantCondition("Finished", "False", "Pending")
			s.wantCondition("Reconciling", "True", "Pending")
			s.wantNoActions()
		})
	}
}

func TestOneReadyTargetIsEnoughToStart(t *testing.T) {
	s := newFixture(t, m2, m3).with(m2, func(m *Member) { m.Err = errDown }).restoring()
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.wantPhase("RestoreInProgress")
	s.wantCondition("MembersReachable", "False", "MemberUnreachable")
	s.wantCondition("Ready", "False", "MemberUnreachable")

	s.with(m2, func(m *Member) { m.Err = nil })
	s.record()
	if actions := s.next(); len(actions) != 1 || actions[0].Cluster() != m2 {
		t.Fatalf("actions %+v, want the Restore in m2, which is reachable again", actions)
	}
	s.record()
	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.wantPhase("Completed")
}

// TestTargetThatWasNotReadDoesNotDelayTheBackup: the first read of a member that accepts
// connections but does not answer takes as long as the timeout of a call.
func TestTargetThatWasNotReadDoesNotDelayTheBackup(t *testing.T) {
	s := newFixture(t, m2, m3)
	delete(s.seen.Members, m2)
	s.record()
	if actions := s.next(); len(actions) != 1 {
		t.Errorf("actions %+v, want the Backup", actions)
	}
}

func TestAllMembersAreTargetsIfNoneIsNamed(t *testing.T) {
	s := newFixture(t)
	s.host.TargetFleet.Members = []Cluster{m3, m1, m2}
	s.record()
	want := []string{"m2", "m3"}
	for i, target := range s.m.Status.TargetClusterStatus {
		if target.ClusterName != want[i] {
			t.Errorf("target %d is %s, want %s", i, target.ClusterName, want[i])
		}
	}

	// A cluster that joins after the start is not a target.
	s.started()
	s.host.TargetFleet.Members = append(s.host.TargetFleet.Members, Cluster{KindAttachedCluster, "m4"})
	if n := len(s.record().TargetClusterStatus); n != 2 {
		t.Errorf("%d targets, want the 2 that were there at the start", n)
	}
}

func TestFinalPhasesOfTheBackup(t *testing.T) {
	for phase, want := range map[velerov1.BackupPhase]v1alpha1.MigratePhase{
		velerov1.BackupPhaseFailed:           "Failed",
		velerov1.BackupPhasePartiallyFailed:  "Failed",
		velerov1.BackupPhaseFailedValidation: "FailedValidation",
		velerov1.BackupPhaseDeleting:         "Failed",
	} {
		t.Run(string(phase), func(t *testing.T) {
			s := newFixture(t, m2).started().backup(phase, 0)
			s.wantPhase(want)
			s.wantCondition("sourceReady", "False", s.m.Status.SourceClusterStatus.Reason)
			s.wantCondition("Finished", "True", string(want))
			s.wantCondition("Reconciling", "False", string(want))
			s.wantCondition("Stalled", "True", string(want))
			if got := s.m.Status.TargetClusterStatus[0]; got.Phase != "Failed" || got.Reason != "BackupFailed" {
				t.Errorf("the status of the target is %s (%s)", got.Phase, got.Reason)
			}
			s.wantNoActions()
		})
	}
}

func TestFinalPhasesOfTheRestores(t *testing.T) {
	for _, tt := range []struct {
		m2, m3 velerov1.RestorePhase
		want   v1alpha1.MigratePhase
	}{
		{"Completed", "Completed", "Completed"},
		{"Completed", "Failed", "PartiallyFailed"},
		{"Completed", "PartiallyFailed", "PartiallyFailed"},
		{"Completed", "FailedValidation", "PartiallyFailed"},
		{"PartiallyFailed", "Failed", "PartiallyFailed"},
		{"PartiallyFailed", "PartiallyFailed", "PartiallyFailed"},
		{"Failed", "Failed", "Failed"},
		{"Failed", "FailedValidation", "Failed"},
		{"Failed", "InProgress", "RestoreInProgress"},
		{"Completed", "SomethingNew", "RestoreInProgress"},
	} {
		t.Run(string(tt.m2+"/"+tt.m3), func(t *testing.T) {
			s := newFixture(t, m2, m3).restoring()
			s.restore(m2, tt.m2)
			s.restore(m3, tt.m3)
			s.wantPhase(tt.want)
		})
	}
}

func TestReadyMessageHasWarnings(t *testing.T) {
	s := newFixture(t, m2, m3).restoring()
	s.with(m2, func(m *Member) {
		m.Restore.Status.Warnings = 1
		m.Results = &Results{Warnings: []string{"old"}, Lists: excepting(v1alpha1.ItemCounts{Total: 2, Created: 2}, v1alpha1.VolumeCounts{})}
	})
	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.restore(m3, velerov1.RestorePhaseCompleted)
	want := "2 of 2 targets done. m2: Restore m2-migrate-default-app-c948154d restored 2 items, with 1 warning: old."
	if got := readyCondition(&s.m.Status); *got != (state{"Completed", want}) {
		t.Errorf("Ready is %+v, want the message %q", got, want)
	}
}

func TestNothingMatched(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseCompleted, 0)
	s.wantPhase("Completed")
	s.wantCondition("ItemsFound", "False", "NothingMatched")
	s.wantCondition("Ready", "True", "NothingMatched")
	s.wantNoActions()
	if got := s.m.Status.TargetClusterStatus[0]; got.Phase != "Completed" || got.Reason != "NothingToRestore" {
		t.Errorf("the status of the target is %s (%s)", got.Phase, got.Reason)
	}
}

func TestRecordedTerminalStatusIsFinal(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"objects deleted":     func(s *fixture) { s.seen.Members[m1], s.seen.Members[m2] = Member{}, Member{} },
		"members unreachable": func(s *fixture) { s.with(m2, func(m *Member) { m.Err = errDown }) },
		"fleet deleted":       func(s *fixture) { s.host = Inventory{} },
		"restore failed":      func(s *fixture) { s.restore(m2, velerov1.RestorePhaseFailed) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2).restoring().restore(m2, velerov1.RestorePhaseCompleted)
			end := s.m.Status.DeepCopy()
			change(s)
			s.now = s.now.Add(time.Hour)
			if got := Status(s.m, s.observed(), s.now); Compare(end, &got) != Unchanged {
				t.Errorf("the recorded status changed: %+v", got)
			}
			s.wantNoActions()
		})
	}
}

func TestTerminalPhaseOfAClusterIsFinal(t *testing.T) {
	s := newFixture(t, m2, m3).restoring()
	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.with(m2, func(m *Member) { m.Restore = nil })
	s.with(m1, func(m *Member) { m.Backup = nil })
	s.record()
	s.wantPhase("RestoreInProgress")
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.wantPhase("Completed")
}

func TestDeletedObjects(t *testing.T) {
	t.Run("the Backup", func(t *testing.T) {
		s := newFixture(t, m2).started().backup(velerov1.BackupPhaseInProgress, 5)
		s.with(m1, func(m *Member) { m.Backup = nil })
		s.record()
		s.wantPhase("Failed")
		s.wantCondition("Ready", "False", "BackupDeleted")
	})
	t.Run("the Restore", func(t *testing.T) {
		s := newFixture(t, m2).restoring().restore(m2, velerov1.RestorePhaseInProgress)
		s.with(m2, func(m *Member) { m.Restore = nil })
		s.record()
		s.wantPhase("Failed")
		s.wantCondition("Ready", "False", "RestoreDeleted")
	})
	t.Run("an unreachable member proves nothing", func(t *testing.T) {
		s := newFixture(t, m2).started().backup(velerov1.BackupPhaseInProgress, 5)
		s.with(m1, func(m *Member) { m.Backup, m.Err, m.Since = nil, errDown, start })
		s.record()
		s.wantPhase("BackupInProgress")
		source := s.m.Status.SourceClusterStatus
		if source.Reason != "MemberUnreachable" || source.Message != "Reading m1 has failed since 2023-10-28T15:55:13Z: connection refused; retrying within a minute." {
			t.Errorf("the status of the source is %s: %s", source.Reason, source.Message)
		}
		if source.BackupStatusInCluster.Phase != velerov1.BackupPhaseInProgress {
			t.Error("the recorded status of the Backup is lost")
		}
	})
	t.Run("a member that was not read yet proves nothing", func(t *testing.T) {
		s := newFixture(t, m2).restoring()
		delete(s.seen.Members, m2)
		s.record()
		s.wantPhase("RestoreInProgress")
	})
}

// TestVeleroInAnotherNamespace has a cluster whose Velero is not in the namespace that its annotation names: an
// administrator finds no storage there, and the ServiceAccount of that Velero may read nothing.
func TestVeleroInAnotherNamespace(t *testing.T) {
	s := newFixture(t, m2).with(m1, func(m *Member) { m.Locations = nil })
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "StorageNotConfigured",
		"Namespace velero of m1 has no BackupStorageLocation. Create a default one there or, if Velero runs in another namespace, such as openshift-adp, "+
			"name that in the annotation backup.kurator.dev/velero-namespace of AttachedCluster m1.")

	second := bucket("velero")
	second.Name, second.Spec.Default = "second", false
	s.with(m1, func(m *Member) { m.Locations = []velerov1.BackupStorageLocation{second} })
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "StorageNotConfigured", "Velero in m1 has no default BackupStorageLocation. Create one.")

	s.with(m1, func(m *Member) {
		m.Since, m.Err = start, fmt.Errorf("list backups: %w", apierrors.NewForbidden(velerov1.Resource("backups"), "", errors.New(`not in the namespace "velero"`)))
	})
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "MemberUnreachable",
		`Reading m1 has failed since 2023-10-28T15:55:13Z: list backups: backups.velero.io is forbidden: not in the namespace "velero"; `+
			"if Velero does not run in the namespace that is named here, name its namespace in the annotation backup.kurator.dev/velero-namespace of the cluster's object on the host; "+
			"retrying within a minute.")
}

func TestTargetWithAnotherStorageDelaysOnlyItself(t *testing.T) {
	s := newFixture(t, m2, m3).with(m2, func(m *Member) {
		m.Locations = []velerov1.BackupStorageLocation{bucket("other")}
	})
	s.record()
	got := s.m.Status.TargetClusterStatus[0]
	want := "m1 and m2 do not share a storage: default (aws, bucket velero) in m1, default (aws, bucket other) in m2. " +
		"Add a BackupStorageLocation for the source's bucket to Velero in m2."
	if got.Reason != "StorageNotShared" || got.Message != want {
		t.Errorf("before the Backup the status of m2 is %s: %s", got.Reason, got.Message)
	}
	s.started().backup(velerov1.BackupPhaseCompleted, 5)
	if actions := s.next(); len(actions) != 1 || actions[0].Cluster() != m3 {
		t.Fatalf("actions %+v, want only the Restore in m3", actions)
	}
}

// TestStorageLocation migrates by another location than the default one, which has another name in the
// target.
func TestStorageLocation(t *testing.T) {
	archive := func(name, bucketName string) velerov1.BackupStorageLocation {
		l := bucket(bucketName)
		l.Name, l.Spec.Default = name, false
		return l
	}
	s := newFixture(t, m2)
	s.m.Spec.Policy = &v1alpha1.MigratePolicy{StorageLocation: "archive"}
	s.with(m2, func(m *Member) {
		m.Locations = append(m.Locations, archive("old", "elsewhere"), archive("of-m1", "archive"))
	})
	s.record()
	s.wantNoActions()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "StorageNotConfigured",
		"Velero in m1 has no BackupStorageLocation archive, which spec.policy.storageLocation names. Create it.")

	s.with(m1, func(m *Member) { m.Locations = append(m.Locations, archive("archive", "archive")) })
	s.started()
	if got := s.seen.Members[m1].Backup.Spec.StorageLocation; got != "archive" {
		t.Errorf("the Backup is stored in %q", got)
	}
	s.backup(velerov1.BackupPhaseCompleted, 5)
	actions := Next(s.m, s.observed())
	if len(actions) != 1 || actions[0].(StartRestore).Location != "of-m1" {
		t.Errorf("actions %+v, want a Restore from the location of-m1", actions)
	}

	s.with(m2, func(m *Member) { m.Locations = m.Locations[:2] })
	s.record()
	if got := s.target(); got.Reason != "StorageNotShared" {
		t.Errorf("without the location the target is %s: %s", got.Reason, got.Message)
	}
}

func TestUnprovenStorageWaitsForVelerosSync(t *testing.T) {
	s := newFixture(t, m2).with(m2, func(m *Member) {
		m.Locations[0].Spec.Config = map[string]string{"s3Url": "https://other.example.com"}
		m.Sharing = &Sharing{}
	})
	s.started().backup(velerov1.BackupPhaseCompleted, 5)
	s.wantNoActions()
	s.wantCondition("Ready", "False", "WaitingForBackupSync")
	if got := s.m.Status.TargetClusterStatus[0].StorageProof; got != nil {
		t.Errorf("before the sync there is a proof: %+v", got)
	}

	synced := s.seen.Members[m1].Backup.DeepCopy()
	synced.CreationTimestamp = metav1.NewTime(start)
	s.with(m2, func(m *Member) { m.Backup = synced })
	s.record()
	s.wantNoActions()

	// After Velero's sync the source is not needed.
	s.with(m1, func(m *Member) { m.Err = errDown })
	s.with(m2, func(m *Member) { m.Locations[0].Status.LastSyncedTime = &metav1.Time{Time: start} })
	s.record()
	actions := s.next()
	if len(actions) != 1 || actions[0].(StartRestore).TargetBackup != synced || actions[0].(StartRestore).SourceBackup != nil {
		t.Fatalf("actions %+v, want a Restore of the Backup that Velero synced", actions)
	}
	want := v1alpha1.StorageProof{Type: "OwnBackup", BackupName: "m1-migrate-default-app-c948154d"}
	if got := s.m.Status.TargetClusterStatus[0].StorageProof; got == nil || *got != want {
		t.Errorf("the proof is %+v, want %+v", got, want)
	}
}

func TestSourceUnreachableAfterItsBackup(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseCompleted, 5)
	s.with(m1, func(m *Member) { m.Err = errDown })
	s.record()
	s.wantCondition("Ready", "False", "SourceUnreachable")
	s.wantNoActions()
}

func TestSyncedBackupIsHandedOverAfterItsSyncIsComplete(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseCompleted, 5)
	s.with(m1, func(m *Member) {
		m.Backup = m.Backup.DeepCopy()
		m.Backup.Spec.StorageLocation = "default"
		m.Backup.Status.CompletionTimestamp = &metav1.Time{Time: start}
		m.Backup.CreationTimestamp = metav1.NewTime(start.Add(30 * time.Second))
		m.Backup.Generation = 1
	})
	s.record()
	s.wantCondition("Ready", "False", "WaitingForBackupSync")
	s.wantNoActions()
	s.with(m1, func(m *Member) {
		m.Locations[0].Status.LastSyncedTime = &metav1.Time{Time: start.Add(31 * time.Second)}
	})
	s.record()
	s.wantCondition("Ready", "False", "RestoreStarting")
}

func TestDeletingBackupIsNotHandedOver(t *testing.T) {
	for name, where := range map[string]Cluster{"in the source": m1, "in the target": m2} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2).started().backup(velerov1.BackupPhaseCompleted, 5)
			deleting := s.seen.Members[m1].Backup.DeepCopy()
			deleting.Status.Phase = velerov1.BackupPhaseDeleting
			s.with(where, func(m *Member) { m.Backup = deleting })
			s.record()
			s.wantCondition("Ready", "False", "WaitingForBackupSync")
			s.wantNoActions()
		})
	}
}

func TestDeletedLocation(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseCompleted, 5)
	s.with(m1, func(m *Member) { m.Locations = nil })
	s.record()
	s.wantCondition("Ready", "False", "WaitingForBackupSync")
	s.wantNoActions()
}

func TestNewLeaderKeepsTheRecordedState(t *testing.T) {
	s := newFixture(t, m2).with(m2, func(m *Member) { m.Err, m.Since = errDown, start })
	before := s.record()
	s.seen.Members = map[Cluster]Member{}
	if after := s.record(); Compare(&before, &after) != Unchanged {
		t.Errorf("the status changed before a member was read:\n%s", cmp.Diff(before, after))
	}
}

// TestItemsFound has Backups whose lists have items of others, which are Namespaces and what every
// cluster has of its own.
func TestItemsFound(t *testing.T) {
	listing := func(items int64) *Results { return &Results{Lists: &Lists{Items: v1alpha1.ItemCounts{Total: items}}} }
	for _, tt := range []struct {
		name    string
		filter  v1alpha1.ResourceFilter
		results *Results
		want    metav1.ConditionStatus
		reason  string
	}{
		{"items", v1alpha1.ResourceFilter{}, listing(1), "True", "ItemsFound"},
		{"others alone", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}}, listing(0), "False", "NothingMatched"},
		{"Namespaces that were asked for", v1alpha1.ResourceFilter{IncludedResources: []string{"Namespaces"}}, listing(0), "True", "ItemsFound"},
		{"Namespaces by scope", v1alpha1.ResourceFilter{IncludedClusterScopedResources: []string{"ns"}}, listing(0), "True", "ItemsFound"},
		{"unknown", v1alpha1.ResourceFilter{}, &Results{ListsErr: errDown}, "Unknown", "ResultsUnavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2)
			s.m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
			s.started()
			s.with(m1, func(m *Member) { m.Results = tt.results })
			s.backup(velerov1.BackupPhaseCompleted, 2)
			s.wantCondition("ItemsFound", tt.want, tt.reason)
		})
	}
}

func TestStatusOfAMemberIsBounded(t *testing.T) {
	s := newFixture(t, m2).started()
	s.with(m1, func(m *Member) {
		m.Backup.Status.FailureReason = strings.Repeat("ä", 1<<20)
		for range 1000 {
			m.Backup.Status.ValidationErrors = append(m.Backup.Status.ValidationErrors, strings.Repeat("x", 1<<16))
		}
	})
	s.backup(velerov1.BackupPhaseFailedValidation, 0)
	raw, err := json.Marshal(s.m.Status)
	if err != nil || len(raw) > 128<<10 || !utf8.Valid(raw) {
		t.Errorf("the status has %d bytes, %v", len(raw), err)
	}
}

func TestExpiredBackupFailsItsTargets(t *testing.T) {
	s := newFixture(t, m2, m3).with(m2, func(m *Member) { m.Err = errDown }).restoring()
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.m.Status.SourceClusterStatus.BackupStatusInCluster.Expiration = &metav1.Time{Time: start.Add(720 * time.Hour)}
	s.now = start.Add(721 * time.Hour)
	s.record()
	s.wantPhase("RestoreInProgress")
	s.with(m2, func(m *Member) { m.Err = nil })
	s.record()
	s.wantPhase("PartiallyFailed")
	if got := s.m.Status.TargetClusterStatus[0].Reason; got != "BackupExpired" {
		t.Errorf("the reason of m2 is %s", got)
	}
}

func TestWriteErrorIsReported(t *testing.T) {
	s := newFixture(t, m2)
	s.record()
	s.with(m1, func(m *Member) { m.WriteErr = errDown })
	s.record()
	s.wantCondition("Ready", "False", "BackupCreateFailed")
	if actions := s.next(); len(actions) != 1 {
		t.Errorf("actions %+v, want another attempt", actions)
	}
}

func TestNextReturnsNothingForADeletedMigrate(t *testing.T) {
	s := newFixture(t, m2)
	s.record()
	s.m.DeletionTimestamp = &metav1.Time{Time: start}
	s.record()
	s.wantCondition("Ready", "False", "BeingDeleted")
	s.wantNoActions()
}

func TestProgressDeadline(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseInProgress, 5)
	next, ok := NextDeadline(s.m, s.now)
	if !ok || next != start.Add(10*time.Minute) {
		t.Fatalf("next deadline %v, %v", next, ok)
	}
	s.now = start.Add(9 * time.Minute)
	s.record()
	s.wantCondition("Stalled", "False", "Progressing")

	s.now = start.Add(10 * time.Minute)
	s.record()
	s.wantCondition("Stalled", "True", "ProgressDeadlineExceeded")
	s.wantCondition("Reconciling", "False", "ProgressDeadlineExceeded")
	s.wantPhase("BackupInProgress")
	if _, ok := NextDeadline(s.m, s.now); ok {
		t.Error("a deadline that has passed is returned")
	}

	s.backup(velerov1.BackupPhaseInProgress, 6)
	s.wantCondition("Stalled", "False", "Progressing")
}

func TestProgressDeadlineStartsAfterTheQueue(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseQueued, 0)
	if _, ok := NextDeadline(s.m, s.now); ok {
		t.Error("the clock runs while the Backup is queued")
	}
	s.now = start.Add(time.Hour)
	s.record()
	s.wantCondition("Stalled", "False", "Progressing")
	s.backup(velerov1.BackupPhaseInProgress, 0)
	if next, _ := NextDeadline(s.m, s.now); next != start.Add(time.Hour+10*time.Minute) {
		t.Errorf("the deadline is %v, want 10 minutes after the queue", next)
	}
}

func TestWaitingForAFleetIsStalledAfterTheDeadline(t *testing.T) {
	s := newFixture(t, m2)
	s.host.SourceFleet = Fleet{}
	s.m.Spec.ProgressDeadlineSeconds = new(int32(60))
	s.now = start.Add(time.Minute)
	s.record()
	s.wantCondition("Stalled", "True", "ProgressDeadlineExceeded")
	s.wantCondition("Reconciling", "False", "ProgressDeadlineExceeded")
	s.wantPhase("Pending")
}

// TestLiveStatusHasNoUnrecordedEnd computes the live status before and after an end is recorded.
func TestLiveStatusHasNoUnrecordedEnd(t *testing.T) {
	for name, test := range map[string]struct {
		end               func(*fixture)
		cs                func(*v1alpha1.MigrateStatus) v1alpha1.ClusterStatus
		before, of, after v1alpha1.MigratePhase
		message           string
	}{
		"a Backup that failed": {
			func(s *fixture) {
				s.with(m1, func(m *Member) { m.Backup = m.Backup.DeepCopy(); m.Backup.Status.Phase = "Failed" })
			},
			func(status *v1alpha1.MigrateStatus) v1alpha1.ClusterStatus {
				return status.SourceClusterStatus.ClusterStatus
			},
			"BackupInProgress", "BackupInProgress", "Failed", "Not recorded yet: Backup m1-migrate-default-app-c948154d ended Failed",
		},
		"a Restore that failed partially": {
			func(s *fixture) {
				s.backup(velerov1.BackupPhaseCompleted, 5)
				s.next()
				s.record()
				s.with(m2, func(m *Member) {
					m.Restore = m.Restore.DeepCopy()
					m.Restore.Status.Phase, m.Results = "PartiallyFailed", &Results{Errors: []string{"denied"}}
				})
			},
			func(status *v1alpha1.MigrateStatus) v1alpha1.ClusterStatus {
				return status.TargetClusterStatus[0].ClusterStatus
			},
			"RestoreInProgress", "RestoreInProgress", "PartiallyFailed", "Not recorded yet: Restore m2-migrate-default-app-c948154d ended PartiallyFailed",
		},
		"a Restore that was deleted": {
			func(s *fixture) {
				s.backup(velerov1.BackupPhaseCompleted, 5)
				s.next()
				s.record()
				s.with(m2, func(m *Member) { m.Restore = nil })
			},
			func(status *v1alpha1.MigrateStatus) v1alpha1.ClusterStatus {
				return status.TargetClusterStatus[0].ClusterStatus
			},
			"RestoreInProgress", "RestoreInProgress", "Failed", "Not recorded yet: Restore m2-migrate-default-app-c948154d was deleted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2).started()
			test.end(s)
			live := LiveStatus(s.m, s.observed(), s.now)
			if cs := test.cs(&live); live.Phase != test.before || cs.Phase != test.of || !strings.HasPrefix(cs.Message, test.message) {
				t.Errorf("before: the phase is %s, that of the cluster %s: %q", live.Phase, cs.Phase, cs.Message)
			}
			s.record()
			if live = LiveStatus(s.m, s.observed(), s.now); live.Phase != test.after {
				t.Errorf("after: %s, want %s", live.Phase, test.after)
			}
		})
	}
}
