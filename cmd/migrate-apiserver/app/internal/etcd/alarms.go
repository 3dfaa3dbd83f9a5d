// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
)

const (
	// alarmInterval is the time between two reads of the alarms, and alarmTimeout bounds one.
	alarmInterval = 5 * time.Second
	alarmTimeout  = 5 * time.Second
)

// advice is what to do about each alarm.
var advice = map[etcdserverpb.AlarmType]string{
	etcdserverpb.AlarmType_NOSPACE: "Writes are refused, and reads and deletes are served. Free space on its disk, or delete what is not needed or raise its quota, and defragment it",
	etcdserverpb.AlarmType_CORRUPT: "Writes and deletes are refused, and the server is not ready. Follow etcd's guide to data corruption, or restore a snapshot",
}

// Alarms reports the alarms of an etcd, embedded or not, as a metric, and in the log when they change. As a check of readiness it fails
// at the alarm CORRUPT alone, as that of etcd itself: at NOSPACE reads are served, and deletes must reach the server, to make space.
// A server that is not ready would also block the deletion of every namespace of the host.
type Alarms struct {
	of storagebackend.TransportConfig

	mutex  sync.Mutex
	raised map[etcdserverpb.AlarmType]int
	failed bool
}

var _ healthz.HealthChecker = &Alarms{}

// NewAlarms returns the alarms of an etcd, which Run reads.
func NewAlarms(of storagebackend.TransportConfig) *Alarms { return &Alarms{of: of} }

// Run reports the alarms until ctx ends.
func (a *Alarms) Run(ctx context.Context) error {
	client, err := newClient(a.of)
	if err != nil {
		return fmt.Errorf("client of the etcd: %w", err)
	}
	defer func() { _ = client.Close() }()
	registerAlarms()
	wait.UntilWithContext(ctx, func(ctx context.Context) { a.read(ctx, client) }, alarmInterval)
	return nil
}

// Name returns the name of the check.
func (a *Alarms) Name() string { return "etcd-data-corruption" }

// Check fails if the etcd has found its data corrupt.
func (a *Alarms) Check(*http.Request) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.raised[etcdserverpb.AlarmType_CORRUPT] > 0 {
		return errors.New("the etcd has raised the alarm CORRUPT")
	}
	return nil
}

func newClient(of storagebackend.TransportConfig) (*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: of.ServerList, Logger: zap.NewNop()}
	if files := (transport.TLSInfo{CertFile: of.CertFile, KeyFile: of.KeyFile, TrustedCAFile: of.TrustedCAFile}); !files.Empty() || files.TrustedCAFile != "" {
		var err error
		if config.TLS, err = files.ClientConfig(); err != nil {
			return nil, err
		}
	}
	return clientv3.New(config)
}

// alarmLister lists the alarms of an etcd.
type alarmLister interface {
	AlarmList(ctx context.Context) (*clientv3.AlarmResponse, error)
}

func (a *Alarms) read(ctx context.Context, from alarmLister) {
	logger := klog.FromContext(ctx)
	request, cancel := context.WithTimeout(ctx, alarmTimeout)
	defer cancel()
	list, err := from.AlarmList(request)
	if err != nil {
		if !a.failed && ctx.Err() == nil {
			logger.Info("Reading the alarms of the etcd failed", "err", err)
		}
		a.failed = true
		return
	}
	raised := map[etcdserverpb.AlarmType]int{}
	for _, alarm := range list.Alarms {
		raised[alarm.Alarm]++
	}
	for alarm, todo := range advice {
		members := raised[alarm]
		alarms.WithLabelValues(alarm.String()).Set(float64(members))
		switch {
		case members > 0 && a.raised[alarm] == 0:
			logger.Error(nil, "The etcd has raised an alarm", "alarm", alarm.String(), "advice", todo)
		case members == 0 && a.raised[alarm] > 0:
			logger.Info("An alarm of the etcd is disarmed", "alarm", alarm.String())
		}
	}
	a.failed = false
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.raised = raised
}
