// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"sync"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Read returns the objects of a Migrate by live calls, as Cache.Observe returns them by
// watches.
func Read(ctx context.Context, c *client.Client, of migration.Objects) migration.Member {
	var (
		seen     migration.Member
		backups  []*velerov1.Backup
		restores []*velerov1.Restore
		errs     [3]error
		wg       sync.WaitGroup
	)
	wg.Go(func() {
		list, err := client.Do(ctx, c, "list backups", func(ctx context.Context, conn *client.Connection) (*velerov1.BackupList, error) {
			list, err := conn.Backups.List(ctx, ofMigrate(of.UID))
			return list, orTooMany(err, "backups with the label of the Migrate", list, maxKeptObjects)
		})
		if errs[0] = err; err == nil {
			backups = trimmed(list.Items, trimBackup)
		}
	})
	wg.Go(func() {
		list, err := client.Do(ctx, c, "list restores", func(ctx context.Context, conn *client.Connection) (*velerov1.RestoreList, error) {
			list, err := conn.Restores.List(ctx, ofMigrate(of.UID))
			return list, orTooMany(err, "restores with the label of the Migrate", list, maxKeptObjects)
		})
		if errs[1] = err; err == nil {
			restores = trimmed(list.Items, trimRestore)
		}
	})
	wg.Go(func() {
		seen.Locations, errs[2] = Locations(ctx, c)
	})
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return client.Unreachable(err)
		}
	}
	of.Pick(&seen, backups, restores)
	return seen
}

// Locations lists the BackupStorageLocations.
func Locations(ctx context.Context, c *client.Client) ([]velerov1.BackupStorageLocation, error) {
	list, err := client.Do(ctx, c, "list backupstoragelocations", func(ctx context.Context, conn *client.Connection) (*velerov1.BackupStorageLocationList, error) {
		list, err := conn.Locations.List(ctx, metav1.ListOptions{Limit: maxLocations + 1})
		return list, orTooMany(err, "backupstoragelocations", list, maxLocations)
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// ofMigrate selects the objects of a Migrate.
func ofMigrate(uid types.UID) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.Set{velero.MigrateUIDLabel: string(uid)}.String(), Limit: maxKeptObjects + 1}
}

// orTooMany returns err, or a limits.Error if a list has more than most objects.
func orTooMany(err error, what string, of list, most int) error {
	if err == nil && (meta.LenList(of) > most || of.GetListMeta().GetContinue() != "") {
		return limits.Exceeded(limits.Objects, "there are more than %d %s", most, what)
	}
	return err
}

func trimmed[T any](items []T, trim func(*T)) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
		trim(all[i])
	}
	return all
}
