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

// observer watches all Migrates as a user does, and notes when each, and each
// target of each, was first seen Completed.
type observer struct {
	mu sync.Mutex
	// completed is by NAME for a Migrate and NAME/CLUSTER for a target.
	completed map[string]time.Time
	last      map[string]*v1alpha1.Migrate
	// ended are those that ended otherwise.
	ended []string
	// changed is closed and replaced at each change.
	changed chan struct{}
}

func observe(t *testing.T, migrates versioned.Interface) *observer {
	t.Helper()
	o := &observer{completed: map[string]time.Time{}, last: map[string]*v1alpha1.Migrate{}, changed: make(chan struct{})}
	factory := externalversions.NewSharedInformerFactoryWithOptions(migrates, 0, externalversions.WithNamespace(namespace))
	informer := factory.Backup().V1alpha1().Migrates().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    o.saw,
		UpdateFunc: func(_, object any) { o.saw(object) },
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
		t.Fatal("can't watch Migrates")
	}
	return o
}

func (o *observer) saw(object any) {
	now := time.Now()
	m := object.(*v1alpha1.Migrate)
	o.mu.Lock()
	defer o.mu.Unlock()
	note := func(id string, phase v1alpha1.MigratePhase) {
		if _, known := o.completed[id]; !known && phase == v1alpha1.MigratePhaseCompleted {
			o.completed[id] = now
		}
	}
	note(m.Name, m.Status.Phase)
	for _, target := range m.Status.TargetClusterStatus {
		note(m.Name+"/"+target.ClusterName, target.Phase)
	}
	if migration.IsTerminal(m.Status.Phase) && m.Status.Phase != v1alpha1.MigratePhaseCompleted {
		o.ended = append(o.ended, m.Name+" is "+string(m.Status.Phase))
	}
	o.last[m.Name] = m
	close(o.changed)
	o.changed = make(chan struct{})
}

// await returns when each of the ids was seen Completed.
func (o *observer) await(t *testing.T, patience time.Duration, ids map[string]time.Time) []time.Duration {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		took, missing, changed := o.look(ids)
		if len(missing) == 0 {
			return took
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("after %v %d of %d are not Completed:\n%v", patience, len(missing), len(ids), missing)
		}
	}
}

// look returns the time that each took since the given time, or its state.
func (o *observer) look(ids map[string]time.Time) (took []time.Duration, missing []string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, began := range ids {
		if at, ok := o.completed[id]; ok {
			took = append(took, at.Sub(began))
			continue
		}
		how := "not seen"
		if m := o.last[id]; m != nil {
			how = fmt.Sprintf("%s, %+v", m.Status.Phase, m.Status.TargetClusterStatus)
		}
		missing = append(missing, id+": "+how)
	}
	return took, append(missing, o.ended...), o.changed
}
