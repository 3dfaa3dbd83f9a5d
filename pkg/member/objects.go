// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// object is a Velero object.
type object interface {
	runtime.Object
	metav1.Object
}

// objects is the cache of one kind in one member, which a reflector fills. It keeps
// nothing but the objects of owners that are wanted, which are Migrates, or the one owner
// "" of what belongs to all; of each only so many, and all within the quota of the member.
//
// An owner may be wanted after the reflector has listed. Its objects were passed over
// then, so they are incomplete until they are filled in.
type objects[T object] struct {
	kind[T]
	quota *limits.Quota
	// changed is called, outside the lock, with the owners whose objects changed.
	changed func(sets.Set[types.UID])
	// incomplete gets a token when there is an owner whose objects are to be filled in.
	incomplete chan struct{}

	mu     sync.Mutex
	byName map[string]entry[T]
	byUID  map[types.UID]*owned
	// version is up to where the reflector has seen the history.
	version string
	// listing says that the reflector has begun to list, over this connection, and listed
	// is what came so far, of which takenByList is taken of the quota.
	listing     bool
	listed      map[string]entry[T]
	takenByList int64
	// exceeded ends the reflector's list or watch.
	exceeded context.CancelCauseFunc
}

// kind is what an objects is for.
type kind[T object] struct {
	resource string
	// owner is who an object belongs to.
	owner func(T) types.UID
	// trim removes from an object what nobody reads.
	trim func(T)
	// differs says whether a change is one that matters.
	differs func(before, after T) bool
	// maxObjects and maxSize bound what is kept for one owner.
	maxObjects int
	maxSize    int64
}

// entry is an object in the cache. One that was created by us or filled in may not have
// been seen by the reflector yet.
type entry[T object] struct {
	object T
	size   int64
	unseen bool
}

// owned are the objects of an owner.
type owned struct {
	// wants is how many want them.
	wants int
	names sets.Set[string]
	size  int64
	// listing says that the reflector's present list is to have them all, and complete
	// that they are all known.
	listing, complete bool
	// touched are the names of objects that changed while they were incomplete.
	touched sets.Set[string]
}

var (
	_ cache.ReflectorStore         = &objects[object]{}
	_ cache.ResourceVersionUpdater = &objects[object]{}
)

func newObjects[T object](k kind[T], q *limits.Quota, changed func(sets.Set[types.UID])) *objects[T] {
	return &objects[T]{
		kind:       k,
		quota:      q,
		changed:    changed,
		incomplete: make(chan struct{}, 1),
		byName:     map[string]entry[T]{},
		byUID:      map[types.UID]*owned{},
		exceeded:   func(error) {},
	}
}

// want has the objects of an owner kept, until unwant.
func (o *objects[T]) want(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.byUID[uid]
	if of == nil {
		of = &owned{names: sets.New[string](), touched: sets.New[string]()}
		o.byUID[uid] = of
		if o.listing {
			o.signal()
		}
	}
	of.wants++
}

// unwant drops the objects of an owner if nobody else wants them.
func (o *objects[T]) unwant(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.byUID[uid]
	if of == nil {
		return
	}
	if of.wants--; of.wants == 0 {
		o.forget(uid)
	}
}

// clear drops everything.
func (o *objects[T]) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropList()
	for uid := range o.byUID {
		o.forget(uid)
	}
}

func (o *objects[T]) forget(uid types.UID) {
	for name := range o.byUID[uid].names.Clone() {
		o.remove(name)
	}
	delete(o.byUID, uid)
}

func (o *objects[T]) signal() {
	select {
	case o.incomplete <- struct{}{}:
	default:
	}
}

// missing returns up to n owners whose objects are to be filled in: the reflector passed
// them over.
func (o *objects[T]) missing(n int) []types.UID {
	o.mu.Lock()
	defer o.mu.Unlock()
	var missing []types.UID
	for uid, of := range o.byUID {
		if o.listing && !of.complete && !of.listing && len(missing) < n {
			missing = append(missing, uid)
		}
	}
	return missing
}

