// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/storetest"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

func TestCreateDropsTheStatus(t *testing.T) {
	s := newStorage(t)
	sent := newMigrate()
	sent.Status.Phase = backup.MigratePhaseCompleted
	sent.Generation = 7

	created := create(t, s, sent)
	want := backup.MigrateStatus{Phase: "Pending", Conditions: migration.InitialConditions(1, created.CreationTimestamp)}
	if diff := cmp.Diff(want, created.Status); diff != "" {
		t.Errorf("status (-want +got)\n%s", diff)
	}
	if created.Generation != 1 {
		t.Errorf("generation: got %d, want 1", created.Generation)
	}
}

func TestCreateRefusesBadInput(t *testing.T) {
	s := newStorage(t)
	bad := newMigrate()
	bad.Spec.SourceCluster.Fleet = ""
	_, err := s.Migrate.Create(testContext(), bad, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	want := `Migrate.backup.kurator.dev "select-labels" is invalid: spec.sourceCluster.fleet: Required value: name the Fleet that the clusters are members of`
	if !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUpdateKeepsTheStatus(t *testing.T) {
	s := newStorage(t)
	recorded := record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhaseBackupInProgress)

	updated, err := update(s, func(m *backup.Migrate) {
		m.Labels = map[string]string{"a": "b"}
		m.Status = backup.MigrateStatus{Phase: backup.MigratePhaseCompleted}
	})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Status.Phase != "BackupInProgress" || updated.Labels["a"] != "b" || updated.Generation != 1 {
		t.Errorf("got phase %q, labels %v, generation %d, want BackupInProgress, map[a:b], 1",
			updated.Status.Phase, updated.Labels, updated.Generation)
	}
	if updated.ResourceVersion == recorded.ResourceVersion {
		t.Errorf("resourceVersion is still %s", updated.ResourceVersion)
	}
}

func TestUpdateRefusesAnotherSpec(t *testing.T) {
	s := newStorage(t)
	create(t, s, newMigrate())
	_, err := update(s, func(m *backup.Migrate) { m.Spec.TargetCluster.Fleet = "other" })
	want := `Migrate.backup.kurator.dev "select-labels" is invalid: spec.targetCluster: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again`
	if !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUpdateDoesNotCreate(t *testing.T) {
	s := newStorage(t)
	m := newMigrate()
	_, _, err := s.Migrate.Update(testContext(), m.Name, rest.DefaultUpdatedObjectInfo(m),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if want := `migrates.backup.kurator.dev "select-labels" not found`; !apierrors.IsNotFound(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRecordWritesTheStatusAndNothingElse(t *testing.T) {
	s := newStorage(t)
	created := create(t, s, newMigrate())

	m := versioned(created)
	m.Status.Phase = v1alpha1.MigratePhaseBackupInProgress
	m.Labels = map[string]string{"sneaked": "in"}
	m.Generation = 9
	m.Spec.TargetCluster.Fleet = "other"
	recorded, err := s.Client.Record(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}

	want := versioned(created)
	want.Status.Phase = v1alpha1.MigratePhaseBackupInProgress
	want.ResourceVersion = recorded.ResourceVersion
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("recorded (-want +got)\n%s", diff)
	}
	if recorded.ResourceVersion == created.ResourceVersion {
		t.Errorf("resourceVersion is still %s", recorded.ResourceVersion)
	}
	if diff := cmp.Diff(recorded, versioned(get(t, s))); diff != "" {
		t.Errorf("stored (-recorded +stored)\n%s", diff)
	}
}

func TestRecordWithoutAChangeKeepsTheVersion(t *testing.T) {
	s := newStorage(t)
	first := record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhasePending)
	again, err := s.Client.Record(context.Background(), first)
	if err != nil {
		t.Fatal(err)
	}
	if again.ResourceVersion != first.ResourceVersion {
		t.Errorf("resourceVersion: got %s, want %s", again.ResourceVersion, first.ResourceVersion)
	}
}

func TestRecordPreconditions(t *testing.T) {
	s := newStorage(t)
	created := versioned(create(t, s, newMigrate()))
	record(t, s, get(t, s), v1alpha1.MigratePhasePending)
	current := versioned(get(t, s))

	tests := map[string]struct {
		change func(*v1alpha1.Migrate)
		is     func(error) bool
	}{
		"an old version": {func(m *v1alpha1.Migrate) { m.ResourceVersion = created.ResourceVersion }, apierrors.IsConflict},
		"another object": {func(m *v1alpha1.Migrate) { m.UID = "another" }, apierrors.IsConflict},
		"a missing name": {func(m *v1alpha1.Migrate) { m.Name = "another" }, apierrors.IsNotFound},
		"no version":     {func(m *v1alpha1.Migrate) { m.ResourceVersion = "" }, apierrors.IsBadRequest},
		"no uid":         {func(m *v1alpha1.Migrate) { m.UID = "" }, apierrors.IsBadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := current.DeepCopy()
			m.Status.Phase = v1alpha1.MigratePhaseFailed
			test.change(m)
			if _, err := s.Client.Record(context.Background(), m); !test.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	if diff := cmp.Diff(current, versioned(get(t, s))); diff != "" {
		t.Errorf("stored (-before +after)\n%s", diff)
	}
}

func TestRecordDoesNotChangeAFinalPhase(t *testing.T) {
	s := newStorage(t)
	m := record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhaseCompleted)
	m.Status.Phase = v1alpha1.MigratePhaseFailed
	_, err := s.Client.Record(context.Background(), m)
	want := `Migrate.backup.kurator.dev "select-labels" is invalid: status.phase: Forbidden: is Completed, which is terminal: it can't change to "Failed"`
	if !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStatusIsComputedOnRead(t *testing.T) {
	s := newStorage(t)
	recorded := record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhaseBackupInProgress)

	status := storage.NewStatusREST(s.Migrate, liveFunc(func(_ context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
		if diff := cmp.Diff(recorded, m); diff != "" {
			t.Errorf("live status of (-recorded +got)\n%s", diff)
		}
		m.Status.SourceClusterStatus.Message = "written through"
		m.Labels = map[string]string{"written": "through"}
		return &v1alpha1.MigrateStatus{Phase: v1alpha1.MigratePhaseRestoreInProgress}, nil
	}))
	got, err := status.Get(testContext(), "select-labels", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if phase := got.(*backup.Migrate).Status.Phase; phase != "RestoreInProgress" {
		t.Errorf("live phase: got %q, want RestoreInProgress", phase)
	}
	if rv := got.(*backup.Migrate).ResourceVersion; rv != recorded.ResourceVersion {
		t.Errorf("live resourceVersion: got %s, want %s", rv, recorded.ResourceVersion)
	}
	if diff := cmp.Diff(recorded, versioned(get(t, s))); diff != "" {
		t.Errorf("recorded (-before +after)\n%s", diff)
	}
	if diff := cmp.Diff(recorded, versioned(list(t, s, "")[0])); diff != "" {
		t.Errorf("recorded in the watch cache (-before +after)\n%s", diff)
	}
}

func TestStatusErrors(t *testing.T) {
	s := newStorage(t)
	create(t, s, newMigrate())
	tests := map[string]struct {
		name string
		live error
		want string
	}{
		"no such Migrate":   {name: "another", want: `migrates.backup.kurator.dev "another" not found`},
		"another error":     {name: "select-labels", live: errors.New("broken"), want: `Internal error occurred: status of migrates.backup.kurator.dev "select-labels": broken`},
		"an API error":      {name: "select-labels", live: apierrors.NewTooManyRequests("later", 1), want: `later`},
		"past its deadline": {name: "select-labels", live: fmt.Errorf("asking: %w", context.DeadlineExceeded), want: `The get operation against migrates.backup.kurator.dev could not be completed at this time, please try again.`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status := storage.NewStatusREST(s.Migrate, liveFunc(func(context.Context, *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
				return nil, test.live
			}))
			_, err := status.Get(testContext(), test.name, &metav1.GetOptions{})
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestStatusCanOnlyBeRead(t *testing.T) {
	var status any = storage.NewStatusREST(nil, nil)
	if _, ok := status.(rest.Updater); ok {
		t.Error("status can be updated")
	}
	if _, ok := status.(rest.Patcher); ok {
		t.Error("status can be patched")
	}
}

func TestSelectByField(t *testing.T) {
	s := newStorage(t)
	first := newMigrate()
	create(t, s, first)
	second := newMigrate()
	second.Name = "second"
	second.Spec.SourceCluster.Fleet = "other"
	second.Spec.TargetCluster.Fleet = "third"
	create(t, s, second)

	for selector, want := range map[string][]string{
		"":                                 {"second", "select-labels"},
		"metadata.name=second":             {"second"},
		"metadata.namespace=default":       {"second", "select-labels"},
		"spec.sourceCluster.fleet=other":   {"second"},
		"spec.targetCluster.fleet=third":   {"second"},
		"spec.targetCluster.fleet!=third":  {"select-labels"},
		"spec.sourceCluster.fleet=nothing": nil,
		"status.phase=Pending":             {"second", "select-labels"},
		"status.phase!=Pending":            nil,
	} {
		var got []string
		for _, m := range list(t, s, selector) {
			got = append(got, m.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", selector, diff)
		}
	}
}

func TestWatchReportsEveryRecord(t *testing.T) {
	s := newStorage(t)
	created := create(t, s, newMigrate())
	w, err := s.Migrate.Watch(testContext(), &internalversion.ListOptions{ResourceVersion: created.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)

	m := record(t, s, created, v1alpha1.MigratePhaseBackupInProgress)
	m.Status.Phase = v1alpha1.MigratePhaseCompleted
	if _, err := s.Client.Record(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	for _, want := range []backup.MigratePhase{"BackupInProgress", "Completed"} {
		event := <-w.ResultChan()
		if cached, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = cached.GetObject()
		}
		got, ok := event.Object.(*backup.Migrate)
		if !ok || event.Type != watch.Modified || got.Status.Phase != want {
			t.Fatalf("got %v %v, want MODIFIED with phase %s", event.Type, event.Object, want)
		}
	}
}

// TestWatchFromAnotherEtcd watches from a version that a client has from another etcd: it must list again, or it would miss
// every change until this etcd has got there.
func TestWatchFromAnotherEtcd(t *testing.T) {
	s := newStorage(t)
	created := create(t, s, newMigrate())
	for version, expired := range map[string]bool{"": false, "0": false, created.ResourceVersion: false, "9511446": true} {
		w, err := s.Migrate.Watch(testContext(), &internalversion.ListOptions{ResourceVersion: version})
		if got := apierrors.IsResourceExpired(err); got != expired || !expired && err != nil {
			t.Errorf("version %q: got %v, want expired: %v", version, err, expired)
		}
		if w != nil {
			w.Stop()
		}
	}
}

func TestDelete(t *testing.T) {
	s := newStorage(t)
	record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhaseBackupInProgress)
	_, gone, err := s.Migrate.Delete(testContext(), "select-labels", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	if err != nil || !gone {
		t.Errorf("got %v, gone %v", err, gone)
	}
}

func newStorage(t *testing.T) *storage.Storage {
	t.Helper()
	s, err := storage.New(storetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Ready(t, s.Migrate.Store)
	return s
}

func testContext() context.Context { return storetest.Context() }

func newMigrate() *backup.Migrate {
	return &backup.Migrate{
		ObjectMeta: metav1.ObjectMeta{Name: "select-labels", Namespace: "default"},
		Spec: backup.MigrateSpec{
			SourceCluster: backup.Destination{
				Fleet:    "quickstart",
				Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "kurator-member1"}},
			},
			TargetCluster:           backup.Destination{Fleet: "quickstart"},
			ProgressDeadlineSeconds: ptr.To(int32(600)),
		},
	}
}

func create(t *testing.T, s *storage.Storage, m *backup.Migrate) *backup.Migrate {
	t.Helper()
	created, err := s.Migrate.Create(testContext(), m, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.(*backup.Migrate)
}

func get(t *testing.T, s *storage.Storage) *backup.Migrate {
	t.Helper()
	m, err := s.Migrate.Get(testContext(), "select-labels", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m.(*backup.Migrate)
}

func list(t *testing.T, s *storage.Storage, selector string) []*backup.Migrate {
	t.Helper()
	parsed, err := fields.ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := s.Migrate.List(testContext(), &internalversion.ListOptions{FieldSelector: parsed})
	if err != nil {
		t.Fatal(err)
	}
	var migrates []*backup.Migrate
	for i := range listed.(*backup.MigrateList).Items {
		migrates = append(migrates, &listed.(*backup.MigrateList).Items[i])
	}
	return migrates
}

func update(s *storage.Storage, change func(*backup.Migrate)) (*backup.Migrate, error) {
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		m := old.(*backup.Migrate).DeepCopy()
		change(m)
		return m, nil
	})
	updated, _, err := s.Migrate.Update(testContext(), "select-labels", info,
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return updated.(*backup.Migrate), nil
}

func record(t *testing.T, s *storage.Storage, recorded *backup.Migrate, phase v1alpha1.MigratePhase) *v1alpha1.Migrate {
	t.Helper()
	m := versioned(recorded)
	m.Status = v1alpha1.MigrateStatus{
		Phase: phase,
		SourceClusterStatus: &v1alpha1.BackupDetails{
			ClusterStatus:         v1alpha1.ClusterStatus{ClusterName: "kurator-member1", ClusterKind: "AttachedCluster", Message: "recorded"},
			BackupStatusInCluster: &velerov1.BackupStatus{Phase: velerov1.BackupPhaseInProgress},
		},
	}
	got, err := s.Client.Record(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func versioned(m *backup.Migrate) *v1alpha1.Migrate {
	out := &v1alpha1.Migrate{}
	if err := v1alpha1.Convert_backup_Migrate_To_v1alpha1_Migrate(m.DeepCopy(), out, nil); err != nil {
		panic(err)
	}
	return out
}

type liveFunc func(context.Context, *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error)

func (f liveFunc) LiveStatus(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
	return f(ctx, m)
}

// invalidUpdate is an update that fails with err.
type invalidUpdate struct {
	rest.UpdatedObjectInfo
	err error
}

func (u invalidUpdate) UpdatedObject(context.Context, runtime.Object) (runtime.Object, error) {
	return nil, u.err
}

// TestUpdateReportsAnInvalidPatch checks that an error of the library without a status is a 400,
// and that other errors are unchanged.
func TestUpdateReportsAnInvalidPatch(t *testing.T) {
	s := newStorage(t)
	m := create(t, s, newMigrate())
	plain := errors.New("field does not match the schema")
	ended, cancel := context.WithCancel(testContext())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		verb string
		err  error
		want metav1.StatusReason
	}{
		"a patch":             {testContext(), "patch", plain, metav1.StatusReasonBadRequest},
		"an update":           {testContext(), "update", plain, metav1.StatusReasonUnknown},
		"an API error":        {testContext(), "patch", apierrors.NewConflict(backup.Resource("migrates"), m.Name, plain), metav1.StatusReasonConflict},
		"a request that ends": {ended, "patch", plain, metav1.StatusReasonUnknown},
	} {
		ctx := genericapirequest.WithRequestInfo(c.ctx, &genericapirequest.RequestInfo{Verb: c.verb})
		_, _, err := s.Migrate.Update(ctx, m.Name, invalidUpdate{rest.DefaultUpdatedObjectInfo(m), c.err},
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if got := apierrors.ReasonForError(err); err == nil || got != c.want {
			t.Errorf("%s: %v (%s), want reason %q", name, err, got, c.want)
		}
	}
}
