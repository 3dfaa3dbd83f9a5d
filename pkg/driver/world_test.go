// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/fake"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

var (
	m1 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m1"}
	m2 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m2"}
	m3 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m3"}
)

// world is a host with a fleet of three members, each with a Velero that works
// in no time, and the store of the Migrates.
type world struct {
	t       *testing.T
	client  *fake.Clientset
	members map[migration.Cluster]*modelMember

	mutex   sync.Mutex
	version int
	records int
	// refuse is how many records are yet to be refused.
	refuse int
	// stuck has records wait until it is closed, whatever their context says.
	stuck chan struct{}

	// policy and requester are those of the Migrate.
	policy    *v1alpha1.MigratePolicy
	requester v1alpha1.Requester

	permissions
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, client: fake.NewClientset(), members: map[migration.Cluster]*modelMember{}, requester: v1alpha1.Requester{Username: "jane"}}
	for _, c := range []migration.Cluster{m1, m2, m3} {
		w.members[c] = &modelMember{name: c.Name, watches: map[*modelWatch]bool{}}
	}
	return w
}

func (w *world) driver() *Driver {
	return New(Config{
		Client: w.client, Recorder: w, Host: w, Permission: permission.New(w, w.options), Members: w,
		Events: events.NewFakeRecorder(1000), Clock: clock.RealClock{},
	})
}