// fill puts in what there was of some owners after they were missing. What the reflector
// has brought meanwhile may be newer, and is brought up to date by it if it is not.
func (o *objects[T]) fill(uids []types.UID, items []T) {
	entries := make([]entry[T], 0, len(items))
	for _, item := range items {
		if e, ok := o.entry(item); ok {
			e.unseen = true
			entries = append(entries, e)
		}
	}
	_ = o.change(func(changes sets.Set[types.UID]) error { // which ends the watch where it fails
		filled := sets.New[types.UID]()
		for _, uid := range uids {
			if of := o.byUID[uid]; of != nil && !of.complete {
				filled.Insert(uid)
			}
		}
		for _, e := range entries {
			if uid := o.owner(e.object); !filled.Has(uid) || o.byUID[uid].touched.Has(e.object.GetName()) {
				continue
			}
			if err := o.put(e, changes); err != nil {
				return err
			}
		}
		for uid := range filled {
			o.byUID[uid].complete, o.byUID[uid].touched = true, sets.New[string]()
			changes.Insert(uid)
		}
		return nil
	})
}

// of returns the objects of an owner, in no order, and whether they are complete. They
// must not be changed.
func (o *objects[T]) of(uid types.UID) (all []T, complete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.byUID[uid]
	if of == nil {
		return nil, false
	}
	for name := range of.names {
		all = append(all, o.byName[name].object)
	}
	return all, of.complete
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
	e, ok := o.entry(obj.DeepCopyObject().(T))
	if !ok {
		return
	}
	e.unseen = true
	_ = o.change(func(changes sets.Set[types.UID]) error { // which ends the watch where it fails
		if !newer(obj.GetResourceVersion(), o.version) {
			return nil
		}
		return o.put(e, changes)
	})
}

// moved forgets which history the objects were seen in, because what comes next
// may be another cluster's.
func (o *objects[T]) moved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = ""
	o.listing = false
	o.dropList()
	for name, e := range o.byName {
		e.unseen = false
		o.byName[name] = e
	}
}

// begin prepares for a list of the reflector, and says what ends it where a limit is
// exceeded.
func (o *objects[T]) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropList()
	o.listing, o.listed = true, map[string]entry[T]{}
	for _, of := range o.byUID {
		of.listing = true
	}
}

// end drops what came of a list that was not ended.
func (o *objects[T]) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropList()
}

// onExceeded says what is called when a limit is exceeded.
func (o *objects[T]) onExceeded(exceeded context.CancelCauseFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.exceeded = exceeded
}

// abort ends the reflector's list or watch, because a limit is exceeded.
func (o *objects[T]) abort(err error) {
	o.mu.Lock()
	exceeded := o.exceeded
	o.mu.Unlock()
	exceeded(err)
}

// list takes the objects of one page of the reflector's list.
func (o *objects[T]) list(item T) error {
	e, ok := o.entry(item)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.byUID[o.owner(item)]
	if of == nil || !of.listing {
		return nil
	}
	// What is there already of it is about to be replaced.
	more := max(e.size-o.byName[item.GetName()].size, 0)
	if err := o.quota.Take(more); err != nil {
		return err
	}
	o.takenByList += more
	o.listed[item.GetName()] = e
	return nil
}

func (o *objects[T]) dropList() {
	o.quota.Give(o.takenByList)
	o.listed, o.takenByList = nil, 0
}

func (o *objects[T]) Add(obj any) error { return o.Update(obj) }

func (o *objects[T]) Update(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	e, ok := o.entry(item)
	return o.change(func(changes sets.Set[types.UID]) error {
		if !ok { // it may have been somebody's who is
			return o.delete(item, changes)
		}
		return o.put(e, changes)
	})
}

func (o *objects[T]) Delete(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	return o.change(func(changes sets.Set[types.UID]) error { return o.delete(item, changes) })
}

// Replace ends a list of the reflector, whose objects it has handed to list by itself.
func (o *objects[T]) Replace(_ []any, version string) error {
	return o.change(func(changes sets.Set[types.UID]) error {
		listed := o.listed
		o.dropList()
		o.version = version
		for name, e := range o.byName {
			_, isListed := listed[name]
			createdSince := e.unseen && newer(e.object.GetResourceVersion(), version)
			if o.byUID[o.owner(e.object)].listing && !isListed && !createdSince {
				changes.Insert(o.remove(name))
			}
		}
		for _, e := range listed {
			if err := o.put(e, changes); err != nil {
				return err
			}
		}
		for uid, of := range o.byUID {
			if of.listing && !of.complete {
				changes.Insert(uid)
			}
			of.complete = of.complete || of.listing
			of.listing, of.touched = false, sets.New[string]()
		}
		return nil
	})
}

