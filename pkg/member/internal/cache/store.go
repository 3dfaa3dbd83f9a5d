// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

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
	clientcache "k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

// object is an object of Velero.
type object interface {
	runtime.Object
	metav1.Object
}

// store keeps the objects of one kind, for a reflector. It keeps those of the retained owners
// only: Migrates, or the owner "" of objects that belong to all. It bounds the number and size
// of each owner's objects, and takes all of them from the quota of the member.
//
// The objects of an owner that is retained after the reflector's list are incomplete until
// fill adds them.
type store[T object] struct {
	kind[T]
	quota *limits.Quota
	// changed is called, without the lock, with the owners whose objects changed.
	changed func(sets.Set[types.UID])
	// incomplete gets a token when there is an owner whose objects are incomplete.
	incomplete chan struct{}

	mu     sync.Mutex
	byName map[string]entry[T]
	byUID  map[types.UID]*owned
	// version is the resource version that the reflector has reached.
	version string
	// listing is set once the reflector has begun a list over this connection. listed has
	// the objects of that list so far, for which takenByList is taken from the quota.
	listing     bool
	listed      map[string]entry[T]
	takenByList int64
	// exceeded ends the list or watch of the reflector.
	exceeded context.CancelCauseFunc
}

// kind describes the objects of a store.
type kind[T object] struct {
	resource string
	// owner returns the owner of an object.
	owner func(T) types.UID
	// keeps reports whether an object is kept; nil means that all are.
	keeps func(T) bool
	// trim removes the fields of an object that are not used.
	trim func(T)
	// differs reports whether a change matters.
	differs func(before, after T) bool
	// maxObjects and maxSize bound the objects of one owner; maxSize is in bytes.
	maxObjects int
	maxSize    int64
}

// entry is an object in the store. It is unseen if we created it or fill added it, until the
// reflector sees it.
type entry[T object] struct {
	object T
	size   int64
	unseen bool
}

// owned are the objects of an owner.
type owned struct {
	// retained counts the calls of retain without release.
	retained int
	names    sets.Set[string]
	size     int64
	// listing is set if the current list of the reflector will contain all of them, and
	// complete if all of them are in the store.
	listing, complete bool
	// touched has the names of objects that changed while they were incomplete.
	touched sets.Set[string]
}

var (
	_ clientcache.ReflectorStore         = &store[object]{}
	_ clientcache.ResourceVersionUpdater = &store[object]{}
)

func newStore[T object](k kind[T], q *limits.Quota, changed func(sets.Set[types.UID])) *store[T] {
	return &store[T]{
		kind:       k,
		quota:      q,
		changed:    changed,
		incomplete: make(chan struct{}, 1),
		byName:     map[string]entry[T]{},
		byUID:      map[types.UID]*owned{},
		exceeded:   func(error) {},
	}
}

// retain keeps the objects of an owner until release.
func (s *store[T]) retain(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byUID[uid]
	if of == nil {
		of = &owned{names: sets.New[string](), touched: sets.New[string]()}
		s.byUID[uid] = of
		if s.listing {
			s.signal()
		}
	}
	of.retained++
}

// release drops the objects of an owner after as many calls as of retain.
func (s *store[T]) release(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byUID[uid]
	if of == nil {
		return
	}
	if of.retained--; of.retained == 0 {
		s.forget(uid)
	}
}

// clear drops everything.
func (s *store[T]) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropList()
	for uid := range s.byUID {
		s.forget(uid)
	}
}

func (s *store[T]) forget(uid types.UID) {
	for name := range s.byUID[uid].names.Clone() {
		s.remove(name)
	}
	delete(s.byUID, uid)
}

func (s *store[T]) signal() {
	select {
	case s.incomplete <- struct{}{}:
	default:
	}
}

// missing returns up to n owners whose objects are incomplete.
func (s *store[T]) missing(n int) map[types.UID]*owned {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := map[types.UID]*owned{}
	for uid, of := range s.byUID {
		if s.listing && !of.complete && !of.listing && len(missing) < n {
			missing[uid] = of
		}
	}
	return missing
}

