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
	// never is a sync period that is longer than any test.
	never = 1000 * time.Hour
	// pollInterval is the time between two checks for steps that are due without an event.
	pollInterval = 10 * time.Second
	// items is the number of items of each Backup.
	items = 10
)

// watchCache caches Velero's objects of a whole cluster, for all modelled Veleros in it.
type watchCache struct {
	client    rest.Interface
	informers map[string]cache.SharedIndexInformer

	mu      sync.Mutex
	changed map[string]chan struct{} // by namespace
	// versions are the latest resourceVersions, by "KIND NAMESPACE".
	versions map[string]string
}

// Veleros are the servers of several namespaces of one kube-apiserver, with one bucket.
// None of them syncs, because our server hands the Backups over.
type Veleros struct {
	// PhaseTime is the duration of each phase of a Backup or Restore.
	PhaseTime time.Duration

	config     *rest.Config
	namespaces []string
	cache      *watchCache
}

// NewVeleros returns the servers of existing namespaces, which Run starts.
func NewVeleros(config *rest.Config, namespaces ...string) (*Veleros, error) {
	c, err := newWatchCache(config)
	if err != nil {
		return nil, err
	}
	return &Veleros{PhaseTime: 100 * time.Millisecond, config: config, namespaces: namespaces, cache: c}, nil
}

// Run runs the servers until ctx ends.
func (v *Veleros) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, informer := range v.cache.informers {
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	for _, informer := range v.cache.informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return ctx.Err()
		}
	}
	files, err := newStorage(items)
	if err != nil {
		return err
	}
	running.Go(func() { files.serve(ctx) })
	running.Go(func() { _ = files.answer(ctx, v.cache.client) })
	bucket := NewBucket()
	for _, namespace := range v.namespaces {
		client, err := NewClient(v.config, namespace)
		if err != nil {
			return err
		}
		server := New(Options{Items: items, SyncPeriod: never}, bucket)
		running.Go(func() {
			(&cachedStore{Client: client, cache: v.cache, namespace: namespace}).run(ctx, server, v.PhaseTime)
		})
	}
	<-ctx.Done()
	return nil
}

func newWatchCache(config *rest.Config) (*watchCache, error) {
	scheme := runtime.NewScheme()
	if err := velerov1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.GroupVersion = &velerov1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &watchCache{client: client, informers: map[string]cache.SharedIndexInformer{}, changed: map[string]chan struct{}{}, versions: map[string]string{}}
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
			AddFunc:    func(object any) { c.handle(kind, object) },
			UpdateFunc: func(_, object any) { c.handle(kind, object) },
			DeleteFunc: func(object any) { c.handle(kind, object) },
		}); err != nil {
			return nil, err
		}
		c.informers[kind] = informer
	}
	return c, nil
}

// handle handles an event of a kind's informer, after the informer has updated its store.
func (c *watchCache) handle(kind string, object any) {
	if deleted, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = deleted.Obj
	}
	o, ok := object.(Object)
	if !ok {
		return
	}
	c.mu.Lock()
	if key := kind + " " + o.GetNamespace(); isNewer(o.GetResourceVersion(), c.versions[key]) {
		c.versions[key] = o.GetResourceVersion()
	}
	c.mu.Unlock()
	select {
	case c.changes(o.GetNamespace()) <- struct{}{}:
	default:
	}
}

// hasSeen reports whether the watch of a kind has delivered a version, or a newer one, in a
// namespace.
func (c *watchCache) hasSeen(kind, namespace, version string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !isNewer(version, c.versions[kind+" "+namespace])
}

// isNewer reports whether a version is newer than another, which may be empty.
func isNewer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err != nil || order > 0
}

// changes returns a channel that receives a value after events of a namespace.
func (c *watchCache) changes(namespace string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed[namespace] == nil {
		c.changed[namespace] = make(chan struct{}, 1)
	}
	return c.changed[namespace]
}

// list returns the cached objects of a kind in a namespace, sorted by name.
func list[T Object](c *watchCache, kind, namespace string) []T {
	var all []T
	objects, _ := c.informers[kind].GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	for _, o := range objects {
		all = append(all, o.(T))
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// cachedStore is the Store of one namespace. It reads from the cache, and a write returns
// after the cache contains it. It does not wait for a deletion, because deleting an object
// twice is harmless.
type cachedStore struct {
	*Client

	cache     *watchCache
	namespace string
}

// run takes the steps of a server after each event.
func (s *cachedStore) run(ctx context.Context, server *Server, phaseTime time.Duration) {
	for ctx.Err() == nil {
		c, err := s.Read(ctx)
		if err != nil {
			await(ctx, nil, phaseTime)
			continue
		}
		steps := server.Steps(c, time.Now())
		for _, step := range steps {
			// Steps returns a step again if its write has failed.
			_ = Take(ctx, s, step)
		}
		if len(steps) > 0 {
			await(ctx, nil, phaseTime)
		} else {
			await(ctx, s.cache.changes(s.namespace), pollInterval)
		}
	}
}

// await waits for an event, for at most timeout.
func await(ctx context.Context, event <-chan struct{}, timeout time.Duration) {
	select {
	case <-ctx.Done():
	case <-event:
	case <-time.After(timeout):
	}
}

// Read returns the cached objects. If the cache has a Restore without its Backup, it lists
// the objects instead.
func (s *cachedStore) Read(ctx context.Context) (*Cluster, error) {
	c := &Cluster{
		Backups:          list[*velerov1.Backup](s.cache, "Backup", s.namespace),
		Restores:         list[*velerov1.Restore](s.cache, "Restore", s.namespace),
		PodVolumeBackups: list[*velerov1.PodVolumeBackup](s.cache, "PodVolumeBackup", s.namespace),
		Locations:        list[*velerov1.BackupStorageLocation](s.cache, "BackupStorageLocation", s.namespace),
		Requests:         list[*velerov1.ServerStatusRequest](s.cache, "ServerStatusRequest", s.namespace),
	}
	for _, r := range c.Restores {
		if c.Backup(r.Spec.BackupName) == nil {
			// The watch of the Backups may be behind that of the Restores.
			return s.Client.Read(ctx)
		}
	}
	return c, nil
}

func (s *cachedStore) Create(ctx context.Context, object Object) (Object, error) {
	created, err := s.Client.Create(ctx, object)
	if err == nil {
		s.awaitVersion(ctx, KeyOf(created), created.GetResourceVersion())
	}
	return created, err
}

func (s *cachedStore) Patch(ctx context.Context, before, after Object) error {
	patched, err := s.patch(ctx, before, after)
	if err == nil {
		s.awaitVersion(ctx, KeyOf(patched), patched.GetResourceVersion())
	}
	return err
}

// awaitVersion waits until the cache contains a version of an object, or a newer one. It
// must compare versions: if Read has listed the objects, the cache may even lack the version
// before the write.
func (s *cachedStore) awaitVersion(ctx context.Context, key Key, version string) {
	for ctx.Err() == nil && !s.cache.hasSeen(key.Kind, s.namespace, version) {
		await(ctx, s.cache.changes(s.namespace), pollInterval)
	}
}