func (o *objects[T]) Resync() error { return nil }

func (o *objects[T]) UpdateResourceVersion(version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = version
}

// change makes a change, tells of it, and ends the reflector's list or watch if a limit
// does not allow it.
func (o *objects[T]) change(f func(changes sets.Set[types.UID]) error) error {
	changes := sets.New[types.UID]()
	err := func() error {
		o.mu.Lock()
		defer o.mu.Unlock() // f may panic, and that is contained
		return f(changes)
	}()
	if err != nil {
		o.abort(err)
	}
	if len(changes) > 0 {
		o.changed(changes)
	}
	return err
}

// entry is an object as it is kept; not ok if nobody wants it.
func (o *objects[T]) entry(item T) (entry[T], bool) {
	o.mu.Lock()
	wanted := o.byUID[o.owner(item)] != nil
	o.mu.Unlock()
	if !wanted {
		return entry[T]{}, false
	}
	o.trim(item)
	size, err := limits.SizeOf(item)
	return entry[T]{object: item, size: size}, err == nil
}

// put puts in an object, whose owner is wanted or has just been.
func (o *objects[T]) put(e entry[T], changes sets.Set[types.UID]) error {
	name, uid := e.object.GetName(), o.owner(e.object)
	before, existed := o.byName[name]
	if before.unseen && newer(before.object.GetResourceVersion(), e.object.GetResourceVersion()) {
		return nil
	}
	if existed && o.owner(before.object) != uid {
		changes.Insert(o.remove(name))
		before, existed = entry[T]{}, false
	}
	of := o.byUID[uid]
	if of == nil {
		return nil
	}
	of.touch(name)
	if err := o.fits(of, name, e.size-before.size); err != nil {
		return err
	}
	if !existed || o.differs(before.object, e.object) {
		changes.Insert(uid)
	}
	of.names.Insert(name)
	of.size += e.size - before.size
	o.byName[name] = e
	return nil
}

// fits takes what an object of an owner needs more of the quota.
func (o *objects[T]) fits(of *owned, name string, more int64) error {
	whose := "belong to one Migrate"
	if of == o.byUID[""] {
		whose = "are there"
	}
	switch {
	case !of.names.Has(name) && len(of.names) >= o.maxObjects:
		return limits.Exceeded(limits.Objects, "more than %d %s %s", o.maxObjects, o.resource, whose)
	case of.size+more > o.maxSize:
		return limits.Exceeded(limits.Objects, "the %s that %s take more than %s of memory here", o.resource, whose, limits.Mebibytes(o.maxSize))
	case more < 0:
		o.quota.Give(-more)
		return nil
	}
	return o.quota.Take(more)
}

// delete takes out what an object has been, unless it is known to be there since.
func (o *objects[T]) delete(item T, changes sets.Set[types.UID]) error {
	name := item.GetName()
	if of := o.byUID[o.owner(item)]; of != nil {
		if of.touch(name); len(of.touched) > 2*o.maxObjects {
			return limits.Exceeded(limits.Objects, "more than %d %s of one Migrate come and go", o.maxObjects, o.resource)
		}
	}
	e, ok := o.byName[name]
	if ok && (!e.unseen || !newer(e.object.GetResourceVersion(), item.GetResourceVersion())) {
		changes.Insert(o.remove(name))
	}
	return nil
}

// remove takes out the object of a name, and returns whose it was.
func (o *objects[T]) remove(name string) types.UID {
	e := o.byName[name]
	uid := o.owner(e.object)
	of := o.byUID[uid]
	of.touch(name)
	of.names.Delete(name)
	of.size -= e.size
	delete(o.byName, name)
	o.quota.Give(e.size)
	return uid
}

func (of *owned) touch(name string) {
	if !of.complete {
		of.touched.Insert(name)
	}
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

// migrateOf is the UID of the Migrate that an object was made for; empty if it was made
// for none.
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
