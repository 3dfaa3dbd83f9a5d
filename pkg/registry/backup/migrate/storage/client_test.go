// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestInformer checks that an informer on the client has each live Migrate as it is stored, whether it was stored before the start or
// later, that one leaves it at its end, and that it comes back for another attempt.
func TestInformer(t *testing.T) {
	s := newStorage(t)
	named := func(name string) *backup.Migrate {
		m := newMigrate()
		m.Name = name
		return m
	}
	ended := record(t, s, create(t, s, named("ended")), v1alpha1.MigratePhaseFailed)
	first := create(t, s, named("first"))

	informer := cache.NewSharedIndexInformer(s.Client.ListWatch(), &v1alpha1.Migrate{}, 0, cache.Indexers{})
	events := make(chan string, 100)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { events <- "add " + obj.(*v1alpha1.Migrate).Name },
		UpdateFunc: func(_, obj any) {
			events <- fmt.Sprintf("update %s %s", obj.(*v1alpha1.Migrate).Name, obj.(*v1alpha1.Migrate).Status.Phase)
		},
		DeleteFunc: func(obj any) { events <- "delete " + obj.(*v1alpha1.Migrate).Name },
	}); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { informer.RunWithContext(t.Context()) })
	t.Cleanup(running.Wait)
	await := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no event, want %q", want)
		}
	}
	await("add first")
	create(t, s, named("second"))
	await("add second")
	begun := record(t, s, first, v1alpha1.MigratePhaseBackupInProgress)
	await("update first BackupInProgress")

	obj, _, err := informer.GetIndexer().GetByKey("default/first")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(begun, obj); diff != "" {
		t.Errorf("(-stored +cached)\n%s", diff)
	}
	begun.Status.Phase = v1alpha1.MigratePhaseCompleted
	if _, err := s.Client.Record(t.Context(), begun); err != nil {
		t.Fatal(err)
	}
	await("delete first")

	retried := ended.DeepCopy()
	retried.Status.Phase = v1alpha1.MigratePhasePending
	retried.Status.Attempts = []v1alpha1.MigrateAttempt{{Number: 1, Phase: v1alpha1.MigratePhaseFailed}, {Number: 2}}
	if _, err := s.Client.Record(t.Context(), retried); err != nil {
		t.Fatal(err)
	}
	await("add ended")
	if got := informer.GetIndexer().ListKeys(); len(got) != 2 {
		t.Errorf("cached: %v", got)
	}
}

func TestReadsWithinTheProcess(t *testing.T) {
	s := newStorage(t)
	recorded := record(t, s, create(t, s, newMigrate()), v1alpha1.MigratePhaseFailed)
	got, err := s.Client.Get(t.Context(), recorded.Namespace, recorded.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(recorded, got); diff != "" {
		t.Errorf("Get (-recorded +got)\n%s", diff)
	}
	if _, err := s.Client.Get(t.Context(), "other", recorded.Name); !apierrors.IsNotFound(err) {
		t.Errorf("in another namespace: %v", err)
	}
	for namespace, want := range map[string]int{recorded.Namespace: 1, "other": 0} {
		list, err := s.Client.List(t.Context(), namespace)
		if err != nil || len(list.Items) != want {
			t.Errorf("List of %s: %v, %v", namespace, list, err)
		}
	}
}

// TestWatchWithinTheProcess checks that a watch from a resourceVersion of another etcd is refused, and that one that is stopped ends
// although nobody reads its event.
func TestWatchWithinTheProcess(t *testing.T) {
	s := newStorage(t)
	created := create(t, s, newMigrate())
	version, err := strconv.Atoi(created.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	migrates := cache.ToListerWatcherWithContext(s.Client.ListWatch())
	if _, err := migrates.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: strconv.Itoa(version + 1000)}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from the future: %v", err)
	}
	w, err := migrates.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: created.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	record(t, s, created, v1alpha1.MigratePhaseBackupInProgress)
	record(t, s, get(t, s), v1alpha1.MigratePhaseRestoreInProgress)
	w.Stop()
	deadline := time.After(time.Minute)
	for {
		select {
		case _, ok := <-w.ResultChan():
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the stopped watch has not ended")
		}
	}
}