// fill adds the objects of owners that were missing, as listed since. It skips objects that
// changed meanwhile, whose current state the reflector brings, and owners that were released
// meanwhile, even if they were retained again.
func (s *store[T]) fill(missing map[types.UID]*owned, items []T) {
	entries := make([]entry[T], 0, len(items))
	for _, item := range items {
		if e, ok := s.entry(item); ok {
			e.unseen = true
			entries = append(entries, e)
		}
	}
	_ = s.change(func(changes sets.Set[types.UID]) error { // an error ends the watch
		filled := sets.New[types.UID]()
		for uid, of := range missing {
			if s.byUID[uid] == of && !of.complete {
				filled.Insert(uid)
			}
		}
		for _, e := range entries {
			if uid := s.owner(e.object); !filled.Has(uid) || s.byUID[uid].touched.Has(e.object.GetName()) {
				continue
			}
			if err := s.put(e, changes); err != nil {
				return err
			}
		}
		for uid := range filled {
			s.byUID[uid].complete, s.byUID[uid].touched = true, sets.New[string]()
			changes.Insert(uid)
		}
		return nil
	})
}

// of returns the objects of an owner, in no order, and whether they are complete. They must
// not be modified.
func (s *store[T]) of(uid types.UID) (all []T, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byUID[uid]
	if of == nil {
		return nil, false
	}
	for name := range of.names {
		all = append(all, s.byName[name].object)
	}
	return all, of.complete
}

// all returns all objects, sorted by name. They must not be modified.
func (s *store[T]) all() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]T, 0, len(s.byName))
	for _, e := range s.byName {
		all = append(all, e.object)
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all
}

// created adds an object that we created, so that it is not taken for deleted until the
// reflector sees it.
func (s *store[T]) created(obj T) {
	e, ok := s.entry(obj.DeepCopyObject().(T))
	if !ok {
		return
	}
	e.unseen = true
	_ = s.change(func(changes sets.Set[types.UID]) error { // an error ends the watch
		if !newer(obj.GetResourceVersion(), s.version) {
			return nil
		}
		return s.put(e, changes)
	})
}

// moved resets the resource versions, because the next connection may lead to another cluster.
func (s *store[T]) moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = ""
	s.listing = false
	s.dropList()
	for name, e := range s.byName {
		e.unseen = false
		s.byName[name] = e
	}
}

// begin begins a list of the reflector.
func (s *store[T]) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropList()
	s.listing, s.listed = true, map[string]entry[T]{}
	for _, of := range s.byUID {
		of.listing = true
	}
}

// end drops the objects of a list that did not finish.
func (s *store[T]) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropList()
}

// onExceeded sets the function that is called when a limit is exceeded.
func (s *store[T]) onExceeded(exceeded context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exceeded = exceeded
}

// abort ends the list or watch of the reflector because a limit is exceeded.
func (s *store[T]) abort(err error) {
	s.mu.Lock()
	exceeded := s.exceeded
	s.mu.Unlock()
	exceeded(err)
}

// list adds an object of a page of the reflector's list.
func (s *store[T]) list(item T) error {
	e, ok := s.entry(item)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byUID[s.owner(item)]
	if of == nil || !of.listing {
		return nil
	}
	// It replaces an object that is already counted.
	more := max(e.size-s.byName[item.GetName()].size, 0)
	if err := s.quota.Take(more); err != nil {
		return err
	}
	s.takenByList += more
	s.listed[item.GetName()] = e
	return nil
}

func (s *store[T]) dropList() {
	s.quota.Give(s.takenByList)
	s.listed, s.takenByList = nil, 0
}

func (s *store[T]) Add(obj any) error { return s.Update(obj) }

func (s *store[T]) Update(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	e, ok := s.entry(item)
	return s.change(func(changes sets.Set[types.UID]) error {
		if !ok { // it may have been kept before
			return s.delete(item, changes)
		}
		return s.put(e, changes)
	})
}

func (s *store[T]) Delete(obj any) error {
	item, err := typed[T](obj)
	if err != nil {
		return err
	}
	return s.change(func(changes sets.Set[types.UID]) error { return s.delete(item, changes) })
}

// Replace ends a list of the reflector, whose objects came by list.
func (s *store[T]) Replace(_ []any, version string) error {
	return s.change(func(changes sets.Set[types.UID]) error {
		listed := s.listed
		s.dropList()
		s.version = version
		for name, e := range s.byName {
			_, isListed := listed[name]
			createdSince := e.unseen && newer(e.object.GetResourceVersion(), version)
			if s.byUID[s.owner(e.object)].listing && !isListed && !createdSince {
				changes.Insert(s.remove(name))
			}
		}
		for _, e := range listed {
			if err := s.put(e, changes); err != nil {
				return err
			}
		}
		for uid, of := range s.byUID {
			if of.listing && !of.complete {
				changes.Insert(uid)
			}
			of.complete = of.complete || of.listing
			of.listing, of.touched = false, sets.New[string]()
		}
		return nil
	})
}

