// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

var (
	errDown = errors.New("connection refused")
	// errCredentials is the error of a member after the Secret was changed.
	errCredentials error = apierrors.NewUnauthorized("the cluster does not accept the credentials")
)

// simulatedMember is one member as it really is: the objects in it, all that they
// ever were, and its Velero.
type simulatedMember struct {
	modelMember
	s       *simulation
	cluster migration.Cluster
	options modelvelero.Options
	history map[modelvelero.Key][]modelvelero.Object
	// stopped is set while its Velero does not run, or is stuck; it runs while the
	// cluster can't be reached from the host.
	stopped bool
	// fault is why it is unreachable.
	fault error
	// healed is set when it has no more faults.
	healed bool
	// syncBroken is set if its Velero may have left PodVolumeBackups out of a sync,
	// which it does not make good.
	syncBroken bool
}

func newSimulatedMember(s *simulation, c migration.Cluster, w ways) *simulatedMember {
	m := &simulatedMember{s: s, cluster: c, history: map[modelvelero.Key][]modelvelero.Object{}}
	m.options = modelvelero.Options{
		BackupPhases:  func(*velerov1.Backup) []velerov1.BackupPhase { return w.backup },
		RestorePhases: func(*velerov1.Restore) []velerov1.RestorePhase { return w.restores[c] },
		Items:         w.items,
		Volumes:       volumes,
	}
	m.modelMember = newModelMember(c.Name, m.options, s.bucket, s.clock.Now)
	m.memory.Changed = func(key modelvelero.Key, _, after modelvelero.Object) {
		m.history[key] = append(m.history[key], after)
	}
	m.addLocation(s.clock.Now())
	return m
}

// restart has the Velero die and come again.
func (m *simulatedMember) restart() {
	storage := m.velero.StorageErr
	m.velero = modelvelero.New(m.options, m.s.bucket)
	m.velero.StorageErr = storage
	m.stopped = false
}

// veleroNamespace is where the Veleros are, elsewhere where none is.
const veleroNamespace, elsewhere = velerov1.DefaultNamespace, "velero-2"

// view is what a driver's watch of a member has heard: of each object any state that
// it has been in, and never an earlier one than before.
type view struct {
	// elsewhere is set if it is of another namespace, which is empty.
	listed, elsewhere bool
	// stalled is set while it gets no events.
	stalled  bool
	heard    map[modelvelero.Key]int
	err      error
	since    time.Time
	onChange func(types.UID)
}

func (v *view) isBehind(m *simulatedMember) bool {
	return !v.listed || !errors.Is(v.err, m.fault) || v.err == nil && len(v.lacks(m)) > 0
}

// lacks are the objects of which there is more to hear.
func (v *view) lacks(m *simulatedMember) []modelvelero.Key {
	var lacks []modelvelero.Key
	if v.elsewhere {
		return nil
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.history), compareKeys) {
		if v.heard[key] < len(m.history[key]) && key.Kind != "PodVolumeBackup" && key.Kind != "ServerStatusRequest" {
			lacks = append(lacks, key)
		}
	}
	return lacks
}

func compareKeys(a, b modelvelero.Key) int {
	return strings.Compare(a.Name+a.Kind, b.Name+b.Kind)
}

// deliverMember delivers a fault, or its end, which comes with all that is there
// now; else of one object, and sometimes of that again.
func (d *simulatedDriver) deliverMember(c migration.Cluster) {
	v, m := d.views[c], d.s.members[c]
	if m.fault != nil || !v.listed || v.err != nil {
		d.s.tracef("driver %d hears all of %s%s", d.number, c.Name, orError(m.fault))
		if v.err == nil && m.fault != nil {
			v.since = d.s.clock.Now()
		}
		v.err = m.fault
		if v.err == nil {
			v.listed = true
			for key, history := range m.history {
				v.heard[key] = len(history)
			}
		}
		v.onChange("")
		return
	}
	lacks := v.lacks(m)
	key := lacks[d.s.random.IntN(len(lacks))]
	before, history := v.heard[key], m.history[key]
	v.heard[key] += 1 + d.s.random.IntN(len(history)-before)
	d.s.tracef("driver %d hears of %s %s in %s", d.number, key.Kind, key.Name, c.Name)
	for range 1 + d.s.random.IntN(2) {
		v.tell(key, history, before)
		v.tell(key, history, v.heard[key])
	}
}

