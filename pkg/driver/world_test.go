// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/fake"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

var (
	m1 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m1"}
	m2 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m2"}
	m3 = migration.Cluster{Kind: migration.KindAttachedCluster, Name: "m3"}
)

// world is a host with a fleet of three members, each with a Velero that works
// immediately, and the storage of the Migrates.
type world struct {
	t       *testing.T
	client  *fake.Clientset
	members map[migration.Cluster]*immediateMember

	mutex   sync.Mutex
	version int
	records int
	// unrecordable is the name of a Migrate whose status updates fail.
	unrecordable string
	// failRecords is the number of status updates that will fail.
	failRecords int
	// stuck blocks status updates until it is closed, even after their context has ended.
	stuck chan struct{}

	// policy, suspended and requester are fields of the Migrate's spec.
	policy    *v1alpha1.MigratePolicy
	suspended bool
	requester v1alpha1.Requester

	permissions
}

// newWorld returns a world without a Migrate.
func newWorld(t *testing.T) *world {
	w := &world{t: t, client: fake.NewClientset(), members: map[migration.Cluster]*immediateMember{}, requester: v1alpha1.Requester{Username: "jane"}}
	bucket := modelvelero.NewBucket()
	for _, c := range []migration.Cluster{m1, m2, m3} {
		w.members[c] = newImmediateMember(c, bucket)
	}
	return w
}

func (w *world) driver() *Driver {
	return New(Config{
		Migrates: storedMigrates{w}, Host: w, Permission: permission.New(w, w.options), Members: w,
		Events: events.NewFakeRecorder(1000), Clock: clock.RealClock{},
	})
}

// drive runs a driver until stop is called.
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

// apply creates a Migrate from m1 to the targets.
func (w *world) apply(targets ...migration.Cluster) {
	w.t.Helper()
	w.create("default", "app", "c948154d-1727", targets...)
}

// create creates a Migrate from m1 to the targets.
func (w *world) create(namespace, name string, uid types.UID, targets ...migration.Cluster) {
	w.t.Helper()
	m := &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: uid, ResourceVersion: "1",
			CreationTimestamp: metav1.NewTime(time.Now()),
		},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{{Kind: m1.Kind, Name: m1.Name}}},
			TargetCluster: v1alpha1.Destination{Fleet: "f"},
			Policy:        w.policy,
			Suspend:       &w.suspended,
			Requester:     &w.requester,
		},
	}
	for _, c := range targets {
		m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.version = max(w.version, 1)
	if _, err := w.client.BackupV1alpha1().Migrates(namespace).Create(w.t.Context(), m, metav1.CreateOptions{}); err != nil {
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

// beginDeletion deletes the Migrate, which has a finalizer.
func (w *world) beginDeletion() {
	w.update(func(m *v1alpha1.Migrate) {
		m.Finalizers = []string{"example.com/hold"}
		m.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	})
}

// setSuspended suspends or resumes the Migrate.
func (w *world) setSuspended(suspended bool) {
	w.update(func(m *v1alpha1.Migrate) { m.Spec.Suspend = &suspended })
}

// update updates the Migrate as a user.
func (w *world) update(change func(*v1alpha1.Migrate)) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	m := w.migrate()
	w.version++
	m.ResourceVersion = strconv.Itoa(w.version)
	change(m)
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

// storedMigrates are the Migrates of a world.
type storedMigrates struct{ *world }

func (w storedMigrates) Get(ctx context.Context, namespace, name string) (*v1alpha1.Migrate, error) {
	return w.client.BackupV1alpha1().Migrates(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (w storedMigrates) List(ctx context.Context, namespace string) (*v1alpha1.MigrateList, error) {
	return w.client.BackupV1alpha1().Migrates(namespace).List(ctx, metav1.ListOptions{})
}

func (w storedMigrates) ListWatch() cache.ListerWatcher {
	migrates := w.client.BackupV1alpha1().Migrates(metav1.NamespaceAll)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return migrates.List(ctx, options)
		},
		WatchFuncWithContext: migrates.Watch,
	}, w.client)
}

// Record stores a status under the storage's precondition.
func (w storedMigrates) Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	if w.stuck != nil {
		<-w.stuck
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if m.Name == w.unrecordable {
		return nil, errors.New("etcd refuses it")
	}
	if w.failRecords > 0 {
		w.failRecords--
		return nil, errors.New("etcd is down")
	}
	if stored, err := w.client.BackupV1alpha1().Migrates(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{}); err != nil {
		return nil, err
	} else if m.ResourceVersion != stored.ResourceVersion {
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
func (w *world) Read(_ context.Context, n string, s *v1alpha1.MigrateSpec) migration.Inventory {
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