func (s *store[T]) Resync() error { return nil }

func (s *store[T]) UpdateResourceVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// change makes a change, reports it, and ends the list or watch of the reflector if a limit is
// exceeded.
func (s *store[T]) change(f func(changes sets.Set[types.UID]) error) error {
	changes := sets.New[types.UID]()
	err := func() error {
		s.mu.Lock()
		defer s.mu.Unlock() // f may panic, which the caller recovers
		return f(changes)
	}()
	if err != nil {
		s.abort(err)
	}
	if len(changes) > 0 {
		s.changed(changes)
	}
	return err
}

// entry returns an object trimmed and measured; false if it is not kept, or its owner not retained.
func (s *store[T]) entry(item T) (entry[T], bool) {
	if s.keeps != nil && !s.keeps(item) {
		return entry[T]{}, false
	}
	s.mu.Lock()
	retained := s.byUID[s.owner(item)] != nil
	s.mu.Unlock()
	if !retained {
		return entry[T]{}, false
	}
	s.trim(item)
	size, err := limits.SizeOf(item)
	return entry[T]{object: item, size: size}, err == nil
}

// put adds or replaces an object.
func (s *store[T]) put(e entry[T], changes sets.Set[types.UID]) error {
	name, uid := e.object.GetName(), s.owner(e.object)
	before, existed := s.byName[name]
	if before.unseen && newer(before.object.GetResourceVersion(), e.object.GetResourceVersion()) {
		return nil
	}
	if existed && s.owner(before.object) != uid {
		changes.Insert(s.remove(name))
		before, existed = entry[T]{}, false
	}
	of := s.byUID[uid]
	if of == nil {
		return nil
	}
	if existed && before.object.GetUID() == e.object.GetUID() && before.object.GetResourceVersion() == e.object.GetResourceVersion() {
		e.object, e.size = before.object, before.size // with the time at which it was received
	}
	of.touch(name)
	if err := s.fits(of, name, e.size-before.size); err != nil {
		return err
	}
	if !existed || s.differs(before.object, e.object) {
		changes.Insert(uid)
	}
	of.names.Insert(name)
	of.size += e.size - before.size
	s.byName[name] = e
	return nil
}

// fits takes from the quota what an object needs in addition to what it has.
func (s *store[T]) fits(of *owned, name string, more int64) error {
	whose := "belong to one Migrate"
	if of == s.byUID[""] {
		whose = "are there"
	}
	switch {
	case !of.names.Has(name) && len(of.names) >= s.maxObjects:
		return limits.Exceeded(limits.Objects, "more than %d %s %s", s.maxObjects, s.resource, whose)
	case of.size+more > s.maxSize:
		return limits.Exceeded(limits.Objects, "the %s that %s take more than %s of memory here", s.resource, whose, limits.Mebibytes(s.maxSize))
	case more < 0:
		s.quota.Give(-more)
		return nil
	}
	return s.quota.Take(more)
}

// delete removes an object, unless a newer one of its name is known.
func (s *store[T]) delete(item T, changes sets.Set[types.UID]) error {
	name := item.GetName()
	if of := s.byUID[s.owner(item)]; of != nil {
		if of.touch(name); len(of.touched) > 2*s.maxObjects {
			return limits.Exceeded(limits.Objects, "more than %d %s of one Migrate come and go", 2*s.maxObjects, s.resource)
		}
	}
	e, ok := s.byName[name]
	if ok && (!e.unseen || !newer(e.object.GetResourceVersion(), item.GetResourceVersion())) {
		changes.Insert(s.remove(name))
	}
	return nil
}

// remove removes the object of a name, and returns its owner.
func (s *store[T]) remove(name string) types.UID {
	e := s.byName[name]
	uid := s.owner(e.object)
	of := s.byUID[uid]
	of.touch(name)
	of.names.Delete(name)
	of.size -= e.size
	delete(s.byName, name)
	s.quota.Give(e.size)
	return uid
}

func (of *owned) touch(name string) {
	if !of.complete {
		of.touched.Insert(name)
	}
}

// typed returns obj as a T, or an error: a hostile server may send objects of another type.
func typed[T object](obj any) (T, error) {
	item, ok := obj.(T)
	if !ok {
		return item, fmt.Errorf("unexpected type %T", obj)
	}
	return item, nil
}

// newer reports whether resource version a is after b; false if they can't be compared.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
