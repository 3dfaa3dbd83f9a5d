// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

var (
	errDown = errors.New("connection refused")
	// errCredentials is the error of a member that rejects the credentials.
	errCredentials error = apierrors.NewUnauthorized("the cluster does not accept the credentials")
)

// simulatedMember is a member cluster with its Velero and the history of its objects.
type simulatedMember struct {
	modelMember
	s       *simulation
	cluster migration.Cluster
	options modelvelero.Options
	// configMaps are the names of its ConfigMaps.
	configMaps map[string]bool
	// kept is the number of items that it has with other content.
	kept int
	// unready is set if its workloads are never ready.
	unready bool
	// lost is set if its lists are missing in the storage.
	lost bool
	// checks is the number of checks of prerequisites that it has answered, and lacks how many of them
	// report that the StorageClass of the claims does not exist.
	checks, lacks int
	// history has all states of each object; a nil state is a deletion.
	history map[modelvelero.Key][]modelvelero.Object
	// stopped is set while its Velero does not run, or is stuck. Velero also runs while the
	// host can't reach the cluster.
	stopped bool
	// fault is the error of all calls; nil if the member is reachable.
	fault error
	// healed is set after its faults have ended.
	healed bool
	// syncInterrupted is set if its Velero may have skipped PodVolumeBackups in a sync, which
	// it does not repeat.
	syncInterrupted bool
}

func newSimulatedMember(s *simulation, c migration.Cluster) *simulatedMember {
	script := s.script
	m := &simulatedMember{s: s, cluster: c, kept: script.kept[c], unready: script.unready[c], lost: script.lost[c], lacks: script.lacks[c], configMaps: map[string]bool{}, history: map[modelvelero.Key][]modelvelero.Object{}}
	m.options = modelvelero.Options{
		BackupPhases: func(b *velerov1.Backup) []velerov1.BackupPhase {
			if isOfOthers(b) {
				return []velerov1.BackupPhase{"Queued", "InProgress", "Failed"}
			}
			return script.backup
		},
		RestorePhases: func(*velerov1.Restore) []velerov1.RestorePhase { return script.restores[c] },
		Items:         script.items,
		Volumes:       volumes,
	}
	m.modelMember = newModelMember(c.Name, m.options, s.bucket, s.clock.Now)
	m.memory.Changed = func(key modelvelero.Key, _, after modelvelero.Object) {
		m.history[key] = append(m.history[key], after)
	}
	endpoint := ""
	if script.private {
		endpoint = "http://minio.velero.svc:9000"
	}
	m.addLocation(s.clock.Now(), endpoint)
	return m
}

// restart restarts the Velero.
func (m *simulatedMember) restart() {
	storage := m.velero.StorageErr
	m.velero = modelvelero.New(m.options, m.s.bucket)
	m.velero.StorageErr = storage
	m.stopped = false
}

// veleroNamespace is the namespace of the Veleros; elsewhere is a namespace without one.
const veleroNamespace, elsewhere = velerov1.DefaultNamespace, "velero-2"

// memberCache is the cache of a driver's watch of a member. It has a state of each object that may be
// old, but never older than before.
type memberCache struct {
	// elsewhere is set if the watch is of a namespace without a Velero.
	listed, elsewhere bool
	// stalled is set while the watch delivers nothing.
	stalled bool
	// delivered is the number of states of each object that the watch has delivered.
	delivered map[modelvelero.Key]int
	err       error
	since     time.Time
	onChange  func(types.UID)
	// onRunning is called after a change of a Backup; nil if that is not requested.
	onRunning func()
}

// isBehind reports whether the cache lacks states of objects, or the fault of the member.
func (v *memberCache) isBehind(m *simulatedMember) bool {
	return !v.listed || !errors.Is(v.err, m.fault) || v.err == nil && len(v.undelivered(m)) > 0
}

// undelivered returns the keys of the objects with states that the watch has not delivered.
func (v *memberCache) undelivered(m *simulatedMember) []modelvelero.Key {
	var keys []modelvelero.Key
	if v.elsewhere {
		return nil
	}
	for _, key := range slices.SortedFunc(maps.Keys(m.history), compareKeys) {
		if v.delivered[key] < len(m.history[key]) && key.Kind != "PodVolumeBackup" && key.Kind != "ServerStatusRequest" {
			keys = append(keys, key)
		}
	}
	return keys
}

func compareKeys(a, b modelvelero.Key) int {
	return strings.Compare(a.Name+a.Kind, b.Name+b.Kind)
}

