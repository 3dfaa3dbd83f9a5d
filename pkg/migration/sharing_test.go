// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// private returns a location at a Service, which may be another one in each cluster. It was synced since its creation.
func private(name, service string) velerov1.BackupStorageLocation {
	l := bucket("velero")
	l.Name, l.UID, l.Spec.Default = name, "1", false
	l.Spec.Config = map[string]string{"s3Url": "http://" + service + ":9000"}
	l.CreationTimestamp = metav1.NewTime(start)
	l.Status.LastSyncedTime = &metav1.Time{Time: start.Add(time.Minute)}
	return l
}

// privateFixture is a fixture with a target whose storage may be that of the source.
func privateFixture(t *testing.T) *fixture {
	s := newFixture(t, m2)
	for _, c := range []Cluster{m1, m2} {
		s.with(c, func(m *Member) {
			m.Locations = []velerov1.BackupStorageLocation{private("default", "minio.velero.svc")}
		})
	}
	return s
}

func (s *fixture) proof() v1alpha1.StorageProof {
	if proof := s.m.Status.TargetClusterStatus[0].StorageProof; proof != nil {
		return *proof
	}
	return v1alpha1.StorageProof{}
}

func TestProvenStorageIsHandedOver(t *testing.T) {
	s := privateFixture(t).with(m2, func(m *Member) { m.Sharing = &Sharing{Location: "default", Backup: "daily"} })
	s.started()
	want := v1alpha1.StorageProof{Type: "SyncedBackup", BackupName: "daily"}
	if got := s.proof(); got != want {
		t.Errorf("during the Backup the proof is %+v, want %+v", got, want)
	}
	s.backup(velerov1.BackupPhaseCompleted, 5)
	s.wantState(s.target(), "RestoreStarting", "Creating Restore m2-migrate-default-app-c948154d in m2. "+
		"default (aws, bucket velero, http://minio.velero.svc:9000) in m1 and default (aws, bucket velero, http://minio.velero.svc:9000) in m2 "+
		"are the same storage: Velero in m2 has synced Backup daily of m1.")
	actions := s.next()
	if len(actions) != 1 || actions[0].(StartRestore).SourceBackup == nil || actions[0].(StartRestore).Location != "default" {
		t.Fatalf("actions %+v, want a handoff", actions)
	}
	s.restore(m2, velerov1.RestorePhaseCompleted)
	s.wantPhase("Completed")
	s.with(m2, func(m *Member) { m.Sharing = &Sharing{Conflict: "daily"} })
	s.record()
	if got := s.proof(); got != want {
		t.Errorf("after the end the proof is %+v, want %+v", got, want)
	}
}

func TestProofByLocations(t *testing.T) {
	s := newFixture(t, m2).restoring()
	if got, want := s.proof(), (v1alpha1.StorageProof{Type: "Locations"}); got != want {
		t.Errorf("the proof is %+v, want %+v", got, want)
	}
	if got := s.target().Message; strings.Contains(got, "storage") {
		t.Errorf("the message is %q", got)
	}
}

// TestUncheckedStorageKeepsTheState waits for the check, and then for Velero's sync.
func TestUncheckedStorageKeepsTheState(t *testing.T) {
	s := privateFixture(t)
	s.started().backup(velerov1.BackupPhaseCompleted, 5)
	s.wantNoActions()
	s.wantState(s.target(), "WaitingForBackup", "Waiting for the Backup in m1.")

	s.with(m2, func(m *Member) { m.Sharing = &Sharing{Err: errDown} })
	s.record()
	s.wantNoActions()
	const waiting = "Waiting for Velero in m2 to sync Backup m1-migrate-default-app-c948154d from the storage, which it does about once a minute: " +
		"it can't be proven that default (aws, bucket velero, http://minio.velero.svc:9000) in m1 and default (aws, bucket velero, http://minio.velero.svc:9000) in m2 are the same storage."
	s.wantState(s.target(), "WaitingForBackupSync", waiting+" Looking for Backups that both have failed: connection refused")

	s.with(m2, func(m *Member) { m.Sharing = &Sharing{Conflict: "daily"} })
	s.record()
	s.wantState(s.target(), "WaitingForBackupSync", waiting+" Both have a Backup daily, with different times, so they may be two storages.")

	// A new leader keeps the state until it has checked.
	s.with(m2, func(m *Member) { m.Sharing = nil })
	s.record()
	s.wantState(s.target(), "WaitingForBackupSync", waiting+" Both have a Backup daily, with different times, so they may be two storages.")
}

