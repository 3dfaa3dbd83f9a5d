// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/pkg/generated/informers/externalversions"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// observer watches all Migrates and records when each Migrate, and each of its targets,
// was first seen Completed.
type observer struct {
	mu sync.Mutex
	// completed has a time for NAME of a Migrate and for NAME/CLUSTER of a target.
	completed map[string]time.Time
	last      map[string]*v1alpha1.Migrate
	// failed are the Migrates that ended in another terminal phase.
	failed []string
	// changed is closed and replaced at each event.
	changed chan struct{}
}

// startObserver starts an observer that runs until the test ends.
func startObserver(t *testing.T, migrates versioned.Interface) *observer {
	t.Helper()
	o := &observer{completed: map[string]time.Time{}, last: map[string]*v1alpha1.Migrate{}, changed: make(chan struct{})}
	factory := externalversions.NewSharedInformerFactoryWithOptions(migrates, 0, externalversions.WithNamespace(namespace))
	informer := factory.Backup().V1alpha1().Migrates().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    o.handle,
		UpdateFunc: func(_, object any) { o.handle(object) },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	factory.StartWithContext(ctx)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the cache of Migrates did not sync")
	}
	return o
}

func (o *observer) handle(object any) {
	now := time.Now()
	m := object.(*v1alpha1.Migrate)
	o.mu.Lock()
	defer o.mu.Unlock()
	record := func(id string, phase v1alpha1.MigratePhase) {
		if _, known := o.completed[id]; !known && phase == v1alpha1.MigratePhaseCompleted {
			o.completed[id] = now
		}
	}
	record(m.Name, m.Status.Phase)
	for _, target := range m.Status.TargetClusterStatus {
		record(m.Name+"/"+target.ClusterName, target.Phase)
	}
	if migration.IsTerminal(m.Status.Phase) && m.Status.Phase != v1alpha1.MigratePhaseCompleted {
		o.failed = append(o.failed, m.Name+" is "+string(m.Status.Phase))
	}
	o.last[m.Name] = m
	close(o.changed)
	o.changed = make(chan struct{})
}

// await waits until all ids are Completed, and returns the time that each took since the
// time given for it.
func (o *observer) await(t *testing.T, timeout time.Duration, ids map[string]time.Time) []time.Duration {
	t.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		took, missing, changed := o.check(ids)
		if len(missing) == 0 {
			return took
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("after %v %d of %d are not Completed:\n%v", timeout, len(missing), len(ids), missing)
		}
	}
}

// check returns the time that each of the Completed ids took, the states of the others,
// and a channel that is closed at the next event.
func (o *observer) check(ids map[string]time.Time) (took []time.Duration, missing []string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, start := range ids {
		if at, ok := o.completed[id]; ok {
			took = append(took, at.Sub(start))
			continue
		}
		state := "not seen"
		if m := o.last[id]; m != nil {
			state = fmt.Sprintf("%s, %+v", m.Status.Phase, m.Status.TargetClusterStatus)
		}
		missing = append(missing, id+": "+state)
	}
	return took, append(missing, o.failed...), o.changed
}