// deliverMember delivers a fault, or a new list of all objects after it ended. Otherwise it delivers a
// later state of one object, sometimes twice.
func (d *simulatedDriver) deliverMember(c migration.Cluster) {
	v, m := d.caches[c], d.s.members[c]
	if m.fault != nil || !v.listed || v.err != nil {
		d.s.tracef("driver %d lists the objects of %s%s", d.number, c.Name, orError(m.fault))
		if v.err == nil && m.fault != nil {
			v.since = d.s.clock.Now()
		}
		v.err = m.fault
		if v.err == nil {
			v.listed = true
			for key, history := range m.history {
				v.delivered[key] = len(history)
			}
		}
		v.onChange("")
		if v.onRunning != nil {
			v.onRunning()
		}
		return
	}
	keys := v.undelivered(m)
	key := keys[d.s.random.IntN(len(keys))]
	before, history := v.delivered[key], m.history[key]
	v.delivered[key] += 1 + d.s.random.IntN(len(history)-before)
	d.s.tracef("driver %d receives %s %s in %s", d.number, key.Kind, key.Name, c.Name)
	for range 1 + d.s.random.IntN(2) {
		v.notify(key, history, before)
		v.notify(key, history, v.delivered[key])
	}
}

// notify calls onChange for a state of an object.
func (v *memberCache) notify(key modelvelero.Key, history []modelvelero.Object, state int) {
	if key.Kind == "Backup" && v.onRunning != nil {
		v.onRunning()
	}
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
	d.caches[c] = &memberCache{elsewhere: v.Namespace != veleroNamespace, delivered: map[modelvelero.Key]int{}, onChange: onChange}
	return simulatedWatch{d, c, d.caches[c]}
}

func (d *simulatedDriver) Member(_ string, v migration.Velero) Member {
	return memberClient{d, v.Cluster, v.Namespace != veleroNamespace}
}

type simulatedWatch struct {
	d *simulatedDriver
	c migration.Cluster
	v *memberCache
}

func (w simulatedWatch) Observe(of migration.Objects) (migration.Member, bool) {
	if w.v.elsewhere {
		return migration.Member{Err: w.v.err, Since: w.v.since}, w.v.listed || w.v.err != nil
	}
	seen := observe(w.v.objects(w.d.s.members[w.c]), of)
	seen.Err = w.v.err
	if seen.Err != nil {
		seen.Since = w.v.since
	}
	return seen, w.v.listed || w.v.err != nil
}

// objects returns the states of the objects of m that the watch has delivered.
func (v *memberCache) objects(m *simulatedMember) []modelvelero.Object {
	var objects []modelvelero.Object
	for _, key := range slices.SortedFunc(maps.Keys(v.delivered), compareKeys) {
		if n := v.delivered[key]; n > 0 && m.history[key][n-1] != nil {
			objects = append(objects, m.history[key][n-1])
		}
	}
	return objects
}

func (w simulatedWatch) Running(onChange func()) (migration.Running, bool) {
	w.v.onRunning = onChange
	if w.v.elsewhere {
		return migration.Running{Server: w.c.Name}, w.v.listed
	}
	return running(w.c, w.v.objects(w.d.s.members[w.c])), w.v.listed
}

func (w simulatedWatch) Stop() {
	if w.d.caches[w.c] == w.v {
		delete(w.d.caches, w.c)
	}
}

