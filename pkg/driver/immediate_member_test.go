// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// immediateMember is a member whose Velero does all pending work immediately, except for
// its periodic tasks such as the sync with the bucket.
type immediateMember struct {
	// logErr is the error of reading a log, after its start if logCut is set.
	logErr error
	logCut bool
	modelMember
	name string

	mutex   sync.Mutex
	creates []string
	reads   int
	// storedReads is the number of reads of all its Backups.
	storedReads int
	watches     map[*immediateWatch]bool
	// watched is the number of watches opened so far.
	watched int
	// partiallyFail ends Restores PartiallyFailed with two errors, which results returns.
	partiallyFail bool
	results       func() migration.Results
	// unknownResources returns the names that the member serves no resource for.
	unknownResources func() ([]string, error)
	// backupRunning keeps Backups InProgress, restoreRunning Restores.
	backupRunning, restoreRunning bool
	// panics names the method that panics: "observe" or "create".
	panics string
	// createErr is returned by each create. hang blocks creates until their context ends.
	createErr error
	hang      bool
	// stuck blocks creates until it is closed, even after their context has ended.
	stuck chan struct{}
	// rejectEarly is the number of Restores that will be rejected because Velero has not
	// noticed their Backup.
	rejectEarly int
	// runningBackups, surveySource and surveyTarget are what a preview reads; nil functions have defaults.
	runningBackups []migration.RunningBackup
	surveySource   func(context.Context, migration.SurveyRequest) migration.SourceSurvey
	surveyTarget   func(context.Context, *migration.SourceSurvey, member.ObjectReader) migration.TargetSurvey
	// blockReads blocks Read until it is closed.
	blockReads chan struct{}
	// reviewDenial is the result of a review; reviews are the reviews so far.
	reviewDenial string
	reviews      []migration.Review
}

func newImmediateMember(c migration.Cluster, bucket *modelvelero.Bucket) *immediateMember {
	m := &immediateMember{name: c.Name, watches: map[*immediateWatch]bool{}}
	m.modelMember = newModelMember(c.Name, modelvelero.Options{
		BackupPhases: m.backupPhases, RestorePhases: m.restorePhases, Items: 3, Errors: 2,
	}, bucket, time.Now)
	m.addLocation(time.Now(), "")
	m.work()
	return m
}

func (m *immediateMember) backupPhases(*velerov1.Backup) []velerov1.BackupPhase {
	if m.backupRunning {
		return []velerov1.BackupPhase{velerov1.BackupPhaseInProgress}
	}
	return []velerov1.BackupPhase{velerov1.BackupPhaseInProgress, velerov1.BackupPhaseCompleted}
}

func (m *immediateMember) restorePhases(*velerov1.Restore) []velerov1.RestorePhase {
	phases := []velerov1.RestorePhase{velerov1.RestorePhaseInProgress}
	switch {
	case m.restoreRunning:
		return phases
	case m.partiallyFail:
		return append(phases, velerov1.RestorePhasePartiallyFailed)
	}
	return append(phases, velerov1.RestorePhaseCompleted)
}

