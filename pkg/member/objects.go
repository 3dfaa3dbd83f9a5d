// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/velero"
)

// object is a Velero object.
type object interface {
	runtime.Object
	metav1.Object
}

// objects is the cache of one kind in one member, which a reflector fills.
// changed is called, outside its lock, with the UIDs of the Migrates whose
// objects changed.
type objects[T object] struct {
	differs func(before, after T) bool
	changed func(sets.Set[types.UID])

	mu     sync.Mutex
	byName map[string]entry[T]
	byUID  map[types.UID]sets.Set[string]
	// version is up to where the reflector has seen the history.
	version string
}

// entry is an object in the cache. One that we created may not have been seen by
// the reflector yet.
type entry[T object] struct {
	object T
	unseen bool
}

var (
	_ cache.ReflectorStore         = &objects[object]{}
	_ cache.ResourceVersionUpdater = &objects[object]{}
)

func newObjects[T object](differs func(before, after T) bool, changed func(sets.Set[types.UID])) *objects[T] {
	return &objects[T]{
		differs: differs,
		changed: changed,
		byName:  map[string]entry[T]{},
		byUID:   map[types.UID]sets.Set[string]{},
	}
}

// of returns the objects with the label of a Migrate, in no order. They must not be
// changed.
func (o *objects[T]) of(uid types.UID) []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []T
	for name := range o.byUID[uid] {
		all = append(all, o.byName[name].object)
	}
	return all
}

// all returns all objects, ordered by name. They must not be changed.
func (o *objects[T]) all() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]T, 0, len(o.byName))
	for _, e := range o.byName {
		all = append(all, e.object)
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// created puts in an object that we created, so that it is not taken for missing
// until the reflector sees it.
func (o *objects[T]) created(obj T) {
	o.change(func(changes sets.Set[types.UID]) {
		if !newer(obj.GetResourceVersion(), o.version) {
			return
		}
		o.put(entry[T]{object: obj, unseen: true}, changes)
	})
}

// moved forgets which history the objects were seen in, because what comes next
// may be another cluster's.
func (o *objects[T]) moved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = ""
	for name, e := range o.byName {
		o.byName[name] = entry[T]{object: e.object}
	}
}

func (o *objects[T]) Add(obj any) error { return o.Update(obj) }

func (o *objects[T]) Update(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	o.change(func(changes sets.Set[types.UID]) { o.put(entry[T]{object: item}, changes) })
	return nil
}

func (o *objects[T]) Delete(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	o.change(func(changes sets.Set[types.UID]) { o.remove(item.GetName(), changes) })
	return nil
}

func (o *objects[T]) Replace(list []any, version string) error {
	items := make([]T, 0, len(list))
	names := sets.New[string]()
	for _, obj := range list {
		item, err := typed[T](obj)
		if err != nil {
			return err
		}
		items = append(items, item)
		names.Insert(item.GetName())
	}
	o.change(func(changes sets.Set[types.UID]) {
		o.version = version
		for name, e := range o.byName {
			createdSince := e.unseen && newer(e.object.GetResourceVersion(), version)
			if !names.Has(name) && !createdSince {
				o.remove(name, changes)
			}
		}
		for _, item := range items {
			o.put(entry[T]{object: item}, changes)
		}
	})
	return nil
}

func (o *objects[T]) Resync() error { return nil }

func (o *objects[T]) UpdateResourceVersion(version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = version
}

func (o *objects[T]) change(f func(changes sets.Set[types.UID])) {
	changes := sets.New[types.UID]()
	func() {
		o.mu.Lock()
		defer o.mu.Unlock() // f may panic, and that is contained
		f(changes)
	}()
	if len(changes) > 0 {
		o.changed(changes)
	}
}

func (o *objects[T]) put(e entry[T], changes sets.Set[types.UID]) {
	name := e.object.GetName()
	before, existed := o.byName[name]
	if existed && !o.differs(before.object, e.object) {
		o.byName[name] = e
		return
	}
	if existed {
		o.remove(name, changes)
	}
	uid := migrateOf(e.object)
	o.byName[name] = e
	if o.byUID[uid] == nil {
		o.byUID[uid] = sets.New[string]()
	}
	o.byUID[uid].Insert(name)
	changes.Insert(uid)
}

func (o *objects[T]) remove(name string, changes sets.Set[types.UID]) {
	e, ok := o.byName[name]
	if !ok {
		return
	}
	uid := migrateOf(e.object)
	delete(o.byName, name)
	o.byUID[uid].Delete(name)
	if len(o.byUID[uid]) == 0 {
		delete(o.byUID, uid)
	}
	changes.Insert(uid)
}

// typed returns obj as a T: a reflector hands out what the server sent, and the
// server may be hostile.
func typed[T object](obj any) (T, error) {
	item, ok := obj.(T)
	if !ok {
		return item, fmt.Errorf("unexpected type %T", obj)
	}
	return item, nil
}

// migrateOf is the UID of the Migrate that an object was made for.
func migrateOf(obj metav1.Object) types.UID {
	return types.UID(obj.GetLabels()[velero.MigrateUIDLabel])
}

// newer says that resource version a is after b; not if that can't be known.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
