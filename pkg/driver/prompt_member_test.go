// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// promptMember is a member whose Velero does at once all that it has to do, except to
// look through the bucket.
type promptMember struct {
	modelledMember

	mutex   sync.Mutex
	creates []string
	asked   int
	watches map[*promptWatch]bool
	// watched is how many watches there have ever been.
	watched int
	// partial ends Restores PartiallyFailed with two errors, which results reads then.
	partial bool
	results func() migration.Results
	// unfinished has Backups stay InProgress; running does so for Restores.
	unfinished, running bool
	// panics names the method that panics: "observe" or "create".
	panics string
	// refuse is what every create gets; hang has creates wait for their context.
	refuse error
	hang   bool
	// stuck makes creates wait until it is closed, whatever the state of their context.
	stuck chan struct{}
	// unaware is how many Restores are refused because Velero has not noticed their
	// Backup.
	unaware int
	// hold makes Read wait until it is closed.
	hold chan struct{}
	// reviewRefusal is the result of a review; reviews are the reviews so far.
	reviewRefusal string
	reviews       []migration.Review
}

func newPromptMember(c migration.Cluster, bucket *modelvelero.Bucket) *promptMember {
	m := &promptMember{watches: map[*promptWatch]bool{}}
	m.modelledMember = newModelledMember(c.Name, modelvelero.Options{
		BackupPhases: m.backupPhases, RestorePhases: m.restorePhases, Items: 3, Errors: 2,
	}, bucket, time.Now)
	m.addLocation(time.Now())
	m.work()
	return m
}

func (m *promptMember) backupPhases(*velerov1.Backup) []velerov1.BackupPhase {
	if m.unfinished {
		return []velerov1.BackupPhase{velerov1.BackupPhaseInProgress}
	}
	return []velerov1.BackupPhase{velerov1.BackupPhaseInProgress, velerov1.BackupPhaseCompleted}
}

func (m *promptMember) restorePhases(*velerov1.Restore) []velerov1.RestorePhase {
	phases := []velerov1.RestorePhase{velerov1.RestorePhaseInProgress}
	switch {
	case m.running:
		return phases
	case m.partial:
		return append(phases, velerov1.RestorePhasePartiallyFailed)
	}
	return append(phases, velerov1.RestorePhaseCompleted)
}

// work has Velero do all that it has to do.
func (m *promptMember) work() {
	ctx := context.Background()
	for {
		objects, _ := m.memory.Read(ctx)
		steps := slices.DeleteFunc(m.velero.Steps(objects, time.Now()), isRoutine)
		if len(steps) == 0 || modelvelero.Take(ctx, m.memory, steps[0]) != nil {
			return
		}
	}
}

// change changes the member, lets its Velero work, and notifies its watches.
func (m *promptMember) change(f func()) {
	m.mutex.Lock()
	f()
	m.work()
	var tell []func(types.UID)
	for w := range m.watches {
		tell = append(tell, w.onChange)
	}
	m.mutex.Unlock()
	for _, f := range tell {
		f("")
	}
}

// put creates an object as another client.
func (m *promptMember) put(object modelvelero.Object) {
	m.change(func() { _, _ = m.memory.Create(context.Background(), object) })
}

// remove deletes an object as another client.
func (m *promptMember) remove(kind, name string) {
	m.change(func() {
		if object, err := m.memory.Get(modelvelero.Key{Kind: kind, Name: name}); err == nil {
			_ = m.memory.Delete(context.Background(), object)
		}
	})
}

// edit changes an object as another client.
func edit[T modelvelero.Object](m *promptMember, kind, name string, change func(T)) {
	m.change(func() {
		before, err := get[T](m.modelledMember, kind, name)
		if err != nil {
			return
		}
		after := before.DeepCopyObject().(T)
		change(after)
		_ = m.memory.Patch(context.Background(), before, after)
	})
}

type promptWatch struct {
	member   *promptMember
	onChange func(types.UID)
}

func (m *promptMember) watch(onChange func(types.UID)) Watch {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	w := &promptWatch{m, onChange}
	m.watches[w] = true
	m.watched++
	return w
}

func (w *promptWatch) Stop() {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	delete(w.member.watches, w)
}

func (w *promptWatch) Observe(of migration.Objects) (migration.Member, bool) {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	return w.member.observe(of), true
}

func (m *promptMember) Read(_ context.Context, of migration.Objects) migration.Member {
	if m.hold != nil {
		<-m.hold
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.asked++
	return m.observe(of)
}

func (m *promptMember) observe(of migration.Objects) migration.Member {
	if m.panics == "observe" {
		panic("a bug in observe")
	}
	return observe(m.memory.Objects(), of)
}

// createIn creates an object in m, unless it goes wrong as m says; then is called with
// the new object before Velero sees it.
func createIn[T modelvelero.Object](ctx context.Context, m *promptMember, resource string, object T, then func(T)) (created T, err error) {
	m.mutex.Lock()
	hang, panics := m.hang, m.panics
	m.mutex.Unlock()
	if m.stuck != nil {
		<-m.stuck
	}
	if panics == "create" {
		panic("a bug in create")
	}
	if hang {
		<-ctx.Done()
		return created, ctx.Err()
	}
	m.change(func() {
		if err = m.refuse; err != nil {
			return
		}
		var stored modelvelero.Object
		if stored, err = m.memory.Create(ctx, object); err != nil {
			return
		}
		m.creates = append(m.creates, resource+" "+object.GetName())
		created = stored.DeepCopyObject().(T)
		then(created)
	})
	return created, err
}

func (m *promptMember) CreateBackup(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	return createIn(ctx, m, "backups", b, func(*velerov1.Backup) {})
}

func (m *promptMember) CreateRestore(ctx context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	return createIn(ctx, m, "restores", r, func(created *velerov1.Restore) {
		if m.unaware == 0 {
			return
		}
		m.unaware--
		refused := created.DeepCopy()
		refused.Status.Phase = velerov1.RestorePhaseFailedValidation
		refused.Status.ValidationErrors = []string{fmt.Sprintf(
			"Error retrieving backup: can't find backup velero/%[1]s: Backup.velero.io %[1]q not found", r.Spec.BackupName)}
		_ = m.memory.Patch(ctx, created, refused)
	})
}

func (m *promptMember) CreatePodVolumeBackup(ctx context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return createIn(ctx, m, "podvolumebackups", p, func(*velerov1.PodVolumeBackup) {})
}

func (m *promptMember) DeleteRestore(_ context.Context, r *velerov1.Restore) (err error) {
	m.change(func() { err = m.deleteRestore(r) })
	return err
}

func (m *promptMember) PodVolumeBackups(_ context.Context, backup string) ([]velerov1.PodVolumeBackup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.podVolumeBackups(backup), nil
}

func (m *promptMember) Diagnose(context.Context, *velerov1.ServerStatusRequest, string, string) migration.Diagnosis {
	return migration.Diagnosis{}
}

func (m *promptMember) Results(context.Context, *velerov1.DownloadRequest, *velerov1.DownloadRequest, []byte) migration.Results {
	if m.results == nil {
		return migration.Results{}
	}
	return m.results()
}

func (m *promptMember) Backup(_ context.Context, name string) (*velerov1.Backup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return get[*velerov1.Backup](m.modelledMember, "Backup", name)
}

func (m *promptMember) Restore(_ context.Context, name string) (*velerov1.Restore, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return get[*velerov1.Restore](m.modelledMember, "Restore", name)
}
