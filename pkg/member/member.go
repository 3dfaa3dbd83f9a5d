// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Member is one Velero of a member cluster. Its methods make live calls; each is bounded by
// Options.CallTimeout besides its context. An error is an API status where the
// member gave one (so apierrors.IsNotFound works), an UnreachableError while the
// member is left alone, or says why there was no answer.
type Member struct {
	key         key
	kubeconfigs Kubeconfigs
	options     Options
	circuit     *circuit
	slots       chan struct{} // one taken by each call
	readerSlots chan struct{} // one taken by each call for a reader, too
	cached      *limits.Quota // taken by the objects that are kept
	reading     *limits.Quota // taken by the answers that are being read
	refreshing  chan struct{} // taken while the kubeconfig is read
	server      shared[migration.ServerState]
	namespaces  shared[[]string]

	mu   sync.Mutex
	conn *connection
	// checked is when conn was last known to be that of the current kubeconfig.
	checked time.Time
	// stale says that conn may not be that of the current kubeconfig; epoch counts
	// how often that was said.
	stale   bool
	epoch   int
	used    time.Time
	watcher *watcher
}

func newMember(k key, kubeconfigs Kubeconfigs, o Options, cached, reading *limits.Quota) *Member {
	return &Member{
		key:         k,
		kubeconfigs: kubeconfigs,
		options:     o,
		circuit:     newCircuit(backoff{o.RetryMin, o.RetryMax}),
		slots:       make(chan struct{}, o.MaxCalls),
		readerSlots: make(chan struct{}, max(o.MaxCalls/2, 1)),
		cached:      cached,
		reading:     reading,
		refreshing:  make(chan struct{}, 1),
	}
}

// Ask observes what the member has for a Migrate, as a Watch would.
func (m *Member) Ask(ctx context.Context, of migration.Objects) migration.Member {
	var (
		seen     migration.Member
		backups  []*velerov1.Backup
		restores []*velerov1.Restore
		errs     [3]error
		wg       sync.WaitGroup
	)
	wg.Go(func() {
		list, err := do(ctx, m, "list backups", func(ctx context.Context, c *connection) (*velerov1.BackupList, error) {
			list, err := c.backups.List(ctx, ofMigrate(of.UID))
			return list, orTooMany(err, "backups with the label of the Migrate", list, maxKeptObjects)
		})
		if errs[0] = err; err == nil {
			backups = pointers(list.Items)
		}
	})
	wg.Go(func() {
		list, err := do(ctx, m, "list restores", func(ctx context.Context, c *connection) (*velerov1.RestoreList, error) {
			list, err := c.restores.List(ctx, ofMigrate(of.UID))
			return list, orTooMany(err, "restores with the label of the Migrate", list, maxKeptObjects)
		})
		if errs[1] = err; err == nil {
			restores = pointers(list.Items)
		}
	})
	wg.Go(func() {
		seen.Locations, errs[2] = m.Locations(ctx)
	})
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return unanswered(err)
		}
	}
	for _, b := range backups {
		trimBackup(b)
	}
	for _, r := range restores {
		trimRestore(r)
	}
	of.Pick(&seen, backups, restores)
	return seen
}

// Backup gets a Backup by name.
func (m *Member) Backup(ctx context.Context, name string) (*velerov1.Backup, error) {
	return do(ctx, m, fmt.Sprintf("get backup %q", name), func(ctx context.Context, c *connection) (*velerov1.Backup, error) {
		return c.backups.Get(ctx, name, metav1.GetOptions{})
	})
}

// Restore gets a Restore by name.
func (m *Member) Restore(ctx context.Context, name string) (*velerov1.Restore, error) {
	return do(ctx, m, fmt.Sprintf("get restore %q", name), func(ctx context.Context, c *connection) (*velerov1.Restore, error) {
		return c.restores.Get(ctx, name, metav1.GetOptions{})
	})
}

