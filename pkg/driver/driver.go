// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// releaseTimeout bounds giving the Lease up.
const releaseTimeout = 5 * time.Second

// Host is the host's inventory of fleets and clusters; package fleet has the real
// one.
type Host interface {
	// Run keeps the inventory until ctx ends. It may be run again.
	Run(ctx context.Context)
	// HasSynced says that Run has read all of it once.
	HasSynced() bool
	// OnChange has f called with each namespace in which something changed.
	OnChange(f func(namespace string))
	// Observe is what is known while Run runs.
	Observe(namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory
	// Ask is what the host says when asked now.
	Read(ctx context.Context, namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory
}

// Members are the member clusters; package member has the real ones.
type Members interface {
	// Watch begins to watch a Migrate's objects of a Velero, until Stop. onChange
	// is called with the UID of the Migrate whose object changed, or with none if
	// something changed for all. It never blocks.
	Watch(namespace string, v migration.Velero, uid types.UID, onChange func(types.UID)) Watch
	// Member is the way into a Velero and its cluster.
	Member(namespace string, v migration.Velero) Member
}

// Watch is an open watch of one member.
type Watch interface {
	// Observe is what the member last said of a Migrate; not ok until it has been
	// asked once.
	Observe(of migration.Objects) (seen migration.Member, ok bool)
	// Stop ends the watch.
	Stop()
}

// Member is one member cluster's Velero. Every call has a deadline of its own.
type Member interface {
	permission.Member

	// Ask is what the member has of a Migrate when it is asked now.
	Read(ctx context.Context, of migration.Objects) migration.Member
	Backup(ctx context.Context, name string) (*velerov1.Backup, error)
	Restore(ctx context.Context, name string) (*velerov1.Restore, error)
	// Diagnose is why Velero makes no progress with the object that Velero's label with
	// the given key names; the request is for Velero's server.
	Diagnose(ctx context.Context, request *velerov1.ServerStatusRequest, label, name string) migration.Diagnosis
	// Results are the errors of an object, as Velero keeps them in the storage, or that
	// its log is not there; cas are those by which the storage is known.
	Results(ctx context.Context, results, log *velerov1.DownloadRequest, cas []byte) migration.Results
	PodVolumeBackups(ctx context.Context, backupName string) ([]velerov1.PodVolumeBackup, error)
	CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error)
	CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error)
	// DeleteRestore deletes a Restore, if it is still this very one.
	DeleteRestore(ctx context.Context, restore *velerov1.Restore) error
	CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error)
}

// Recorder keeps a Migrate's status.
type Recorder interface {
	// Record writes m's status, if what is stored has m's UID and
	// resourceVersion, and returns what is stored then. It is a conflict if not.
	Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error)
}

// Config is what a Driver needs. Every field but LeaderElection is required.
type Config struct {
	// Client reads and watches the Migrates.
	Client versioned.Interface
	// Recorder records their status.
	Recorder Recorder
	// Host is the inventory of the host.
	Host Host
	// Permission checks which clusters the requester of a Migrate may use.
	Permission *permission.Checker
	// Members are the ways into the member clusters.
	Members Members
	// Events takes what a person is told.
	Events events.EventRecorder
	// Clock tells the time.
	Clock clock.Clock
	// LeaderElection says how the one replica that drives is found. Nil: this one
	// drives.
	LeaderElection *LeaderElection
}

// LeaderElection is the Lease of the leader and its times.
type LeaderElection struct {
	// Lock is the Lease on the host.
	Lock resourcelock.Interface
	// LeaseDuration is how long the Lease of a leader that is gone is waited for.
	LeaseDuration time.Duration
	// RenewDeadline is how long a leader goes on trying to renew it.
	RenewDeadline time.Duration
	// RetryPeriod is the time between two tries.
	RetryPeriod time.Duration
}

// Driver drives migrations and tells their live status.
type Driver struct {
	Config
	asking     singleflight.Group
	leadership *leaderelection.HealthzAdaptor

	mutex   sync.Mutex
	running *loop
}

// New makes a Driver. It does no I/O.
func New(config Config) *Driver {
	registerMetrics()
	d := &Driver{Config: config, leadership: leaderelection.NewLeaderHealthzAdaptor(renewLimit)}
	config.Host.OnChange(d.hostChanged)
	return d
}

// Run drives migrations whenever this replica leads, until ctx ends and every call
// that it began has returned. A call that the end cuts off is made again by the
// next leader. It is an error if something goes on for stopPatience after the end, or
// after the lead was lost; then the process must end, too.
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

// campaign waits to lead, leads, and returns when the lead is lost. The Lease is renewed
// until the loop has ended, and given up only then. It is not given up by the elector,
// which does so before it says that the lead is lost.
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
		err = d.leadUntil(leading, ctx.Done())
	case <-ctx.Done():
	case <-stopped:
	}
	stopElecting()
	<-stopped
	if err != nil {
		return err // what goes on may write: the Lease runs out
	}
	d.release(ctx)
	return nil
}

// leadUntil leads until ctx ends, which is when the lead is lost, or stop is closed.
func (d *Driver) leadUntil(ctx context.Context, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-stop:
		case <-ctx.Done():
		}
	}()
	return d.lead(ctx)
}

// release gives the Lease up if this replica holds it, so that the next leader need not
// wait until it runs out.
func (d *Driver) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	lock := d.LeaderElection.Lock
	held, _, err := lock.Get(ctx)
	if err == nil && held.HolderIdentity == lock.Identity() {
		now := metav1.NewTime(d.Clock.Now())
		// As the elector of client-go does it.
		err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: held.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Error(err, "The Lease could not be released and runs out", "lock", lock.Describe())
	}
}

// lead runs the loop until ctx ends.
func (d *Driver) lead(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	logger.Info("Driving migrations")
	defer logger.Info("No longer driving migrations")
	l := newLoop(d.Config)
	d.setRunning(l)
	defer d.setRunning(nil)
	return l.run(ctx)
}

func (d *Driver) setRunning(l *loop) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.running = l
}

// leads is the loop of this replica while it leads, nil otherwise.
func (d *Driver) leads() *loop {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.running
}

func (d *Driver) hostChanged(namespace string) {
	if l := d.leads(); l != nil {
		l.enqueueNamespace(namespace)
	}
}