// drive runs a driver until it is stopped.
func (w *world) drive() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.driver().Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (w *world) apply(targets ...migration.Cluster) {
	m := &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "app", UID: "c948154d-1727", ResourceVersion: "1",
			CreationTimestamp: metav1.NewTime(time.Now()),
		},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{{Kind: m1.Kind, Name: m1.Name}}},
			TargetCluster: v1alpha1.Destination{Fleet: "f"},
			Policy:        w.policy,
			Requester:     &w.requester,
		},
	}
	for _, c := range targets {
		m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
	}
	w.version = 1
	if _, err := w.client.BackupV1alpha1().Migrates("default").Create(w.t.Context(), m, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) migrate() *v1alpha1.Migrate {
	m, err := w.client.BackupV1alpha1().Migrates("default").Get(w.t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// beginDeletion deletes the Migrate, which a finalizer holds.
func (w *world) beginDeletion() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	m := w.migrate()
	w.version++
	m.ResourceVersion = strconv.Itoa(w.version)
	m.Finalizers = []string{"example.com/hold"}
	m.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	if _, err := w.client.BackupV1alpha1().Migrates("default").Update(w.t.Context(), m, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// delete deletes the Migrate.
func (w *world) delete() {
	if err := w.client.BackupV1alpha1().Migrates("default").Delete(w.t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantPhase(want v1alpha1.MigratePhase) {
	w.t.Helper()
	if m := w.migrate(); m.Status.Phase != want {
		w.t.Fatalf("phase %s, want %s; status %+v", m.Status.Phase, want, m.Status)
	}
}

func (w *world) recordCount() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.records
}

// Record is the store's, with its precondition.
func (w *world) Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	if w.stuck != nil {
		<-w.stuck
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.refuse > 0 {
		w.refuse--
		return nil, errors.New("etcd is down")
	}
	if m.ResourceVersion != strconv.Itoa(w.version) {
		return nil, apierrors.NewConflict(v1alpha1.Resource("migrates"), m.Name, errors.New("resourceVersion"))
	}
	w.version++
	w.records++
	m = m.DeepCopy()
	m.ResourceVersion = strconv.Itoa(w.version)
	return w.client.BackupV1alpha1().Migrates(m.Namespace).Update(ctx, m, metav1.UpdateOptions{})
}

// The host: a fleet of all members, all ready.

func (w *world) Run(ctx context.Context) { <-ctx.Done() }
func (w *world) OnChange(func(string))   {}
func (w *world) HasSynced() bool         { return true }
func (w *world) Ask(_ context.Context, n string, s *v1alpha1.MigrateSpec) migration.Inventory {
	return w.Observe(n, s)
}

func (w *world) Observe(string, *v1alpha1.MigrateSpec) migration.Inventory {
	fleet := migration.Fleet{Found: true, Members: []migration.Cluster{m1, m2, m3}}
	ready := migration.ClusterState{Ready: true, VeleroNamespace: "velero"}
	return migration.Inventory{
		SourceFleet: fleet, TargetFleet: fleet,
		Clusters: map[migration.Cluster]migration.ClusterState{m1: ready, m2: ready, m3: ready},
	}
}

// The members.

func (w *world) Watch(_ string, v migration.Velero, _ types.UID, onChange func(types.UID)) Watch {
	return w.members[v.Cluster].watch(onChange)
}

func (w *world) Member(_ string, v migration.Velero) Member { return w.members[v.Cluster] }

// modelMember is a member whose Velero finishes what it is given at once.
type modelMember struct {
	name string

	mutex   sync.Mutex
	backup  *velerov1.Backup
	restore *velerov1.Restore
	pvbs    []velerov1.PodVolumeBackup
	creates []string
	asked   int
	watches map[*modelWatch]bool
	// partial ends Restores PartiallyFailed, and results reads their errors then.
	partial bool
	// running has Restores stay InProgress until endRestore.
	running bool
	end     velerov1.RestoreStatus
	results func() migration.Results
	// panics says where there is a bug: in "observe" or in "create".
	panics string
	// refuse is what every create gets; hang has creates wait for their context.
	refuse error
	hang   bool
	// stuck has creates wait until it is closed, whatever their context says.
	stuck chan struct{}
	// unaware is how many Restores are refused because Velero has not noticed their
	// Backup.
	unaware int
	// unfinished has Backups stay InProgress.
	unfinished bool
	// hold has Ask wait until it is closed.
	hold chan struct{}
	// reviewRefusal is what a review finds; reviews are those that were asked for.
	reviewRefusal string
	reviews       []migration.Review
	// watched is how many watches there have ever been.
	watched int
}

type modelWatch struct {
	member   *modelMember
	onChange func(types.UID)
}

func (m *modelMember) watch(onChange func(types.UID)) Watch {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	w := &modelWatch{m, onChange}
	m.watches[w] = true
	m.watched++
	return w
}

func (w *modelWatch) Stop() {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	delete(w.member.watches, w)
}

func (w *modelWatch) Observe(of migration.Objects) (migration.Member, bool) {
	w.member.mutex.Lock()
	defer w.member.mutex.Unlock()
	return w.member.observe(of), true
}

func (m *modelMember) Ask(_ context.Context, of migration.Objects) migration.Member {
	if m.hold != nil {
		<-m.hold
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.asked++
	return m.observe(of)
}

func (m *modelMember) observe(of migration.Objects) migration.Member {
	if m.panics == "observe" {
		panic("a bug in observe")
	}
	seen := migration.Member{Locations: []velerov1.BackupStorageLocation{{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{Default: true, Provider: "aws", StorageType: velerov1.StorageType{
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "b"},
		}},
		Status: velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
	}}}
	var backups []*velerov1.Backup
	var restores []*velerov1.Restore
	if m.backup != nil {
		backups = append(backups, m.backup)
	}
	if m.restore != nil {
		restores = append(restores, m.restore)
	}
	of.Pick(&seen, backups, restores)
	return seen
}

// change changes the member and tells its watches.
func (m *modelMember) change(f func()) {
	m.mutex.Lock()
	f()
	var tell []func(types.UID)
	for w := range m.watches {
		tell = append(tell, w.onChange)
	}
	m.mutex.Unlock()
	for _, f := range tell {
		f("")
	}
}

// create does what is common to all creates; it tells whether to go on.
func (m *modelMember) create(ctx context.Context, kind, name string, exists func() bool, store func()) (err error) {
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
		return ctx.Err()
	}
	m.change(func() {
		switch {
		case m.refuse != nil:
			err = m.refuse
		case exists():
			err = apierrors.NewAlreadyExists(schema.GroupResource{Group: "velero.io", Resource: kind}, name)
		default:
			m.creates = append(m.creates, kind+" "+name)
			store()
		}
	})
	return err
}

func (m *modelMember) CreateBackup(ctx context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	b = b.DeepCopy()
	b.UID = types.UID("backup-in-" + m.name)
	err := m.create(ctx, "backups", b.Name, func() bool { return m.backup != nil }, func() {
		b.Status.Phase = velerov1.BackupPhaseCompleted
		if m.unfinished {
			b.Status.Phase = velerov1.BackupPhaseInProgress
		}
		b.Status.Progress = &velerov1.BackupProgress{TotalItems: 3, ItemsBackedUp: 3}
		m.backup = b
	})
	return b, err
}

func (m *modelMember) CreateRestore(ctx context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	r = r.DeepCopy()
	err := m.create(ctx, "restores", r.Name, func() bool { return m.restore != nil }, func() {
		r.Status.Phase = velerov1.RestorePhaseCompleted
		if m.partial {
			r.Status.Phase, r.Status.Errors = velerov1.RestorePhasePartiallyFailed, 2
		}
		if m.backup == nil || m.backup.Status.Phase != velerov1.BackupPhaseCompleted {
			r.Status.Phase = velerov1.RestorePhaseFailedValidation
		}
		if m.unaware > 0 {
			m.unaware--
			r.Status.Phase = velerov1.RestorePhaseFailedValidation
			r.Status.ValidationErrors = []string{fmt.Sprintf(
				"Error retrieving backup: can't find backup velero/%[1]s: Backup.velero.io %[1]q not found", r.Spec.BackupName)}
		}
		m.end = r.Status
		if m.running {
			r.Status = velerov1.RestoreStatus{Phase: velerov1.RestorePhaseInProgress}
		}
		m.restore = r
	})
	return r, err
}

// endRestore ends a Restore that running has kept InProgress.
func (m *modelMember) endRestore() {
	m.change(func() {
		m.restore = m.restore.DeepCopy()
		m.restore.Status = m.end
	})
}

func (m *modelMember) DeleteRestore(context.Context, *velerov1.Restore) error {
	m.change(func() { m.restore = nil })
	return nil
}

func (m *modelMember) CreatePodVolumeBackup(ctx context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return p, m.create(ctx, "podvolumebackups", p.Name, func() bool {
		for _, have := range m.pvbs {
			if have.Name == p.Name {
				return true
			}
		}
		return false
	}, func() { m.pvbs = append(m.pvbs, *p) })
}

func (m *modelMember) PodVolumeBackups(context.Context, string) ([]velerov1.PodVolumeBackup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return append([]velerov1.PodVolumeBackup(nil), m.pvbs...), nil
}

func (m *modelMember) Diagnose(context.Context, *velerov1.ServerStatusRequest, string, string) migration.Diagnosis {
	return migration.Diagnosis{}
}

func (m *modelMember) Results(context.Context, *velerov1.DownloadRequest, *velerov1.DownloadRequest, []byte) migration.Results {
	if m.results == nil {
		return migration.Results{}
	}
	return m.results()
}

func (m *modelMember) Backup(_ context.Context, name string) (*velerov1.Backup, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.backup == nil || m.backup.Name != name {
		return nil, apierrors.NewNotFound(velerov1.Resource("backups"), name)
	}
	return m.backup, nil
}

func (m *modelMember) Restore(_ context.Context, name string) (*velerov1.Restore, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.restore == nil || m.restore.Name != name {
		return nil, apierrors.NewNotFound(velerov1.Resource("restores"), name)
	}
	return m.restore, nil
}
