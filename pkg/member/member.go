// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/member/internal/cache"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/diagnosis"
	"kurator.dev/migrate-apiserver/pkg/member/internal/leftout"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/prerequisites"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/member/internal/results"
	"kurator.dev/migrate-apiserver/pkg/member/internal/review"
	"kurator.dev/migrate-apiserver/pkg/member/internal/survey"
	"kurator.dev/migrate-apiserver/pkg/member/internal/workloads"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// ObjectReader returns the JSON of an object of a source.
type ObjectReader = survey.ObjectReader

// Member is one Velero of a member cluster. Its methods make live calls; each is bounded by
// Options.CallTimeout besides its context. An error is an API status if the member answered
// with one, so that apierrors.IsNotFound works; an UnreachableError while no calls are made to
// the member; otherwise it is the reason why there was no answer.
type Member struct {
	client    *client.Client
	diagnoser *diagnosis.Diagnoser
	kept      *limits.Quota // of the objects in the cache

	mu    sync.Mutex
	cache *cache.Cache // nil without a Watch
}

func newMember(c *client.Client, kept *limits.Quota) *Member {
	return &Member{client: c, diagnoser: diagnosis.New(c), kept: kept}
}

// Read returns the objects of a Migrate by live calls, as Watch.Observe returns them from the
// cache.
func (m *Member) Read(ctx context.Context, of migration.Objects) migration.Member {
	return cache.Read(ctx, m.client, of)
}

// Backup gets a Backup by name.
func (m *Member) Backup(ctx context.Context, name string) (*velerov1.Backup, error) {
	return client.Do(ctx, m.client, fmt.Sprintf("get backup %q", name), func(ctx context.Context, c *client.Connection) (*velerov1.Backup, error) {
		return c.Backups.Get(ctx, name, metav1.GetOptions{})
	})
}

// Restore gets a Restore by name.
func (m *Member) Restore(ctx context.Context, name string) (*velerov1.Restore, error) {
	return client.Do(ctx, m.client, fmt.Sprintf("get restore %q", name), func(ctx context.Context, c *client.Connection) (*velerov1.Restore, error) {
		return c.Restores.Get(ctx, name, metav1.GetOptions{})
	})
}

// Namespaces returns the names of all namespaces that Velero does not exclude from Backups by its label. More
// than 50,000 are an error.
func (m *Member) Namespaces(ctx context.Context) ([]string, error) {
	const pageSize, maxPages = 500, 100
	var names []string
	all := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), MetadataOnly: true}
	err := client.Each(ctx, m.client, all, metav1.ListOptions{Limit: pageSize, LabelSelector: velerov1.ExcludeFromBackupLabel + "!=true"}, maxPages, func(namespace *metav1.PartialObjectMetadata) error {
		if len(validation.IsDNS1123Label(namespace.Name)) == 0 {
			names = append(names, namespace.Name)
		}
		return nil
	})
	return names, err
}

// CreateBackup creates a Backup with its status in Velero's namespace. The Watches of the
// member observe it from then on.
func (m *Member) CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error) {
	created, err := client.Do(ctx, m.client, fmt.Sprintf("create backup %q", backup.Name), func(ctx context.Context, c *client.Connection) (*velerov1.Backup, error) {
		return c.Backups.Create(ctx, client.InNamespace(backup, c.Namespace), metav1.CreateOptions{})
	})
	if c := m.watched(); err == nil && c != nil {
		c.CreatedBackup(created)
	}
	return created, err
}

// CreateRestore creates a Restore in Velero's namespace. The Watches of the member observe it
// from then on.
func (m *Member) CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error) {
	created, err := client.Do(ctx, m.client, fmt.Sprintf("create restore %q", restore.Name), func(ctx context.Context, c *client.Connection) (*velerov1.Restore, error) {
		return c.Restores.Create(ctx, client.InNamespace(restore, c.Namespace), metav1.CreateOptions{})
	})
	if c := m.watched(); err == nil && c != nil {
		c.CreatedRestore(created)
	}
	return created, err
}

// DeleteRestore deletes a Restore. It returns a conflict if another one has its name, or if it
// has changed.
func (m *Member) DeleteRestore(ctx context.Context, restore *velerov1.Restore) error {
	_, err := client.Do(ctx, m.client, fmt.Sprintf("delete restore %q", restore.Name), func(ctx context.Context, c *client.Connection) (struct{}, error) {
		return struct{}{}, c.Restores.Delete(ctx, restore.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &restore.UID, ResourceVersion: &restore.ResourceVersion},
		})
	})
	return err
}

// Locations lists the BackupStorageLocations.
func (m *Member) Locations(ctx context.Context) ([]velerov1.BackupStorageLocation, error) {
	return cache.Locations(ctx, m.client)
}