func TestProofIsKeptWhileItIsChecked(t *testing.T) {
	s := privateFixture(t).with(m2, func(m *Member) { m.Sharing = &Sharing{Location: "default", Backup: "daily"} })
	s.started()
	want := s.proof()
	s.with(m2, func(m *Member) { m.Sharing = nil })
	s.record()
	if got := s.proof(); got != want {
		t.Errorf("while it is checked the proof is %+v, want %+v", got, want)
	}
	s.with(m2, func(m *Member) { m.Sharing = &Sharing{} })
	s.record()
	if got := s.proof(); got != (v1alpha1.StorageProof{}) {
		t.Errorf("without a proof it is %+v", got)
	}
}

// TestProofOfAnotherLocation has a proof for a location that the target does not have, or that provably is not that of the
// source, as after a change since it was checked.
func TestProofOfAnotherLocation(t *testing.T) {
	elsewhere := private("elsewhere", "minio.velero.svc")
	elsewhere.Spec.ObjectStorage = &velerov1.ObjectStorageLocation{Bucket: "other"}
	for _, location := range []string{"gone", "elsewhere"} {
		s := privateFixture(t).with(m2, func(m *Member) {
			m.Locations = append(m.Locations, elsewhere)
			m.Sharing = &Sharing{Location: location, Backup: "daily"}
		})
		s.started().backup(velerov1.BackupPhaseCompleted, 5)
		s.wantNoActions()
		if got := s.target().Reason; got != "WaitingForBackupSync" {
			t.Errorf("with a proof for %s the target is %s", location, got)
		}
	}
}

// TestProofSelectsTheLocation has two locations of the target that may be that of the source.
func TestProofSelectsTheLocation(t *testing.T) {
	s := privateFixture(t).with(m2, func(m *Member) {
		m.Locations = append(m.Locations, private("second", "other.velero.svc"))
		m.Sharing = &Sharing{Location: "second", Backup: "daily"}
	})
	s.started().backup(velerov1.BackupPhaseCompleted, 5)
	actions := Next(s.m, s.observed())
	if len(actions) != 1 || actions[0].(StartRestore).Location != "second" {
		t.Errorf("actions %+v, want a handoff to the second location", actions)
	}
}

func TestSharingCheckOf(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*fixture)
		want   bool
	}{
		"unproven":            {func(*fixture) {}, true},
		"the same":            {func(s *fixture) { *s = *newFixture(s.t, m2) }, false},
		"different":           {func(s *fixture) { s.seen.Members[m2].Locations[0].Spec.ObjectStorage.Bucket = "other" }, false},
		"one of two the same": {func(s *fixture) { both := bucket("velero"); s.addLocation(m1, both); s.addLocation(m2, both) }, true},
		"no location of the source": {func(s *fixture) {
			s.with(m1, func(m *Member) { m.Locations = nil })
		}, false},
		"the source is down":    {func(s *fixture) { s.with(m1, func(m *Member) { m.Err = errDown }) }, false},
		"the target is down":    {func(s *fixture) { s.with(m2, func(m *Member) { m.Err = errDown }) }, false},
		"the target was denied": {func(s *fixture) { s.access[m2] = Access{Denial: "no"} }, false},
		"the target has the Backup": {func(s *fixture) {
			s.with(m2, func(m *Member) { m.Backup = &velerov1.Backup{} })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := privateFixture(t)
			tt.change(s)
			if _, got := SharingCheckOf(m2, s.observed()); got != tt.want {
				t.Errorf("a check is needed: %v, want %v", got, tt.want)
			}
			if _, got := SharingCheckOf(m1, s.observed()); got {
				t.Error("a check of the source itself is needed")
			}
		})
	}
}

