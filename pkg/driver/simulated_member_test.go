// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

var (
	errDown = errors.New("connection refused")
	// volumes are the PodVolumeBackups that belong to the Backup.
	volumes = []string{"p1", "p2"}
)

// simulatedMember is one member as it really is, with a Velero that takes a step
// when it is told to.
type simulatedMember struct {
	name    string
	down    bool
	changes int

	backup  *velerov1.Backup
	restore *velerov1.Restore
	pvbs    []velerov1.PodVolumeBackup
	// synced is when Velero has last looked through the bucket.
	synced *metav1.Time
	// made is how many Restores there have ever been.
	made int

	backupEnds  velerov1.BackupPhase
	restoreEnds velerov1.RestorePhase
}

// version changes whenever a watch would tell of something.
func (m *simulatedMember) version() string { return fmt.Sprint(m.changes, m.down) }

// observe is what a watch, or a question, finds out now.
func (m *simulatedMember) observe() migration.Member {
	if m.down {
		return migration.Member{Err: errDown}
	}
	return migration.Member{
		Backup: m.backup.DeepCopy(), Restore: m.restore.DeepCopy(),
		Locations: []velerov1.BackupStorageLocation{{
			ObjectMeta: metav1.ObjectMeta{Name: "default"},
			Spec: velerov1.BackupStorageLocationSpec{Default: true, Provider: "aws", StorageType: velerov1.StorageType{
				ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "b"},
			}},
			Status: velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable, LastSyncedTime: m.synced},
		}},
	}
}

var (
	backupSteps  = []velerov1.BackupPhase{"", "New", "Queued", "ReadyToStart", "InProgress", "PhaseOfTomorrow", "Finalizing"}
	restoreSteps = []velerov1.RestorePhase{"", "New", "InProgress", "PhaseOfTomorrow", "Finalizing"}
)

// velero has Velero take its next step in the cluster. It works while the
// kube-apiserver can't be reached from the host.
func (m *simulatedMember) velero(s *simulation) {
	if m.backup != nil && m.name == m1.Name {
		if phase, moved := next(s.backupSteps, m.backup.Status.Phase, m.backupEnds); moved {
			backup := m.backup.DeepCopy()
			backup.Status.Phase = phase
			backup.Status.Progress = &velerov1.BackupProgress{TotalItems: 3, ItemsBackedUp: 3}
			m.backup = backup
			m.changes++
			s.tracef("Velero in %s: Backup %s", m.name, phase)
			if phase == velerov1.BackupPhaseCompleted {
				s.bucket = backup
			}
		}
	}
	if m.restore != nil {
		ends := m.restoreEnds
		if phase, moved := next(s.restoreSteps, m.restore.Status.Phase, ends); moved {
			restore := m.restore.DeepCopy()
			restore.Status.Phase = phase
			m.restore = restore
			m.changes++
			s.tracef("Velero in %s: Restore %s", m.name, phase)
		}
	}
}

// sync has Velero look through the bucket, find what the cluster lacks, and forget
// what by its label must be in the bucket and isn't.
func (m *simulatedMember) sync(s *simulation) {
	s.tracef("Velero in %s looks through the bucket", m.name)
	m.synced = &metav1.Time{Time: s.clock.Now()}
	m.changes++
	if s.bucket == nil || m.backup != nil {
		return
	}
	m.backup = s.bucket.DeepCopy()
	m.backup.UID = types.UID(fmt.Sprintf("%s-%d", m.name, m.changes))
	m.backup.CreationTimestamp = *m.synced
	m.pvbs = nil
	for _, name := range volumes {
		m.pvbs = append(m.pvbs, *velero.HandedOverPodVolumeBackup(&velerov1.PodVolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: name}}, m.backup))
	}
}

func next[P ~string](steps []P, now, end P) (P, bool) {
	i := slices.Index(steps, now)
	switch {
	case i < 0:
		return now, false
	case i == len(steps)-1:
		return end, true
	default:
		return steps[i+1], true
	}
}

// callTo is a call to a member: it reaches it as it is.
type callTo struct {
	s *simulation
	c migration.Cluster
}

func (c callTo) member() *simulatedMember { return c.s.members[c.c] }