// work lets Velero do all pending work.
func (m *immediateMember) work() {
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
func (m *immediateMember) change(f func()) {
	m.mutex.Lock()
	f()
	m.work()
	var notify []func(types.UID)
	for w := range m.watches {
		notify = append(notify, w.onChange)
	}
	m.mutex.Unlock()
	for _, f := range notify {
		f("")
	}
}

// put creates an object as another client.
func (m *immediateMember) put(object modelvelero.Object) {
	m.change(func() { _, _ = m.memory.Create(context.Background(), object) })
}

// remove deletes an object as another client.
func (m *immediateMember) remove(kind, name string) {
	m.change(func() {
		if object, err := m.memory.Get(modelvelero.Key{Kind: kind, Name: name}); err == nil {
			_ = m.memory.Delete(context.Background(), object)
		}
	})
}

// edit changes an object as another client.
func edit[T modelvelero.Object](m *immediateMember, kind, name string, change func(T)) {
	m.change(func() {
		before, err := get[T](m.modelMember, kind, name)
		if err != nil {
			return
		}
		after := before.DeepCopyObject().(T)
		change(after)
		_ = m.memory.Patch(context.Background(), before, after)
	})
}

type immediateWatch struct {
	member   *immediateMember
	onChange func(types.UID)
}

func (m *immediateMember) watch(onChange func(types.UID)) Watch {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	w := &immediateWatch{m, onChange}
	m.watches[w] = true
	m.watched++
	return w
}

func (w *immediateWatch) Stop() {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	delete(w.member.watches, w)
}

func (w *immediateWatch) Observe(of migration.Objects) (migration.Member, bool) {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	return w.member.observe(of), true
}

func (w *immediateWatch) Running(func()) (migration.Running, bool) {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	return running(migration.Cluster{Name: w.member.name}, w.member.memory.Objects()), true
}

func (m *immediateMember) Read(_ context.Context, of migration.Objects) migration.Member {
	if m.blockReads != nil {
		<-m.blockReads
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.reads++
	return m.observe(of)
}

func (m *immediateMember) observe(of migration.Objects) migration.Member {
	if m.panics == "observe" {
		panic("bug in observe")
	}
	return observe(m.memory.Objects(), of)
}

// createIn creates an object in m, unless a fault is injected. It calls then with the new
// object before Velero sees it.
func createIn[T modelvelero.Object](ctx context.Context, m *immediateMember, resource string, object T, then func(T)) (created T, err error) {
	m.mutex.Lock()
	hang, panics := m.hang, m.panics
	m.mutex.Unlock()
	if m.stuck != nil {
		<-m.stuck
	}
	if panics == "create" {
		panic("bug in create")
	}
	if hang {
		<-ctx.Done()
		return created, ctx.Err()
	}
	m.change(func() {
		if err = m.createErr; err != nil {
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

func (m *immediateMember) CreateBackup(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	return createIn(ctx, m, "backups", b, func(*velerov1.Backup) {})
}

func (m *immediateMember) CreateRestore(ctx context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	return createIn(ctx, m, "restores", r, func(created *velerov1.Restore) {
		if m.rejectEarly == 0 {
			return
		}
		m.rejectEarly--
		rejected := created.DeepCopy()
		rejected.Status.Phase = velerov1.RestorePhaseFailedValidation
		rejected.Status.ValidationErrors = []string{fmt.Sprintf(
			"Error retrieving backup: can't find backup velero/%[1]s: Backup.velero.io %[1]q not found", r.Spec.BackupName)}
		_ = m.memory.Patch(ctx, created, rejected)
	})
}

func (m *immediateMember) CreatePodVolumeBackup(ctx context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return createIn(ctx, m, "podvolumebackups", p, func(*velerov1.PodVolumeBackup) {})
}

func (m *immediateMember) DeleteRestore(_ context.Context, r *velerov1.Restore) (err error) {
	m.change(func() { err = m.deleteRestore(r) })
	return err
}

func (m *immediateMember) PodVolumeBackups(_ context.Context, backup string) ([]velerov1.PodVolumeBackup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.podVolumeBackups(backup), nil
}

func (m *immediateMember) Diagnose(context.Context, *velerov1.ServerStatusRequest, string, string) migration.Diagnosis {
	return migration.Diagnosis{}
}

func (m *immediateMember) Results(_ context.Context, request migration.ResultsRequest) migration.Results {
	found := migration.Results{Lists: &migration.Lists{Items: v1alpha1.ItemCounts{Total: 3, Created: 3}}}
	if m.results != nil {
		found = m.results()
	}
	if m.unknownResources != nil && len(request.Names) > 0 {
		found.Unknown, found.UnknownErr = m.unknownResources()
	}
	return found
}

func (m *immediateMember) CreateConfigMap(_ context.Context, configMap *corev1.ConfigMap) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.creates = append(m.creates, "configmaps "+configMap.Name)
	return nil
}

func (m *immediateMember) RunningBackups(context.Context) ([]migration.RunningBackup, error) {
	return m.runningBackups, nil
}

func (m *immediateMember) StoredBackups(context.Context) (migration.StoredBackups, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.storedReads++
	return m.storedBackups(), nil
}

// SurveySource returns a ConfigMap, or what the test sets.
func (m *immediateMember) SurveySource(ctx context.Context, request migration.SurveyRequest) migration.SourceSurvey {
	if m.surveySource != nil {
		return m.surveySource(ctx, request)
	}
	selected := migration.SelectedResource{
		Resource: velero.Resource{Version: "v1", Name: "configmaps", Kind: "ConfigMap", Namespaced: true},
		Count:    1, Objects: []migration.ObjectKey{{Namespace: "app", Name: "a"}},
	}
	return migration.SourceSurvey{Selected: []migration.SelectedResource{selected}}
}

// SurveyTarget returns nothing, or what the test sets.
func (m *immediateMember) SurveyTarget(ctx context.Context, request migration.SurveyRequest, of *migration.SourceSurvey, read member.ObjectReader) (survey migration.TargetSurvey) {
	if m.surveyTarget != nil {
		return m.surveyTarget(ctx, of, read)
	}
	return survey
}

// Object returns the name of what is read.
func (m *immediateMember) Object(_ context.Context, resource velero.Resource, key migration.ObjectKey) ([]byte, error) {
	return []byte(resource.Name + " " + key.Namespace + "/" + key.Name), nil
}

// EachResult returns the results of the member, and visits an item and a volume with the names of what is
// requested.
func (m *immediateMember) EachResult(ctx context.Context, request migration.ResultsRequest, to velero.Visitor) migration.Results {
	found := m.Results(ctx, migration.ResultsRequest{})
	item := velero.Item{Kind: "ConfigMap", Namespace: "app", Name: request.Results.Spec.Target.Name}
	found.ListsErr = cmp.Or(found.ListsErr, to.Item(velero.ItemResult{Item: item, Outcome: v1alpha1.ItemCreated}),
		to.Volume(velero.VolumeResult{Volume: velero.Volume{Claim: velero.Claim{Namespace: "app", Name: "data"}}, Moved: true}))
	return found
}

// Log writes what is requested.
func (m *immediateMember) Log(_ context.Context, request *velerov1.DownloadRequest, _ migration.StorageCA, to io.Writer) error {
	if m.logErr != nil && !m.logCut {
		return m.logErr
	}
	_, err := fmt.Fprintf(to, "%s %s", request.Spec.Target.Kind, request.Spec.Target.Name)
	return errors.Join(err, m.logErr)
}

// Namespaces returns app and kube-system.
func (m *immediateMember) Namespaces(context.Context) ([]string, error) {
	return []string{"app", "kube-system"}, nil
}

func (m *immediateMember) CheckPrerequisites(context.Context, migration.Prerequisites) (migration.Checked, error) {
	return migration.Checked{}, nil
}

func (m *immediateMember) Workloads(context.Context, []string) migration.Workloads {
	return migration.Workloads{}
}

func (m *immediateMember) Backup(_ context.Context, name string) (*velerov1.Backup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return get[*velerov1.Backup](m.modelMember, "Backup", name)
}

func (m *immediateMember) Restore(_ context.Context, name string) (*velerov1.Restore, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return get[*velerov1.Restore](m.modelMember, "Restore", name)
}