// CreateBackup creates a Backup in Velero's namespace, its status included. The
// member's Watches observe it from then on.
func (m *Member) CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error) {
	created, err := do(ctx, m, fmt.Sprintf("create backup %q", backup.Name), func(ctx context.Context, c *connection) (*velerov1.Backup, error) {
		return c.backups.Create(ctx, inNamespace(backup, c.namespace), metav1.CreateOptions{})
	})
	if w := m.watching(); err == nil && w != nil {
		w.createdBackup(created)
	}
	return created, err
}

// CreateRestore creates a Restore in Velero's namespace. The member's Watches
// observe it from then on.
func (m *Member) CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error) {
	created, err := do(ctx, m, fmt.Sprintf("create restore %q", restore.Name), func(ctx context.Context, c *connection) (*velerov1.Restore, error) {
		return c.restores.Create(ctx, inNamespace(restore, c.namespace), metav1.CreateOptions{})
	})
	if w := m.watching(); err == nil && w != nil {
		w.createdRestore(created)
	}
	return created, err
}

// DeleteRestore deletes a Restore; a conflict if there is another one of its name, or
// it has changed.
func (m *Member) DeleteRestore(ctx context.Context, restore *velerov1.Restore) error {
	_, err := do(ctx, m, fmt.Sprintf("delete restore %q", restore.Name), func(ctx context.Context, c *connection) (struct{}, error) {
		return struct{}{}, c.restores.Delete(ctx, restore.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &restore.UID, ResourceVersion: &restore.ResourceVersion},
		})
	})
	return err
}

// Locations lists the BackupStorageLocations.
func (m *Member) Locations(ctx context.Context) ([]velerov1.BackupStorageLocation, error) {
	list, err := do(ctx, m, "list backupstoragelocations", func(ctx context.Context, c *connection) (*velerov1.BackupStorageLocationList, error) {
		list, err := c.locations.List(ctx, metav1.ListOptions{Limit: maxLocations + 1})
		return list, orTooMany(err, "backupstoragelocations", list, maxLocations)
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// PodVolumeBackups lists the PodVolumeBackups that belong to a Backup.
func (m *Member) PodVolumeBackups(ctx context.Context, backup string) ([]velerov1.PodVolumeBackup, error) {
	selector := labels.Set{velerov1.BackupNameLabel: velero.LabelValue(backup)}
	ctx = m.allowing(ctx, "a list of podvolumebackups", limits.MaxList)
	list, err := do(ctx, m, fmt.Sprintf("list podvolumebackups of backup %q", backup), func(ctx context.Context, c *connection) (*velerov1.PodVolumeBackupList, error) {
		return c.podVolumeBackups.List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// CreatePodVolumeBackup creates a PodVolumeBackup in Velero's namespace, its
// status included.
func (m *Member) CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return do(ctx, m, fmt.Sprintf("create podvolumebackup %q", pvb.Name), func(ctx context.Context, c *connection) (*velerov1.PodVolumeBackup, error) {
		return c.podVolumeBackups.Create(ctx, inNamespace(pvb, c.namespace), metav1.CreateOptions{})
	})
}

// String names the member for a person.
func (m *Member) String() string {
	return fmt.Sprintf("%s %s/%s", m.key.velero.Cluster.Kind, m.key.namespace, m.key.velero.Cluster.Name)
}

// ofMigrate selects the objects of a Migrate.
func ofMigrate(uid types.UID) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.Set{velero.MigrateUIDLabel: string(uid)}.String(), Limit: maxKeptObjects + 1}
}

// orTooMany is a limits.Error if a list was read of more than most objects.
func orTooMany(err error, what string, list metav1.ListMetaAccessor, most int) error {
	if err == nil && (meta.LenList(list.(runtime.Object)) > most || list.GetListMeta().GetContinue() != "") {
		return limits.Exceeded(limits.Objects, "there are more than %d %s", most, what)
	}
	return err
}

// inNamespace returns obj as it is to be created in a namespace.
func inNamespace[T object](obj T, namespace string) T {
	obj = obj.DeepCopyObject().(T)
	obj.SetNamespace(namespace)
	obj.SetResourceVersion("")
	obj.SetUID("")
	return obj
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