// create is a write into a member, with the invariants that every one must keep.
func (c callTo) create(kind, name string, exists bool, store func()) error {
	return c.s.write(fmt.Sprintf("create %s in %s", kind, c.c.Name), func() error {
		switch {
		case c.member().down:
			return errDown
		case exists:
			return apierrors.NewAlreadyExists(velerov1.Resource(kind), name)
		case c.s.stored != nil && migration.IsTerminal(c.s.stored.Status.Phase):
			c.s.t.Errorf("invariant 3: %s is created in %s after the end\n%s", kind, c.c.Name, c.s.story())
		}
		store()
		c.member().changes++
		return nil
	})
}

func (c callTo) Ask(context.Context, types.UID) migration.Member {
	seen := c.member().observe()
	if seen.Err != nil {
		seen.Since = c.s.clock.Now()
	}
	return seen
}

func (c callTo) Backup(_ context.Context, name string) (*velerov1.Backup, error) {
	switch m := c.member(); {
	case m.down:
		return nil, errDown
	case m.backup == nil || m.backup.Name != name:
		return nil, apierrors.NewNotFound(velerov1.Resource("backups"), name)
	default:
		return m.backup.DeepCopy(), nil
	}
}

func (c callTo) Restore(_ context.Context, name string) (*velerov1.Restore, error) {
	switch m := c.member(); {
	case m.down:
		return nil, errDown
	case m.restore == nil || m.restore.Name != name:
		return nil, apierrors.NewNotFound(velerov1.Resource("restores"), name)
	default:
		return m.restore.DeepCopy(), nil
	}
}

func (c callTo) PodVolumeBackups(context.Context, string) ([]velerov1.PodVolumeBackup, error) {
	if c.member().down {
		return nil, errDown
	}
	return slices.Clone(c.member().pvbs), nil
}

// Diagnose finds a Velero that answers.
func (c callTo) Diagnose(context.Context, *velerov1.ServerStatusRequest, string, string) migration.Diagnosis {
	if c.member().down {
		return migration.Diagnosis{}
	}
	return migration.Diagnosis{Server: migration.ServerAnswers}
}

// Results finds no errors to tell of.
func (c callTo) Results(context.Context, *velerov1.DownloadRequest, *velerov1.DownloadRequest, []byte) migration.Results {
	if c.member().down {
		return migration.Results{Err: errDown}
	}
	return migration.Results{}
}

func (c callTo) CreateBackup(_ context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	m := c.member()
	created := b.DeepCopy()
	created.UID = types.UID(fmt.Sprintf("%s-%d", m.name, m.changes))
	err := c.create("Backup", b.Name, m.backup != nil, func() { m.backup = created })
	return created, err
}

func (c callTo) CreatePodVolumeBackup(_ context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	m := c.member()
	i := slices.IndexFunc(m.pvbs, func(have velerov1.PodVolumeBackup) bool { return have.Name == p.Name })
	// Those of a Backup that is gone are collected.
	if i >= 0 && (m.backup == nil || m.pvbs[i].OwnerReferences[0].UID != m.backup.UID) {
		m.pvbs = slices.Delete(m.pvbs, i, i+1)
		i = -1
	}
	return p, c.create("PodVolumeBackup", p.Name, i >= 0, func() { m.pvbs = append(m.pvbs, *p) })
}

// DeleteRestore is for a Restore that Velero refused too early, which none does here.
func (c callTo) DeleteRestore(_ context.Context, r *velerov1.Restore) error {
	c.s.t.Errorf("Restore %s in %s was deleted", r.Name, c.member().name)
	return nil
}

func (c callTo) CreateRestore(_ context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	m := c.member()
	err := c.create("Restore", r.Name, m.restore != nil, func() {
		if m.backup == nil || m.backup.Status.Phase != velerov1.BackupPhaseCompleted {
			c.s.t.Errorf("invariant 1: a Restore in %s without a finished Backup", m.name)
		}
		if len(m.pvbs) != len(volumes) {
			c.s.t.Errorf("a Restore in %s with %d of 2 PodVolumeBackups", m.name, len(m.pvbs))
		}
		if m.made++; m.made > 1 && !c.s.byHand {
			c.s.t.Errorf("invariant 2: %d Restores in %s", m.made, m.name)
		}
		m.restore = r.DeepCopy()
	})
	return r, err
}