// memberClient makes live calls to a member.
type memberClient struct {
	d *simulatedDriver
	c migration.Cluster
	// elsewhere is set if the calls are to a namespace without a Velero.
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

// current returns the current state of an object; nil if it does not exist.
func (m *simulatedMember) current(key modelvelero.Key) modelvelero.Object {
	history := m.history[key]
	if len(history) == 0 {
		return nil
	}
	return history[len(history)-1]
}

// hasSynced reports whether the Velero of a target has ever synced a Backup.
func (m *simulatedMember) hasSynced() bool {
	for _, history := range m.history {
		for _, object := range history {
			b, ok := object.(*velerov1.Backup)
			if !ok {
				continue
			}
			if finished, ok := velero.AsFinishedBackup(b); ok && finished.Synced {
				return true
			}
		}
	}
	return false
}

// read returns a copy of an object.
func read[T modelvelero.Object](c memberClient, kind, name string) (T, error) {
	c.d.request()
	var zero T
	if err := c.member().fault; err != nil {
		return zero, err
	}
	if c.elsewhere && name != "" {
		return zero, apierrors.NewNotFound(velerov1.Resource(kind), name)
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

func (c memberClient) StoredBackups(context.Context) (migration.StoredBackups, error) {
	c.d.request()
	if err := c.member().fault; err != nil {
		return migration.StoredBackups{}, err
	}
	if c.elsewhere {
		return migration.StoredBackups{}, nil
	}
	return c.member().storedBackups(), nil
}

// create creates an object in a member, and checks it.
func create[T modelvelero.Object](c memberClient, object T) (T, error) {
	var created modelvelero.Object
	key := modelvelero.KeyOf(object)
	d, s, decided, confirmed := c.d, c.d.s, c.d.decided, int(c.d.confirmed.Load())
	err := d.write(createWrite{key, c.c}, func() (err error) {
		if err := c.mayCreate(object); err != nil {
			return err
		}
		if created, err = c.member().memory.Create(context.Background(), object); err == nil {
			s.checkCreated(c.c, created, decided, confirmed)
		}
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	// As in package member, a watch immediately has the objects that its driver created.
	if v := d.caches[c.c]; v != nil && v.listed {
		v.delivered[key] = max(v.delivered[key], c.member().stateCount(key, created))
	}
	return created.DeepCopyObject().(T), nil
}

// mayCreate returns why an object can't be created; nil if it can.
func (c memberClient) mayCreate(object modelvelero.Object) error {
	if c.elsewhere {
		c.d.s.failf("D8: %s %s is created in another namespace of %s", modelvelero.KeyOf(object).Kind, object.GetName(), c.c.Name)
	}
	return c.member().fault
}

// stateCount returns the number of states of an object up to the given one.
func (m *simulatedMember) stateCount(key modelvelero.Key, object modelvelero.Object) int {
	return 1 + slices.Index(m.history[key], object)
}

// deleteWrite describes a deletion in the trace.
type deleteWrite createWrite

func (d deleteWrite) String() string {
	return "delete " + d.key.Kind + " " + d.key.Name + " in " + d.in.Name
}

// createWrite describes a creation in the trace.
type createWrite struct {
	key modelvelero.Key
	in  migration.Cluster
}

func (c createWrite) String() string {
	return "create " + c.key.Kind + " " + c.key.Name + " in " + c.in.Name
}

// Diagnose checks whether the Velero responds to a request.
func (c memberClient) Diagnose(_ context.Context, request *velerov1.ServerStatusRequest, _, _ string) (d migration.Diagnosis) {
	_ = c.request(request, func() error {
		if d.Server = migration.ServerAnswers; c.member().stopped {
			d.Server = migration.ServerSilent
		}
		return nil
	})
	return d
}

// Results returns an error of the model, and the outcomes of its items; it writes a request.
func (c memberClient) Results(_ context.Context, request migration.ResultsRequest) (r migration.Results) {
	file := cmp.Or(request.Results, request.BackedUp)
	if file == nil {
		return r
	}
	r.Err = c.request(file, func() error {
		if c.member().stopped || c.elsewhere || c.member().velero.StorageErr != "" {
			return context.DeadlineExceeded
		}
		if request.Results != nil {
			r.Errors = []string{"the model's error"}
		}
		if request.BackedUp != nil && !c.member().lost {
			r.Lists = c.member().lists()
		}
		return nil
	})
	s := c.d.s
	switch r.ListsErr = r.Err; {
	case r.Err != nil:
		if s.resultsFailing[c.c].IsZero() {
			s.resultsFailing[c.c] = s.clock.Now()
		}
		s.resultsFailed[c.c] = s.resultsFailed[c.c] || s.clock.Since(s.resultsFailing[c.c]) >= migration.DefaultProgressDeadline
	case request.BackedUp != nil && r.Lists == nil:
		r.ListsErr = migration.ErrNotInStorage
	}
	if r.Err == nil {
		delete(s.resultsFailing, c.c)
	}
	return r
}

// Workloads returns whether the only workload of a Restore is ready.
func (c memberClient) Workloads(context.Context, []string) migration.Workloads {
	c.d.request()
	switch m := c.member(); {
	case m.fault != nil:
		return migration.Workloads{Err: m.fault}
	case m.unready:
		return migration.Workloads{Counts: v1alpha1.WorkloadCounts{Total: 1}, NotReady: []string{"Deployment app/web"}}
	}
	return migration.Workloads{Counts: v1alpha1.WorkloadCounts{Total: 1, Ready: 1}}
}

// A simulation makes no previews.
func (memberClient) RunningBackups(context.Context) ([]migration.RunningBackup, error) {
	return nil, nil
}

func (memberClient) SurveySource(context.Context, migration.SurveyRequest) (survey migration.SourceSurvey) {
	return survey
}

func (memberClient) SurveyTarget(context.Context, migration.SurveyRequest, *migration.SourceSurvey, member.ObjectReader) (survey migration.TargetSurvey) {
	return survey
}

func (memberClient) Object(context.Context, velero.Resource, migration.ObjectKey) ([]byte, error) {
	return nil, nil
}

// EachResult is not called by the driver's loop.
func (memberClient) EachResult(context.Context, migration.ResultsRequest, velero.Visitor) migration.Results {
	return migration.Results{}
}

// Log writes no log.
func (memberClient) Log(context.Context, *velerov1.DownloadRequest, migration.StorageCA, io.Writer) error {
	return nil
}

// Namespaces returns none.
func (memberClient) Namespaces(context.Context) ([]string, error) { return nil, nil }

// CheckPrerequisites reports the claims of the source, and the StorageClasses of a target.
func (c memberClient) CheckPrerequisites(context.Context, migration.Prerequisites) (migration.Checked, error) {
	c.d.request()
	if c.member().fault != nil {
		return migration.Checked{NodeAgent: "is unknown"}, c.member().fault
	}
	c.member().checks++
	checked := migration.Checked{ClaimClasses: []string{"fast"}, StorageClasses: sets.New[string]()}
	if c.member().hasClass() {
		checked.StorageClasses.Insert("slow")
	}
	return checked, nil
}

// hasClass reports whether it has the StorageClass of the claims.
func (m *simulatedMember) hasClass() bool { return m.checks > m.lacks }

// lists returns what Velero's lists report.
func (m *simulatedMember) lists() *migration.Lists {
	items, kept := int64(m.options.Items), int64(m.kept)
	lists := &migration.Lists{Items: v1alpha1.ItemCounts{Total: items, Created: items - kept, Kept: kept}}
	for range kept {
		lists.Exceptions.Add(velero.ItemResult{Item: velero.Item{Kind: "ConfigMap", Name: "kept"}, Outcome: v1alpha1.ItemKept})
	}
	return lists
}

// request writes a request for Velero into a member, and calls answer for the result.
func (c memberClient) request(request metav1.Object, answer func() error) error {
	confirmed, uid := int(c.d.confirmed.Load()), types.UID(request.GetLabels()[velero.MigrateUIDLabel])
	return c.d.write(createWrite{modelvelero.Key{Kind: "request", Name: request.GetName()}, c.c}, func() error {
		c.d.s.checkConfirmed(c.c, "request", uid, confirmed)
		if err := c.member().fault; err != nil {
			return err
		}
		return answer()
	})
}

func (c memberClient) CreateBackup(_ context.Context, b *velerov1.Backup) (*velerov1.Backup, error) {
	return create(c, b)
}

// DeleteRestore deletes a Restore, which Velero must have rejected.
func (c memberClient) DeleteRestore(_ context.Context, r *velerov1.Restore) error {
	key := modelvelero.KeyOf(r)
	return c.d.write(deleteWrite{key, c.c}, func() error {
		if err := c.member().fault; err != nil {
			return err
		}
		err := c.member().deleteRestore(r)
		if err == nil && r.Status.Phase != velerov1.RestorePhaseFailedValidation {
			c.d.s.failf("invariant 4: Restore %s in %s is deleted, but Velero did not reject it", r.Name, c.c.Name)
		}
		return err
	})
}

// CreateConfigMap creates a ConfigMap, or does nothing if it exists.
func (c memberClient) CreateConfigMap(_ context.Context, configMap *corev1.ConfigMap) error {
	confirmed, uid := int(c.d.confirmed.Load()), types.UID(configMap.Labels[velero.MigrateUIDLabel])
	return c.d.write(createWrite{modelvelero.Key{Kind: "ConfigMap", Name: configMap.Name}, c.c}, func() error {
		c.d.s.checkConfirmed(c.c, "ConfigMap", uid, confirmed)
		if err := c.member().fault; err != nil {
			return err
		}
		c.member().configMaps[configMap.Name] = true
		return nil
	})
}

func (c memberClient) CreateRestore(_ context.Context, r *velerov1.Restore) (*velerov1.Restore, error) {
	return create(c, r)
}

func (c memberClient) CreatePodVolumeBackup(_ context.Context, p *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return create(c, p)
}
