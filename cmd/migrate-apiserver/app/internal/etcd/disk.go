// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// An etcd that meets a full disk ends the process: it allocates the segments of its log ahead, but its database grows with each
// write. So it gets no more writes before the disk is full. Deletes and the alarm itself need a little space, too.
const (
	// growth is the space for what the database may grow until the next check, in bytes.
	growth = 32 << 20
	// startGrowth is the space for what it grows at the start, and by deletes.
	startGrowth = 16 << 20
	// diskInterval is the time between two checks.
	diskInterval = time.Second
	// fullPercent is the part of its quota up to which a database is not full: one write may take the rest.
	fullPercent = 90
)

// minFree is the free space below which etcd gets no more writes, and resumeFree that from which it gets them again.
var (
	minFree    = wal.SegmentSizeBytes + growth
	resumeFree = minFree + growth
)

// disk watches the free space of the disk of an etcd, and raises its alarm before the disk is full. It disarms the alarm, also one that
// etcd has raised because of its quota, once there is space on the disk and the database is smaller than its quota.
type disk struct {
	// free returns the free space of the disk, in bytes.
	free  func() (int64, error)
	alarm spaceAlarm
	quota int64

	// failed is true if the last check has failed.
	failed bool
}

// spaceAlarm is the alarm NOSPACE of an etcd, with which it refuses writes, and serves reads and deletes.
type spaceAlarm interface {
	// Raised reports whether the alarm is raised.
	Raised() bool
	// Raise raises the alarm.
	Raise(ctx context.Context) error
	// Disarm ends the alarm.
	Disarm(ctx context.Context) error
	// Size returns the size of the database, in bytes.
	Size() int64
}

// run checks the disk until ctx ends.
func (d *disk) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		err := d.check(ctx)
		if err != nil && !d.failed && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Checking the free space of the data directory failed")
		}
		d.failed = err != nil
	}, diskInterval)
}

func (d *disk) check(ctx context.Context) error {
	free, err := d.free()
	if err != nil {
		return err
	}
	freeBytes.Set(float64(free))
	logger, raised := klog.FromContext(ctx), d.alarm.Raised()
	switch {
	case !raised && free < minFree:
		if err := d.alarm.Raise(ctx); err != nil {
			return fmt.Errorf("refuse writes: %w", err)
		}
		logger.Error(nil, "The disk of the data directory is nearly full, writes are refused until there is space", "free", size(free), "needed", size(resumeFree))
	case raised && free >= resumeFree && d.alarm.Size() < d.quota/100*fullPercent:
		if err := d.alarm.Disarm(ctx); err != nil {
			return fmt.Errorf("accept writes again: %w", err)
		}
		logger.Info("There is space again, writes are accepted", "free", size(free), "databaseSize", size(d.alarm.Size()))
	}
	return nil
}

// makeRoom returns an error if etcd can't start in a data directory because its disk is full. It removes the segment of the log that
// an etcd which has crashed had allocated ahead, and that the next one allocates anew.
func makeRoom(dir string) error {
	segments := int64(1)
	log := filepath.Join(dir, "member", "wal")
	if _, err := os.Stat(log); errors.Is(err, os.ErrNotExist) {
		segments = 2
	}
	spare, err := filepath.Glob(filepath.Join(log, "*.tmp"))
	if err != nil {
		return err
	}
	for _, file := range spare {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	free, err := freeSpace(dir)
	if err != nil {
		return err
	}
	if needed := segments*wal.SegmentSizeBytes + startGrowth; free < needed {
		return fmt.Errorf("its disk is full: %s are free, and etcd needs %s to start. Free space there, or enlarge the volume. What was stored is not lost", size(free), size(needed))
	}
	return nil
}

// freeSpace returns the space on the disk of a directory that is free for other users than root, in bytes.
func freeSpace(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // the types differ between systems
}

// member is the only member of a cluster.
type member struct{ *etcdserver.EtcdServer }

var _ spaceAlarm = member{}

// Raised reports whether the alarm is raised.
func (m member) Raised() bool {
	return slices.ContainsFunc(m.Alarms(), func(a *etcdserverpb.AlarmMember) bool { return a.Alarm == etcdserverpb.AlarmType_NOSPACE })
}

// Raise raises the alarm.
func (m member) Raise(ctx context.Context) error {
	return m.set(ctx, etcdserverpb.AlarmRequest_ACTIVATE)
}

// Disarm ends the alarm.
func (m member) Disarm(ctx context.Context) error {
	return m.set(ctx, etcdserverpb.AlarmRequest_DEACTIVATE)
}

// Size returns the size of the database, in bytes.
func (m member) Size() int64 { return m.Backend().Size() }

func (m member) set(ctx context.Context, action etcdserverpb.AlarmRequest_AlarmAction) error {
	_, err := m.Alarm(ctx, &etcdserverpb.AlarmRequest{Action: action, Alarm: etcdserverpb.AlarmType_NOSPACE, MemberID: uint64(m.MemberID())})
	return err
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
