// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/test/modelvelero"
)

const (
	// phaseTime is how long a modelled Velero takes for each phase.
	phaseTime = 100 * time.Millisecond
	// lookInterval is how often it looks what is due by time alone.
	lookInterval = 10 * time.Second
	// seenTimeout is how long a write may take to come back by a watch.
	seenTimeout = 10 * time.Second
)

// view is what watches of a whole cluster have heard of Velero's objects, for all
// the modelled Veleros in it.
type view struct {
	informers map[string]cache.SharedIndexInformer

	mu      sync.Mutex
	changed map[string]chan struct{} // by namespace
}

// runVeleros runs a modelled Velero in each namespace, on one bucket, until the
// test ends.
func runVeleros(t *testing.T, config *rest.Config, namespaces []string) {
	t.Helper()
	v, err := newView(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, informer := range v.informers {
		running.Go(func() { informer.RunWithContext(ctx) })
		if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
			t.Fatal("the modelled Veleros see nothing")
		}
	}
	bucket := modelvelero.NewBucket()
	for _, namespace := range namespaces {
		client, err := modelvelero.NewClient(config, namespace)
		if err != nil {
			t.Fatal(err)
		}
		// What is handed over need not be synced.
		server := modelvelero.New(modelvelero.Options{Items: 10, SyncPeriod: time.Hour}, bucket)
		running.Go(func() { (&store{Client: client, view: v, namespace: namespace}).run(ctx, server) })
	}
}

func newView(config *rest.Config) (*view, error) {
	kinds := runtime.NewScheme()
	if err := velerov1.AddToScheme(kinds); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.GroupVersion = &velerov1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(kinds).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	v := &view{informers: map[string]cache.SharedIndexInformer{}, changed: map[string]chan struct{}{}}
	for kind, of := range map[string]struct {
		resource string
		example  runtime.Object
	}{
		"Backup":                {"backups", &velerov1.Backup{}},
		"Restore":               {"restores", &velerov1.Restore{}},
		"PodVolumeBackup":       {"podvolumebackups", &velerov1.PodVolumeBackup{}},
		"BackupStorageLocation": {"backupstoragelocations", &velerov1.BackupStorageLocation{}},
		"ServerStatusRequest":   {"serverstatusrequests", &velerov1.ServerStatusRequest{}},
	} {
		all := cache.NewListWatchFromClient(client, of.resource, "", fields.Everything())
		informer := cache.NewSharedIndexInformer(all, of.example, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    v.heard,
			UpdateFunc: func(_, object any) { v.heard(object) },
			DeleteFunc: v.heard,
		}); err != nil {
			return nil, err
		}
		v.informers[kind] = informer
	}
	return v, nil
}

func (v *view) heard(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if o, ok := object.(modelvelero.Object); ok {
		select {
		case v.changes(o.GetNamespace()) <- struct{}{}:
		default:
		}
	}
}

// changes is where it is told that something changed in a namespace.
func (v *view) changes(namespace string) chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.changed[namespace] == nil {
		v.changed[namespace] = make(chan struct{}, 1)
	}
	return v.changed[namespace]
}

func listed[T modelvelero.Object](v *view, kind, namespace string) []T {
	var all []T
	objects, _ := v.informers[kind].GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	for _, o := range objects {
		all = append(all, o.(T))
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// store is the Store of one namespace: it reads what the watches have heard, and
// has each write come back by them before it goes on.
type store struct {
	*modelvelero.Client

	view      *view
	namespace string
}

// run has a Velero take its steps whenever something has changed.
func (s *store) run(ctx context.Context, server *modelvelero.Server) {
	for ctx.Err() == nil {
		c, _ := s.Read(ctx)
		steps := server.Steps(c, time.Now())
		for _, step := range steps {
			// A write that failed is possible again the next time.
			_ = modelvelero.Take(ctx, s, step)
		}
		if len(steps) > 0 {
			await(ctx, nil, phaseTime)
		} else {
			await(ctx, s.view.changes(s.namespace), lookInterval)
		}
	}
}

func await(ctx context.Context, something <-chan struct{}, atMost time.Duration) {
	select {
	case <-ctx.Done():
	case <-something:
	case <-time.After(atMost):
	}
}

func (s *store) Read(context.Context) (*modelvelero.Cluster, error) {
	return &modelvelero.Cluster{
		Backups:          listed[*velerov1.Backup](s.view, "Backup", s.namespace),
		Restores:         listed[*velerov1.Restore](s.view, "Restore", s.namespace),
		PodVolumeBackups: listed[*velerov1.PodVolumeBackup](s.view, "PodVolumeBackup", s.namespace),
		Locations:        listed[*velerov1.BackupStorageLocation](s.view, "BackupStorageLocation", s.namespace),
		Requests:         listed[*velerov1.ServerStatusRequest](s.view, "ServerStatusRequest", s.namespace),
	}, nil
}

func (s *store) Create(ctx context.Context, object modelvelero.Object) (modelvelero.Object, error) {
	created, err := s.Client.Create(ctx, object)
	if err == nil {
		s.awaitOther(ctx, modelvelero.KeyOf(object), "")
	}
	return created, err
}

func (s *store) Patch(ctx context.Context, before, after modelvelero.Object) error {
	err := s.Client.Patch(ctx, before, after)
	if err == nil {
		s.awaitOther(ctx, modelvelero.KeyOf(after), before.GetResourceVersion())
	}
	return err
}

func (s *store) Delete(ctx context.Context, object modelvelero.Object) error {
	err := s.Client.Delete(ctx, object)
	if err == nil {
		s.awaitOther(ctx, modelvelero.KeyOf(object), object.GetResourceVersion())
	}
	return err
}

// awaitOther returns when another version of an object is seen, or none.
func (s *store) awaitOther(ctx context.Context, key modelvelero.Key, version string) {
	ctx, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	for ctx.Err() == nil {
		object, exists, _ := s.view.informers[key.Kind].GetStore().GetByKey(s.namespace + "/" + key.Name)
		if !exists && version != "" || exists && object.(modelvelero.Object).GetResourceVersion() != version {
			return
		}
		await(ctx, s.view.changes(s.namespace), seenTimeout)
	}
}