// tell notifies the watch of the Migrate that an object belongs to.
func (v *view) tell(key modelvelero.Key, history []modelvelero.Object, state int) {
	switch {
	case key.Kind == "BackupStorageLocation":
		v.onChange("")
	case state > 0 && history[state-1] != nil:
		if uid := history[state-1].GetLabels()[velero.MigrateUIDLabel]; uid != "" {
			v.onChange(types.UID(uid))
		}
	}
}

func (d *simulatedDriver) Watch(_ string, v migration.Velero, _ types.UID, onChange func(types.UID)) Watch {
	c := v.Cluster
	d.views[c] = &view{elsewhere: v.Namespace != veleroNamespace, heard: map[modelvelero.Key]int{}, onChange: onChange}
	return simulatedWatch{d, c, d.views[c]}
}

func (d *simulatedDriver) Member(_ string, v migration.Velero) Member {
	return memberClient{d, v.Cluster, v.Namespace != veleroNamespace}
}

type simulatedWatch struct {
	d *simulatedDriver
	c migration.Cluster
	v *view
}

func (w simulatedWatch) Observe(of migration.Objects) (migration.Member, bool) {
	if w.v.elsewhere {
		return migration.Member{Err: w.v.err, Since: w.v.since}, w.v.listed || w.v.err != nil
	}
	m := w.d.s.members[w.c]
	var objects []modelvelero.Object
	for _, key := range slices.SortedFunc(maps.Keys(w.v.heard), compareKeys) {
		if n := w.v.heard[key]; n > 0 && m.history[key][n-1] != nil {
			objects = append(objects, m.history[key][n-1])
		}
	}
	seen := observe(objects, of)
	seen.Err = w.v.err
	if seen.Err != nil {
		seen.Since = w.v.since
	}
	return seen, w.v.listed || w.v.err != nil
}

func (w simulatedWatch) Stop() {
	if w.d.views[w.c] == w.v {
		delete(w.d.views, w.c)
	}
}

// memberClient is a call to a member: it reaches it as it is.
type memberClient struct {
	d *simulatedDriver
	c migration.Cluster
	// elsewhere is set if it is to another namespace, which is empty.
	elsewhere bool
}

func (c memberClient) member() *simulatedMember { return c.d.s.members[c.c] }

func (c memberClient) Read(_ context.Context, of migration.Objects) migration.Member {
	c.d.request()
	m := c.member()
	if m.fault != nil {
		return migration.Member{Err: m.fault, Since: c.d.s.clock.Now()}
	}
	if c.elsewhere {
		return migration.Member{}
	}
	return observe(m.memory.Objects(), of)
}

// now is an object as it is; nil if it is not there.
func (m *simulatedMember) now(key modelvelero.Key) modelvelero.Object {
	history := m.history[key]
	if len(history) == 0 {
		return nil
	}
	return history[len(history)-1]
}

// read returns a copy of what is there.
func read[T modelvelero.Object](c memberClient, kind, name string) (T, error) {
	c.d.request()
	var nothing T
	if err := c.member().fault; err != nil {
		return nothing, err
	}
	if c.elsewhere && name != "" {
		return nothing, apierrors.NewNotFound(velerov1.Resource(kind), name)
	}
	return get[T](c.member().modelMember, kind, name)
}

func (c memberClient) Backup(_ context.Context, name string) (*velerov1.Backup, error) {
	return read[*velerov1.Backup](c, "Backup", name)
}

func (c memberClient) Restore(_ context.Context, name string) (*velerov1.Restore, error) {
	return read[*velerov1.Restore](c, "Restore", name)
}

func (c memberClient) PodVolumeBackups(_ context.Context, backup string) ([]velerov1.PodVolumeBackup, error) {
	c.d.request()
	if err := c.member().fault; err != nil {
		return nil, err
	}
	if c.elsewhere {
		return nil, nil
	}
	return c.member().podVolumeBackups(backup), nil
}