// PodVolumeBackups lists the PodVolumeBackups of a Backup.
func (m *Member) PodVolumeBackups(ctx context.Context, backup string) ([]velerov1.PodVolumeBackup, error) {
	selector := labels.Set{velerov1.BackupNameLabel: velero.LabelValue(backup)}
	ctx = m.client.Allow(ctx, "a list of podvolumebackups", limits.MaxList)
	list, err := client.Do(ctx, m.client, fmt.Sprintf("list podvolumebackups of backup %q", backup), func(ctx context.Context, c *client.Connection) (*velerov1.PodVolumeBackupList, error) {
		return c.PodVolumeBackups.List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// CreatePodVolumeBackup creates a PodVolumeBackup with its status in Velero's namespace.
func (m *Member) CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return client.Do(ctx, m.client, fmt.Sprintf("create podvolumebackup %q", pvb.Name), func(ctx context.Context, c *client.Connection) (*velerov1.PodVolumeBackup, error) {
		return c.PodVolumeBackups.Create(ctx, client.InNamespace(pvb, c.Namespace), metav1.CreateOptions{})
	})
}

// CreateConfigMap creates a ConfigMap in Velero's namespace. It succeeds if one exists with the same
// data that was created for the same Migrate, or for all.
func (m *Member) CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) error {
	configMaps := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("configmaps"), InVelero: true}
	err := client.Create(ctx, m.client, configMaps.Resource, configMap)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	body, err := client.Get(ctx, m.client, configMaps, configMap.Name)
	if err != nil {
		return err
	}
	var existing corev1.ConfigMap
	if err := json.Unmarshal(body, &existing); err != nil || velero.MigrateUID(&existing) != velero.MigrateUID(configMap) || !maps.Equal(existing.Data, configMap.Data) {
		return fmt.Errorf("a ConfigMap named %s exists with other content or of another Migrate; delete it", configMap.Name)
	}
	return nil
}

// Diagnose determines why Velero makes no progress: whether its server processes the request,
// which namespaces are being deleted, and how much volume data has been moved for the Backup or
// Restore that Velero's label with the given key names. What it cannot determine, for example
// for lack of permission, is left empty.
func (m *Member) Diagnose(ctx context.Context, request *velerov1.ServerStatusRequest, label, name string) migration.Diagnosis {
	return m.diagnoser.Diagnose(ctx, request, label, name)
}

// Results reads what a request names after the end of a Backup or Restore: files from the storage, at
// the URLs that Velero provides, what belongs to them in the member, and whether it serves resources.
func (m *Member) Results(ctx context.Context, request migration.ResultsRequest) migration.Results {
	free, err := m.client.TakeResultSlot(ctx)
	if err != nil {
		return migration.Results{Err: err, ListsErr: err}
	}
	defer free()
	found := results.Read(ctx, m.client, request, velero.Visitor{})
	if request.Backup == "" {
		return found
	}
	var kinds sets.Set[string]
	if found.Lists != nil {
		kinds, found.Lists.Kinds = found.Lists.Kinds, nil
	}
	found.LeftOut, found.UnknownErr = leftout.Read(ctx, m.client, request.Backup, request.Filter, kinds)
	if len(request.Names) > 0 {
		var err error
		found.Unknown, err = resources.Unknown(ctx, m.client, request.Names)
		found.UnknownErr = errors.Join(found.UnknownErr, err)
	}
	return found
}

// EachResult reads the files that a request names from the storage, and calls to with each item and volume. An
// error of to ends it, and is in ListsErr.
func (m *Member) EachResult(ctx context.Context, request migration.ResultsRequest, to velero.Visitor) migration.Results {
	return results.Read(ctx, m.client, request, to)
}

// Log writes the log that a request names to a writer.
func (m *Member) Log(ctx context.Context, request *velerov1.DownloadRequest, ca migration.StorageCA, to io.Writer) error {
	return results.Log(ctx, m.client, request, ca, to)
}

// CheckPrerequisites determines which prerequisites the member has. What it may not read does not count as
// missing; an error is temporary, and then something may be unknown.
func (m *Member) CheckPrerequisites(ctx context.Context, needed migration.Prerequisites) (migration.Checked, error) {
	return prerequisites.Check(ctx, m.client, needed)
}

// Workloads determines which of the workloads that Restores have created or changed are ready.
func (m *Member) Workloads(ctx context.Context, restores []string) migration.Workloads {
	return workloads.Read(ctx, m.client, restores)
}

// Review checks whether the requester may do in the member what a review needs, and returns
// what they may not do; empty if they may do all of it.
func (m *Member) Review(ctx context.Context, r migration.Review) (refusal string, err error) {
	return review.Check(ctx, m.client, r)
}

