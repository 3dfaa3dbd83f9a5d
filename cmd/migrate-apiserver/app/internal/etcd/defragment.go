// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Space is the size of a database, in bytes.
type Space struct {
	// Before and After are the sizes before and after defragmentation, and Used is how much of the last one is in use.
	Before, After, Used int64
	// Disarmed is true if the alarm that it was full was raised, and is not any more: etcd accepts writes again.
	Disarmed bool
}

// Defragment gives the free space in the database of the etcd that serves from a data directory, in which another process runs,
// back to the file system, and has an etcd that was full accept writes again. Without that it refuses them, whatever is deleted.
// History up to now is discarded, so watches of an earlier version begin anew. Requests wait meanwhile.
func Defragment(ctx context.Context, dir string) (Space, error) {
	endpoint, err := Endpoint(dir)
	if err != nil {
		return Space{}, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: dialTimeout, Logger: zap.NewNop()})
	if err != nil {
		return Space{}, fmt.Errorf("etcd in %s: %w", dir, err)
	}
	defer func() { _ = client.Close() }()
	space, err := defragment(ctx, client, endpoint, dir)
	if err != nil {
		return space, fmt.Errorf("defragment the etcd in %s: %w", dir, err)
	}
	return space, nil
}

func defragment(ctx context.Context, client *clientv3.Client, endpoint, dir string) (Space, error) {
	before, err := client.Status(ctx, endpoint)
	if err != nil {
		return Space{}, err
	}
	space := Space{Before: before.DbSize}
	raised, err := client.AlarmList(ctx)
	if err != nil {
		return space, err
	}
	// The API server may have compacted up to the same revision.
	if _, err := client.Compact(ctx, before.Header.Revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return space, err
	}
	if err := checkCopyFits(ctx, client, endpoint, dir); err != nil {
		return space, err
	}
	if _, err := client.Defragment(ctx, endpoint); err != nil {
		return space, err
	}
	after, err := client.Status(ctx, endpoint)
	if err != nil {
		return space, err
	}
	space.After, space.Used = after.DbSize, after.DbSizeInUse
	for _, alarm := range raised.Alarms {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		if _, err := client.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return space, err
		}
		space.Disarmed = true
	}
	return space, nil
}

// checkCopyFits returns an error if the disk has no space for the copy of what is in use that defragmentation makes.
func checkCopyFits(ctx context.Context, client *clientv3.Client, endpoint, dir string) error {
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return err
	}
	free, err := freeSpace(dir)
	if err != nil {
		return err
	}
	if needed := status.DbSizeInUse + startGrowth; free < needed {
		return fmt.Errorf("its disk has %s free, and the copy that this makes needs %s: free space there, or enlarge the volume", size(free), size(needed))
	}
	return nil
}

// startThreshold is how much space, in MiB, the defragmentation at the start must at least give back: less is not worth its time.
const startThreshold = 64

// startDefragment returns how much space, in MiB, the defragmentation at the start must at least give back; 0 if the disk has no space
// for its copy, so that there is none.
func startDefragment(dir string) uint {
	database, err := os.Stat(filepath.Join(dir, "member", "snap", "db"))
	if err != nil {
		return 0 // it is new, or etcd reports the error
	}
	if free, err := freeSpace(dir); err != nil || free < database.Size()+minFree {
		return 0
	}
	return startThreshold
}