func (s *fixture) addLocation(c Cluster, l velerov1.BackupStorageLocation) {
	l.Name, l.Spec.Default = "public", false
	s.with(c, func(m *Member) { m.Locations = append(m.Locations, l) })
}

func TestSharingCheckResult(t *testing.T) {
	made := velero.FinishedBackup{Name: "daily", Location: "default", Started: 1, Completed: 2}
	synced := func(location string) velero.FinishedBackup {
		b := made
		b.Location, b.Synced = location, true
		return b
	}
	later := synced("default")
	later.Completed++
	changed := func(change func(*velerov1.BackupStorageLocation)) []velerov1.BackupStorageLocation {
		l := private("default", "minio.velero.svc")
		change(&l)
		return []velerov1.BackupStorageLocation{l}
	}
	recreated := changed(func(l *velerov1.BackupStorageLocation) { l.UID = "2" })
	moved := changed(func(l *velerov1.BackupStorageLocation) { l.Spec.Config["s3Url"] = "http://minio.other.svc:9000" })
	justChanged := changed(func(l *velerov1.BackupStorageLocation) {
		l.ManagedFields = []metav1.ManagedFieldsEntry{{
			Time: &metav1.Time{Time: start.Add(50 * time.Second)}, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:config":{"f:s3Url":{}}}}`),
		}}
	})
	neverSynced := changed(func(l *velerov1.BackupStorageLocation) { l.Status.LastSyncedTime = nil })
	for name, tt := range map[string]struct {
		// from and to are the locations when the Backups are read; nil if they are unchanged.
		from, to       []velerov1.BackupStorageLocation
		source, target []velero.FinishedBackup
		want           Sharing
	}{
		"proven":                    {source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}, want: Sharing{Location: "default", Backup: "daily"}},
		"in the second location":    {source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("second")}, want: Sharing{Location: "second", Backup: "daily"}},
		"not in one of these":       {source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("third")}},
		"conflict in one of two":    {source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{later, synced("second")}, want: Sharing{Location: "second", Backup: "daily"}},
		"conflict":                  {source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{later}, want: Sharing{Conflict: "daily"}},
		"of another location":       {source: []velero.FinishedBackup{{Name: "daily", Location: "archive", Started: 1, Completed: 2}}, target: []velero.FinishedBackup{synced("default")}},
		"source location recreated": {from: recreated, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"source location moved":     {from: moved, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"source location gone":      {from: []velerov1.BackupStorageLocation{}, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"source not synced since":   {from: justChanged, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"source never synced":       {from: neverSynced, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"target location moved":     {to: moved, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"target location gone":      {to: []velerov1.BackupStorageLocation{}, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"target not synced since":   {to: justChanged, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
		"target never synced":       {to: neverSynced, source: []velero.FinishedBackup{made}, target: []velero.FinishedBackup{synced("default")}},
	} {
		t.Run(name, func(t *testing.T) {
			from := private("default", "minio.velero.svc")
			candidates := []velerov1.BackupStorageLocation{private("default", "minio.velero.svc"), private("second", "minio.velero.svc")}
			if tt.from == nil {
				tt.from = []velerov1.BackupStorageLocation{from}
			}
			if tt.to == nil {
				tt.to = candidates
			}
			check := SharingCheck{From: from, Candidates: candidates}
			if got := check.Result(StoredBackups{tt.from, tt.source}, StoredBackups{tt.to, tt.target}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSharingCheckKey(t *testing.T) {
	check := func(change func(*SharingCheck)) SharingCheck {
		c := SharingCheck{
			Source: Velero{m1, "velero"}, Target: Velero{m2, "velero"},
			From: private("default", "minio.velero.svc"), Candidates: []velerov1.BackupStorageLocation{private("default", "minio.velero.svc")},
		}
		change(&c)
		return c
	}
	before := check(func(*SharingCheck) {})
	synced := check(func(c *SharingCheck) {
		c.Candidates[0].Status.LastSyncedTime = &metav1.Time{Time: start.Add(time.Hour)}
	})
	if synced.Key() != before.Key() {
		t.Error("a sync changes the key")
	}
	never := check(func(c *SharingCheck) { c.From.Status.LastSyncedTime, c.Candidates[0].Status.LastSyncedTime = nil, nil })
	for want, c := range map[string]SharingCheck{
		"never never": never,
		"2023-10-28T15:56:13Z 2023-10-28T15:56:13Z": before,
		"2023-10-28T15:56:13Z 2023-10-28T16:55:13Z": synced,
	} {
		if got := c.Synced(); got != want {
			t.Errorf("the last syncs are %q, want %q", got, want)
		}
	}
	for name, change := range map[string]func(*SharingCheck){
		"the clusters swapped": func(c *SharingCheck) { c.Source, c.Target = c.Target, c.Source },
		"another namespace":    func(c *SharingCheck) { c.Target.Namespace = "openshift-adp" },
		"another source":       func(c *SharingCheck) { c.Source.Cluster = m3 },
		"another location":     func(c *SharingCheck) { c.From.UID = "2" },
		"another candidate":    func(c *SharingCheck) { c.Candidates[0].Spec.Config["s3Url"] = "http://other.velero.svc:9000" },
		"more candidates":      func(c *SharingCheck) { c.Candidates = append(c.Candidates, private("second", "minio.velero.svc")) },
	} {
		if check(change).Key() == before.Key() {
			t.Errorf("%s has the same key", name)
		}
	}
}

func TestPreviewOfUnprovenStorage(t *testing.T) {
	const locations = "default (aws, bucket velero, http://minio.velero.svc:9000) in m1 and default (aws, bucket velero, http://minio.velero.svc:9000) in m2"
	for name, tt := range map[string]struct {
		sharing          *Sharing
		sharingIs, proof string
		finding          string
		verdict          v1alpha1.PreviewVerdict
	}{
		"proven": {
			&Sharing{Location: "default", Backup: "daily"}, "Same", "daily",
			"Information m2 StorageShared: " + locations + " are the same storage: Velero in m2 has synced Backup daily of m1. The backup is handed over to m2, without a wait for the next sync.", "Ready",
		},
		"unproven": {
			&Sharing{}, "Unproven", "",
			"Warning m2 WaitingForBackupSync: The restore waits until Velero in m2 finds the backup in the storage, once a minute: it can't be proven that " + locations + " are the same storage.", "ReadyWithWarnings",
		},
		"not checked": {
			nil, "Unproven", "",
			"Warning m2 WaitingForBackupSync: The restore waits until Velero in m2 finds the backup in the storage, once a minute: it can't be proven that " + locations + " are the same storage.", "ReadyWithWarnings",
		},
	} {
		t.Run(name, func(t *testing.T) {
			findings, status := previewed(t, func(_ *v1alpha1.MigratePolicy, _ *SourceSurvey, _ *TargetSurvey, s *previewFixture) {
				*s.fixture = *privateFixture(t)
				s.with(m2, func(m *Member) { m.Sharing = tt.sharing })
			})
			if len(findings) != 1 || findings[0] != tt.finding || status.Verdict != tt.verdict {
				t.Errorf("%s, findings %q, want %s, %q", status.Verdict, findings, tt.verdict, tt.finding)
			}
			location := status.Targets[0].StorageLocation
			if location == nil || location.Sharing != tt.sharingIs {
				t.Fatalf("the location is %+v, want %s", location, tt.sharingIs)
			}
			if got := location.Proof; tt.proof == "" && got != nil || tt.proof != "" && (got == nil || got.BackupName != tt.proof || got.Type != "SyncedBackup") {
				t.Errorf("the proof is %+v, want %q", got, tt.proof)
			}
		})
	}
}
