// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Memory is a Store in memory, of namespace velero. Like a kube-apiserver it sets UIDs,
// resourceVersions, generations and timestamps, and respects finalizers. It is not safe for
// concurrent use. Objects that it returns or is passed must not be changed.
type Memory struct {
	name    string
	now     func() time.Time
	objects map[Key]Object
	version int
	// Changed is called after each change: before is nil if an object was created,
	// after is nil if it was deleted.
	Changed func(key Key, before, after Object)
}

// Key is the kind and name of an object.
type Key struct{ Kind, Name string }

// KeyOf returns the key of one of Velero's objects.
func KeyOf(object Object) Key {
	switch object.(type) {
	case *velerov1.Backup:
		return Key{"Backup", object.GetName()}
	case *velerov1.Restore:
		return Key{"Restore", object.GetName()}
	case *velerov1.PodVolumeBackup:
		return Key{"PodVolumeBackup", object.GetName()}
	case *velerov1.BackupStorageLocation:
		return Key{"BackupStorageLocation", object.GetName()}
	case *velerov1.ServerStatusRequest:
		return Key{"ServerStatusRequest", object.GetName()}
	default:
		panic(fmt.Sprintf("not one of Velero's objects: %T", object))
	}
}

var _ Store = &Memory{}

// NewMemory returns an empty Store of a cluster. UIDs begin with the name of the cluster.
func NewMemory(cluster string, now func() time.Time) *Memory {
	return &Memory{name: cluster, now: now, objects: map[Key]Object{}, Changed: func(Key, Object, Object) {}}
}

// Get returns an object, or a NotFound error.
func (m *Memory) Get(key Key) (Object, error) {
	object, ok := m.objects[key]
	if !ok {
		return nil, apierrors.NewNotFound(velerov1.Resource(key.Kind), key.Name)
	}
	return object, nil
}

// Read returns all objects.
func (m *Memory) Read(context.Context) (*Cluster, error) {
	c := &Cluster{}
	for _, object := range m.Objects() {
		switch object := object.(type) {
		case *velerov1.Backup:
			c.Backups = append(c.Backups, object)
		case *velerov1.Restore:
			c.Restores = append(c.Restores, object)
		case *velerov1.PodVolumeBackup:
			c.PodVolumeBackups = append(c.PodVolumeBackups, object)
		case *velerov1.BackupStorageLocation:
			c.Locations = append(c.Locations, object)
		case *velerov1.ServerStatusRequest:
			c.Requests = append(c.Requests, object)
		}
	}
	return c, nil
}

// Objects returns all objects, in the order of their names.
func (m *Memory) Objects() []Object {
	var objects []Object
	for _, key := range m.keys() {
		objects = append(objects, m.objects[key])
	}
	return objects
}

// Create makes an object, unless one of its kind and name is there.
func (m *Memory) Create(_ context.Context, object Object) (Object, error) {
	key := KeyOf(object)
	if _, exists := m.objects[key]; exists {
		return nil, apierrors.NewAlreadyExists(velerov1.Resource(key.Kind), key.Name)
	}
	object = object.DeepCopyObject().(Object)
	object.SetNamespace(velerov1.DefaultNamespace)
	object.SetUID(types.UID(fmt.Sprintf("%s-%d", m.name, m.version+1)))
	object.SetCreationTimestamp(*at(m.now()))
	object.SetGeneration(1)
	m.put(key, nil, object)
	return object, nil
}

// Patch applies the difference between before and after to the object with the UID of
// before. It returns a NotFound error if there is none.
func (m *Memory) Patch(_ context.Context, before, after Object) error {
	key := KeyOf(after)
	now, ok := m.objects[key]
	if !ok || now.GetUID() != before.GetUID() {
		return apierrors.NewNotFound(velerov1.Resource(key.Kind), key.Name)
	}
	merged, err := merge(now, before, after)
	if err != nil {
		return err
	}
	if !sameContent(now, merged) {
		merged.SetGeneration(now.GetGeneration() + 1)
	}
	if merged.GetDeletionTimestamp() != nil && len(merged.GetFinalizers()) == 0 {
		m.remove(key, now)
		return nil
	}
	m.put(key, now, merged)
	return nil
}

// sameContent reports whether two objects differ at most in metadata.
func sameContent(a, b Object) bool {
	content := func(o Object) map[string]any {
		// ToUnstructured fails only for values that are not structs.
		fields, _ := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		delete(fields, "metadata")
		return fields
	}
	return equality.Semantic.DeepEqual(content(a), content(b))
}

// Delete deletes an object, or sets the deletionTimestamp of one with finalizers.
func (m *Memory) Delete(_ context.Context, object Object) error {
	key := KeyOf(object)
	now, ok := m.objects[key]
	switch {
	case !ok:
		return apierrors.NewNotFound(velerov1.Resource(key.Kind), key.Name)
	case len(now.GetFinalizers()) == 0:
		m.remove(key, now)
	case now.GetDeletionTimestamp() == nil:
		marked := now.DeepCopyObject().(Object)
		marked.SetDeletionTimestamp(&metav1.Time{Time: m.now()})
		m.put(key, now, marked)
	}
	return nil
}

// CollectGarbage deletes one object whose owner does not exist. It reports whether it has
// deleted one.
func (m *Memory) CollectGarbage() bool {
	uids := map[types.UID]bool{}
	for _, object := range m.objects {
		uids[object.GetUID()] = true
	}
	for _, key := range m.keys() {
		for _, owner := range m.objects[key].GetOwnerReferences() {
			if !uids[owner.UID] {
				m.remove(key, m.objects[key])
				return true
			}
		}
	}
	return false
}

// keys returns the keys of all objects, sorted by name.
func (m *Memory) keys() []Key {
	return slices.SortedFunc(maps.Keys(m.objects), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
}

func (m *Memory) put(key Key, before, after Object) {
	m.version++
	after.SetResourceVersion(strconv.Itoa(m.version))
	m.objects[key] = after
	m.Changed(key, before, after)
}

func (m *Memory) remove(key Key, before Object) {
	m.version++
	delete(m.objects, key)
	m.Changed(key, before, nil)
}
