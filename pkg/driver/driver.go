// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// releaseTimeout bounds the release of the Lease.
const releaseTimeout = 5 * time.Second

// Host provides the host's inventory of fleets and clusters. Package fleet implements it.
type Host interface {
	// Run keeps the inventory up to date until ctx ends. It may be called again afterwards.
	Run(ctx context.Context)
	// HasSynced reports whether Run has read the whole inventory once.
	HasSynced() bool
	// OnChange registers f, which is called with a namespace after a change in it.
	OnChange(f func(namespace string))
	// Observe returns the inventory from the caches of Run.
	Observe(namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory
	// Read returns the inventory by live calls.
	Read(ctx context.Context, namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory
}

// Members provides the Veleros of the member clusters. Package member implements it.
type Members interface {
	// Watch watches the objects of a Migrate in a Velero until Stop. It calls onChange with the
	// UID after one of them changed, and with an empty UID after a change that concerns all
	// Migrates. onChange must not block.
	Watch(namespace string, v migration.Velero, uid types.UID, onChange func(types.UID)) Watch
	// Member returns the client of a Velero.
	Member(namespace string, v migration.Velero) Member
}

// Watch is an open watch of one Velero.
type Watch interface {
	// Observe returns the objects of a Migrate from the watch's cache; ok is false until the
	// cache has synced.
	Observe(of migration.Objects) (seen migration.Member, ok bool)
	// Running returns the Backups that the Velero runs; ok is false before they are known. It calls
	// onChange after one was added or removed. onChange must not block.
	Running(onChange func()) (running migration.Running, ok bool)
	// Stop ends the watch.
	Stop()
}

// Member is one Velero of a member cluster. Each call has a deadline.
type Member interface {
	permission.Member

	// Read returns the objects of a Migrate by live calls.
	Read(ctx context.Context, of migration.Objects) migration.Member
	Backup(ctx context.Context, name string) (*velerov1.Backup, error)
	Restore(ctx context.Context, name string) (*velerov1.Restore, error)
	// Diagnose determines why Velero makes no progress with the Backup or Restore of the given
	// name. label is the key of Velero's label for that name. request checks whether the
	// Velero server responds.
	Diagnose(ctx context.Context, request *velerov1.ServerStatusRequest, label, name string) migration.Diagnosis
	// Results reads what a request names after the end of an object: files from the storage, and
	// what belongs to them in the cluster.
	Results(ctx context.Context, request migration.ResultsRequest) migration.Results
	// EachResult reads files that a request names from the storage, and calls to with each item and volume. An
	// error of to ends it, and is in ListsErr.
	EachResult(ctx context.Context, request migration.ResultsRequest, to velero.Visitor) migration.Results
	// Log writes the log of an ended Backup or Restore.
	Log(ctx context.Context, request *velerov1.DownloadRequest, ca migration.StorageCA, to io.Writer) error
	// CheckPrerequisites determines which prerequisites the cluster has. What may not be read does not
	// count as missing; an error is temporary, and then something may be unknown.
	CheckPrerequisites(ctx context.Context, needed migration.Prerequisites) (migration.Checked, error)
	// RunningBackups returns the Backups that Velero runs.
	RunningBackups(ctx context.Context) ([]migration.RunningBackup, error)
	// StoredBackups returns the BackupStorageLocations, and the completed Backups in them.
	StoredBackups(ctx context.Context) (migration.StoredBackups, error)
	// SurveySource reads what a Migrate would move from a source.
	SurveySource(ctx context.Context, request migration.SurveyRequest) migration.SourceSurvey
	// SurveyTarget reads what the selected objects of a source, which read reads, would meet in a target.
	SurveyTarget(ctx context.Context, request migration.SurveyRequest, of *migration.SourceSurvey, read member.ObjectReader) migration.TargetSurvey
	// Object returns the JSON of an object.
	Object(ctx context.Context, resource velero.Resource, key migration.ObjectKey) ([]byte, error)
	// Namespaces returns the names of the namespaces that Velero does not exclude by its label.
	Namespaces(ctx context.Context) ([]string, error)
	// Workloads determines which of the workloads that Restores have created are ready.
	Workloads(ctx context.Context, restores []string) migration.Workloads
	PodVolumeBackups(ctx context.Context, backupName string) ([]velerov1.PodVolumeBackup, error)
	CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error)
	CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error)
	// DeleteRestore deletes a Restore if it has not changed.
	DeleteRestore(ctx context.Context, restore *velerov1.Restore) error
	// CreateConfigMap creates a ConfigMap in Velero's namespace. It succeeds if one with the same
	// labels and data exists.
	CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) error
	CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error)
}

