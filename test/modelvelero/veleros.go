// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// never is longer than anything lives here.
	never = 1000 * time.Hour
	// lookInterval is how often a server looks what is due by time alone.
	lookInterval = 10 * time.Second
)

// view is what watches of a whole cluster have heard of Velero's objects, for all
// the modelled Veleros in it.
type view struct {
	informers map[string]cache.SharedIndexInformer

	mu      sync.Mutex
	changed map[string]chan struct{} // by namespace
	// versions are the last of each kind in each namespace, by KIND NAMESPACE.
	versions map[string]string
}

// Veleros are the servers of several namespaces behind one kube-apiserver, on one
// bucket. None of them syncs: what is handed over need not be.
type Veleros struct {
	// PhaseTime is how long each phase of a Backup or Restore takes.
	PhaseTime time.Duration

	config     *rest.Config
	namespaces []string
	view       *view
}

// NewVeleros makes the servers of namespaces that exist. Nothing runs before Run.
func NewVeleros(config *rest.Config, namespaces ...string) (*Veleros, error) {
	v, err := newView(config)
	if err != nil {
		return nil, err
	}
	return &Veleros{PhaseTime: 100 * time.Millisecond, config: config, namespaces: namespaces, view: v}, nil
}

// Run runs them until ctx ends.
func (v *Veleros) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, informer := range v.view.informers {
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	for _, informer := range v.view.informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return ctx.Err()
		}
	}
	bucket := NewBucket()
	for _, namespace := range v.namespaces {
		client, err := NewClient(v.config, namespace)
		if err != nil {
			return err
		}
		server := New(Options{Items: 10, SyncPeriod: never}, bucket)
		running.Go(func() {
			(&watchedStore{Client: client, view: v.view, namespace: namespace}).run(ctx, server, v.PhaseTime)
		})
	}
	<-ctx.Done()
	return nil
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
	v := &view{informers: map[string]cache.SharedIndexInformer{}, changed: map[string]chan struct{}{}, versions: map[string]string{}}
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
			AddFunc:    func(object any) { v.heard(kind, object) },
			UpdateFunc: func(_, object any) { v.heard(kind, object) },
			DeleteFunc: func(object any) { v.heard(kind, object) },
		}); err != nil {
			return nil, err
		}
		v.informers[kind] = informer
	}
	return v, nil
}

// heard is called when the informer of a kind has an object in its store, or not any
// more.
func (v *view) heard(kind string, object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	o, ok := object.(Object)
	if !ok {
		return
	}
	v.mu.Lock()
	if key := kind + " " + o.GetNamespace(); isLater(o.GetResourceVersion(), v.versions[key]) {
		v.versions[key] = o.GetResourceVersion()
	}
	v.mu.Unlock()
	select {
	case v.changes(o.GetNamespace()) <- struct{}{}:
	default:
	}
}

// hasHeard says whether the watch of a kind has come to a version, or beyond, in a
// namespace.
func (v *view) hasHeard(kind, namespace, version string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !isLater(version, v.versions[kind+" "+namespace])
}

// isLater says whether a version is later than another, which is empty for none.
func isLater(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

// changes receives the namespaces in which something changed.
func (v *view) changes(namespace string) chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.changed[namespace] == nil {
		v.changed[namespace] = make(chan struct{}, 1)
	}
	return v.changed[namespace]
}

func listed[T Object](v *view, kind, namespace string) []T {
	var all []T
	objects, _ := v.informers[kind].GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	for _, o := range objects {
		all = append(all, o.(T))
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// watchedStore is the Store of one namespace: it reads what the watches have heard, and
// has each write come back by them before it goes on. A deletion need not: what is
// deleted twice is gone.
type watchedStore struct {
	*Client

	view      *view
	namespace string
}

// run has a server take its steps whenever something has changed.
func (s *watchedStore) run(ctx context.Context, server *Server, phaseTime time.Duration) {
	for ctx.Err() == nil {
		c, err := s.Read(ctx)
		if err != nil {
			await(ctx, nil, phaseTime)
			continue
		}
		steps := server.Steps(c, time.Now())
		for _, step := range steps {
			// A write that failed is possible again the next time.
			_ = Take(ctx, s, step)
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

// Read is what the watches have heard; where a Restore is there and its Backup is
// not, what there is.
func (s *watchedStore) Read(ctx context.Context) (*Cluster, error) {
	c := &Cluster{
		Backups:          listed[*velerov1.Backup](s.view, "Backup", s.namespace),
		Restores:         listed[*velerov1.Restore](s.view, "Restore", s.namespace),
		PodVolumeBackups: listed[*velerov1.PodVolumeBackup](s.view, "PodVolumeBackup", s.namespace),
		Locations:        listed[*velerov1.BackupStorageLocation](s.view, "BackupStorageLocation", s.namespace),
		Requests:         listed[*velerov1.ServerStatusRequest](s.view, "ServerStatusRequest", s.namespace),
	}
	for _, r := range c.Restores {
		if c.Backup(r.Spec.BackupName) == nil {
			// The watch of the Backups may be behind that of the Restores.
			return s.Client.Read(ctx)
		}
	}
	return c, nil
}

func (s *watchedStore) Create(ctx context.Context, object Object) (Object, error) {
	created, err := s.Client.Create(ctx, object)
	if err == nil {
		s.awaitHeard(ctx, KeyOf(created), created.GetResourceVersion())
	}
	return created, err
}

func (s *watchedStore) Patch(ctx context.Context, before, after Object) error {
	patched, err := s.patch(ctx, before, after)
	if err == nil {
		s.awaitHeard(ctx, KeyOf(patched), patched.GetResourceVersion())
	}
	return err
}

// awaitHeard returns when a version of an object, or what came after it, is in the
// view. Only that says that the view has a write in it: where Read has read past the
// view, it may still be behind what was before the write.
func (s *watchedStore) awaitHeard(ctx context.Context, key Key, version string) {
	for ctx.Err() == nil && !s.view.hasHeard(key.Kind, s.namespace, version) {
		await(ctx, s.view.changes(s.namespace), lookInterval)
	}
}