// create is a write into a member, with the checks that every one must pass.
func create[T modelvelero.Object](c memberClient, object T) (T, error) {
	var created modelvelero.Object
	key := modelvelero.KeyOf(object)
	d, s, decided, confirmed := c.d, c.d.s, c.d.decided, int(c.d.confirmed.Load())
	err := d.write(aCreate{key, c.c}, func() (err error) {
		if err := c.mayCreate(object); err != nil {
			return err
		}
		if created, err = c.member().memory.Create(context.Background(), object); err == nil {
			s.checkCreated(c.c, created, decided, confirmed)
		}
		return err
	})
	if err != nil {
		var nothing T
		return nothing, err
	}
	// A watch knows at once what its own driver has made, as those of package member do.
	if v := d.views[c.c]; v != nil && v.listed {
		v.heard[key] = max(v.heard[key], c.member().find(key, created))
	}
	return created.DeepCopyObject().(T), nil
}

// mayCreate returns why an object can't be created; nil if it can.
func (c memberClient) mayCreate(object modelvelero.Object) error {
	if c.elsewhere {
		c.d.s.failf("D8: %s %s is to be created elsewhere in %s", modelvelero.KeyOf(object).Kind, object.GetName(), c.c.Name)
	}
	return c.member().fault
}

// find returns the number of states before an object had the given one.
func (m *simulatedMember) find(key modelvelero.Key, object modelvelero.Object) int {
	return 1 + slices.Index(m.history[key], object)
}

type aDelete aCreate

func (d aDelete) String() string {
	return "delete " + d.key.Kind + " " + d.key.Name + " in " + d.in.Name
}

type aCreate struct {
	key modelvelero.Key
	in  migration.Cluster
}

func (c aCreate) String() string {
	return "create " + c.key.Kind + " " + c.key.Name + " in " + c.in.Name
}

// Diagnose asks the Velero, by a write of its own.
func (c memberClient) Diagnose(_ context.Context, request *velerov1.ServerStatusRequest, _, _ string) (d migration.Diagnosis) {
	_ = c.ask(request, func() error {
		if d.Server = migration.ServerAnswers; c.member().stopped {
			d.Server = migration.ServerSilent
		}
		return nil
	})
	return d
}

// Results returns errors of the Velero, with the writes that it causes.
func (c memberClient) Results(_ context.Context, results, _ *velerov1.DownloadRequest, _ []byte) (r migration.Results) {
	r.Err = c.ask(results, func() error {
		if c.member().stopped || c.elsewhere || c.member().velero.StorageErr != "" {
			return context.DeadlineExceeded
		}
		r.Errors = []string{"the model's error"}
		return nil
	})
	return r
}

// ask makes a request for Velero in a member, and has it answered.
func (c memberClient) ask(request metav1.Object, answer func() error) error {
	confirmed, uid := int(c.d.confirmed.Load()), types.UID(request.GetLabels()[velero.MigrateUIDLabel])
	return c.d.write(aCreate{modelvelero.Key{Kind: "request", Name: request.GetName()}, c.c}, func() error {
		c.d.s.checkWanted(c.c, "request", uid, confirmed)
		if err := c.member().fault; err != nil {
			return err
		}
		return answer()
	})
}

func (c memberClient) CreateBackup(_ context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	return create(c, b)
}

// DeleteRestore is for one that Velero refused since it did not know the Backup.
func (c memberClient) DeleteRestore(_ context.Context, r *velerov1.Restore) error {
	key := modelvelero.KeyOf(r)
	return c.d.write(aDelete{key, c.c}, func() error {
		if err := c.member().fault; err != nil {
			return err
		}
		err := c.member().deleteRestore(r)
		if err == nil && r.Status.Phase != velerov1.RestorePhaseFailedValidation {
			c.d.s.failf("invariant 4: Restore %s in %s is deleted, which Velero did not refuse", r.Name, c.c.Name)
		}
		return err
	})
}

func (c memberClient) CreateRestore(_ context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	return create(c, r)
}

func (c memberClient) CreatePodVolumeBackup(_ context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return create(c, p)
}