// RunningBackups returns the Backups that Velero runs, by live calls. More than 20,000 Backups are an error.
func (m *Member) RunningBackups(ctx context.Context) (running []migration.RunningBackup, err error) {
	const pageSize, maxPages = 500, 40
	all := client.Collection{Resource: velerov1.SchemeGroupVersion.WithResource("backups"), InVelero: true}
	err = client.Each(ctx, m.client, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(b *velerov1.Backup) error {
		if velero.IsRunning(b.Status.Phase) {
			running = append(running, migration.RunningBackup{
				Name: b.Name, MigrateUID: velero.MigrateUID(b), Phase: b.Status.Phase, Created: b.CreationTimestamp.Time,
			})
		}
		return nil
	})
	return running, err
}

// StoredBackups returns the BackupStorageLocations, and the completed Backups in them by Velero's label. Of more than
// 2,000 Backups it returns the first ones by name.
func (m *Member) StoredBackups(ctx context.Context) (stored migration.StoredBackups, err error) {
	const pageSize, maxPages = 250, 8
	if stored.Locations, err = m.Locations(ctx); err != nil {
		return migration.StoredBackups{}, err
	}
	all := client.Collection{Resource: velerov1.SchemeGroupVersion.WithResource("backups"), InVelero: true}
	selected := metav1.ListOptions{Limit: pageSize, LabelSelector: velerov1.StorageLocationLabel}
	err = client.Each(ctx, m.client, all, selected, maxPages, func(b *velerov1.Backup) error {
		finished, ok := velero.AsFinishedBackup(b)
		switch {
		case !ok:
		case len(stored.Backups) == pageSize*maxPages: // a page may be longer than requested
			return client.TooManyError{Most: pageSize * maxPages}
		default:
			stored.Backups = append(stored.Backups, finished)
		}
		return nil
	})
	if err != nil && !errors.As(err, new(client.TooManyError)) {
		return migration.StoredBackups{}, err
	}
	return stored, nil
}

// SurveySource reads what a Migrate would move from the member.
func (m *Member) SurveySource(ctx context.Context, request migration.SurveyRequest) migration.SourceSurvey {
	return survey.Source(ctx, m.client, request)
}

// SurveyTarget reads what the selected objects of a source, which read reads, would meet in the member.
func (m *Member) SurveyTarget(ctx context.Context, request migration.SurveyRequest, of *migration.SourceSurvey, read ObjectReader) migration.TargetSurvey {
	return survey.Target(ctx, m.client, request, of, read)
}

// Object returns the JSON of an object.
func (m *Member) Object(ctx context.Context, resource velero.Resource, key migration.ObjectKey) ([]byte, error) {
	return survey.Object(ctx, m.client, resource, key)
}

// Watch observes one Migrate in a member. Pool.Watch returns it.
type Watch struct {
	member       *Member
	cache        *cache.Cache
	registration *cache.Registration
}

// Stop ends the Watch. The last one closes the watches of the member.
func (w *Watch) Stop() {
	w.member.stop(w)
}

// Observe returns what the cache has of a Migrate; false before the cache has synced, unless a
// fault is known. Err has the same text for the same fault.
func (w *Watch) Observe(of migration.Objects) (migration.Member, bool) {
	return w.cache.Observe(of)
}

// Running returns the Backups that Velero runs; false before they are known. The first call begins to
// watch them. onChange is called after one was added or removed. It must not block.
func (w *Watch) Running(onChange func()) (migration.Running, bool) {
	return w.cache.Running(w.registration, onChange)
}

// watch registers a Migrate with the cache, which the first Watch starts.
func (m *Member) watch(uid types.UID, onChange func(uid types.UID)) *Watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.cache == nil
	if first {
		m.cache = cache.New(m.client, m.kept)
	}
	w := &Watch{member: m, cache: m.cache, registration: m.cache.Register(uid, onChange)}
	if first {
		go w.cache.Run()
	}
	return w
}

func (m *Member) stop(w *Watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.client.Touch()
	if w.cache.Unregister(w.registration) > 0 {
		return
	}
	w.cache.Cancel()
	if m.cache == w.cache {
		m.cache = nil
	}
}

// watched returns the cache; nil without a Watch.
func (m *Member) watched() *cache.Cache {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cache
}

// idle returns the time since the member was last used.
func (m *Member) idle() time.Duration {
	if m.watched() != nil {
		return 0
	}
	return m.client.Idle()
}

func (m *Member) close() {
	m.mu.Lock()
	c := m.cache
	m.cache = nil
	m.mu.Unlock()
	if c != nil {
		c.Stop()
	}
	m.client.Close()
}