// Migrates reads the stored Migrates and records their status. Package storage implements it. What it returns must not be changed.
type Migrates interface {
	// Get returns a Migrate as it is stored now.
	Get(ctx context.Context, namespace, name string) (*v1alpha1.Migrate, error)
	// List returns the Migrates of a namespace, from a cache.
	List(ctx context.Context, namespace string) (*v1alpha1.MigrateList, error)
	// ListWatch lists and watches the Migrates of all namespaces. Those that have ended may be left out.
	ListWatch() cache.ListerWatcher
	// Record stores m's status and returns the stored Migrate. It returns a conflict if the
	// stored Migrate has another UID or resourceVersion than m.
	Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error)
}

// Config is the configuration of a Driver. All fields but LeaderElection are required.
type Config struct {
	// Migrates are the stored Migrates.
	Migrates Migrates
	// Host is the inventory of the host.
	Host Host
	// Permission checks a requester's access to clusters.
	Permission *permission.Checker
	// Members are the member clusters.
	Members Members
	// Events records Events.
	Events events.EventRecorder
	// Clock is the source of time.
	Clock clock.Clock
	// LeaderElection elects the replica that drives migrations. Nil means this replica.
	LeaderElection *LeaderElection
}

// LeaderElection configures leader election.
type LeaderElection struct {
	// Lock is the Lease on the host.
	Lock resourcelock.Interface
	// LeaseDuration is the time after which another replica may take the Lease.
	LeaseDuration time.Duration
	// RenewDeadline is the time for which a leader tries to renew it.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two attempts.
	RetryPeriod time.Duration
}

// Driver drives migrations and computes their live status.
type Driver struct {
	Config
	liveReads  singleflight.Group
	sharings   sharings
	leadership *leaderelection.HealthzAdaptor

	mutex   sync.Mutex
	running *loop
}

// New returns a Driver. It does no I/O.
func New(config Config) *Driver {
	registerMetrics()
	d := &Driver{Config: config, leadership: leaderelection.NewLeaderHealthzAdaptor(renewLimit)}
	config.Host.OnChange(d.hostChanged)
	return d
}

// Run drives migrations whenever this replica leads, until ctx ends and all its calls have returned.
// The next leader repeats a canceled call. Run returns an error if a sync or call is still running
// stopTimeout after ctx ended or leadership was lost. The process must exit then.
func (d *Driver) Run(ctx context.Context) error {
	if d.LeaderElection == nil {
		return d.lead(ctx)
	}
	for ctx.Err() == nil {
		if err := d.campaign(ctx); err != nil {
			return err
		}
	}
	return nil
}

// campaign waits for the Lease, leads, and returns when leadership is lost. It renews the Lease until
// the loop has ended, and then releases it. The elector's ReleaseOnCancel does not work here: it
// releases the Lease before it reports that leadership is lost.
func (d *Driver) campaign(ctx context.Context) error {
	started := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:          "migrate-apiserver",
		Lock:          d.LeaderElection.Lock,
		LeaseDuration: d.LeaderElection.LeaseDuration,
		RenewDeadline: d.LeaderElection.RenewDeadline,
		RetryPeriod:   d.LeaderElection.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { started <- ctx },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	d.leadership.SetLeaderElection(elector)
	electing, stopElecting := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		elector.Run(electing)
	}()
	select {
	case leading := <-started:
		err = d.leadUntil(leading, ctx)
	case <-ctx.Done():
	case <-stopped:
	}
	stopElecting()
	<-stopped
	if err != nil {
		return err // a running call may still write, so the Lease must expire
	}
	d.release(ctx)
	return nil
}

// leadUntil leads until leadership is lost, which ends leading, or ctx ends.
func (d *Driver) leadUntil(leading, ctx context.Context) error {
	leading, cancel := context.WithCancel(leading)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return d.lead(leading)
}

// release releases the Lease if this replica holds it, so that the next leader does not wait until
// the Lease expires.
func (d *Driver) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	lock := d.LeaderElection.Lock
	held, _, err := lock.Get(ctx)
	if err == nil && held.HolderIdentity == lock.Identity() {
		now := metav1.NewTime(d.Clock.Now())
		// client-go's elector writes the same record.
		err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: held.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Error(err, "Releasing the Lease failed; it will expire", "lock", lock.Describe())
	}
}

// lead runs the loop until ctx ends.
func (d *Driver) lead(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	logger.Info("Started driving migrations")
	defer logger.Info("Stopped driving migrations")
	l := newLoop(d.Config, &d.sharings)
	d.setRunning(l)
	defer d.setRunning(nil)
	return l.run(ctx)
}

func (d *Driver) setRunning(l *loop) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.running = l
}

// currentLoop returns the loop while this replica leads, nil otherwise.
func (d *Driver) currentLoop() *loop {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.running
}

func (d *Driver) hostChanged(namespace string) {
	if l := d.currentLoop(); l != nil {
		l.enqueueNamespace(namespace)
	}
}
